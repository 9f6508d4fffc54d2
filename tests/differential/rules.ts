/** Why the engine's parser and llhttp part: each class by name. docs/DIFFERENTIAL.md explains every one. */
import { METHODS } from 'node:http';
import { headOf, type Parting, type Step } from './compare.ts';

interface Rule {
  readonly name: string;
  readonly ours: readonly Step[];
  readonly theirs: readonly Step[];
  /** Our codes, or llhttp's when we did not refuse; any when not given. */
  readonly codes?: readonly string[];
  readonly when?: (parting: Parting) => boolean;
}

/** Also where the input ends before llhttp has the whole message. */
const goesOn: readonly Step[] = ['took', 'waits'];

const requestLine = ({ text }: Parting): string => /^(?:\r\n)*([^\r\n]*)/.exec(text)?.[1] ?? '';
const head = ({ text }: Parting): string => headOf(text);
const method = (parting: Parting): string => requestLine(parting).split(' ')[0] ?? '';
/** What follows the head of a message whose body is chunked. */
const chunks = ({ text }: Parting): string => text.slice(headOf(text).length);

const chunkSizes = (parting: Parting): string[] =>
  [...chunks(parting).matchAll(/(?:^|\n)([0-9a-f]+)/gi)].map((match) => match[1] as string);

const offersUpgrade = (text: string): boolean =>
  /\nupgrade:/i.test(text) && /\nconnection:[^\r\n]*upgrade/i.test(text);

const last = ({ before }: Parting): string => before.at(-1) ?? '';

const anything: readonly Step[] = ['took', 'refused', 'waits', 'stopped'];

