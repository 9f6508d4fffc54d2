/** testssl.sh: everything that it looks for, and the grade that it gives. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Outcome, Place, Stage } from './scan.ts';
import { run } from './scripts.ts';
import { testssl } from './tools.ts';

/** What it finds fault with that is so on purpose, by the finding's id and text. */
const explained: [RegExp, string][] = [
  [/^cert_|^DNS_CAArecord/, 'the certificates of the test are nobody’s but their own'],
  [/^overall_grade|^grade_cap|^final_score/, 'as those are not believed, there is no grade'],
  [/^FS_TLS13_sig_algs/, 'a ticket comes right behind Finished, and it opens neither'],
  [/^engine_problem/, 'it speaks of the scanner’s own openssl'],
  [/^security_headers/, 'what pages send is their handlers’ affair'],
];

interface Finding {
  id: string;
  severity: string;
  finding: string;
}

/** Severities that find fault. `LOW` is one; `INFO` and `OK` are none. */
const faults = new Set(['LOW', 'MEDIUM', 'HIGH', 'CRITICAL', 'WARN', 'FATAL']);

export async function scanByTestssl(stage: Stage, place: Place): Promise<Outcome> {
  const program = await testssl();
  const port = await stage.portOf(place);
  const report = join(stage.folder, `testssl-${place}.json`);
  const args = ['--quiet', '--color', '0', '--warnings', 'batch', '--ip', '127.0.0.1'];
  args.push('--jsonfile', report, `localhost:${port}`);
  // Debian's, which is unpacked and not installed, looks for its tables in /etc otherwise.
  const tables = join(dirname(program), '..', '..', 'etc', 'testssl');
  const env = existsSync(tables) ? { ...process.env, TESTSSL_INSTALL_DIR: tables } : process.env;
  const { output } = await run(program, args, { env, timeoutMs: 900_000 });
  let findings: Finding[];
  try {
    findings = JSON.parse(readFileSync(report, 'utf8')) as Finding[];
  } catch (error) {
    return { passed: 0, explained: [], wrong: [`no report: ${error}\n${output.slice(-2000)}`] };
  }
  const outcome: Outcome = { passed: 0, explained: [], wrong: [] };
  for (const { id, severity, finding } of findings) {
    const what = `${id} (${severity}): ${finding}`;
    const why = explained.find(([pattern]) => pattern.test(id))?.[1];
    if (!faults.has(severity)) outcome.passed += 1;
    else if (why === undefined) outcome.wrong.push(what);
    else outcome.explained.push({ what, why });
  }
  return outcome;
}
