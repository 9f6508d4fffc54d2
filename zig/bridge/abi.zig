//! The binary interface between the engine and a JS thread: the one source of every offset, size
//! and number that both sides use. `abi_gen.zig` writes ts/src/bridge/abi.gen.ts from the
//! declarations here.
//!
//! A lane is a pair of single-producer single-consumer rings in memory that the engine owns.
//! Positions are byte counters that wrap at 2^32; a ring's capacity is a power of two, so `position
//! & (capacity - 1)` is the offset. Records are 8-byte aligned and contiguous: where one does not
//! fit before the end, a `skip` record fills the end.

const std = @import("std");
const assert = std.debug.assert;
const Address = @import("../core/address.zig").Address;
const contiguous_bytes_max = @import("../core/chain.zig").contiguous_bytes_max;
const limits = @import("../core/limits.zig");

/// Raised by every change that makes an old ts/src unable to talk to a new engine.
pub const version: u32 = 9;
/// First word of the shared memory block: "GYRB".
pub const magic: u32 = 0x42525947;

/// In `BlockHeader.state`: the engine has stopped for good.
pub const state_stopped: u32 = 1;
/// In `BlockHeader.state`: what each listener that has failed adds.
pub const state_listener_lost: u32 = 2;

pub const cache_line_bytes = 64;
/// Alignment and granularity of records, bytes.
pub const record_align = 8;

/// Largest piece of a body in one record, bytes, either way.
pub const chunk_bytes_max: u32 = 32 * 1024;
/// Largest request body that travels inside its head record, with the raw target, bytes.
pub const request_inline_bytes_max: u32 = 16 * 1024;
/// Largest response body part that travels inside its head record, bytes.
pub const response_inline_bytes_max: u32 = chunk_bytes_max;
/// Names and values of a field section, and of the fields of a response that shares its record with
/// a body, bytes.
pub const response_field_bytes_max: u32 = limits.response_head_bytes_max_default;
/// Of one response, as the configuration allows it, at most; no body is in its record, bytes.
pub const response_field_bytes_bound: u32 = limits.response_head_bytes_max_bound;
/// Response fields of one response.
pub const response_field_count_max: u32 = limits.response_field_count_max;
/// Fields of a request that is pushed, and the bytes of its head.
pub const push_field_count_max: u32 = limits.push_fields_max;
pub const push_bytes_max: u32 = limits.push_bytes_max;
/// Parameters of one route pattern.
pub const param_count_max: u32 = 16;
/// Bytes of a request head that crosses; its offsets are u16.
pub const request_head_bytes_max: u32 = 65535;
/// Request fields of one request.
pub const request_field_count_max: u32 = 128;
/// Trailers of one request, as "name: value\r\n" lines.
pub const request_trailer_bytes_max: u32 = limits.trailer_bytes_max;
/// Trailers of one request.
pub const request_trailer_count_max: u32 = limits.trailer_count_max;
/// A message that is published, bytes: it is kept in one piece while it crosses.
pub const publish_bytes_max: u32 = 1_000_000;
/// Name of a topic, bytes.
pub const topic_bytes_max: u32 = limits.websocket_topic_bytes_max;
/// Topics of one socket.
pub const socket_topics_max: u32 = limits.websocket_socket_subscriptions_max;
/// What a record of a message counts beside its bytes, either way: many small ones are bounded too.
pub const socket_message_cost: u32 = 32;
/// So many bytes of what a socket was sent may have left without JS being told, at most.
pub const socket_ack_bytes: u32 = 64 * 1024;

/// `body_length` of a body whose length is not known beforehand.
pub const length_unknown: u64 = std.math.maxInt(u64);

