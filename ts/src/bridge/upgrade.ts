import { inspect } from 'node:util';
import * as abi from './abi.gen.ts';
import type { Exchange, PendingSocket } from './exchange.ts';
import { invalid } from './socket.ts';
import { checkedFields, checkSize } from './trailers.ts';
import type { SocketHandlers, UpgradeOptions, WebSocketOrigins } from './websocket.ts';

/** RFC 9110 §5.6.2 */
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,255}$/;
const protocolField = 'sec-websocket-protocol';

/**
 * How a request is answered that asks for a WebSocket. Throws a TypeError for what is no field, and
 * GYR_WEBSOCKET_INVALID.
 */
export function pendingSocket(
  exchange: Exchange,
  handlers: SocketHandlers,
  options: UpgradeOptions,
): PendingSocket {
  const given = checkedFields(options.headers ?? [], 'an upgrade', () => false);
  checkSize(given);
  const fields: string[] = [];
  let wanted = options.protocol;
  for (let i = 0; i < given.length; i += 2) {
    const name = given[i] as string;
    if (name === protocolField) wanted ??= given[i + 1] as string;
    else fields.push(name, given[i + 1] as string);
  }
  const supported = wanted === undefined ? (handlers.protocols ?? []) : [wanted];
  checkProtocols(supported);
  const origins = options.origins ?? handlers.origins ?? 'same';
  if (origins !== 'same' && origins !== 'any' && !Array.isArray(origins)) {
    throw invalid(`The origins ${inspect(origins)}`, "'same', 'any' or an array of origins");
  }
  const plain = options.perMessageDeflate === false ? abi.FLAG_PLAIN : 0;
  const key = exchange.header('sec-websocket-key') ?? '';
  const peer = exchange.peer();
  return {
    parts: {
      fields,
      protocol: agreed(exchange.header(protocolField), supported),
      key,
      flags: verdictOn(exchange.header('origin'), origins) | plain,
    },
    data: options.data,
    remoteAddress: peer === null ? '' : peer.address,
    isWritten: false,
  };
}

/** Throws GYR_WEBSOCKET_INVALID. */
export function checkProtocols(protocols: readonly unknown[]): void {
  for (const one of protocols) {
    if (typeof one === 'string' && token.test(one)) continue;
    throw invalid(`The subprotocol ${inspect(one)}`, 'a token, as "chat" is one (RFC 9110 §5.6.2)');
  }
}

/** The first of the client's that is one of `supported`; '' when there is none. */
function agreed(offered: string | null, supported: readonly string[]): string {
  if (offered === null) return '';
  const wanted = offered.split(',').map((one) => one.trim());
  return wanted.find((one) => supported.includes(one)) ?? '';
}

/** Who sends no Origin is no page, and may; that of the host asked is for the engine to see. */
function verdictOn(origin: string | null, origins: WebSocketOrigins): number {
  if (origin === null || origin === '' || origins === 'same') return 0;
  if (origins === 'any') return abi.FLAG_ORIGIN_ALLOWED;
  const lower = origin.toLowerCase();
  const isListed = origins.some((one) => one.toLowerCase() === lower);
  return isListed ? abi.FLAG_ORIGIN_ALLOWED : abi.FLAG_ORIGIN_REFUSED;
}
