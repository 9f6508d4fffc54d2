//! Configuration of a server. Every value has a default;
//! `validate` tells what is wrong with one that was set.

const std = @import("std");
const cpus_file = @import("../core/cpus.zig");
const limits = @import("../core/limits.zig");
const log = @import("../core/log.zig");
const choose = @import("../io/choose.zig");
const io = @import("../io/io.zig");
const socket = @import("../io/socket.zig");
pub const Place = @import("../net/listeners.zig").Place;
const TlsSettings = @import("tls/settings.zig").Settings;

pub const Config = struct {
    /// Name or address to listen on. "", "::" and "*" mean every interface, IPv6 and IPv4. A name
    /// stands for all addresses that it leads to.
    hostname: []const u8 = "::",
    /// 0: the system picks one; `Server.address` tells which.
    port: u16 = 3000,
    /// Where to listen, in the place of `hostname` and `port`: TCP, unix sockets, sockets that the
    /// process was started with. At most 16.
    listen: []const Listen = &.{},
    /// Sets of certificates; without `listen`, the first is that of `hostname` and `port`. The
    /// engine must have TLS in it.
    tls: []const TlsSettings = &.{},
    /// Handshakes of a worker that may be under way at a time. For more, those that have taken
    /// longest end.
    tls_handshakes_max: u32 = limits.tls_handshakes_max_default,
    /// Other processes of this user may listen on the same ports (SO_REUSEPORT), and the system
    /// spreads connections over all of them; the place of a server at a unix socket is taken.
    reuse_port: bool = false,
    /// Waiting connections that the kernel holds.
    backlog: u31 = limits.backlog_default,
    /// 0: one for each CPU that this process may use, its container's quota counted.
    workers: u32 = 0,
    /// Pin worker n to the n-th of the CPUs that this process may run on.
    pin: bool = false,
    io: io.Kind = .auto,
    /// io_uring: large memory that a full socket is sent is not copied; the network card reads it.
    zero_copy: bool = false,
    /// Linux: pools of 2 MiB and more lie in huge pages (transparent ones, by madvise), each of
    /// which is resident from its first touch on.
    huge_pages: bool = false,
    /// For how long a worker looks for events before it sleeps, µs, 0 to 10000: answers come sooner
    /// and its CPU is used all the time.
    busy_poll_us: u32 = 0,
    /// Open connections, all workers together. More wait in the backlog.
    connections_max: u32 = limits.connections_max_default,
    /// Open connections of one IPv4 address or IPv6 /64; 0: no such limit.
    connections_per_address_max: u32 = 0,
    /// Send small responses at once (TCP_NODELAY).
    nodelay: bool = true,
    /// A client of whom nothing has come for so long is asked whether it is still there (TCP
    /// keep-alive), ms, in whole seconds; it is gone when twice that, or `write_timeout_ms` if that
    /// is longer, has passed without an answer. 0: never.
    tcp_keepalive_ms: u32 = limits.tcp_keepalive_ms_default,

    /// What one receive may bring, bytes.
    receive_buffer_bytes: u32 = limits.receive_buffer_bytes_default,
    /// Pool memory of one worker for what cannot be served or sent at once, bytes.
    buffer_memory_bytes: u64 = limits.buffer_memory_bytes_default,
    /// Pool memory that one connection may hold, bytes: input, gathered bodies, unsent output.
    connection_memory_bytes_max: u64 = limits.connection_memory_bytes_max_default,
    /// Unsent response bytes of one connection above which its next requests wait.
    output_high_water_bytes: u32 = limits.output_high_water_bytes_default,
    /// Bytes that a connection is sent in one turn of its worker before the others have theirs.
    turn_bytes_max: u32 = limits.turn_bytes_max_default,
    /// Requests of a connection that are begun in one turn of its worker.
    turn_requests_max: u16 = limits.turn_requests_max_default,
    /// What a client may send behind its last request, or its connection's end, that is read and
    /// dropped while it takes nothing of what it is to be sent, bytes. Beyond it: while the
    /// response is made it is read no further until that is, and then it is reset.
    drop_bytes_max: u64 = limits.drop_bytes_max_default,
    /// Requests of one connection whose responses are outstanding.
    pipeline_depth_max: u16 = limits.pipeline_depth_max_default,
    /// Requests of a worker under way beyond the first of each of its connections: pipelines,
    /// and streams of HTTP/2.
    exchanges_spare: u32 = limits.exchanges_spare_default,

    /// From a message's first byte to the end of its head, ms.
    /// Also for the first byte of a new connection.
    header_timeout_ms: u32 = limits.header_timeout_ms_default,
    /// Between two reads of a body, ms.
    body_timeout_ms: u32 = limits.body_timeout_ms_default,
    /// Between a response and the next request (keep-alive), ms. Clients that ask are told in whole
    /// seconds; the connection is closed `limits.idle_grace_ms` later.
    idle_timeout_ms: u32 = limits.idle_timeout_ms_default,
    /// Between two successful writes, ms.
    write_timeout_ms: u32 = limits.write_timeout_ms_default,
    /// Bytes a second that a request body must bring while the server is willing to read;
    /// 0: no such limit.
    body_rate_min: u32 = limits.body_rate_min_default,
    /// Bytes a second that a client must take while a response waits for it; 0: no such limit.
    write_rate_min: u32 = limits.write_rate_min_default,
    /// For how long a body or a response may be slower than its rate, from its beginning, ms.
    rate_grace_ms: u32 = limits.rate_grace_ms_default,
    /// How long a request may wait for a thread of the handler's that takes it, ms.
    dispatch_timeout_ms: u32 = limits.dispatch_timeout_ms_default,
    /// For how long a streamed response may pause once its client has ended its own side, which is
    /// how most clients that have gone look, ms; 0: for ever.
    half_close_timeout_ms: u32 = limits.half_close_timeout_ms_default,
    /// What a stop grants to exchanges in flight, ms.
    shutdown_timeout_ms: u32 = limits.shutdown_timeout_ms_default,

    /// HTTP/2: by its preface in the clear, by ALPN over TLS.
    http2: bool = true,
    /// Streams of one connection that may be under way.
    http2_streams_max: u32 = limits.http2_streams_max_default,
    /// Responses of one connection that may be pushed at a time, to clients that let them; 0: none.
    http2_pushes_max: u16 = limits.http2_pushes_max_default,
    /// What a client may send of a stream before any of it is taken, when the stream begins, bytes.
    http2_stream_window_bytes: u32 = limits.http2_stream_window_bytes_default,
    /// What that may become, of a stream and of a connection, where it holds a fast client up,
    /// bytes.
    http2_window_bytes_max: u32 = limits.http2_window_bytes_max_default,
    /// Payload of a frame that a client may send, bytes.
    http2_frame_bytes_max: u32 = limits.http2_frame_bytes_max_default,

    /// Connections may become WebSockets: memory is set aside for them.
    websocket: bool = true,
    /// A WebSocket message that is received, bytes: a longer one ends the connection (1009).
    websocket_message_bytes_max: u32 = limits.websocket_message_bytes_max_default,
    /// A frame that is sent, bytes: longer messages take several.
    websocket_frame_bytes_max: u32 = limits.websocket_frame_bytes_max_default,
    /// After so much silence the peer is asked whether it is there (PING), ms; 0: it is not.
    websocket_ping_after_ms: u32 = limits.websocket_ping_after_ms_default,
    /// After so much silence the peer is given up, ms; 0: it is not.
    websocket_idle_timeout_ms: u32 = limits.websocket_idle_timeout_ms_default,
    /// How long the peer may take to answer a Close, ms.
    websocket_close_timeout_ms: u32 = limits.websocket_close_timeout_ms_default,
    /// What may wait for the peer to take it, bytes. A message that comes on top of that meets
    /// `websocket_overflow`; so does one that would leave too little memory for others.
    websocket_unsent_bytes_max: u32 = limits.websocket_unsent_bytes_max_default,
    websocket_overflow: Overflow = .drop,
    /// Subscriptions to topics of all WebSockets of a worker. One has at most 1024, and leaves as
    /// many as it has to others.
    websocket_subscriptions_max: u32 = limits.websocket_subscriptions_max_default,

    /// Messages are compressed on WebSockets whose clients offer it (permessage-deflate, RFC 7692).
    /// The engine must have zlib-ng in it.
    websocket_deflate: bool = false,
    /// How hard the compressor looks, 1 to 9: beyond 1 messages are smaller by less than a third,
    /// and take several times as long.
    websocket_deflate_level: u8 = 1,
    /// Messages below are sent as they are, bytes.
    websocket_deflate_bytes_min: u32 = limits.websocket_deflate_bytes_min_default,
    /// Messages that are sent refer to those before them: they are smaller, and each connection has
    /// a compressor of its own.
    websocket_deflate_server_context_takeover: bool = false,
    /// The same of those that are received, and of a decompressor.
    websocket_deflate_client_context_takeover: bool = false,
    /// The logarithm of how far messages that are sent refer back, bytes, 8 to 15: at most.
    websocket_deflate_server_window_bits: u8 = 15,
    /// The same of those that are received, of clients that let themselves be told.
    websocket_deflate_client_window_bits: u8 = 15,
    /// What compressors and decompressors of a worker may take, bytes. When it is used up,
    /// connections share theirs: they are told that messages stand by themselves.
    websocket_deflate_memory_bytes: u64 = limits.websocket_deflate_memory_bytes_default,
    /// A message that is received may stand for so many times as much as it has bytes, and for 256
    /// KiB in any case: others end the connection (1009).
    websocket_inflation_ratio_max: u32 = limits.websocket_inflation_ratio_max_default,

    target_bytes_max: u32 = limits.target_bytes_max_default,
    head_bytes_max: u32 = limits.head_bytes_max_default,
    header_count_max: u16 = limits.header_count_max_default,
    /// Of the field lines of a response.
    response_head_bytes_max: u32 = limits.response_head_bytes_max_default,
    body_bytes_max: u64 = limits.body_bytes_max_default,
    /// For handlers that take the body whole.
    body_buffered_bytes_max: u64 = limits.body_buffered_bytes_max_default,

    /// TRACE is answered with the request as it was received, without fields that are likely to
    /// hold secrets (RFC 9110 §9.3.8); otherwise refused with 501.
    trace: bool = false,
    /// CONNECT reaches the handler; otherwise it is refused with 501. There is no tunnel: a success
    /// from the handler is answered with 501 instead (RFC 9110 §9.3.6).
    connect: bool = false,

    /// What this server tells on standard error: each level has the lines of those before it.
    log: log.Level = .info,

    /// Value of the Server field; "" sends none. At most 128 bytes.
    server_name: []const u8 = "gyrfalcon",

    /// What becomes of a message for a peer that does not take what it is sent.
    pub const Overflow = enum {
        /// It is not sent, and its sender is told.
        drop,
        /// The connection ends.
        close,
    };

    pub const Listen = struct {
        place: Place,
        /// Index in `Config.tls`; null: HTTP as it is.
        tls: ?u8 = null,
        /// Every request is sent to this port, for https, by 308 (Permanent Redirect); 0: that of
        /// the first place with TLS. Challenges of ACME are served.
        redirect_port: ?u16 = null,
    };

    pub const Problem = struct { option: []const u8, rule: []const u8 };

    /// What was asked for at the place with this index.
    pub fn listenAt(self: *const Config, index: u16) Listen {
        if (self.listen.len > 0) return self.listen[index];
        return .{
            .place = .{ .tcp = .{ .hostname = self.hostname, .port = self.port } },
            .tls = if (self.tls.len > 0) 0 else null,
        };
    }

    /// Where to listen, in `buffer`.
    pub fn places(self: *const Config, buffer: *[limits.listeners_max]Place) []const Place {
        const count = @max(self.listen.len, 1);
        for (buffer[0..count], 0..) |*place, i| place.* = self.listenAt(@intCast(i)).place;
        return buffer[0..count];
    }

    pub fn socketOptions(self: *const Config) socket.Options {
        const keepalive_ms = self.tcp_keepalive_ms;
        const silence_ms = @max(socket.silenceMs(keepalive_ms), self.write_timeout_ms);
        return .{
            .backlog = self.backlog,
            .reuse_port = self.reuse_port,
            .nodelay = self.nodelay,
            .keepalive_ms = keepalive_ms,
            .user_timeout_ms = if (keepalive_ms == 0) 0 else std.math.lossyCast(u32, silence_ms),
        };
    }

    /// The first value that cannot be, with what it would have to be; null when all is well.
    pub fn validate(self: *const Config) ?Problem {
        if (self.workers > limits.workers_max)
            return .{ .option = "workers", .rule = "at most 256" };
        if (!choose.isAvailable(self.io)) return .{ .option = "io", .rule = choose.rule };
        if (self.listen.len > limits.listeners_max)
            return .{ .option = "listen", .rule = "at most 16 places" };
        if (self.validateTls()) |wrong| return wrong;
        for (self.listen) |*one| switch (one.place) {
            .unix => |unix| if (unix.mode orelse 0 > 0o777)
                return .{ .option = "listen", .rule = "a mode is from 0 to 0o777" },
            else => {},
        };
        if (self.tcp_keepalive_ms > limits.tcp_keepalive_ms_max)
            return .{ .option = "tcp_keepalive_ms", .rule = "at most 32767000" };
        if (self.busy_poll_us > limits.busy_poll_us_max)
            return .{ .option = "busy_poll_us", .rule = "at most 10000" };
        if (self.connections_max == 0)
            return .{ .option = "connections_max", .rule = "at least 1" };
        if (self.connections_max > 1 << 24)
            return .{ .option = "connections_max", .rule = "at most 16777216" };
        if (self.receive_buffer_bytes < 4096 or self.receive_buffer_bytes > limits.buffer_bytes_max)
            return .{ .option = "receive_buffer_bytes", .rule = "4096 to 1048576" };
        if (self.buffer_memory_bytes < limits.buffer_bytes_max)
            return .{ .option = "buffer_memory_bytes", .rule = "at least 1048576" };
        if (self.buffer_memory_bytes > 1 << 44)
            return .{ .option = "buffer_memory_bytes", .rule = "at most 17592186044416" };
        if (self.head_bytes_max < 256 or self.head_bytes_max > limits.head_bytes_max_bound)
            return .{ .option = "head_bytes_max", .rule = "256 to 65535" };
        if (self.target_bytes_max == 0 or self.target_bytes_max > self.head_bytes_max)
            return .{ .option = "target_bytes_max", .rule = "1 to head_bytes_max" };
        if (self.header_count_max == 0 or self.header_count_max > limits.header_count_max_bound)
            return .{ .option = "header_count_max", .rule = "1 to 128" };
        if (self.response_head_bytes_max < limits.response_head_bytes_max_default or
            self.response_head_bytes_max > limits.response_head_bytes_max_bound)
            return .{ .option = "response_head_bytes_max", .rule = "16384 to 49152" };
        if (self.body_buffered_bytes_max > self.buffer_memory_bytes / 2)
            return .{
                .option = "body_buffered_bytes_max",
                .rule = "at most half of buffer_memory_bytes",
            };
        if (self.body_buffered_bytes_max > limits.body_buffered_bytes_max_bound)
            return .{ .option = "body_buffered_bytes_max", .rule = "at most 46137344" };
        if (self.turn_bytes_max < 4096)
            return .{ .option = "turn_bytes_max", .rule = "at least 4096" };
        if (self.turn_requests_max == 0)
            return .{ .option = "turn_requests_max", .rule = "at least 1" };
        if (self.pipeline_depth_max == 0)
            return .{ .option = "pipeline_depth_max", .rule = "at least 1" };
        if (self.validateHttp2()) |wrong| return wrong;
        if (self.validateWebSocket()) |wrong| return wrong;
        if (self.exchanges_spare > 1 << 24)
            return .{ .option = "exchanges_spare", .rule = "at most 16777216" };
        if (self.output_high_water_bytes < 16 * 1024)
            return .{ .option = "output_high_water_bytes", .rule = "at least 16384" };
        if (self.connection_memory_bytes_max < self.connectionMemoryMin())
            return .{
                .option = "connection_memory_bytes_max",
                .rule = "at least body_buffered_bytes_max + output_high_water_bytes + 2 MiB",
            };
        if (self.server_name.len > 128)
            return .{ .option = "server_name", .rule = "at most 128 bytes" };
        if (!@import("../http/fields.zig").isFieldValue(self.server_name))
            return .{
                .option = "server_name",
                .rule = "a field value without control characters (RFC 9110 §5.5)",
            };
        inline for (.{
            "header_timeout_ms",
            "body_timeout_ms",
            "idle_timeout_ms",
            "write_timeout_ms",
            "rate_grace_ms",
            "dispatch_timeout_ms",
        }) |name| {
            if (@field(self, name) == 0) return .{ .option = name, .rule = "at least 1" };
        }
        return null;
    }

    /// Whether requests are sent to https somewhere.
    pub fn redirects(self: *const Config) bool {
        for (self.listen) |*one| if (one.redirect_port != null) return true;
        return false;
    }

    fn validateHttp2(self: *const Config) ?Problem {
        if (self.http2_streams_max == 0 or self.http2_streams_max > limits.http2_streams_max_bound)
            return .{ .option = "http2_streams_max", .rule = "1 to 65535" };
        if (self.http2_pushes_max > limits.http2_pushes_max_bound)
            return .{ .option = "http2_pushes_max", .rule = "0 to 100" };
        const window = self.http2_stream_window_bytes;
        // Clients send so much before they have been told anything else.
        const window_min = limits.http2_stream_window_bytes_default;
        if (window < window_min or window > limits.http2_window_bytes_max_bound)
            return .{ .option = "http2_stream_window_bytes", .rule = "65535 to 1073741824" };
        const window_max = self.http2_window_bytes_max;
        if (window_max < window or window_max > limits.http2_window_bytes_max_bound) return .{
            .option = "http2_window_bytes_max",
            .rule = "from http2_stream_window_bytes to 1073741824",
        };
        const frame = self.http2_frame_bytes_max;
        if (frame < 16 * 1024 or frame > limits.http2_frame_bytes_max_bound)
            return .{ .option = "http2_frame_bytes_max", .rule = "16384 to 1048576" };
        return null;
    }

    fn validateWebSocket(self: *const Config) ?Problem {
        const message = self.websocket_message_bytes_max;
        if (message == 0 or message > limits.websocket_message_bytes_max_bound)
            return .{ .option = "websocket_message_bytes_max", .rule = "1 to 268435456" };
        if (self.websocket_frame_bytes_max == 0)
            return .{ .option = "websocket_frame_bytes_max", .rule = "at least 1" };
        if (self.websocket_close_timeout_ms == 0)
            return .{ .option = "websocket_close_timeout_ms", .rule = "at least 1" };
        if (self.websocket_subscriptions_max > limits.websocket_subscriptions_max_bound)
            return .{ .option = "websocket_subscriptions_max", .rule = "at most 16777216" };
        const idle_ms = self.websocket_idle_timeout_ms;
        if (idle_ms > 0 and self.websocket_ping_after_ms >= idle_ms) return .{
            .option = "websocket_ping_after_ms",
            .rule = "less than websocket_idle_timeout_ms",
        };
        return self.validateDeflate();
    }

    fn validateDeflate(self: *const Config) ?Problem {
        const level = self.websocket_deflate_level;
        if (level < 1 or level > 9)
            return .{ .option = "websocket_deflate_level", .rule = "1 to 9" };
        inline for (.{
            "websocket_deflate_server_window_bits",
            "websocket_deflate_client_window_bits",
        }) |name| {
            const bits = @field(self, name);
            if (bits < 8 or bits > 15) return .{ .option = name, .rule = "8 to 15" };
        }
        if (self.websocket_deflate_memory_bytes < limits.websocket_deflate_memory_bytes_min)
            return .{ .option = "websocket_deflate_memory_bytes", .rule = "at least 1048576" };
        if (self.websocket_inflation_ratio_max == 0)
            return .{ .option = "websocket_inflation_ratio_max", .rule = "at least 1" };
        return null;
    }

    fn validateTls(self: *const Config) ?Problem {
        if (self.tls.len > limits.listeners_max)
            return .{ .option = "tls", .rule = "at most 16 sets of certificates" };
        for (self.tls) |*settings| if (settings.validate()) |wrong|
            return .{ .option = wrong.option, .rule = wrong.rule };
        if (self.tls_handshakes_max == 0)
            return .{ .option = "tls_handshakes_max", .rule = "at least 1" };
        var is_secured = false;
        for (self.listen) |*one| if (one.tls) |index| {
            is_secured = true;
            if (index >= self.tls.len)
                return .{ .option = "listen.tls", .rule = "an index of option tls" };
        };
        for (self.listen) |*one| if (one.redirect_port) |port| {
            if (one.tls != null) return .{
                .option = "listen.redirect_port",
                .rule = "of a place without TLS",
            };
            if (port == 0 and !is_secured) return .{
                .option = "listen.redirect_port",
                .rule = "a port, where no place has TLS",
            };
        };
        return null;
    }

    /// What a connection within its other limits may come to hold, bytes: blocks are not full.
    fn connectionMemoryMin(self: *const Config) u64 {
        const blocks = 2 * @as(u64, limits.buffer_bytes_max);
        return self.body_buffered_bytes_max + self.output_high_water_bytes + blocks;
    }

    /// How many of `total` connections are those of worker `index` of `count`.
    pub fn connectionsOf(total: u32, index: u32, count: u32) u32 {
        return @max(total / count + @intFromBool(index < total % count), 1);
    }

    /// Exchanges of a worker that has the most connections.
    pub fn exchangesMax(self: *const Config, workers: u32) u32 {
        return connectionsOf(self.connections_max, 0, workers) + self.exchanges_spare;
    }

    /// Workers to start: as configured, else one for each CPU that this process may use: those of
    /// its set, and no more than the quota of its container comes to, rounded up.
    pub fn workerCount(self: *const Config) u32 {
        if (self.workers != 0) return self.workers;
        const share = cpus_file.Share.read("");
        const count = @min(share.cpus(), limits.workers_max, self.connections_max);
        log.debug("{d} workers, for {d} CPUs", .{ count, share.set });
        if (share.quota) |quota| log.debug("of these the control groups grant {d} us in {d} us", .{
            quota.quota_us,
            quota.period_us,
        });
        return count;
    }
};