/// What a record says. Values below 16 travel to JS (except `skip`, which travels both ways).
pub const RecordKind = enum(u16) {
    /// Fills the end of the ring; carries nothing.
    skip = 0,
    /// `RequestHead`: a new exchange.
    request_head = 1,
    /// `Chunk`: more of a request body.
    request_chunk = 2,
    /// Header only: the client is gone, or the engine gave the exchange up. Its id is dead.
    request_abort = 3,
    /// `Credit`: JS may send that many more body bytes.
    response_credit = 4,
    /// Header only: the client sends no more and may be gone; the response is sent nevertheless.
    request_eof = 5,
    /// `RequestTrailers`: ends a request body that has trailers.
    request_trailers = 6,
    /// `ProtocolError`: a message that was refused; of no exchange.
    protocol_error = 7,
    /// `SocketOpen`: an exchange has become a socket. Its id, and that of the records that follow,
    /// is the socket's. `flag_compressed`.
    socket_open = 8,
    /// `Chunk`: a message, or a part of one: `flag_begin`, `flag_end`, `flag_text`.
    socket_message = 9,
    /// `Credit`: so much of what JS has sent has left for the peer.
    socket_sent = 10,
    /// `SocketClose`: the socket has ended, and its id is dead. With `flag_end` both ends said so.
    socket_close = 11,
    /// `Chunk`: the peer has sent a ping, which is answered, or a pong. Where the table wants it.
    socket_ping = 12,
    socket_pong = 13,
    /// `ResponseHead`: the answer.
    response_head = 16,
    /// `Chunk`: more of a response body.
    response_chunk = 17,
    /// Header only: there will be no response, or no more of it. The engine answers with 500; when
    /// the head has been sent it closes the connection.
    response_abort = 18,
    /// `Credit`: the engine may send that many more body bytes.
    request_credit = 19,
    /// `FieldSection`: ends a response body; trailers that only a chunked body carries.
    response_trailers = 20,
    /// `FieldSection`: an interim response (RFC 9110 §15.2), before the response's head.
    response_interim = 21,
    /// `FieldSection`: a request to be pushed beside the response (RFC 9113 §8.4), before its end.
    response_push = 22,
    /// `SocketUpgrade`: the answer to a request that asks for a WebSocket. `flag_plain`.
    response_upgrade = 23,
    /// `SocketSend`: a message, or a part of one: `flag_begin`, `flag_end`, `flag_text`,
    /// `flag_plain`.
    socket_send = 24,
    /// `Chunk`: a ping or a pong to be sent, of at most 125 bytes.
    socket_send_ping = 25,
    socket_send_pong = 26,
    /// `SocketClose`: closes behind what was sent.
    socket_send_close = 27,
    /// Header only: ends the connection without a word.
    socket_terminate = 28,
    /// `SocketTopic`: it is sent what is published under that name, or is no more.
    socket_subscribe = 29,
    socket_unsubscribe = 30,
    /// `SocketPublish`: a message to all of the worker's who have subscribed, or a part of one, but
    /// to the socket that its header names; of no socket: to all. JS says it to each worker. Flags
    /// as of `socket_send`.
    socket_publish = 31,
    /// `Credit`: the engine may tell that many more bytes of messages.
    socket_credit = 32,
    _,
};

/// Bits of `RecordHeader.flags`.
pub const flag_end: u16 = 1;
/// A message begins with this part of it.
pub const flag_begin: u16 = 2;
/// The message is a text, else it is binary.
pub const flag_text: u16 = 4;
/// The message, or all of the socket that an upgrade makes, is not compressed. Of a message the
/// part counts that it begins with.
pub const flag_plain: u16 = 8;
/// Of a socket that is there: compression was agreed on (RFC 7692).
pub const flag_compressed: u16 = 2;
/// Of an upgrade: JS has seen to it that the page may connect, whose ever it is.
pub const flag_origin_allowed: u16 = 2;
/// The same the other way round.
pub const flag_origin_refused: u16 = 4;

/// The slot of a header that names no socket.
pub const no_socket: u32 = std.math.maxInt(u32);

/// Begins every record.
pub const RecordHeader = extern struct {
    /// Of the whole record, with this header and padding; a multiple of 8. Bytes.
    size: u32,
    kind: RecordKind,
    flags: u16,
    /// With `generation`, the exchange that the record belongs to.
    slot: u32,
    generation: u32,
};

/// A part of the request head, relative to the first byte of the head.
pub const Span = extern struct { offset: u16, len: u16 };

/// One request field: name and value as parts of the head.
pub const FieldSpan = extern struct { name: Span, value: Span };

