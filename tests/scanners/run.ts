/**
 * Scanners and fuzzers of others against servers of ours, over TLS 1.3 and where 1.2 is allowed too:
 *
 *   npm run test:tls-scan                              all that can be had
 *   npm run test:tls-scan -- --only sslscan,tlsfuzzer  some of them
 *   npm run test:tls-scan -- --only tlsfuzzer --filter keyupdate
 *
 * docs/TLS_SCANS.md has what came of it. Ends with 1 when something is found that has no reason.
 */
import { parseArgs } from 'node:util';
import { type Outcome, type Place, Stage } from './scan.ts';
import { MissingError, main, SetupError, setup } from './scripts.ts';
import { scanBySslscan } from './sslscan.ts';
import { scanByTestssl } from './testssl.ts';
import { fuzz } from './tlsfuzzer.ts';

type Scan = (stage: Stage, place: Place) => Promise<Outcome>;

const scans: Record<string, Scan> = { sslscan: scanBySslscan, testssl: scanByTestssl };
const places: readonly Place[] = ['TLS 1.3', 'TLS 1.2'];
const linesMax = 20;
const sum = { passed: 0, failed: 0, skipped: 0 };

/** A line, the reasons with how many findings each has, and what has none. */
function tell(name: string, { passed, explained, wrong }: Outcome): void {
  sum.passed += wrong.length === 0 ? 1 : 0;
  sum.failed += wrong.length === 0 ? 0 : 1;
  const reasons = new Map<string, string[]>();
  for (const { what, why } of explained) reasons.set(why, [...(reasons.get(why) ?? []), what]);
  console.log(`${wrong.length === 0 ? '✓' : '✘'} ${name}: ${passed} right`);
  for (const [why, all] of reasons) console.log(`    ${all.length} so on purpose: ${why}`);
  for (const what of wrong.slice(0, linesMax)) console.log(`    wrong: ${what}`);
  if (wrong.length > linesMax) console.log(`    and ${wrong.length - linesMax} more`);
}

function skip(name: string, error: unknown): void {
  if (!(error instanceof MissingError)) throw error;
  sum.skipped += 1;
  console.log(`SKIP ${name}: ${error.message}`);
}

await main(async () => {
  const { values } = parseArgs({
    options: {
      only: { type: 'string', default: 'sslscan,testssl,tlsfuzzer' },
      filter: { type: 'string', default: '' },
      smoke: { type: 'boolean', default: false },
    },
  });
  const only = values.smoke ? ['sslscan'] : values.only.split(',');
  const unknown = only.find((name) => name !== 'tlsfuzzer' && !(name in scans));
  if (unknown !== undefined) throw new SetupError(`No scanner is called ${unknown}.`);
  await setup();
  const { noTls } = await import('../support/certificates.ts');
  if (noTls !== undefined) throw new MissingError(noTls);
  const stage = new Stage();
  for (const name of only) {
    try {
      const scan = scans[name];
      if (scan === undefined) {
        await fuzz(stage, values.filter, ({ script, outcome }) => tell(script, outcome));
      } else for (const place of places) tell(`${name}, ${place}`, await scan(stage, place));
    } catch (error) {
      skip(name, error);
    }
  }
  await stage.stop();
  if (sum.failed > 0) process.exitCode = 1;
  const skipped = sum.skipped > 0 ? `, ${sum.skipped} skipped` : '';
  console.log(`\n${sum.passed} passed, ${sum.failed} failed${skipped}`);
});
