//! Every limit of the engine in one place, with the relations between them asserted at comptime.
//! A `*_max_bound` is compiled in (it sizes arrays);
//! a `*_default` is what the configuration overrides.

const std = @import("std");
const assert = std.debug.assert;

/// Smallest buffer that the pool hands out, bytes. One system page.
pub const buffer_bytes_min: u32 = 4 * 1024;
/// Largest contiguous buffer that the pool hands out, bytes. Longer messages take a chain of these.
pub const buffer_bytes_max: u32 = 1024 * 1024;
/// What one `recv` may bring, bytes: the size of a worker's receive buffer.
pub const receive_buffer_bytes_default: u32 = 64 * 1024;
/// Pool memory of one worker, bytes of address space. Pages become resident when first used.
pub const buffer_memory_bytes_default: u64 = 128 * 1024 * 1024;

/// Space for the field lines of one response, bytes.
pub const response_head_bytes_max_default: u32 = 16 * 1024;
/// Such a head crosses the bridge in one record of the smallest ring.
pub const response_head_bytes_max_bound: u32 = 48 * 1024;
/// Field lines of one response, with its early hints and trailers.
pub const response_field_count_max: u16 = 1024;
/// Space in which a worker coalesces the responses of one turn of one connection, bytes.
pub const output_buffer_bytes: u32 = 64 * 1024;
/// A WebSocket's message that is longer leaves from where it lies, bytes: mostly it is alone in
/// its turn, so that this costs no call more.
pub const message_copy_bytes_max: u32 = 8 * 1024;
/// Bodies up to this size are copied behind their head, so that head and body take one iovec.
pub const inline_body_bytes_max: u32 = 2 * 1024;
/// Bytes that a connection is sent in one turn of its worker before the others have theirs.
pub const turn_bytes_max_default: u32 = 512 * 1024;
/// Requests of a connection that are begun in one turn of its worker.
pub const turn_requests_max_default: u16 = 64;
/// Where memory is sent without a copy: pieces from this size on, bytes. What the kernel does for
/// each costs more than copying less.
pub const zero_copy_bytes_min: u32 = 32 * 1024;
/// Such pieces of one worker's that the kernel has at a time.
pub const zero_copies_max: u16 = 1024;
/// What passes a connection's filter in one go, bytes: four records of TLS.
pub const filter_bytes: u32 = 4 * (16 * 1024 + 64);
/// So much of a file the system is asked to seal (kTLS), bytes. The connection's keys are its own
/// from then on, for good: for less that is not worth it. No frame of HTTP/2 is as long.
pub const offload_bytes_min: u64 = 64 * 1024 + 1;
/// What a worker spends in one turn on handshakes of its connections, µs: one that is over it is
/// brought to its end, the others wait for the next turn.
pub const filter_turn_us: u32 = 2_000;
/// iovecs in one vectored write. IOV_MAX is 1024 on every system served; more than 64 wins nothing.
pub const iovecs_max: u32 = 64;

/// Request fields in the fixed array of a Request.
pub const header_count_max_bound: u16 = 128;
pub const header_count_max_default: u16 = 100;
/// Bytes of a request head, from the first byte of the request line to the empty line.
/// u16 offsets into the head cross the bridge, so the bound is 64 KiB - 1.
pub const head_bytes_max_bound: u32 = 65535;
pub const head_bytes_max_default: u32 = 32 * 1024;
/// Bytes of the trailer section of a chunked request body, without its empty line.
pub const trailer_bytes_max: u32 = 8 * 1024;
/// Fields of the trailer section of a chunked request body.
pub const trailer_count_max: u16 = 64;
/// Bytes of a request target.
pub const target_bytes_max_default: u32 = 8 * 1024;
/// Bytes of a request body, streamed or buffered.
pub const body_bytes_max_default: u64 = 128 * 1024 * 1024;
/// Bytes of a request body that is handed to a handler whole.
pub const body_buffered_bytes_max_default: u64 = 8 * 1024 * 1024;
/// Iovecs of a request body that is handed to a handler whole.
pub const body_segments_max: u32 = 64;
/// What `body_segments_max` blocks hold for sure: a buffered body starts behind a head in a small
/// block, and blocks double up to the largest.
pub const body_buffered_bytes_max_bound: u64 =
    (body_segments_max - 20) * @as(u64, buffer_bytes_max);

