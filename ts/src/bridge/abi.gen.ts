// Generated from zig/bridge/abi.zig by zig/bridge/abi_gen.zig. Do not edit: change the
// Zig source and run `zig build abi`.

export const VERSION = 9;
export const MAGIC = 1112693063;
export const STATE_STOPPED = 1;
export const CACHE_LINE_BYTES = 64;
export const RECORD_ALIGN = 8;
export const CHUNK_BYTES_MAX = 32768;
export const REQUEST_INLINE_BYTES_MAX = 16384;
export const RESPONSE_INLINE_BYTES_MAX = 32768;
export const RESPONSE_FIELD_BYTES_MAX = 16384;
export const RESPONSE_FIELD_BYTES_BOUND = 49152;
export const RESPONSE_FIELD_COUNT_MAX = 1024;
export const FLAG_END = 1;
export const FLAG_BEGIN = 2;
export const FLAG_TEXT = 4;
export const FLAG_PLAIN = 8;
export const FLAG_COMPRESSED = 2;
export const FLAG_ORIGIN_ALLOWED = 2;
export const FLAG_ORIGIN_REFUSED = 4;
export const PUBLISH_BYTES_MAX = 1000000;
export const TOPIC_BYTES_MAX = 128;
export const SOCKET_TOPICS_MAX = 1024;
export const SOCKET_MESSAGE_COST = 32;
export const SOCKET_ACK_BYTES = 65536;
export const PUSH_FIELD_COUNT_MAX = 32;
export const PUSH_BYTES_MAX = 8192;
export const TLS_FLAG_RESUMED = 1;
export const TLS_FLAG_EARLY = 2;
export const TLS_FLAG_AUTHORIZED = 4;
export const RING_BYTES_MIN = 262144;
export const RING_BYTES_MAX = 67108864;
export const RING_BYTES_DEFAULT = 262144;
export const CREDIT_BYTES_MIN = 32768;
export const CREDIT_BYTES_DEFAULT = 262144;
export const REQUEST_RECORD_BYTES_MAX = 92064;
export const RESPONSE_RECORD_BYTES_MAX = 53288;

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
export const REQUEST_HEAD_BYTES = 88;
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
export const REQUEST_HEAD_RAW_TARGET_LEN = 80;
export const REQUEST_HEAD_TLS_LEN = 82;
export const REQUEST_HEAD_PUSH_ROOM = 84;
export const REQUEST_HEAD_UPGRADE = 86;

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

/** Bytes of a RequestTrailers. */
export const REQUEST_TRAILERS_BYTES = 24;
export const REQUEST_TRAILERS_FIELD_COUNT = 16;
export const REQUEST_TRAILERS_LINE_BYTES = 20;

/** Bytes of a FieldSection. */
export const FIELD_SECTION_BYTES = 24;
export const FIELD_SECTION_STATUS = 16;
export const FIELD_SECTION_FIELD_COUNT = 18;
export const FIELD_SECTION_FIELD_BYTES = 20;

/** Bytes of a ProtocolError. */
export const PROTOCOL_ERROR_BYTES = 48;
export const PROTOCOL_ERROR_CODE = 16;
export const PROTOCOL_ERROR_STATUS = 18;
export const PROTOCOL_ERROR_DROPPED = 20;
export const PROTOCOL_ERROR_PEER_ADDRESS = 24;
export const PROTOCOL_ERROR_PEER_PORT = 40;
export const PROTOCOL_ERROR_PEER_FAMILY = 42;

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
export const BLOCK_HEADER_STATE = 40;
export const BLOCK_HEADER_RESPONSE_FIELD_BYTES = 44;

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

/** Bytes of a TlsHead. */
export const TLS_HEAD_BYTES = 8;
export const TLS_HEAD_VERSION = 0;
export const TLS_HEAD_FLAGS = 1;
export const TLS_HEAD_CIPHER_LEN = 2;
export const TLS_HEAD_PROTOCOL_LEN = 3;
export const TLS_HEAD_SERVER_NAME_LEN = 4;
export const TLS_HEAD_CERTIFICATE_LEN = 6;

