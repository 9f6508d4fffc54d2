import type { PerMessageDeflateOptions, WebSocketCompressor } from '../bridge/websocket.ts';
import { invalid } from './invalid.ts';
import { unknownOption } from './unknown_option.ts';

/** The option `websocket.perMessageDeflate` as the engine takes it: zig/bridge/table.zig. */
export interface EngineDeflate {
  deflate: boolean;
  deflate_level: number;
  deflate_bytes_min: number;
  deflate_server_context_takeover: boolean;
  deflate_client_context_takeover: boolean;
  deflate_server_window_bits: number;
  deflate_client_window_bits: number;
  deflate_memory_bytes: number;
  inflation_ratio_max: number;
}

type Compressor = boolean | WebSocketCompressor;

/** No message is as long: none is compressed. */
const never = 2 ** 32 - 1;

/** The logarithm of the window of a compressor that takes so much, and has what it keeps beside it. */
const compressorBits: Record<string, number> = {
  '3KB': 9,
  '4KB': 9,
  '8KB': 10,
  '16KB': 11,
  '32KB': 12,
  '64KB': 13,
  '128KB': 14,
  '256KB': 15,
};

/** Of a decompressor, which has little beside its window. */
const decompressorBits: Record<string, number> = {
  '3KB': 11,
  '4KB': 12,
  '8KB': 13,
  '16KB': 14,
  '32KB': 15,
  '64KB': 15,
  '128KB': 15,
  '256KB': 15,
};

const compressors = ['disable', 'shared', 'dedicated', ...Object.keys(compressorBits)];
const compressorNames = ['compress', 'decompress'];
const booleanNames = ['serverContextTakeover', 'clientContextTakeover'];

/** Least, most, and what it is otherwise; of window bits the compressor says that. */
const numbers = {
  threshold: [0, 2 ** 28, 256],
  level: [1, 9, 1],
  serverWindowBits: [8, 15, 15],
  clientWindowBits: [8, 15, 15],
  memoryBytes: [2 ** 20, 2 ** 40, 2 ** 25],
  maxInflationRatio: [1, 2 ** 31, 200],
} as const;

const allNames = [...compressorNames, ...booleanNames, ...Object.keys(numbers)];

const place = 'websocket.perMessageDeflate';

/** Throws GYR_OPTION_INVALID or GYR_OPTION_UNKNOWN. */
export function checkDeflate(given: unknown): void {
  if (given === undefined || typeof given === 'boolean') return;
  if (typeof given !== 'object' || given === null) {
    throw invalid(place, given, 'a boolean, or an object of options');
  }
  const options = given as Record<string, unknown>;
  for (const name of Object.keys(options)) {
    if (!allNames.includes(name)) throw unknownOption(name, place, allNames);
  }
  for (const name of compressorNames) {
    const value = options[name];
    if (value === undefined || typeof value === 'boolean' || compressors.includes(value as string))
      continue;
    throw invalid(`${place}.${name}`, value, `a boolean, or one of ${compressors.join(', ')}`);
  }
  for (const name of booleanNames) {
    const value = options[name];
    if (value === undefined || typeof value === 'boolean') continue;
    throw invalid(`${place}.${name}`, value, 'a boolean');
  }
  for (const [name, [min, max]] of Object.entries(numbers)) {
    const value = options[name];
    if (value === undefined) continue;
    if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max) continue;
    throw invalid(`${place}.${name}`, value, `an integer from ${min} to ${max}`);
  }
  const { compress, decompress } = options as PerMessageDeflateOptions;
  if (isOff(decompress) && !isOff(compress)) {
    const rule = 'true where compress is: clients may compress wherever servers may (RFC 7692 §5)';
    throw invalid(`${place}.decompress`, decompress, rule);
  }
}

const isOff = (compressor: Compressor | undefined): boolean =>
  compressor === false || compressor === 'disable';

const isShared = (compressor: Compressor): boolean =>
  typeof compressor === 'boolean' || compressor === 'disable' || compressor === 'shared';

/** What the engine is told of a value that has been checked; null: nothing is compressed. */
export function engineDeflate(
  given: boolean | PerMessageDeflateOptions | undefined,
): EngineDeflate | null {
  if (given === undefined || given === false) return null;
  const options = given === true ? {} : given;
  const { compress = true, decompress = true } = options;
  if (isOff(decompress)) return null;
  const number = (name: 'threshold' | 'level' | 'memoryBytes' | 'maxInflationRatio'): number =>
    options[name] ?? numbers[name][2];
  return {
    deflate: true,
    deflate_level: number('level'),
    deflate_bytes_min: isOff(compress) ? never : number('threshold'),
    deflate_server_context_takeover: options.serverContextTakeover ?? !isShared(compress),
    deflate_client_context_takeover: options.clientContextTakeover ?? !isShared(decompress),
    deflate_server_window_bits: options.serverWindowBits ?? compressorBits[`${compress}`] ?? 15,
    deflate_client_window_bits: options.clientWindowBits ?? decompressorBits[`${decompress}`] ?? 15,
    deflate_memory_bytes: number('memoryBytes'),
    inflation_ratio_max: number('maxInflationRatio'),
  };
}