/// Behind it: `param_count` × Span, `field_count` × FieldSpan, `head_bytes` bytes of head, whose
/// target has the canonical path, `raw_target_len` bytes of the target as it was received, what
/// tells of the TLS connection it came over (`TlsHead` and its texts, `tls_len` bytes), then
/// `inline_bytes` of body. With `flag_end` the inline part is the whole body.
pub const RequestHead = extern struct {
    header: RecordHeader,
    /// Or `length_unknown`. 0 when there is no body. Bytes.
    body_length: u64,
    /// Number of the JS handler, from the route table. Below 2^31.
    route: u32,
    method: Method,
    version: Version,
    field_count: u16,
    param_count: u8,
    peer_family: PeerFamily,
    peer_port: u16,
    /// IPv4 in the first four bytes.
    peer_address: [16]u8,
    head_bytes: u32,
    inline_bytes: u32,
    method_text: Span,
    target: Span,
    path: Span,
    query: Span,
    authority: Span,
    /// Length of the target as it was received, behind the head; 0 where the head has it so. Bytes.
    raw_target_len: u16,
    /// 0: the request did not come over TLS. Bytes.
    tls_len: u16,
    /// How many responses may be pushed beside this one's.
    push_room: u16,
    /// 1: it asks for a WebSocket, which `response_upgrade` may answer.
    upgrade: u16,
};

/// Lies unaligned. Behind it: the suite's name, the protocol (ALPN), the name that was asked for
/// (SNI), and the client's certificate, DER.
pub const TlsHead = extern struct {
    /// 0: TLS 1.2, 1: TLS 1.3.
    version: u8,
    /// `tls_flag_…`
    flags: u8,
    cipher_len: u8,
    protocol_len: u8,
    server_name_len: u8,
    reserved: u8,
    certificate_len: u16,
};

/// Bits of `TlsHead.flags`: the session was resumed, the request is data ahead of the handshake,
/// the client's certificate is believed.
pub const tls_flag_resumed: u8 = 1;
pub const tls_flag_early: u8 = 2;
pub const tls_flag_authorized: u8 = 4;

/// What tells of a TLS connection, at most, bytes.
pub const tls_bytes_max: u32 = @sizeOf(TlsHead) + 3 * 255 + limits.tls_certificate_bytes_max;

/// Behind it: `field_count` × ResponseField, `field_bytes` bytes (each name followed by its value,
/// latin1), then `inline_bytes` of body. With `flag_end` the inline part ends the body.
pub const ResponseHead = extern struct {
    header: RecordHeader,
    status: u16,
    field_count: u16,
    /// A frequent Content-Type that need not be spelled out, sent before the other fields.
    content_type: ContentType,
    reserved: [3]u8,
    field_bytes: u32,
    inline_bytes: u32,
    /// Or `length_unknown`. Bytes.
    body_length: u64,
};

/// Lengths of one response field.
pub const ResponseField = extern struct { name_len: u16, value_len: u16 };

/// Behind it: `len` bytes of body. With `flag_end` the body ends here.
pub const Chunk = extern struct {
    header: RecordHeader,
    len: u32,
    reserved: u32,
};

pub const Credit = extern struct {
    header: RecordHeader,
    /// Body bytes that may be sent on top of what was granted before.
    grant: u32,
    reserved: u32,
};

/// Behind it: `field_count` × FieldSpan, relative to the first byte of the lines, then `line_bytes`
/// bytes of field lines as received.
pub const RequestTrailers = extern struct {
    header: RecordHeader,
    field_count: u16,
    reserved: u16,
    line_bytes: u32,
};

/// Behind it: `field_count` × ResponseField, then `field_bytes` bytes, as in `ResponseHead`. Of a
/// push the first name is the authority of the request beside it, and its value the target.
pub const FieldSection = extern struct {
    header: RecordHeader,
    /// Of an interim response; 0 for trailers; of a push 0: GET, 1: HEAD.
    status: u16,
    field_count: u16,
    field_bytes: u32,
};

/// Behind it: `field_count` × ResponseField, then `field_bytes` bytes, as in `ResponseHead`: fields
/// that go along with the answer. Then the subprotocol, `protocol_len` bytes.
pub const SocketUpgrade = extern struct {
    header: RecordHeader,
    field_count: u16,
    /// 0: none.
    protocol_len: u16,
    field_bytes: u32,
    /// The request's Sec-WebSocket-Key.
    key: [24]u8,
};

pub const SocketOpen = extern struct {
    header: RecordHeader,
    /// The exchange that it was.
    exchange_slot: u32,
    exchange_generation: u32,
    /// Bytes of messages that the engine may tell before it is granted more.
    credit: u32,
    /// What may wait for the peer when a message comes on top of it, bytes.
    unsent_max: u32,
};