test "the defaults are valid" {
    const config: Config = .{};
    try std.testing.expectEqual(@as(?Config.Problem, null), config.validate());
}

test "a body that would be in more pieces than a request has room for cannot be configured" {
    const config: Config = .{ .body_buffered_bytes_max = 46137345, .buffer_memory_bytes = 1 << 30 };
    try std.testing.expectEqualStrings("body_buffered_bytes_max", config.validate().?.option);
    const bound: Config = .{ .body_buffered_bytes_max = 46137344, .buffer_memory_bytes = 1 << 30 };
    try std.testing.expectEqual(@as(?Config.Problem, null), bound.validate());
}

test "a connection's memory has room for what its other limits allow" {
    const mib = 1 << 20;
    var config: Config = .{
        .body_buffered_bytes_max = mib,
        .output_high_water_bytes = mib,
        .connection_memory_bytes_max = 4 * mib,
    };
    try std.testing.expectEqual(@as(?Config.Problem, null), config.validate());
    config.connection_memory_bytes_max -= 1;
    try std.testing.expectEqualStrings("connection_memory_bytes_max", config.validate().?.option);
}

test "a value out of range is named with its rule" {
    const heads: Config = .{ .response_head_bytes_max = 1 << 16 };
    try std.testing.expectEqualStrings("response_head_bytes_max", heads.validate().?.option);
    const config: Config = .{ .head_bytes_max = 1 << 20 };
    try std.testing.expectEqualStrings("head_bytes_max", config.validate().?.option);
    const name: Config = .{ .server_name = "a\r\nb: c" };
    try std.testing.expectEqualStrings("server_name", name.validate().?.option);
}