/** Bytes of a SocketUpgrade. */
export const SOCKET_UPGRADE_BYTES = 48;
export const SOCKET_UPGRADE_FIELD_COUNT = 16;
export const SOCKET_UPGRADE_PROTOCOL_LEN = 18;
export const SOCKET_UPGRADE_FIELD_BYTES = 20;
export const SOCKET_UPGRADE_KEY = 24;

/** Bytes of a SocketOpen. */
export const SOCKET_OPEN_BYTES = 32;
export const SOCKET_OPEN_EXCHANGE_SLOT = 16;
export const SOCKET_OPEN_EXCHANGE_GENERATION = 20;
export const SOCKET_OPEN_CREDIT = 24;
export const SOCKET_OPEN_UNSENT_MAX = 28;

/** Bytes of a SocketSend. */
export const SOCKET_SEND_BYTES = 24;
export const SOCKET_SEND_LEN = 16;
export const SOCKET_SEND_TOTAL = 20;

/** Bytes of a SocketPublish. */
export const SOCKET_PUBLISH_BYTES = 32;
export const SOCKET_PUBLISH_LEN = 16;
export const SOCKET_PUBLISH_TOTAL = 20;
export const SOCKET_PUBLISH_TOPIC_LEN = 24;

/** Bytes of a SocketTopic. */
export const SOCKET_TOPIC_BYTES = 24;
export const SOCKET_TOPIC_TOPIC_LEN = 16;

/** Bytes of a SocketClose. */
export const SOCKET_CLOSE_BYTES = 24;
export const SOCKET_CLOSE_CODE = 16;
export const SOCKET_CLOSE_REASON_LEN = 18;

export const KIND_SKIP = 0;
export const KIND_REQUEST_HEAD = 1;
export const KIND_REQUEST_CHUNK = 2;
export const KIND_REQUEST_ABORT = 3;
export const KIND_RESPONSE_CREDIT = 4;
export const KIND_REQUEST_EOF = 5;
export const KIND_REQUEST_TRAILERS = 6;
export const KIND_PROTOCOL_ERROR = 7;
export const KIND_SOCKET_OPEN = 8;
export const KIND_SOCKET_MESSAGE = 9;
export const KIND_SOCKET_SENT = 10;
export const KIND_SOCKET_CLOSE = 11;
export const KIND_SOCKET_PING = 12;
export const KIND_SOCKET_PONG = 13;
export const KIND_RESPONSE_HEAD = 16;
export const KIND_RESPONSE_CHUNK = 17;
export const KIND_RESPONSE_ABORT = 18;
export const KIND_REQUEST_CREDIT = 19;
export const KIND_RESPONSE_TRAILERS = 20;
export const KIND_RESPONSE_INTERIM = 21;
export const KIND_RESPONSE_PUSH = 22;
export const KIND_RESPONSE_UPGRADE = 23;
export const KIND_SOCKET_SEND = 24;
export const KIND_SOCKET_SEND_PING = 25;
export const KIND_SOCKET_SEND_PONG = 26;
export const KIND_SOCKET_SEND_CLOSE = 27;
export const KIND_SOCKET_TERMINATE = 28;
export const KIND_SOCKET_SUBSCRIBE = 29;
export const KIND_SOCKET_UNSUBSCRIBE = 30;
export const KIND_SOCKET_PUBLISH = 31;
export const KIND_SOCKET_CREDIT = 32;

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

/** Fields that must not stand in a trailer section (RFC 9110 §6.5.1), lower case. */
export const FORBIDDEN_TRAILERS: readonly string[] = [
  'connection',
  'content-length',
  'keep-alive',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'forwarded',
  'host',
  'max-forwards',
  'via',
  'authorization',
  'cookie',
  'proxy-authenticate',
  'proxy-authorization',
  'set-cookie',
  'www-authenticate',
  'cache-control',
  'expect',
  'if-match',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'if-unmodified-since',
  'pragma',
  'range',
  'age',
  'date',
  'expires',
  'location',
  'retry-after',
  'vary',
  'warning',
  'content-encoding',
  'content-range',
  'content-type',
];

/** Fields that a request that is pushed must not have, lower case. */
export const FORBIDDEN_PUSH_FIELDS: readonly string[] = [
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'proxy-connection',
  'te',
  'transfer-encoding',
  'trailer',
  'upgrade',
];

