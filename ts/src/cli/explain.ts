/** `gyrfalcon explain`: tells where the requests of an app are answered. */
import { loadEngine } from '../bridge/engine.ts';
import { installGlobals } from '../fetch/globals.ts';
import { loadApp } from './app.ts';
import type { Invocation } from './arguments.ts';
import { explain } from './explanation.ts';
import { explanationText } from './explanation_text.ts';

/** Loads the app as `start` does, prints its explanation and ends the process: the app may hold timers. */
export async function explainApp({ operands, switches }: Invocation): Promise<void> {
  const name = operands[0] as string;
  const uninstall = installGlobals();
  const { url, options, written, ignored } = await loadApp(name);
  if (options.globals === false) uninstall();
  if (ignored !== null) console.error(ignored);
  const app = { name, options: { ...options, module: url }, written };
  const explanation = await explain(app, loadEngine());
  const text = switches.has('json')
    ? `${JSON.stringify(explanation, null, 2)}\n`
    : explanationText(explanation, process.cwd());
  await print(text);
  process.exit(0);
}

/** Resolves when the system has it, or when nobody reads it any more (`| head`). */
function print(text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.once('error', (error: NodeJS.ErrnoException) =>
      error.code === 'EPIPE' ? resolve() : reject(error),
    );
    process.stdout.write(text, () => resolve());
  });
}