/// Requests of one connection whose responses are outstanding (pipelining); more are not read.
pub const pipeline_depth_max_default: u16 = 64;
/// Requests of a worker under way beyond the first of each of its connections: pipelines, streams.
/// Memory is used for those that come to be.
pub const exchanges_spare_default: u32 = 16 * 1024;
/// How long a request may wait for a handler's thread that takes it, ms.
pub const dispatch_timeout_ms_default: u32 = 10_000;
/// Unsent response bytes of one connection above which its requests are no longer read, bytes.
pub const output_high_water_bytes_default: u32 = 256 * 1024;
/// Streams of one connection of HTTP/2 that may be under way.
pub const http2_streams_max_default: u32 = 100;
pub const http2_streams_max_bound: u32 = 65_535;
/// What a client may send of a stream before any of it is taken, when the stream begins (RFC 9113
/// §6.9.2), and what that may become where it holds a fast client up, bytes.
pub const http2_stream_window_bytes_default: u32 = 65_535;
pub const http2_window_bytes_max_default: u32 = 16 * 1024 * 1024;
pub const http2_window_bytes_max_bound: u32 = 1 << 30;
/// Payload of a frame that a client may send, bytes (RFC 9113 §4.2).
pub const http2_frame_bytes_max_default: u32 = 16 * 1024;
pub const http2_frame_bytes_max_bound: u32 = 1024 * 1024;
/// Responses of one connection that may be pushed at a time: none unless it is asked for.
pub const http2_pushes_max_default: u16 = 0;
pub const http2_pushes_max_bound: u16 = 100;
/// A request that is pushed: its fields, and all of its head, bytes.
pub const push_fields_max: u16 = 32;
pub const push_bytes_max: u32 = 8 * 1024;
/// Open files of one connection's responses that wait for an earlier one or for their client; above
/// it its requests are no longer read.
pub const connection_files_max: u32 = 4;
/// The same of HTTP/2, whose responses are under way at the same time; and with those that wait for
/// the windows of their own streams.
pub const http2_files_max: u32 = 8;
pub const http2_stalled_files_max: u32 = 64;
/// Streamed responses of one connection that may have all of their credit under way; the others do
/// with what they began with.
pub const http2_large_streams_max: u16 = 8;
/// How often a client whose window is closed is given its time anew, since what it was sent before
/// was still on its way.
pub const http2_stall_restarts_max: u8 = 8;
/// How long a client of HTTP/2 that is to go may leave a PING unanswered before it is told which of
/// its streams are served, ms.
pub const http2_farewell_ms: u32 = 1_000;
/// Files are sent from descriptors below this number: Linux gives none beyond, unless it is told
/// to.
pub const file_descriptor_max: u32 = 1 << 20;
/// Pool memory that one connection may hold, bytes.
pub const connection_memory_bytes_max_default: u64 = 64 * 1024 * 1024;
/// Bytes of a request body that a handler did not want and that are read and dropped so that the
/// connection can be kept. Above it the connection is closed instead.
pub const discard_bytes_max: u64 = 256 * 1024;
/// Entries of write queues for each connection of a worker; more come from a spare part.
pub const write_nodes_per_connection: u32 = 4;
pub const write_nodes_spare: u32 = 16 * 1024;
/// While more than three quarters of a worker's pool are in use, a connection that holds more than
/// this gets no more of it: the rest is for those that hold little, bytes.
pub const connection_memory_share_bytes: u64 = 64 * 1024;
/// Time that a closing connection is given to read what was sent before it is torn down, ms.
pub const linger_ms: u32 = 2_000;
/// What a client may send behind its last request, or its connection's end, that is read and
/// dropped while its response is made, and while it takes nothing of that, bytes: as much as a body
/// may have as Gyrfalcon comes (`body_bytes_max_default`), so that who sends all of one first, and
/// reads then, gets through.
pub const drop_bytes_max_default: u64 = 128 * 1024 * 1024;