/** Fields that it takes over from the request beside it, lower case. */
export const INHERITED_PUSH_FIELDS: readonly string[] = [
  'accept-encoding',
  'accept-language',
  'user-agent',
];

/** Code and sentence of each protocol error, by number (zig/http/problem.zig). */
export const PROTOCOL_ERRORS: ReadonlyMap<number, readonly [string, string]> = new Map([
  [1100, ['invalid_method', "The request line does not begin with a method and one space (RFC 9112 §3)."]],
  [1101, ['method_too_long', "The method is longer than any that this server knows (RFC 9112 §3)."]],
  [1102, ['invalid_target', "The request target is none of the four forms, or holds a byte that must be percent-encoded (RFC 9112 §3.2)."]],
  [1103, ['uri_too_long', "The request target is longer than this server takes."]],
  [1104, ['invalid_version', "The request line does not end with one space, \"HTTP/1.1\" and CRLF (RFC 9112 §3)."]],
  [1105, ['version_not_supported', "This server speaks HTTP/1.1 and HTTP/1.0 here."]],
  [1106, ['method_not_implemented', "No resource of this server has a meaning for the method (RFC 9110 §15.6.2)."]],
  [1107, ['trace_with_body', "A TRACE request must not have content (RFC 9110 §9.3.8)."]],
  [1108, ['tunnel_not_supported', "This server opens no tunnels: CONNECT cannot succeed (RFC 9110 §9.3.6)."]],
  [1109, ['connect_with_body', "A CONNECT request has no content here: what it would mean is not defined (RFC 9110 §9.3.6)."]],
  [1110, ['misdirected_request', "The target's scheme is not that of the connection: https is served over TLS, and http without (RFC 9110 §7.4)."]],
  [1120, ['bare_line_feed', "A line ends with LF alone: lines end with CRLF (RFC 9112 §2.2)."]],
  [1121, ['bare_carriage_return', "A CR is not followed by LF: lines end with CRLF (RFC 9112 §2.2)."]],
  [1122, ['obs_fold', "A field line begins with white space: values must not be folded over lines (RFC 9112 §5.2)."]],
  [1123, ['missing_colon', "A field line has no colon after its name (RFC 9112 §5)."]],
  [1124, ['space_before_colon', "There is white space between a field name and its colon (RFC 9112 §5.1)."]],
  [1125, ['invalid_field_name', "A field name holds a character that is not allowed there (RFC 9110 §5.1)."]],
  [1126, ['invalid_field_value', "A field value holds a control character (RFC 9110 §5.5)."]],
  [1127, ['head_too_large', "The request line and fields together are larger than this server takes."]],
  [1128, ['too_many_fields', "The request has more field lines than this server takes."]],
  [1140, ['missing_host', "The Host field is missing: HTTP/1.1 requests name the host they are for (RFC 9112 §3.2)."]],
  [1141, ['duplicate_host', "There is more than one Host field (RFC 9112 §3.2)."]],
  [1142, ['invalid_host', "The Host field is not a host with an optional port (RFC 9110 §7.2)."]],
  [1143, ['invalid_content_length', "Content-Length is not one decimal number in range (RFC 9110 §8.6)."]],
  [1144, ['duplicate_content_length', "There is more than one Content-Length field (RFC 9112 §6.3)."]],
  [1145, ['invalid_transfer_encoding', "Transfer-Encoding does not end with \"chunked\", once and alone (RFC 9112 §6.1)."]],
  [1146, ['transfer_encoding_in_http10', "HTTP/1.0 has no Transfer-Encoding (RFC 9112 §6.1)."]],
  [1147, ['transfer_encoding_with_content_length', "Transfer-Encoding and Content-Length stand together: where the body ends is ambiguous (RFC 9112 §6.3)."]],
  [1148, ['unknown_transfer_coding', "The only transfer coding that this server undoes is chunked (RFC 9112 §6.1)."]],
  [1149, ['expectation_failed', "The only expectation that this server meets is 100-continue (RFC 9110 §10.1.1)."]],
  [1160, ['invalid_percent_encoding', "A % in the path is not followed by two hexadecimal digits (RFC 3986 §2.1)."]],
  [1161, ['ambiguous_separator', "The path holds a backslash, plain or encoded, which some software takes for a slash."]],
  [1162, ['control_character_in_path', "The path holds a control character."]],
  [1163, ['invalid_utf8_in_path', "The path, decoded, is not valid UTF-8."]],
  [1164, ['path_escapes_root', "The \"..\" segments of the path lead above its root (RFC 3986 §5.2.4)."]],
  [1165, ['invalid_path', "The path cannot name a file."]],
  [1200, ['body_too_large', "The content is larger than this server takes."]],
  [1201, ['invalid_chunk_size', "A chunk does not begin with its size in hexadecimal digits (RFC 9112 §7.1)."]],
  [1202, ['chunk_size_too_large', "The size of a chunk is larger than this server takes."]],
  [1203, ['invalid_extension', "A chunk extension is malformed (RFC 9112 §7.1.1)."]],
  [1204, ['extensions_too_large', "The chunk extensions are out of proportion to the data (RFC 9112 §7.1.1)."]],
  [1205, ['missing_chunk_end', "The data of a chunk is longer than its size (RFC 9112 §7.1)."]],
  [1206, ['invalid_trailer', "A trailer field line is malformed (RFC 9112 §7.1.2)."]],
  [1207, ['forbidden_trailer', "The trailer section holds a field that must come in the head (RFC 9110 §6.5.1)."]],
  [1208, ['trailers_too_large', "The trailer section is larger than this server takes."]],
  [1209, ['too_many_trailers', "The request has more trailer fields than this server takes."]],
  [1300, ['header_timeout', "The request did not come in time: its head was not complete."]],
  [1301, ['body_timeout', "The request did not come in time: its content stopped coming."]],
  [1302, ['body_too_slow', "The content came more slowly than this server waits for."]],
  [1303, ['write_timeout', "The client stopped reading the response."]],
  [1304, ['response_too_slow', "The client read the response more slowly than this server waits for."]],
  [1400, ['out_of_buffers', "The server is short of memory for this request at the moment: try again later."]],
  [1401, ['dispatch_timeout', "No handler of the server took the request for too long: try again later."]],
  [1402, ['connection_memory', "This connection has more under way than the server keeps for one: send less at a time, and read the responses."]],
  [1450, ['tls_required', "This port speaks TLS: the address begins with https:."]],
  [1451, ['tls_failed', "TLS ended the connection."]],
  [1452, ['too_early', "The request came ahead of the end of the TLS handshake, and may be a copy: send it again when that is over (RFC 8470 §5.2)."]],
  [1470, ['malformed_message', "A message was malformed, and its stream reset (RFC 9113 §8.1.1)."]],
  [1471, ['http2_connection_error', "What came was no HTTP/2 (RFC 9113 §5.4.1)."]],
  [1472, ['http2_excessive_load', "The client caused work out of proportion (RFC 9113 §10.5)."]],
  [1480, ['invalid_websocket_handshake', "The request asks for a WebSocket in another way than RFC 6455 §4.2.1 has it."]],
  [1481, ['upgrade_required', "Here is a WebSocket, of version 13 (RFC 6455 §4.2)."]],
  [1482, ['forbidden_origin', "The WebSocket is not for pages of this origin (RFC 6455 §10.2)."]],
  [1483, ['websocket_error', "What came was no WebSocket, or more of it than this server takes (RFC 6455 §7.1.7)."]],
  [1484, ['websocket_timeout', "The other end of a WebSocket was silent for too long, or too slow."]],
  [1500, ['not_found', "Nothing is served under this path."]],
  [1501, ['method_not_allowed', "The resource has no such method: Allow lists those it has."]],
  [1502, ['access_denied', "The server may not read this file."]],
  [1503, ['precondition_failed', "The resource is not in the state that the request's conditions ask for (RFC 9110 §13.1)."]],
  [1504, ['range_not_satisfiable', "None of the requested ranges is within the content: Content-Range tells its size."]],
  [1505, ['internal_error', "The server failed to answer this request."]],
  [1506, ['service_unavailable', "The server cannot answer this request at the moment: try again later."]],
  [1507, ['file_unreadable', "The server cannot read this file."]],
]);
