/** sslscan: which versions, ciphers and groups are spoken, and what of old faults is there. */
import type { Outcome, Place, Stage } from './scan.ts';
import { run } from './scripts.ts';
import { sslscan } from './tools.ts';

/** All that it may find, by the name of an element and its attributes; the rest is wrong. */
const right = {
  protocol: /^tls 1\.3 1$/,
  cipher: /^TLSv1\.3 TLS_(?:AES_128_GCM_SHA256|AES_256_GCM_SHA384|CHACHA20_POLY1305_SHA256)$/,
  group: /^TLSv1\.3 (?:secp256r1|secp384r1|x25519)\b/,
};
const rightOld = {
  protocol: /^tls 1\.[23] 1$/,
  cipher: /^TLSv1\.2 ECDHE-(?:ECDSA|RSA)-(?:AES(?:128|256)-GCM-SHA(?:256|384)|CHACHA20-POLY1305)$/,
  group: /^TLSv1\.2 (?:secp256r1|secp384r1|x25519)\b/,
};

export async function scanBySslscan(stage: Stage, place: Place): Promise<Outcome> {
  const program = await sslscan();
  const target = `127.0.0.1:${await stage.portOf(place)}`;
  const { code, output } = await run(program, [
    ...['--no-colour', '--sni-name=localhost', '--xml=-', target],
  ]);
  const outcome: Outcome = { passed: 0, explained: [], wrong: [] };
  if (code !== 0) outcome.wrong.push(`sslscan ended with ${code}: ${output}`);
  const note = (isRight: boolean, what: string): void => {
    if (isRight) outcome.passed += 1;
    else outcome.wrong.push(what);
  };
  const known = (kind: keyof typeof right, what: string): boolean =>
    right[kind].test(what) || (place === 'TLS 1.2' && rightOld[kind].test(what));
  for (const { name, of } of elementsIn(output)) {
    const text = (...parts: string[]): string => parts.map((part) => of.get(part)).join(' ');
    if (name === 'protocol') {
      const what = text('type', 'version', 'enabled');
      note(known('protocol', what) || what.endsWith(' 0'), `protocol ${what}`);
    }
    if (name === 'cipher') {
      const what = text('sslversion', 'cipher');
      note(known('cipher', what), what);
    }
    if (name === 'group') {
      const what = text('sslversion', 'name');
      note(known('group', what), what);
    }
    if (name === 'renegotiation') note(of.get('supported') === '0', 'renegotiation');
    if (name === 'heartbleed') note(of.get('vulnerable') === '0', 'heartbleed');
    if (name === 'compression') note(of.get('supported') === '0', 'compression');
    if (name === 'fallback') note(of.get('supported') === '1', 'no TLS_FALLBACK_SCSV');
  }
  const expected = place === 'TLS 1.2' ? 9 : 3;
  const ciphers = output.match(/<cipher /g)?.length ?? 0;
  note(ciphers === expected, `${ciphers} ciphers in the place of ${expected}`);
  return outcome;
}

function elementsIn(xml: string): { name: string; of: Map<string, string> }[] {
  return [...xml.matchAll(/<(\w+) ([^<>]*)\/>/g)].map(([, name = '', attributes = '']) => {
    const pairs = attributes.matchAll(/([\w-]+)="([^"]*)"/g);
    return { name, of: new Map([...pairs].map(([, key = '', value = '']) => [key, value])) };
  });
}
