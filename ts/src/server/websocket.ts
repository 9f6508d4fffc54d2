import { inspect } from 'node:util';
import { checkProtocols } from '../bridge/upgrade.ts';
import type { WebSocketHandler } from '../bridge/websocket.ts';
import { GyrfalconError } from '../core/errors.ts';
import { invalid } from './invalid.ts';
import { checkDeflate, type EngineDeflate, engineDeflate } from './per_message_deflate.ts';
import { unknownOption } from './unknown_option.ts';

/** The option `websocket` as the engine takes it: zig/bridge/table.zig. */
export interface EngineWebSocket extends Partial<EngineDeflate> {
  message_bytes_max: number;
  idle_timeout_ms: number;
  ping_after_ms: number;
  unsent_bytes_max: number;
  subscriptions_max: number;
  closes_on_overflow: boolean;
  tells_pings: boolean;
  tells_pongs: boolean;
}

const handlerNames = ['open', 'message', 'drain', 'close', 'ping', 'pong', 'error'] as const;
const booleanNames = ['sendPings', 'closeOnBackpressureLimit', 'publishToSelf'] as const;

/** Least, most, and what it is otherwise. */
const numbers = {
  maxPayloadLength: [1, 2 ** 28, 2 ** 24],
  idleTimeout: [0, 86_400, 120],
  backpressureLimit: [1024, 2 ** 30, 2 ** 20],
  maxSubscriptions: [0, 2 ** 24, 2 ** 16],
} as const;
type NumberName = keyof typeof numbers;
/** For the threads alone: ts/src/bridge/gathered.ts. Least and most. */
const threadNumbers = { partialMessagesLimit: [2 ** 16, 2 ** 36] } as const;

const allNames = [
  'data',
  ...handlerNames,
  ...booleanNames,
  ...Object.keys(numbers),
  ...Object.keys(threadNumbers),
  'origins',
  'protocols',
  'perMessageDeflate',
];

/** A peer that is silent is asked after so long at most, ms. */
const pingAfterMax = 30_000;

/** Throws GYR_OPTION_INVALID or GYR_OPTION_UNKNOWN. */
export function checkWebSocket(given: unknown): void {
  if (given === undefined) return;
  if (typeof given !== 'object' || given === null) {
    throw invalid('websocket', given, 'an object of handlers');
  }
  const options = given as Record<string, unknown>;
  for (const name of Object.keys(options)) {
    if (!allNames.includes(name)) throw unknownOption(name, 'websocket', allNames);
  }
  for (const name of handlerNames) {
    const value = options[name];
    if (value === undefined && name !== 'message') continue;
    if (typeof value !== 'function') throw invalid(`websocket.${name}`, value, 'a function');
  }
  for (const name of booleanNames) {
    const value = options[name];
    if (value !== undefined && typeof value !== 'boolean') {
      throw invalid(`websocket.${name}`, value, 'a boolean');
    }
  }
  for (const [name, [min, max]] of Object.entries({ ...numbers, ...threadNumbers })) {
    checkNumber(name, options[name], min, max);
  }
  checkPartials(options);
  checkLists(options);
  checkDeflate(options.perMessageDeflate);
}

function checkNumber(name: string, value: unknown, min: number, max: number): void {
  if (value === undefined) return;
  // Of time: a fraction of a second is one.
  const isWhole = name === 'idleTimeout' || Number.isInteger(value);
  if (typeof value === 'number' && isWhole && value >= min && value <= max) return;
  const kind = name === 'idleTimeout' ? 'a number of seconds' : 'an integer';
  throw invalid(`websocket.${name}`, value, `${kind} from ${min} to ${max}`);
}

/** A message that is longer than all of them together may be could never come. */
function checkPartials({ partialMessagesLimit, maxPayloadLength }: Record<string, unknown>): void {
  const longest = (maxPayloadLength ?? numbers.maxPayloadLength[2]) as number;
  if (partialMessagesLimit === undefined || (partialMessagesLimit as number) >= longest) return;
  throw invalid(
    'websocket.partialMessagesLimit',
    partialMessagesLimit,
    `maxPayloadLength, which is ${longest}, or more`,
  );
}

function checkLists({ origins, protocols }: Record<string, unknown>): void {
  if (origins !== undefined && origins !== 'same' && origins !== 'any' && !areTexts(origins)) {
    throw invalid('websocket.origins', origins, "'same', 'any' or an array of origins");
  }
  if (protocols === undefined) return;
  if (!areTexts(protocols)) throw invalid('websocket.protocols', protocols, 'an array of names');
  try {
    checkProtocols(protocols);
  } catch {
    throw new GyrfalconError(
      'GYR_OPTION_INVALID',
      `Option websocket.protocols is ${inspect(protocols)}`,
      'each is a token, as "chat" is one (RFC 9110 §5.6.2)',
    );
  }
}

function areTexts(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

/** What the engine is told; null without WebSockets. */
export function engineWebSocket(options: WebSocketHandler | undefined): EngineWebSocket | null {
  if (options === undefined) return null;
  const number = (name: NumberName): number => options[name] ?? numbers[name][2];
  const idle = Math.ceil(number('idleTimeout') * 1000);
  const ping = idle === 0 ? pingAfterMax : Math.min(pingAfterMax, Math.floor(idle / 2));
  return {
    message_bytes_max: number('maxPayloadLength'),
    idle_timeout_ms: idle,
    ping_after_ms: options.sendPings === false ? 0 : ping,
    unsent_bytes_max: number('backpressureLimit'),
    subscriptions_max: number('maxSubscriptions'),
    closes_on_overflow: options.closeOnBackpressureLimit ?? false,
    tells_pings: options.ping !== undefined,
    tells_pongs: options.pong !== undefined,
    ...engineDeflate(options.perMessageDeflate),
  };
}