test "what HTTP/2 lets clients send has bounds" {
    const wide: Config = .{ .http2_stream_window_bytes = 1 << 25 };
    try std.testing.expectEqualStrings("http2_window_bytes_max", wide.validate().?.option);
    const none: Config = .{ .http2_streams_max = 0 };
    try std.testing.expectEqualStrings("http2_streams_max", none.validate().?.option);
    const pushes: Config = .{ .http2_pushes_max = 101 };
    try std.testing.expectEqualStrings("http2_pushes_max", pushes.validate().?.option);
    const frame: Config = .{ .http2_frame_bytes_max = 1 << 24 };
    try std.testing.expectEqualStrings("http2_frame_bytes_max", frame.validate().?.option);
}

test "who is asked whether it is there has time to answer before it is given up" {
    var config: Config = .{ .websocket_ping_after_ms = 60_000 };
    try std.testing.expectEqualStrings("websocket_ping_after_ms", config.validate().?.option);
    config.websocket_idle_timeout_ms = 0; // nobody is given up
    try std.testing.expectEqual(@as(?Config.Problem, null), config.validate());
    config.websocket_message_bytes_max = 0;
    try std.testing.expectEqualStrings("websocket_message_bytes_max", config.validate().?.option);
    inline for (.{
        .{ "websocket_deflate_level", 0 },
        .{ "websocket_deflate_level", 10 },
        .{ "websocket_deflate_server_window_bits", 7 },
        .{ "websocket_deflate_client_window_bits", 16 },
        .{ "websocket_deflate_memory_bytes", (1 << 20) - 1 },
        .{ "websocket_inflation_ratio_max", 0 },
    }) |case| {
        config = .{};
        @field(config, case[0]) = case[1];
        try std.testing.expectEqualStrings(case[0], config.validate().?.option);
    }
    config = .{ .websocket_subscriptions_max = 1 << 25 };
    try std.testing.expectEqualStrings("websocket_subscriptions_max", config.validate().?.option);
}