export const rules: readonly Rule[] = [
  {
    name: 'after-upgrade',
    ours: anything,
    theirs: anything,
    when: ({ before, text }) => [...before, headOf(text)].some(offersUpgrade),
  },
  {
    name: 'proxy-connection',
    ours: ['took', 'refused', 'waits'],
    theirs: ['stopped'],
    when: (p) => /\nproxy-connection:[^\r\n]*close/i.test(last(p)),
  },
  {
    name: 'proxy-connection',
    ours: ['stopped'],
    theirs: ['took', 'refused', 'waits'],
    when: (p) => /\nproxy-connection:[ \t]*keep-alive/i.test(last(p)),
  },
  {
    name: 'tab-around-value',
    ours: ['took', 'refused', 'waits'],
    theirs: ['stopped'],
    when: (p) => /\nconnection:[^\r\n]*keep-alive *\t/i.test(last(p)),
  },
  {
    name: 'tab-around-value',
    ours: ['stopped'],
    theirs: ['took', 'refused', 'waits'],
    when: (p) => /\nconnection:[^\r\n]*close *\t/i.test(last(p)),
  },
  {
    name: 'tab-around-value',
    ours: ['took', 'waits'],
    theirs: ['refused'],
    codes: ['HPE_INVALID_TRANSFER_ENCODING', 'HPE_INVALID_CONTENT_LENGTH'],
    when: (p) => /\n(?:transfer-encoding|content-length):[^\r\n]*\t/i.test(head(p)),
  },
  {
    name: 'tab-around-value',
    ours: ['refused'],
    theirs: goesOn,
    codes: ['invalid_transfer_encoding', 'duplicate_content_length'],
    when: (p) => /\n(?:transfer-encoding|content-length):[^\r\n]*\t/i.test(head(p)),
  },
  {
    name: 'connect-framing',
    ours: ['refused'],
    theirs: goesOn,
    codes: ['invalid_transfer_encoding', 'invalid_content_length'],
    when: (p) => method(p) === 'CONNECT',
  },
  {
    name: 'close-wins',
    ours: ['stopped'],
    theirs: ['took', 'waits', 'refused'],
    when: (p) =>
      /\nconnection:[^\r\n]*close/i.test(last(p)) &&
      /\nconnection:[^\r\n]*keep-alive/i.test(last(p)),
  },
  {
    name: 'unknown-method',
    ours: ['took', 'waits'],
    theirs: ['refused'],
    codes: ['HPE_INVALID_METHOD'],
    when: (p) => !METHODS.includes(method(p)),
  },
  {
    name: 'pri',
    ours: ['took', 'refused', 'waits'],
    theirs: ['stopped'],
    when: ({ text }) => text.includes('PRI /'),
  },
  {
    name: 'pri',
    ours: ['took', 'waits'],
    theirs: ['refused'],
    codes: ['HPE_INVALID_VERSION'],
    when: (p) => method(p) === 'PRI',
  },
  {
    name: 'minor-version',
    ours: ['took', 'waits'],
    theirs: ['refused'],
    codes: ['HPE_INVALID_VERSION'],
    when: (p) => /HTTP\/1\.[2-9]$/.test(requestLine(p)),
  },
  {
    name: 'other-version',
    ours: ['refused'],
    theirs: goesOn,
    codes: ['version_not_supported'],
    when: (p) => /HTTP\/(?:0\.9|2\.0)$/.test(requestLine(p)),
  },
  {
    name: 'no-version',
    ours: ['refused'],
    theirs: goesOn,
    codes: ['invalid_version'],
    when: (p) => /^[A-Z-]+ +[^ ]*$/.test(requestLine(p)),
  },
  {
    name: 'other-protocol',
    ours: ['refused'],
    theirs: goesOn,
    codes: ['invalid_version'],
    when: (p) => / [RI][A-Z]*(?:\/[\d.]*)?$/.test(requestLine(p)),
  },
  {
    name: 'spaces-in-request-line',
    ours: ['refused'],
    theirs: goesOn,
    codes: ['invalid_target', 'invalid_version'],
    when: (p) => /^\S+ (?: |\S+ {2})/.test(requestLine(p)),
  },
  {
    name: 'loose-empty-lines',
    ours: ['refused'],
    theirs: goesOn,
    codes: ['invalid_method'],
    when: ({ text }) => /^(?:\r\n)*(?:\n|\r[^\n]|\r\n)/.test(text),
  },
  {
    name: 'target-form',
    ours: ['refused'],
    theirs: goesOn,
    codes: ['invalid_target'],
    when: (p) => /^[A-Z-]+ (?!\/)\S+ /.test(requestLine(p)) || method(p) === 'CONNECT',
  },
  {
    name: 'target-bytes',
    ours: ['refused'],
    theirs: goesOn,
    codes: ['invalid_target'],
    when: (p) => /^[A-Z-]+ [!-~]*["#<>\x80-\xff]/.test(requestLine(p)),
  },
  { name: 'host-missing', ours: ['refused'], theirs: goesOn, codes: ['missing_host'] },
  { name: 'host-repeated', ours: ['refused'], theirs: goesOn, codes: ['duplicate_host'] },
  { name: 'host-value', ours: ['refused'], theirs: goesOn, codes: ['invalid_host'] },
  { name: 'expectation', ours: ['refused'], theirs: goesOn, codes: ['expectation_failed'] },
  {
    name: 'coding-in-http10',
    ours: ['refused'],
    theirs: goesOn,
    codes: ['transfer_encoding_in_http10'],
  },
  { name: 'other-coding', ours: ['refused'], theirs: goesOn, codes: ['unknown_transfer_coding'] },
  {
    name: 'empty-coding',
    ours: ['refused'],
    theirs: goesOn,
    codes: ['invalid_transfer_encoding'],
    when: (p) => /\ntransfer-encoding:[ \t]*\r\n/i.test(head(p)),
  },
  {
    name: 'empty-list-elements',
    ours: ['refused'],
    theirs: goesOn,
    codes: ['invalid_transfer_encoding'],
    when: (p) => /\ntransfer-encoding:[ \t]*,/i.test(head(p)),
  },
  {
    name: 'number-range',
    ours: ['refused'],
    theirs: goesOn,
    codes: ['invalid_content_length'],
    when: (p) => BigInt(/\ncontent-length:[ \t]*(\d+)/i.exec(head(p))?.[1] ?? 0) >= 2n ** 63n,
  },
  {
    name: 'number-range',
    ours: ['refused'],
    theirs: goesOn,
    codes: ['chunk_size_too_large'],
    when: (p) => chunkSizes(p).some((size) => BigInt(`0x${size}`) >= 2n ** 63n),
  },
  {
    name: 'chunk-size-digits',
    ours: ['refused'],
    theirs: goesOn,
    codes: ['chunk_size_too_large'],
    when: (p) => chunkSizes(p).some((size) => size.length > 16),
  },
  {
    name: 'extension-blanks',
    ours: ['took', 'waits'],
    theirs: ['refused'],
    codes: ['HPE_INVALID_CHUNK_SIZE', 'HPE_STRICT'],
    when: (p) => /[0-9a-f][ \t]+(?:;|$)|;[ \t]|[ \t]=|=[ \t]|"[ \t]+(?:;|$)/i.test(chunks(p)),
  },
  {
    name: 'extension-grammar',
    ours: ['refused'],
    theirs: goesOn,
    codes: ['invalid_extension'],
    when: (p) => /;(?:=|;|\r)|=(?:;|\r|[^;"\r]+")/.test(chunks(p)),
  },
  { name: 'forbidden-trailer', ours: ['refused'], theirs: goesOn, codes: ['forbidden_trailer'] },
  {
    name: 'judged-later',
    ours: ['waits'],
    theirs: ['refused'],
    when: (p) => !head(p).endsWith('\r\n\r\n'),
  },
];

/** The name of the class that `parting` falls in; undefined when nobody has explained it yet. */
export function classify(parting: Parting): string | undefined {
  const code = parting.code === '' ? parting.theirCode : parting.code;
  return rules.find(
    ({ ours, theirs, codes, when }) =>
      ours.includes(parting.ours) &&
      theirs.includes(parting.theirs) &&
      (codes === undefined || codes.includes(code)) &&
      (when === undefined || when(parting)),
  )?.name;
}