/// A turn of a worker that took longer than this held its connections up: a handler did not come
/// back, or the machine stood still, ms.
pub const held_up_ms: u32 = 200;

/// Connections that a worker opens in a turn: those that are open have their turn too.
pub const opened_per_turn_max = 256;

/// For how long a worker may look for events before it sleeps, µs.
pub const busy_poll_us_max: u32 = 10_000;

pub const connections_max_default: u32 = 10_000;
pub const workers_max: u32 = 256;
/// CPUs that a machine may have: as many as Linux can be built for.
pub const cpus_max: u32 = 8192;
pub const backlog_default: u31 = 2048;
/// Sockets that a server listens on, all together.
pub const listeners_max: u32 = 16;
/// How long a server that stops serves on where another takes its place, ms: a client far away has
/// finished connecting by then, and asked. Less than a second, when who was not let in tries again.
pub const hand_over_ms: u32 = 300;
/// After so much silence a peer is asked whether it is there, ms.
pub const tcp_keepalive_ms_default: u32 = 15_000;
/// What TCP_KEEPIDLE takes (tcp(7)), ms.
pub const tcp_keepalive_ms_max: u32 = 32_767_000;
/// Accepted sockets on their way from the acceptor to one worker.
pub const accept_queue_length: u32 = 1024;
/// How long a worker rests before it waits again, when the system refused to let it wait, ms.
pub const poll_failed_pause_ms: u32 = 10;
/// Sockets accepted in one go before the acceptor hands them out.
pub const accept_batch: u32 = 64;
/// Sockets of a listener that wait for clients, where each waits for one of its own (Windows).
pub const accepts_posted: u32 = 16;

pub const header_timeout_ms_default: u32 = 10_000;
pub const body_timeout_ms_default: u32 = 30_000;
pub const idle_timeout_ms_default: u32 = 5_000;
/// So long after `idle_timeout_ms`, which clients may have been told, a connection is closed: what
/// a client sends in the last moment is still on its way then, ms.
pub const idle_grace_ms: u32 = 1_000;
pub const write_timeout_ms_default: u32 = 30_000;
/// Slower than any network that people use, faster than attacks worth their effort: bytes/s
pub const body_rate_min_default: u32 = 240;
pub const write_rate_min_default: u32 = 240;
pub const rate_grace_ms_default: u32 = 5_000;
pub const half_close_timeout_ms_default: u32 = 5_000;
/// A stop gives a half-closed connection no longer than this between two pieces of its response.
pub const half_close_drain_ms: u32 = 500;
pub const shutdown_timeout_ms_default: u32 = 10_000;

/// A handshake message of a client's, bytes: its certificates are in one.
pub const tls_message_bytes_max: u32 = 64 * 1024;
/// Records in a row that bring no data; a client that sends more of them is cut off.
pub const tls_idle_records_max: u8 = 32;
/// What a client may have sent ahead of a handshake that does not take it, in records, bytes.
pub const tls_early_skip_bytes: u32 = 128 * 1024;
/// Data ahead of a handshake that a server can be told to take, bytes.
pub const tls_early_bytes_max_bound: u32 = 64 * 1024;
/// A connection that begins is sent small records until it has had so much, bytes.
pub const tls_start_bytes: u32 = 64 * 1024;
pub const tls_start_record_bytes: u32 = 4 * 1024;
/// How long a session can be resumed, s. RFC 8446 allows a week.
pub const tls_ticket_lifetime_s_default: u32 = 12 * 60 * 60;
pub const tls_ticket_lifetime_s_max: u32 = 7 * 24 * 60 * 60;
/// How old a ticket may be made out to be, beside what its age is here (RFC 8446 §8.3), ms. picotls
/// has it compiled in; what is kept against replays is kept for twice as long.
pub const tls_early_skew_ms: u32 = 10_000;
/// Tickets that may bring data ahead within twice that time. Further ones bring none.
pub const tls_early_tickets_max: u32 = 32 * 1024;
/// What an established connection holds of memory, bytes; a test measures it.
pub const tls_idle_bytes_max: u32 = 4 * 1024;
/// The same of TLS 1.2, of which OpenSSL keeps more.
pub const tls_legacy_idle_bytes_max: u32 = 24 * 1024;
/// Certificates of a server.
pub const tls_certificates_max: u32 = 256;
/// What a set of certificates may take of the C libraries' memory, and what a handshake may on
/// average; the sum over all bounds it, bytes.
pub const tls_set_bytes_max: u32 = 32 * 1024 * 1024;
pub const tls_handshake_bytes_max: u32 = 64 * 1024;
/// A client's own certificate, DER, bytes: it goes with each request.
pub const tls_certificate_bytes_max: u32 = 8 * 1024;
pub const tls_ticket_secrets_max: u32 = 16;
/// How often certificates' files are looked at, ms.
pub const tls_reload_ms_default: u32 = 5_000;
/// How long a certificate for development is good, and how long before its end there is a new one,
/// days. Some clients refuse those that are good for more than 398.
pub const tls_development_days: u32 = 90;
pub const tls_development_renew_days: u32 = 30;
/// Handshakes of a worker that are under way at a time: of more, those that have taken longest end.
pub const tls_handshakes_max_default: u32 = 1024;
/// Certificates of a chain: picotls takes so many.
pub const tls_chain_max: u32 = 16;

