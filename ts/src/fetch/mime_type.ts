import { trimHttpWhitespace } from './headers.ts';

/** A parsed MIME type (MIME Sniffing §4): type and parameter names in lower case. */
export interface MimeType {
  /** "type/subtype". */
  essence: string;
  /** In order of appearance; the first of a name counts. */
  parameters: Map<string, string>;
}

const tokenOnly = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const quotedText = /^[\t\x20-\x7e\x80-\xff]*$/;

const whitespace = '\t\n\r ';

/** Without the whitespace at the end; a regular expression would take quadratic time for this. */
function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && whitespace.includes(text[end - 1] as string)) end--;
  return text.slice(0, end);
}

/** Parses one MIME type (MIME Sniffing §4.4); null when it is none. */
export function parseMimeType(input: string): MimeType | null {
  const text = trimHttpWhitespace(input);
  const slash = text.indexOf('/');
  if (slash < 1) return null;
  let end = text.indexOf(';', slash);
  if (end < 0) end = text.length;
  const type = text.slice(0, slash);
  const subtype = trimEnd(text.slice(slash + 1, end));
  if (!tokenOnly.test(type) || !tokenOnly.test(subtype)) return null;
  const parameters = new Map<string, string>();
  parseParameters(text, end, parameters);
  return { essence: `${type}/${subtype}`.toLowerCase(), parameters };
}

function parseParameters(text: string, from: number, into: Map<string, string>): void {
  let at = from;
  while (at < text.length) {
    at++; // the ';'
    while (at < text.length && whitespace.includes(text[at] as string)) at++;
    const start = at;
    while (at < text.length && text[at] !== ';' && text[at] !== '=') at++;
    const name = text.slice(start, at).toLowerCase();
    if (at >= text.length) return;
    if (text[at] === ';') continue;
    at++; // the '='
    let value: string;
    if (text[at] === '"') {
      const quoted = readQuoted(text, at);
      value = quoted.value;
      at = text.indexOf(';', quoted.end);
      if (at < 0) at = text.length;
    } else {
      const semicolon = text.indexOf(';', at);
      const end = semicolon < 0 ? text.length : semicolon;
      value = trimEnd(text.slice(at, end));
      at = end;
      if (value === '') continue;
    }
    if (tokenOnly.test(name) && quotedText.test(value) && !into.has(name)) into.set(name, value);
  }
}

/** Reads a quoted string (Fetch "collect an HTTP quoted string", value extracted). */
function readQuoted(text: string, from: number): { value: string; end: number } {
  let value = '';
  let at = from + 1;
  while (at < text.length) {
    const char = text[at++] as string;
    if (char === '"') break;
    if (char === '\\' && at < text.length) value += text[at++];
    else value += char;
  }
  return { value, end: at };
}

/** Serializes it (MIME Sniffing §4.5). */
export function serializeMimeType(type: MimeType): string {
  let text = type.essence;
  for (const [name, value] of type.parameters) {
    text += `;${name}=`;
    text += tokenOnly.test(value) ? value : `"${value.replace(/(["\\])/g, '\\$1')}"`;
  }
  return text;
}

/** Splits a field's combined value at the commas outside of quotes (Fetch §2.2.2). */
function splitValues(value: string): string[] {
  const values: string[] = [];
  let start = 0;
  let at = 0;
  while (at < value.length) {
    const char = value[at];
    if (char === '"') {
      at = readQuoted(value, at).end;
    } else {
      if (char === ',') {
        values.push(value.slice(start, at));
        start = at + 1;
      }
      at++;
    }
  }
  values.push(value.slice(start));
  return values;
}

/** Fetch "extract a MIME type" from a combined Content-Type; null when there is none. */
export function extractMimeType(contentType: string | null): MimeType | null {
  if (contentType === null) return null;
  let charset: string | null = null;
  let essence: string | null = null;
  let found: MimeType | null = null;
  for (const value of splitValues(contentType)) {
    const parsed = parseMimeType(value);
    if (parsed === null || parsed.essence === '*/*') continue;
    found = parsed;
    const given = parsed.parameters.get('charset') ?? null;
    if (parsed.essence !== essence) {
      charset = given;
      essence = parsed.essence;
    } else if (given === null && charset !== null) {
      parsed.parameters.set('charset', charset);
    }
  }
  return found;
}
