/** What the scanners use of scripts/lib, with types. */
// @ts-expect-error: a script, without types
import * as project from '../../scripts/lib/project.mjs';
// @ts-expect-error: a script, without types
import * as running from '../../scripts/lib/run.mjs';
// @ts-expect-error: a script, without types
import * as settingUp from '../../scripts/lib/setup.mjs';
// @ts-expect-error: a script, without types
import * as stages from '../../scripts/lib/stages.mjs';
// @ts-expect-error: a script, without types
import * as python from '../../scripts/lib/toolchain.mjs';

interface Ended {
  code: number;
  output: string;
}

interface RunOptions {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  timeoutMs?: number;
}

interface Progress {
  work<T>(text: string, action: () => Promise<T>): Promise<T>;
}

type Sentence = new (message: string) => Error;

export const SetupError: Sentence = project.SetupError;
export const MissingError: Sentence = project.MissingError;
export const toolchain: string = project.toolchain;
export const progress: Progress = new running.Progress();
export const run: (command: string, args: string[], options?: RunOptions) => Promise<Ended> =
  running.run;
export const outputOf: (command: string, args: string[]) => string | undefined = running.outputOf;
export const tail: (text: string) => string = running.tail;
export const main: (action: () => Promise<void>) => Promise<void> = settingUp.main;
export const setup: () => Promise<{ zig: string }> = settingUp.setup;
/** Builds the programs in Zig that tests start. False when it did not work, which it has told of. */
export const zigExecutables: (set: { zig: string }) => Promise<boolean> = stages.zigExecutables;
export const findPython: (what: string, advice: string) => { command: string; args: string[] } =
  python.findPython;