/// Behind it: `len` bytes. `total` is the whole message's length, in each part of it.
pub const SocketSend = extern struct {
    header: RecordHeader,
    len: u32,
    total: u32,
};

/// Behind it: the topic, `topic_len` bytes, and `len` bytes of the message, which has `total` in
/// all. The parts of one message stand behind each other in a lane, other records between them.
pub const SocketPublish = extern struct {
    header: RecordHeader,
    len: u32,
    total: u32,
    topic_len: u32,
    reserved: u32,
};

/// Behind it: the name.
pub const SocketTopic = extern struct {
    header: RecordHeader,
    topic_len: u32,
    reserved: u32,
};

/// Behind it: the reason, `reason_len` bytes of UTF-8.
pub const SocketClose = extern struct {
    header: RecordHeader,
    code: u16,
    reason_len: u16,
    reserved: u32,
};

/// Slot and generation of its header mean nothing: a message that was refused has no exchange.
pub const ProtocolError = extern struct {
    header: RecordHeader,
    /// A number of http/problem.zig.
    code: u16,
    /// What the client was answered.
    status: u16,
    /// Errors since the last record that found no room.
    dropped: u32,
    /// IPv4 in the first four bytes.
    peer_address: [16]u8,
    peer_port: u16,
    peer_family: PeerFamily,
    reserved: [5]u8,
};

/// Same numbers as http.Method, which the dispatcher asserts.
pub const Method = enum(u8) {
    GET = 0,
    HEAD = 1,
    POST = 2,
    PUT = 3,
    DELETE = 4,
    CONNECT = 5,
    OPTIONS = 6,
    TRACE = 7,
    PATCH = 8,
    /// Spelled out in `RequestHead.method_text`.
    other = 255,
};

/// Same numbers as http.Version, which the dispatcher asserts.
pub const Version = enum(u8) { http10 = 0, http11 = 1, http2 = 2, http3 = 3 };

pub const PeerFamily = Address.Family;

/// Content-Type values that handlers and frameworks send all the time.
pub const ContentType = enum(u8) {
    none = 0,
    @"text/plain;charset=UTF-8",
    @"text/plain; charset=UTF-8",
    @"text/plain;charset=utf-8",
    @"text/plain; charset=utf-8",
    @"text/plain",
    @"text/html",
    @"text/html;charset=utf-8",
    @"text/html; charset=utf-8",
    @"text/html; charset=UTF-8",
    @"application/json",
    @"application/json;charset=utf-8",
    @"application/json; charset=utf-8",
    @"application/json; charset=UTF-8",
    @"application/octet-stream",
    @"text/css; charset=utf-8",
    @"text/javascript; charset=utf-8",
    @"text/event-stream",
    _,
};

/// First line of the shared block. The engine fills it in before a JS thread sees it.
pub const BlockHeader = extern struct {
    magic: u32,
    version: u32,
    worker_count: u32,
    thread_count: u32,
    /// Of each ring, bytes.
    ring_bytes: u32,
    /// Body bytes that either side may send before the other grants more.
    credit_bytes: u32,
    /// Distance from one lane to the next, bytes. Lane of (worker, thread): worker * thread_count +
    /// thread.
    lane_stride: u32,
    lanes_offset: u32,
    workers_offset: u32,
    threads_offset: u32,
    /// What has become of the engine: `state_stopped`, and `state_listener_lost` for each listener
    /// that has failed. Every thread's doorbell is rung when it changes.
    state: u32,
    /// Field lines of one response, bytes.
    response_field_bytes: u32,
    reserved: [4]u32,
};

/// One per engine worker.
pub const WorkerLine = extern struct {
    /// 1 while the worker sleeps; who exchanges it for 0 writes the eventfd.
    asleep: u32,
    /// The worker's bell, as a number: a descriptor, or on Windows what the engine's `ring` takes.
    wake_fd: i32,
    reserved: [14]u32,
};

/// One per JS thread.
pub const ThreadLine = extern struct {
    /// 1 while the thread sleeps; who exchanges it for 0 writes the doorbell.
    asleep: u32,
    reserved: [15]u32,
};

