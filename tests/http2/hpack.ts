/** Field blocks by hand: what HPACK allows, and what it does not (RFC 7541). */

/** An integer behind the bits `first` has set, in a prefix of `bits` bits (§5.1). */
export function integer(first: number, bits: number, value: number): Buffer {
  const max = 2 ** bits - 1;
  if (value < max) return Buffer.from([first | value]);
  const bytes = [first | max];
  let rest = value - max;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}

/** A string without Huffman coding (§5.2). */
const string = (text: string): Buffer =>
  Buffer.concat([integer(0, 7, Buffer.byteLength(text, 'latin1')), Buffer.from(text, 'latin1')]);

/** A field that is in a table (§6.1). */
export const indexed = (index: number): Buffer => integer(0x80, 7, index);

/** A field that no table keeps (§6.2.2). */
export const literal = (name: string, value: string): Buffer =>
  Buffer.concat([Buffer.from([0]), string(name), string(value)]);

/** A field that the table keeps from here on (§6.2.1). */
export const kept = (name: string, value: string): Buffer =>
  Buffer.concat([Buffer.from([0x40]), string(name), string(value)]);

/** The table is to have another size (§6.3). */
export const tableSize = (bytes: number): Buffer => integer(0x20, 5, bytes);

/** The index of the newest field that the table keeps. */
export const newest = 62;

/** Floods say the same some hundred thousand times. */
const heads = new Map<string, Buffer>();

/** The head of a request, without fields of its own. Not to be written to. */
export function head(path: string, method = 'GET'): Buffer {
  const name = `${method} ${path}`;
  let made = heads.get(name);
  if (made === undefined) {
    made = Buffer.concat([
      method === 'GET' ? indexed(2) : method === 'POST' ? indexed(3) : literal(':method', method),
      indexed(6), // :scheme http
      literal(':path', path),
      literal(':authority', 'a'),
    ]);
    heads.set(name, made);
  }
  return made;
}
