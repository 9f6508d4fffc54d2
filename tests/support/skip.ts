/** Tests that need something which a machine may lack. */
import type { Callback, Test } from 'uvu';

/** Skips a test, and says why: the test run prints the reason. */
export function skip<T>(suite: Test<T>, name: string, reason: string): void {
  console.log(`SKIP ${name}: ${reason}`);
  suite.skip(name);
}

/** A test that is skipped, with the reason, unless `reason` is undefined. */
export function testUnless<T>(
  suite: Test<T>,
  reason: string | undefined,
  name: string,
  test: Callback<T>,
): void {
  if (reason === undefined) suite(name, test);
  else skip(suite, name, reason);
}
