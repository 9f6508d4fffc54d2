/** Tests that need something which a machine may lack. */

/** A suite that takes tests of some kind. */
interface Suite<F> {
  (name: string, test: F): void;
  skip(name: string): void;
}

/** Skips a test, and says why: the test run prints the reason. */
export function skip(suite: Pick<Suite<never>, 'skip'>, name: string, reason: string): void {
  console.log(`SKIP ${name}: ${reason}`);
  suite.skip(name);
}

/** A test that is skipped, with the reason, unless `reason` is undefined. */
export function testUnless<F>(
  suite: Suite<F>,
  reason: string | undefined,
  name: string,
  test: F,
): void {
  if (reason === undefined) suite(name, test);
  else skip(suite, name, reason);
}

/** Why a test of inline mode cannot run here, or undefined when it can. */
export const noInline = process.platform === 'linux' ? undefined : 'inline mode is Linux’s';
