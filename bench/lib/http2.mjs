// Frames of HTTP/2 by hand (RFC 9113 §4.1), for clients that count bytes and open many connections.

/** What a client begins with (RFC 9113 §3.4); SETTINGS follow. */
export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

/** @returns {Buffer} a frame */
export function frame(type, flags, stream, payload = Buffer.alloc(0)) {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}
