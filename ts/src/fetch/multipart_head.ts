/** The head of a part of a form: its fields, and what Content-Disposition says (RFC 7578 §4.2). */
import { malformed } from './multipart_error.ts';

/** What precedes the content of a part. */
export interface PartHead {
  readonly name: string;
  /** Null for a field that is no file; '' for a file input that was left empty. */
  readonly filename: string | null;
  /** The content-type as it was given, 'text/plain' when it was not. */
  readonly type: string;
  /** Names in lower case, values as their bytes: a value may hold UTF-8. */
  readonly fields: readonly (readonly [name: string, value: string])[];
}

/** More than these no sender has a use for. */
const fieldsMax = 32;

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/**
 * Parses the fields of a part.
 *
 * @param text - the lines, each with its CRLF, one character for each byte
 * @throws MultipartError when they are malformed or say two things at once
 */
export function parseHead(text: string): PartHead {
  const fields: [string, string][] = [];
  let disposition: string | null = null;
  let type: string | null = null;
  for (const line of text.split('\r\n')) {
    if (line === '') continue;
    if (fields.length === fieldsMax) throw malformed(`A part has over ${fieldsMax} fields`);
    const colon = line.indexOf(':');
    const name = line.slice(0, Math.max(colon, 0)).toLowerCase();
    const value = trimBlanks(line, colon + 1, line.length);
    if (!token.test(name)) throw malformed('A field of a part is malformed');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: it is these that must not be there
    if (/[\x00-\x08\x0a-\x1f\x7f]/.test(value)) {
      throw malformed('A field of a part has a control character');
    }
    fields.push([name, value]);
    if (name === 'content-disposition') {
      if (disposition !== null) throw malformed('A part has two fields Content-Disposition');
      disposition = value;
    } else if (name === 'content-type') {
      if (type !== null) throw malformed('A part has two fields Content-Type');
      type = value;
    }
  }
  if (disposition === null) throw malformed('A part has no field Content-Disposition');
  return { ...parseDisposition(disposition), type: type || 'text/plain', fields };
}

/**
 * `form-data; name="a"; filename="b"; filename*=UTF-8''b` as browsers, curl, .NET and others write it: values with and
 * without quotes, blanks around the separators, quotes escaped by a backslash or as %22.
 */
function parseDisposition(text: string): { name: string; filename: string | null } {
  const parameters = new Parameters(text);
  if (parameters.type !== 'form-data') throw malformed('A part is no form-data');
  const values = parameters.read();
  const name = values.get('name');
  if (name === undefined) throw malformed('A part has no name');
  const extended = values.get('filename*');
  const decoded = extended === undefined ? null : decodeExtended(extended.text);
  const filename = values.get('filename');
  return {
    name: decode(name),
    filename: decoded ?? (filename === undefined ? null : decode(filename)),
  };
}

interface Value {
  readonly text: string;
  readonly quoted: boolean;
}

/**
 * A part of the text without the blanks around it. `trim()` takes characters that are bytes of UTF-8 here, and a regular
 * expression takes quadratic time.
 */
function trimBlanks(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start += 1;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** What a form encodes within quotes (HTML "multipart/form-data encoding algorithm"), in UTF-8. */
function decode({ text, quoted }: Value): string {
  const utf8 = /[\x80-\xff]/.test(text) ? Buffer.from(text, 'latin1').toString('utf8') : text;
  if (!quoted || !utf8.includes('%')) return utf8;
  return utf8.replace(/%0A/gi, '\n').replace(/%0D/gi, '\r').replace(/%22/g, '"');
}

/** RFC 8187: charset'language'percent-encoded; null where it is none, and the plain name counts. */
function decodeExtended(text: string): string | null {
  const match = /^(utf-8|iso-8859-1)'[^']*'((?:%[0-9a-f]{2}|[!#$&+\-.^_`|~0-9a-z])*)$/i.exec(text);
  if (match === null) return null;
  const bytes = (match[2] as string).replace(/%(..)/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  if ((match[1] as string).length === 10) return bytes;
  return Buffer.from(bytes, 'latin1').toString('utf8');
}

/** Reads `type; name=value; …`. */
class Parameters {
  readonly type: string;
  private readonly text: string;
  private at: number;

  constructor(text: string) {
    const end = text.indexOf(';');
    this.text = text;
    this.at = end < 0 ? text.length : end;
    this.type = trimBlanks(text, 0, this.at).toLowerCase();
  }

  read(): Map<string, Value> {
    const values = new Map<string, Value>();
    while (this.at < this.text.length) {
      this.at += 1; // the ';'
      this.skipBlanks();
      if (this.at === this.text.length) break; // a ';' at the end
      const name = this.readUntil('=').toLowerCase();
      if (!token.test(name) || this.text[this.at] !== '=') throw broken();
      this.at += 1;
      this.skipBlanks();
      const quoted = this.text[this.at] === '"';
      const text = quoted ? this.readQuoted() : this.readUntil(';');
      // Two readers would take two of them differently.
      if (values.has(name)) throw malformed(`Content-Disposition has two parameters ${name}`);
      values.set(name, { text, quoted });
    }
    return values;
  }

  private skipBlanks(): void {
    while (this.text[this.at] === ' ' || this.text[this.at] === '\t') this.at += 1;
  }

  private readUntil(end: string): string {
    let to = this.text.indexOf(end, this.at);
    if (to < 0) to = this.text.length;
    const value = trimBlanks(this.text, this.at, to);
    this.at = to;
    return value;
  }

  /**
   * Browsers write a backslash as it is and a quote as %22, others escape both. So a backslash escapes a quote or another
   * backslash if that leads to the end of a value, and else is itself: a name of Windows ends with one.
   */
  private readQuoted(): string {
    const from = this.at + 1;
    return this.readEscaped(from) ?? this.readPlain(from);
  }

  private readEscaped(from: number): string | null {
    const quote = this.text.indexOf('"', from);
    const backslash = this.text.indexOf('\\', from);
    if (backslash < 0 || backslash > quote) return null;
    let value = '';
    for (let at = from; at < this.text.length; at += 1) {
      let char = this.text[at] as string;
      if (char === '"') return this.endAt(at) ? value : null;
      const next = this.text[at + 1];
      if (char === '\\' && (next === '"' || next === '\\')) {
        char = next;
        at += 1;
      }
      value += char;
    }
    return null;
  }

  private readPlain(from: number): string {
    const end = this.text.indexOf('"', from);
    if (end < 0 || !this.endAt(end)) throw broken();
    return this.text.slice(from, end);
  }

  /** Whether nothing but blanks stands between a closing quote and the next parameter; goes there. */
  private endAt(quote: number): boolean {
    const before = this.at;
    this.at = quote + 1;
    this.skipBlanks();
    if (this.at === this.text.length || this.text[this.at] === ';') return true;
    this.at = before;
    return false;
  }
}

function broken(): Error {
  return malformed('The Content-Disposition of a part is malformed');
}
