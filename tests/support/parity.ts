import { inspect } from 'node:util';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { Headers } from '../../ts/src/fetch/headers.ts';
import {
  PlatformHeaders,
  PlatformRequest,
  PlatformResponse,
} from '../../ts/src/fetch/originals.ts';
import { Request } from '../../ts/src/fetch/request.ts';
import { Response } from '../../ts/src/fetch/response.ts';

// One table, two implementations: every case is run with the light classes and with the platform's
// (undici), and what they give has to be equal, down to the class of the error. Where a case says
// `instead`, the light classes differ on purpose and its reason is in the test's name.

/** The three classes of one implementation. */
export interface Api {
  Headers: typeof Headers;
  Request: typeof Request;
  Response: typeof Response;
}

export interface Case {
  name: string;
  run: (api: Api) => unknown;
  /** What the light classes give where they differ from the platform's, and why. */
  instead?: { value: unknown; because: string };
}

const light: Api = { Headers, Request, Response };
const platform = {
  Headers: PlatformHeaders,
  Request: PlatformRequest,
  Response: PlatformResponse,
} as unknown as Api;

/** What a case came to: its value, or the class of what it threw. */
async function outcome(run: Case['run'], api: Api): Promise<unknown> {
  try {
    return await run(api);
  } catch (error) {
    return `throws ${(error as Error).constructor.name}`;
  }
}

/** Makes a test of each case; the caller ends with `test.run()`. */
export function compare(group: string, cases: readonly Case[]): void {
  for (const { name, run, instead } of cases) {
    if (instead !== undefined) {
      test(`${group}: ${name} (differs: ${instead.because})`, async () => {
        assert.equal(await outcome(run, light), instead.value);
      });
      continue;
    }
    test(`${group}: ${name}`, async () => {
      const expected = await outcome(run, platform);
      const actual = await outcome(run, light);
      assert.equal(actual, expected, `${name}: light gives ${inspect(actual)}`);
    });
  }
}
