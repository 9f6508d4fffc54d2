/** tlsfuzzer: its scripts, each with what fails in it on purpose. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Outcome, Place, Stage } from './scan.ts';
import { run } from './scripts.ts';
import { tlsfuzzer } from './tools.ts';

interface Script {
  /** @default TLS 1.3 */
  place?: Place;
  args?: readonly string[];
  /** Shows a certificate. */
  shows?: boolean;
  /** Conversations that fail, by their names, and why they have to; "chance" where a run may hold none of them. */
  fails?: readonly [names: RegExp, why: string, when?: 'chance'][];
}

const noFields = 'no groups but those of elliptic curves';
const noCurve =
  'a curve that is not served: no group in common is handshake_failure (RFC 8446 §4.1.1)';
const oneTicket = 'it waits for a second ticket, and one is sent';
const ignored =
  'what is not known is passed over; the RFC lets servers look (§4.2.7, §4.2.8: "MAY")';
const large = 'a ClientHello larger than 64 KiB is refused before it is whole';
const oldSuites = 'in TLS 1.2 it offers CBC or RSA key exchange alone';
/** What servers take of clients' certificates: the scripts are told what to expect. */
const signatures = [
  '-s',
  'ed25519 ecdsa_secp256r1_sha256 ecdsa_secp384r1_sha384 ecdsa_secp521r1_sha512 rsa_pss_rsae_sha512 rsa_pss_rsae_sha384 rsa_pss_rsae_sha256',
];

