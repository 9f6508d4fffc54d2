/** What programs of this folder share that are run by hand. */
import { project } from '../support/process.ts';

const scripts = (name: string): Promise<unknown> =>
  import(project('scripts', 'lib', `${name}.mjs`));
const { installRegistry } = (await scripts('toolchain')) as {
  installRegistry(progress: unknown): Promise<void>;
};
const { Progress } = (await scripts('run')) as {
  Progress: new (options: { quiet: boolean }) => unknown;
};
const { setup, main } = (await scripts('setup')) as {
  setup(options: { quiet: boolean }): Promise<unknown>;
  main(action: () => Promise<void>): Promise<void>;
};

/** Runs `action` once the engine is built and a registry installed; a mistake that can be mended is told in a sentence. */
export function withRegistry(action: () => Promise<void>): Promise<void> {
  return main(async () => {
    await setup({ quiet: true });
    await installRegistry(new Progress({ quiet: true }));
    await action();
  });
}