/// A WebSocket message that is received, bytes.
pub const websocket_message_bytes_max_default: u63 = 16 * 1024 * 1024;
pub const websocket_message_bytes_max_bound: u32 = 256 * 1024 * 1024;
/// A WebSocket frame that is sent, bytes: longer messages take several, between which the other end
/// can be told something.
pub const websocket_frame_bytes_max_default: u63 = 1024 * 1024;
/// After so much silence a WebSocket's peer is asked whether it is there, ms.
pub const websocket_ping_after_ms_default: u32 = 30_000;
/// After so much silence it is given up, ms.
pub const websocket_idle_timeout_ms_default: u32 = 60_000;
/// How long a WebSocket's peer may take to answer a Close, ms.
pub const websocket_close_timeout_ms_default: u32 = 5_000;
/// What may wait for a WebSocket's peer to take it, bytes: more is dropped, or ends the connection.
pub const websocket_unsent_bytes_max_default: u32 = 1024 * 1024;
/// WebSocket messages on their way to one worker, from other threads and as many from its own,
/// bytes. One takes half of what is left at most.
pub const websocket_posts_bytes: u32 = 4 * 1024 * 1024;
/// What messages leave of that for words that end something: a connection, a subscription.
pub const websocket_posts_kept_bytes: u32 = 64 * 1024;
/// What a worker sends in one turn of what was posted to it, and of what was published, in messages
/// of up to `websocket_send_bytes`; a longer one counts for several.
pub const websocket_turn_sends_max: u32 = 1024;
pub const websocket_send_bytes: u32 = 16 * 1024;
/// The name of a topic that WebSockets subscribe to, bytes.
pub const websocket_topic_bytes_max: u8 = 128;
/// Subscriptions of all WebSockets of a worker.
pub const websocket_subscriptions_max_default: u32 = 64 * 1024;
pub const websocket_subscriptions_max_bound: u32 = 1 << 24;
/// Subscriptions of one WebSocket.
pub const websocket_socket_subscriptions_max: u32 = 1024;
/// WebSocket messages below this are sent without compression, bytes.
pub const websocket_deflate_bytes_min_default: u32 = 256;
/// A compressed message may stand for so many times as much as it has bytes, and for
/// `websocket_inflation_free_bytes` in any case.
pub const websocket_inflation_ratio_max_default: u32 = 200;
pub const websocket_inflation_free_bytes: u32 = 256 * 1024;
/// WebSocket messages above this are sent without compression, bytes.
pub const websocket_deflate_bytes_max: u32 = 16 * 1024 * 1024;
/// What compression takes of a worker's turn counts as a send for so many bytes, of what is sent
/// and of what comes out of what was received: it takes some ten times as long to compress as to
/// decompress.
pub const websocket_send_deflated_bytes: u32 = 2 * 1024;
pub const websocket_send_inflated_bytes: u32 = 16 * 1024;
/// Memory of a worker's compressors and decompressors, bytes.
pub const websocket_deflate_memory_bytes_default: u64 = 32 * 1024 * 1024;
/// The least of it: those that all connections share.
pub const websocket_deflate_memory_bytes_min: u64 = 1024 * 1024;
/// Sockets of one HTTP/2 connection that may have compressors of their own: one connection is not
/// to use up what all have. The others share.
pub const websocket_deflate_own_per_connection_max: u32 = 8;
/// Elements of Sec-WebSocket-Extensions: a client that sends more is refused.
pub const websocket_extensions_max: u8 = 16;