/** Of TLS 1.3, without `test-tls13-`. All others of the folder run as they are, and are to pass. */
const scripts: Readonly<Record<string, Script>> = {
  'certificate-compression': {
    place: 'TLS 1.2',
    args: ['-d'],
    fails: [
      [/zlib|^duplicated algos$/, 'certificates are not compressed (RFC 8879)'],
      [/TLS-1\.2/, oldSuites],
    ],
  },
  'certificate-request': {
    place: 'TLS 1.3, clients',
    shows: true,
    args: signatures,
    fails: [[/^verify extensions/, 'the names of authorities are sent, too (RFC 8446 §4.2.4)']],
  },
  'certificate-verify': { place: 'TLS 1.3, clients', shows: true, args: signatures },
  'connection-abort': { fails: [[/^After NewSessionTicket$/, oneTicket]] },
  'crfg-curves': { fails: [[/x448/, noCurve]] },
  'ecdhe-curves': { fails: [[/x448|secp521r1/, noCurve]] },
  'ecdsa-support': {
    fails: [[/secp384r1|secp521r1|brainpool/, 'the certificate has a key of P-256']],
  },
  'dhe-shared-secret-padding': {
    fails: [
      [/ffdhe/, noFields, 'chance'],
      [/x448|secp521r1/, noCurve, 'chance'],
    ],
  },
  eddsa: {
    fails: [
      [/^ed(?:25519|448) only$/, 'no certificate has such a key here'],
      [/^ecdsa_secp256r1_sha256 only$/, 'a certificate has such a key here', 'chance'],
    ],
  },
  finished: { fails: [[/pad_right (?:65|13|19)\d{3,}/, large, 'chance']] },
  'keyupdate-from-server': { fails: [[/^post-handshake KeyUpdate/, oneTicket]] },
  'large-number-of-extensions': {
    // compress_certificate (27), ticket_request (58) and encrypted_client_hello (65037).
    fails: [[/from (?:2|6\d{4}) to/, 'what it takes for unassigned is read, and broken', 'chance']],
  },
  mlkem: {
    fails: [[/^secp(?:256|384)r1mlkem/, 'of the hybrid groups X25519MLKEM768 alone is served']],
  },
  'multiple-ccs-messages': {
    fails: [[/CCS/, 'dropped, and the connection goes on: "MUST simply drop it" (RFC 8446 §5)']],
  },
  'no-unknown-groups': {
    fails: [[/unknown \(between/, 'X25519MLKEM768 is among them (4588), and known', 'chance']],
  },
  'obsolete-curves': { fails: [[/key_share|supported_groups/, ignored]] },
  'serverhello-random': {
    fails: [
      [/ffdhe/, noFields],
      [/x448|secp521r1/, noCurve],
    ],
  },
  'session-resumption': {
    place: 'TLS 1.2',
    fails: [
      [/PSK_ONLY/, 'who would resume without a key exchange gets no ticket'],
      [/TLS 1\.2/, oldSuites],
    ],
  },
  'shuffled-extentions': {
    fails: [[/HRR reversed order/, 'the order of extensions is not looked at: no requirement']],
  },
  'signature-algorithms': {
    fails: [
      [/^tolerance|duplicated|invalid schemes/, 'the first 64 kinds of signatures are looked at'],
    ],
  },
  'symetric-ciphers': { fails: [[/CCM/, 'a cipher that is not served']] },
  'unrecognised-groups': { fails: [[/ffdhe/, noFields]] },
  'version-negotiation': {
    place: 'TLS 1.2',
    fails: [
      [/SSL 2\.0/, 'what begins as SSL 2 is no TLS, and ends without an alert', 'chance'],
      [/fallback|legacy field|1\.2|^sanity/, oldSuites],
    ],
  },
  '0rtt-garbage': { fails: [[/downgrade to TLS 1\.2/, 'TLS 1.2 is not spoken here']] },
};

/** Scripts of TLS 1.3 that ask for what there is none of. */
const notRun: readonly [RegExp, string][] = [
  [/brainpool|ffdhe/, 'groups and signatures that are not served'],
  [/lengths/, 'for servers that send back what they are sent'],
  [/minerva/, 'it measures time, for hours'],
  [/mldsa|rsapss-signatures/, 'keys that there are no certificates of here'],
  [/(?:ecdsa|eddsa)-in-certificate-verify/, 'the certificate of its client is RSA here'],
  [/non-support/, 'for servers without TLS 1.3'],
  [/post-handshake-auth|client-certificate-compression/, 'not offered'],
  [/psk_/, 'for servers with keys that were agreed on before (PSK)'],
];

/**
 * Those of TLS 1.2 that can be told to offer ECDHE and AES-GCM. The others offer CBC or RSA key exchange alone, of which
 * there are none: they end with handshake_failure before they begin.
 */
const oldSuite = ['-C', 'TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256'];
const ecdhe = ['-d', ...oldSuite];
const noRenegotiation = 'no_renegotiation ends the connection';
const oldScripts: Readonly<Record<string, Script>> = {
  'aes-gcm-nonces': {
    args: ecdhe,
    fails: [[/^aes-256-gcm/, 'told to offer AES-128-GCM it offers no cipher there']],
  },
  ccs: { args: ecdhe },
  'certificate-malformed': {
    place: 'TLS 1.2, clients',
    args: ecdhe,
    shows: true,
    fails: [
      [/^fuzz empty certificate/, 'decode_error, where bad_certificate is expected', 'chance'],
    ],
  },
  'certificate-request': {
    place: 'TLS 1.2, clients',
    args: ecdhe,
    shows: true,
    fails: [[/^check sigalgs/, 'it expects the list of another server']],
  },
  'certificate-verify': { place: 'TLS 1.2, clients', args: ecdhe, shows: true },
  'certificate-verify-malformed': { place: 'TLS 1.2, clients', args: ecdhe, shows: true },
  chacha20: { args: ['--extra-exts'] },
  'connection-abort': { args: ecdhe },
  conversation: { args: ecdhe },
  'cve-2016-6309': { args: ecdhe },
  'cve-2016-7054': {},
  'early-application-data': { args: ecdhe },
  'fuzzed-ciphertext': { args: ecdhe },
  'hello-request-by-client': { args: ecdhe },
  'interleaved-application-data-and-fragmented-handshakes-in-renegotiation': {
    args: ecdhe,
    fails: [[/^Application data/, noRenegotiation]],
  },
  'interleaved-application-data-in-renegotiation': {
    args: ecdhe,
    fails: [[/^Application data/, noRenegotiation]],
  },
  'invalid-client-hello-w-record-overflow': { args: ecdhe },
  'invalid-compression-methods': { args: ecdhe },
  'invalid-content-type': { args: ecdhe },
  'no-mlkem-in-old-tls': { args: ecdhe },
  'record-layer-fragmentation': { args: ecdhe, fails: [[/65385B extension/, large]] },
  'renegotiation-disabled': {
    args: ecdhe,
    fails: [[/renegotiation/, 'no_renegotiation is fatal here: nobody is to try twice']],
  },
  'truncating-of-client-hello': { args: ecdhe, fails: [[/^(?:big|huge|max) pad/, large]] },
  'version-numbers': { args: ecdhe },
  'zero-length-data': { args: ecdhe },
};

export interface Report {
  script: string;
  outcome: Outcome;
}

/** Runs all scripts, or those whose names contain `filter`; `tell` hears of each when it has ended. */
export async function fuzz(
  stage: Stage,
  filter: string,
  tell: (report: Report) => void,
): Promise<void> {
  const { folder, packages } = await tlsfuzzer();
  const prefix = 'test-tls13-';
  const found = readdirSync(join(folder, 'scripts'))
    .filter((name) => name.startsWith(prefix) && name.endsWith('.py'))
    .map((name) => name.slice(prefix.length, -3));
  const all: [name: string, script: Script][] = [
    ...found.map((name): [string, Script] => [`tls13-${name}`, scripts[name] ?? {}]),
    ...Object.entries(oldScripts).map(([name, script]): [string, Script] => [
      name,
      { place: 'TLS 1.2', ...script },
    ]),
  ].filter(([name]) => name.includes(filter));
  for (const [name, script] of all) {
    const why = name.startsWith('tls13-') && notRun.find(([pattern]) => pattern.test(name))?.[1];
    if (why) console.log(`  not run: ${name}: ${why}`);
    else tell({ script: name, outcome: await runScript(stage, folder, packages, name, script) });
  }
}

async function runScript(
  stage: Stage,
  folder: string,
  packages: string,
  name: string,
  { place = 'TLS 1.3', args = [], shows = false, fails = [] }: Script,
): Promise<Outcome> {
  const path = join(folder, 'scripts', `test-${name}.py`);
  if (!existsSync(path)) return { passed: 0, explained: [], wrong: ['it is not there any more'] };
  const own = shows ? ['-k', stage.client.key, '-c', stage.client.cert] : [];
  const port = await stage.portOf(place);
  const given = [path, '-h', 'localhost', '-p', `${port}`, ...args, ...own];
  const env = { ...process.env, PYTHONPATH: `${packages}:${folder}`, PYTHONDONTWRITEBYTECODE: '1' };
  const { code, output } = await run('python3', given, { cwd: folder, env, timeoutMs: 600_000 });
  const count = (what: string): number =>
    Number(new RegExp(`^${what}: (\\d+)$`, 'm').exec(output)?.[1] ?? 0);
  const outcome: Outcome = { passed: count('PASS'), explained: [], wrong: [] };
  const [, list = ''] = /^FAILED:\n((?:\t.*\n?)*)/m.exec(output) ?? [];
  const failed = [...list.matchAll(/^\t['"](.*)['"]$/gm)].map(
    ([, conversation = '']) => conversation,
  );
  for (const what of failed) {
    const why = fails.find(([pattern]) => pattern.test(what))?.[1];
    if (why === undefined) outcome.wrong.push(what);
    else outcome.explained.push({ what, why });
  }
  for (const [pattern, , when] of fails) {
    if (when === undefined && !failed.some((what) => pattern.test(what)))
      outcome.wrong.push(`nothing fails as ${pattern}`);
  }
  if (outcome.passed === 0 || (code !== 0 && failed.length === 0)) {
    outcome.wrong.push(`it ended with ${code}: ${output.trimEnd().split('\n').at(-1)}`);
  }
  return outcome;
}
