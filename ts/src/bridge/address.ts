/** Address of a client. */
export interface SocketAddress {
  address: string;
  family: 'IPv4' | 'IPv6';
  port: number;
}

/** Of the `family` of a record (4, 6, 0: not known), with its 16 bytes at `at` of `u8`. */
export function socketAddress(
  u8: Uint8Array,
  family: number,
  at: number,
  port: number,
): SocketAddress | null {
  if (family === 4) return { address: u8.subarray(at, at + 4).join('.'), family: 'IPv4', port };
  if (family === 6) return { address: ipv6Text(u8, at), family: 'IPv6', port };
  return null;
}

/** RFC 5952 §4: the longest run of zero groups is compressed. */
function ipv6Text(u8: Uint8Array, at: number): string {
  const groups: string[] = [];
  for (let i = 0; i < 16; i += 2) {
    groups.push((((u8[at + i] as number) << 8) | (u8[at + i + 1] as number)).toString(16));
  }
  const text = groups.join(':');
  let longest = '';
  for (const run of text.match(/(?:^|:)0(?::0)+(?=:|$)/g) ?? []) {
    if (run.replace(/^:/, '').length > longest.replace(/^:/, '').length) longest = run;
  }
  if (longest === '') return text;
  const index = text.indexOf(longest);
  const before = text.slice(0, index);
  const after = text.slice(index + longest.length).replace(/^:/, '');
  return `${before}::${after}`;
}