/// Control words of a lane, each on a cache line of its own; the request ring and the response ring
/// follow.
pub const LaneControl = extern struct {
    /// Written by the engine.
    request_tail: u32 align(cache_line_bytes),
    /// Written by JS.
    request_head: u32 align(cache_line_bytes),
    /// Written by JS.
    response_tail: u32 align(cache_line_bytes),
    /// Written by the engine.
    response_head: u32 align(cache_line_bytes),
    /// 1 when the engine waits for space in the request ring; JS clears it and wakes the worker.
    request_wanted: u32 align(cache_line_bytes),
    /// 1 when JS waits for space in the response ring; the engine clears it and rings the doorbell.
    response_wanted: u32 align(cache_line_bytes),
};

/// Rounds a record's size up to the record grid.
pub fn recordSize(bytes: u32) u32 {
    return std.mem.alignForward(u32, bytes, record_align);
}

pub const request_record_bytes_max = recordSize(@sizeOf(RequestHead) +
    param_count_max * @sizeOf(Span) + request_field_count_max * @sizeOf(FieldSpan) +
    request_head_bytes_max + tls_bytes_max + request_inline_bytes_max);
pub const response_record_bytes_max = recordSize(@sizeOf(ResponseHead) +
    response_field_count_max * @sizeOf(ResponseField) +
    @max(response_field_bytes_max + response_inline_bytes_max, response_field_bytes_bound));
pub const trailers_record_bytes_max = recordSize(@sizeOf(RequestTrailers) +
    request_trailer_count_max * @sizeOf(FieldSpan) + request_trailer_bytes_max);

/// Smallest ring that always finds room for the largest record once it is empty, where a request
/// head has at most `head_bytes_max` bytes: wherever the position stands, the record fits before
/// the end, or behind a skip record that is shorter than it.
pub fn ringBytesMin(head_bytes_max: u32) u32 {
    assert(head_bytes_max <= request_head_bytes_max);
    const request = request_record_bytes_max - request_head_bytes_max + head_bytes_max;
    const largest = recordSize(@max(request, response_record_bytes_max));
    return std.math.ceilPowerOfTwoAssert(u32, 2 * largest);
}

/// A ring for request heads of any size.
pub const ring_bytes_min: u32 = ringBytesMin(request_head_bytes_max);
pub const ring_bytes_max: u32 = 1 << 26;
pub const ring_bytes_default: u32 = 256 * 1024;
/// Below one chunk a body would stall with credit left over.
pub const credit_bytes_min: u32 = chunk_bytes_max;
pub const credit_bytes_default: u32 = 256 * 1024;

comptime {
    assert(@sizeOf(RecordHeader) == 16);
    assert(@sizeOf(BlockHeader) == cache_line_bytes);
    assert(@sizeOf(WorkerLine) == cache_line_bytes and @sizeOf(ThreadLine) == cache_line_bytes);
    assert(@sizeOf(LaneControl) == 6 * cache_line_bytes);
    assert(ring_bytes_min <= ring_bytes_default);
    assert(chunk_bytes_max + @sizeOf(Chunk) <= ringBytesMin(0) / 2);
    assert(trailers_record_bytes_max <= ringBytesMin(0) / 2);
    assert(request_trailer_bytes_max <= std.math.maxInt(u16));
    assert(tls_bytes_max <= std.math.maxInt(u16));
    const publish_head = @sizeOf(SocketPublish) + topic_bytes_max;
    assert(chunk_bytes_max + publish_head <= ringBytesMin(0) / 2);
    assert(publish_bytes_max <= contiguous_bytes_max);
    // An empty mailbox has room for the largest: what takes several turns is left out by none.
    const posts_share = (limits.websocket_posts_bytes - limits.websocket_posts_kept_bytes) / 2;
    assert(publish_bytes_max + topic_bytes_max + cache_line_bytes <= posts_share);
    // TypeScript writes these records with 32-bit stores; none may have hidden padding.
    for (.{
        RequestHead,  ResponseHead,  Chunk,         Credit,     RequestTrailers,
        FieldSection, ProtocolError, BlockHeader,   WorkerLine, ThreadLine,
        SocketOpen,   SocketUpgrade, SocketPublish, SocketSend, SocketClose,
        SocketTopic,
    }) |T| {
        assert(@sizeOf(T) % record_align == 0);
        var sum: usize = 0;
        for (std.meta.fields(T)) |f| sum += @sizeOf(f.type);
        assert(sum == @sizeOf(T));
    }
}