/// Resolution of the timer wheel, ms. Timeouts fire up to one tick late, never early.
pub const tick_ms: u32 = 50;
/// Slots of the timer wheel; deadlines more than one round off wait in theirs.
pub const wheel_slots: u32 = 1024;

/// Engine memory of an idle connection, bytes: the design's target,
/// held by a comptime assertion in server/.
pub const idle_connection_bytes_max: u32 = 2 * 1024;
/// The same of one of HTTP/2 whose client has filled half of its table of fields.
pub const http2_idle_bytes_max: u32 = 6 * 1024;

comptime {
    assert(std.math.isPowerOfTwo(buffer_bytes_min));
    assert(std.math.isPowerOfTwo(buffer_bytes_max));
    assert(buffer_bytes_min < buffer_bytes_max);
    assert(receive_buffer_bytes_default <= buffer_bytes_max);
    assert(header_count_max_default <= header_count_max_bound);
    assert(head_bytes_max_default <= head_bytes_max_bound);
    assert(trailer_count_max <= header_count_max_bound); // they fill a `Fields`
    assert(trailer_bytes_max < buffer_bytes_max); // they are made contiguous for a handler
    assert(trailer_bytes_max <= head_bytes_max_bound); // offsets of 16 bits cross the bridge
    assert(head_bytes_max_bound < buffer_bytes_max); // a head is contiguous
    assert(target_bytes_max_default < head_bytes_max_default);
    assert(response_head_bytes_max_default <= head_bytes_max_default); // RFC 9110 §2.3
    assert(response_head_bytes_max_default <= response_head_bytes_max_bound);
    assert(body_buffered_bytes_max_default <= body_bytes_max_default);
    assert(body_buffered_bytes_max_default <= buffer_memory_bytes_default / 2);
    assert(body_buffered_bytes_max_default <= body_buffered_bytes_max_bound);
    // One connection leaves room for others.
    assert(connection_memory_bytes_max_default <= buffer_memory_bytes_default / 2);
    // The usual head is written where it is sent from.
    assert(response_head_bytes_max_default + inline_body_bytes_max <= output_buffer_bytes / 2);
    assert(message_copy_bytes_max <= output_buffer_bytes / 4);
    assert(2 * push_bytes_max <= output_buffer_bytes / 2); // it is written where it is sent from
    assert(response_head_bytes_max_bound < buffer_bytes_max); // what waits of it is contiguous
    assert(body_segments_max <= iovecs_max);
    assert(output_buffer_bytes <= turn_bytes_max_default); // what is gathered leaves in one turn
    // Records have a cost of their own.
    assert(tls_early_skip_bytes >= 2 * tls_early_bytes_max_bound);
    assert(tls_ticket_lifetime_s_default <= tls_ticket_lifetime_s_max);
    assert(std.math.isPowerOfTwo(tls_early_tickets_max));
    // Who is asked has time to answer.
    assert(websocket_ping_after_ms_default < websocket_idle_timeout_ms_default);
    assert(websocket_message_bytes_max_default <= websocket_message_bytes_max_bound);
    assert(websocket_posts_kept_bytes <= websocket_posts_bytes / 2);
    // A message in pieces fits what its connection may hold, whose blocks are half full.
    assert(2 * websocket_message_bytes_max_default <= connection_memory_bytes_max_default);
    assert(tls_development_renew_days < tls_development_days and tls_development_days <= 398);
    assert(std.math.isPowerOfTwo(wheel_slots));
    assert(std.math.isPowerOfTwo(accept_queue_length));
}
