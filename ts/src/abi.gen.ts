// Generated from zig/bridge/abi.zig by zig/bridge/abi_gen.zig. Do not edit: change the
// Zig source and run `zig build abi`.

export const VERSION = 1;
export const MAGIC = 1112693063;
export const CACHE_LINE_BYTES = 64;
export const RECORD_ALIGN = 8;
export const CHUNK_BYTES_MAX = 32768;
export const REQUEST_INLINE_BYTES_MAX = 16384;
export const RESPONSE_INLINE_BYTES_MAX = 32768;
export const RESPONSE_FIELD_BYTES_MAX = 16384;
export const RESPONSE_FIELD_COUNT_MAX = 128;
export const FLAG_END = 1;
export const RING_BYTES_MIN = 262144;
export const RING_BYTES_MAX = 67108864;
export const RING_BYTES_DEFAULT = 262144;
export const CREDIT_BYTES_MIN = 32768;
export const CREDIT_BYTES_DEFAULT = 262144;
export const REQUEST_RECORD_BYTES_MAX = 83088;
export const RESPONSE_RECORD_BYTES_MAX = 49704;

/** Bytes of a RecordHeader. */
export const RECORD_HEADER_BYTES = 16;
export const RECORD_HEADER_SIZE = 0;
export const RECORD_HEADER_KIND = 4;
export const RECORD_HEADER_FLAGS = 6;
export const RECORD_HEADER_SLOT = 8;
export const RECORD_HEADER_GENERATION = 12;

/** Bytes of a Span. */
export const SPAN_BYTES = 4;
export const SPAN_OFFSET = 0;
export const SPAN_LEN = 2;

/** Bytes of a FieldSpan. */
export const FIELD_SPAN_BYTES = 8;
export const FIELD_SPAN_NAME = 0;
export const FIELD_SPAN_VALUE = 4;

/** Bytes of a RequestHead. */
export const REQUEST_HEAD_BYTES = 80;
export const REQUEST_HEAD_BODY_LENGTH = 16;
export const REQUEST_HEAD_ROUTE = 24;
export const REQUEST_HEAD_METHOD = 28;
export const REQUEST_HEAD_VERSION = 29;
export const REQUEST_HEAD_FIELD_COUNT = 30;
export const REQUEST_HEAD_PARAM_COUNT = 32;
export const REQUEST_HEAD_PEER_FAMILY = 33;
export const REQUEST_HEAD_PEER_PORT = 34;
export const REQUEST_HEAD_PEER_ADDRESS = 36;
export const REQUEST_HEAD_HEAD_BYTES = 52;
export const REQUEST_HEAD_INLINE_BYTES = 56;
export const REQUEST_HEAD_METHOD_TEXT = 60;
export const REQUEST_HEAD_TARGET = 64;
export const REQUEST_HEAD_PATH = 68;
export const REQUEST_HEAD_QUERY = 72;
export const REQUEST_HEAD_AUTHORITY = 76;

/** Bytes of a ResponseHead. */
export const RESPONSE_HEAD_BYTES = 40;
export const RESPONSE_HEAD_STATUS = 16;
export const RESPONSE_HEAD_FIELD_COUNT = 18;
export const RESPONSE_HEAD_CONTENT_TYPE = 20;
export const RESPONSE_HEAD_FIELD_BYTES = 24;
export const RESPONSE_HEAD_INLINE_BYTES = 28;
export const RESPONSE_HEAD_BODY_LENGTH = 32;

/** Bytes of a ResponseField. */
export const RESPONSE_FIELD_BYTES = 4;
export const RESPONSE_FIELD_NAME_LEN = 0;
export const RESPONSE_FIELD_VALUE_LEN = 2;

/** Bytes of a Chunk. */
export const CHUNK_BYTES = 24;
export const CHUNK_LEN = 16;

/** Bytes of a Credit. */
export const CREDIT_BYTES = 24;
export const CREDIT_GRANT = 16;

/** Bytes of a BlockHeader. */
export const BLOCK_HEADER_BYTES = 64;
export const BLOCK_HEADER_MAGIC = 0;
export const BLOCK_HEADER_VERSION = 4;
export const BLOCK_HEADER_WORKER_COUNT = 8;
export const BLOCK_HEADER_THREAD_COUNT = 12;
export const BLOCK_HEADER_RING_BYTES = 16;
export const BLOCK_HEADER_CREDIT_BYTES = 20;
export const BLOCK_HEADER_LANE_STRIDE = 24;
export const BLOCK_HEADER_LANES_OFFSET = 28;
export const BLOCK_HEADER_WORKERS_OFFSET = 32;
export const BLOCK_HEADER_THREADS_OFFSET = 36;
export const BLOCK_HEADER_STOPPED = 40;

/** Bytes of a WorkerLine. */
export const WORKER_LINE_BYTES = 64;
export const WORKER_LINE_ASLEEP = 0;
export const WORKER_LINE_WAKE_FD = 4;

/** Bytes of a ThreadLine. */
export const THREAD_LINE_BYTES = 64;
export const THREAD_LINE_ASLEEP = 0;

/** Bytes of a LaneControl. */
export const LANE_CONTROL_BYTES = 384;
export const LANE_CONTROL_REQUEST_TAIL = 0;
export const LANE_CONTROL_REQUEST_HEAD = 64;
export const LANE_CONTROL_RESPONSE_TAIL = 128;
export const LANE_CONTROL_RESPONSE_HEAD = 192;
export const LANE_CONTROL_REQUEST_WANTED = 256;
export const LANE_CONTROL_RESPONSE_WANTED = 320;

export const KIND_SKIP = 0;
export const KIND_REQUEST_HEAD = 1;
export const KIND_REQUEST_CHUNK = 2;
export const KIND_REQUEST_ABORT = 3;
export const KIND_RESPONSE_CREDIT = 4;
export const KIND_REQUEST_EOF = 5;
export const KIND_RESPONSE_HEAD = 16;
export const KIND_RESPONSE_CHUNK = 17;
export const KIND_RESPONSE_ABORT = 18;
export const KIND_REQUEST_CREDIT = 19;

/** Names in the order of their numbers. */
export const METHODS: readonly string[] = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'DELETE',
  'CONNECT',
  'OPTIONS',
  'TRACE',
  'PATCH',
];

/** Names in the order of their numbers. */
export const CONTENT_TYPES: readonly string[] = [
  'none',
  'text/plain;charset=UTF-8',
  'text/plain; charset=UTF-8',
  'text/plain;charset=utf-8',
  'text/plain; charset=utf-8',
  'text/plain',
  'text/html',
  'text/html;charset=utf-8',
  'text/html; charset=utf-8',
  'text/html; charset=UTF-8',
  'application/json',
  'application/json;charset=utf-8',
  'application/json; charset=utf-8',
  'application/json; charset=UTF-8',
  'application/octet-stream',
  'text/css; charset=utf-8',
  'text/javascript; charset=utf-8',
  'text/event-stream',
];
