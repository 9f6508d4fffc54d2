/**
 * Address of a client, or one that a server listens on. A client of a unix socket has none: its
 * `address` and `family` are 'unix', its port is 0. A server has the path, or a name behind `@`.
 */
export interface SocketAddress {
  /** In the form of RFC 5952; that of a link with its interface: 'fe80::1%eth0'. */
  address: string;
  family: 'IPv4' | 'IPv6' | 'unix';
  port: number;
}

/** Of the `family` of a record (4, 6, 1: unix, 0: not known), with its 16 bytes at `at` of `u8`. */
export function socketAddress(
  u8: Uint8Array,
  family: number,
  at: number,
  port: number,
): SocketAddress | null {
  if (family === 4) return { address: u8.subarray(at, at + 4).join('.'), family: 'IPv4', port };
  if (family === 1) return { address: 'unix', family: 'unix', port: 0 };
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
