//! The server's side of a connection (RFC 9113), without I/O: bytes in, what is to be done out, and
//! what is to be sent for it. It joins the parts of this room by the RFC's rules. What a stream is
//! beyond the protocol, an exchange, is its owner's, who keeps a `Stream` of each.

const std = @import("std");
const assert = std.debug.assert;
const Request = @import("../http/request.zig").Request;
const account_file = @import("account.zig");
const errors = @import("errors.zig");
const frames = @import("frames.zig");
const frame_decoder = @import("frame_decoder.zig");
const hpack_decoder = @import("hpack/decoder.zig");
const hpack_encoder = @import("hpack/encoder.zig");
const Block = hpack_decoder.Block;
const EarlyPriorities = @import("priority.zig").Early;
const Priority = @import("priority.zig").Priority;
const request = @import("request.zig");
const settings_file = @import("settings.zig");
const streams_file = @import("streams.zig");
const windows = @import("windows.zig");
const StreamId = frames.StreamId;

pub const Settings = settings_file.Settings;
pub const Stream = @import("stream.zig").Stream;
const PeerSettings = settings_file.PeerSettings;

pub const Event = union(enum) {
    /// All bytes have been taken, and nothing more can be told.
    need_more,
    /// A field block is in pieces: `frames.lend` memory for so many bytes and more, then go on.
    need_memory: usize,
    /// The connection ends behind the reply.
    failed: errors.ConnectionError,
    /// A request, which `req` has. To be answered by `open`, or by `refuse`.
    request: struct { id: StreamId, end_stream: bool, head: request.Head, priority: Priority },
    /// A request that is answered with an error: `open` it too, or `refuse` it.
    refused: struct { id: StreamId, end_stream: bool, why: request.Refusal },
    /// A request that is malformed. The reply resets its stream, which was not opened.
    malformed: struct { id: StreamId, why: request.Malformed },
    /// Content. What of it is of no further concern is told by `consume`.
    data: struct { stream: *Stream, bytes: []const u8, end_stream: bool },
    /// The request ends with these: lines as `trailers.parse` of zig/http takes them.
    trailers: struct { stream: *Stream, lines: []const u8 },
    /// The peer has reset the stream: it is closed.
    reset: struct { stream: *Stream, code: errors.Code },
    /// The reply resets the stream for what the peer sent: it is closed.
    broken: struct { stream: *Stream, why: errors.StreamError },
    /// More may be sent: on the stream; null: on any.
    writable: ?*Stream,
    prioritized: struct { stream: *Stream, priority: Priority },
    /// The peer will go; streams that are under way are not concerned.
    goaway: errors.Code,
    /// A PING of ours was answered: `rtt_ms` is known.
    pong,
    /// There is a reply, and no more to it.
    reply,
};

pub const Step = struct {
    /// Bytes that were taken.
    consumed: usize,
    event: Event,
    /// To be sent before anything else; valid until the next call.
    reply: []const u8,
};

/// Where a request is decoded to. It may be one for many connections: what is in it is valid until
/// the next call.
pub const Scratch = struct {
    block: *Block,
    req: *Request,
};

/// A connection whose streams are found by `Owner.findStream(*Owner, StreamId) ?*Stream`, and
/// walked through by `Owner.nextStream(*Owner, ?*Stream) ?*Stream`, from the first on.
pub fn Connection(comptime Owner: type) type {
    return struct {
        const Self = @This();

        settings: *const Settings,
        frames: frame_decoder.Decoder,
        decoder: hpack_decoder.Decoder,
        encoder: hpack_encoder.Encoder,
        streams: streams_file.Streams,
        send: windows.SendWindow = .{},
        receive: windows.ReceiveWindow = .{},
        tuning: windows.Tuning = .{},
        account: account_file.Account = .{},
        /// Of streams that have not begun.
        early: EarlyPriorities = .{},
        peer: PeerSettings = .{},
        /// SETTINGS of ours that are not acknowledged.
        settings_unacknowledged: u8 = 0,
        /// Of the DATA frame that is being read.
        data: struct {
            stream: StreamId = 0,
            /// What has not come of its content, bytes.
            left: u24 = 0,
            is_dropped: bool = false,
            /// The stream's window has it, whole.
            is_counted: bool = false,
        } = .{},
        ping_sent_ms: ?u64 = null,
        /// Time of a round trip, ms; 0: not known.
        rtt_ms: u32 = 0,
        failure: ?errors.ConnectionError = null,
        /// GOAWAY has come: nothing is begun any more (§6.8).
        peer_leaves: bool = false,
        /// Streams that are tunnels.
        tunnels: u16 = 0,
        /// How many pushes more the peer has refused than it took.
        pushes_refused: u8 = 0,
        reply_bytes: [reply_bytes_max]u8 = undefined,
        reply_len: u8 = 0,

        /// A reset, updates of both windows and a last word at most.
        const reply_bytes_max = 64;
        const ping_data = "gyrfalcn".*;
        /// A peer that has refused so many pushes more than it took has no use for them.
        const pushes_refused_max = 8;

        /// What came of a frame.
        const Taken = union(enum) { nothing, event: Event, failed: errors.ConnectionError };

        pub fn init(
            settings: *const Settings,
            decoder: hpack_decoder.Decoder,
            encoder: hpack_encoder.Encoder,
        ) Self {
            assert(settings.connection_window >= frames.window_initial);
            return .{
                .settings = settings,
                .frames = .{ .limits = settings.frame },
                .decoder = decoder,
                .encoder = encoder,
                .streams = .{ .count_max = settings.streams_max },
            };
        }

        // What comes.

        /// What `bytes` bring, which follow those that were taken. To be called until it answers
        /// `need_more`, also when no bytes are left. `now_ms` is monotonic.
        pub fn next(
            self: *Self,
            owner: *Owner,
            bytes: []const u8,
            scratch: Scratch,
            now_ms: u64,
        ) Step {
            self.reply_len = 0;
            var consumed: usize = 0;
            while (true) {
                const step = self.frames.next(bytes[consumed..]);
                consumed += step.consumed;
                const event: Event = switch (self.take(owner, &step.event, scratch, now_ms)) {
                    .event => |event| event,
                    .failed => |err| self.fail(err),
                    .nothing => if (self.reply_len == 0) continue else .reply,
                };
                const reply = self.reply_bytes[0..self.reply_len];
                return .{ .consumed = consumed, .event = event, .reply = reply };
            }
        }

        fn fail(self: *Self, err: errors.ConnectionError) Event {
            @branchHint(.cold);
            if (self.failure == null) {
                const last = self.streams.last;
                frames.writeGoaway(self.replyRoom(frames.goaway_bytes), last, err.code());
            }
            self.failure = err;
            return .{ .failed = err };
        }

        fn take(
            self: *Self,
            owner: *Owner,
            event: *const frame_decoder.Event,
            scratch: Scratch,
            now_ms: u64,
        ) Taken {
            if (self.failure) |err| return .{ .failed = err };
            switch (event.*) {
                .need_more => return .{ .event = .need_more },
                .need_memory => |bytes| return .{ .event = .{ .need_memory = bytes } },
                .err => |err| return .{ .failed = err },
                .data_begin => |*begin| return self.takeDataBegin(owner, begin, now_ms),
                .data => |*data| return self.takeData(owner, data, now_ms),
                .headers => |*headers| return self.takeHeaders(owner, headers, scratch, now_ms),
                .settings => |*settings| return self.takeSettings(owner, settings, now_ms),
                .settings_ack => {
                    if (self.settings_unacknowledged == 0) return self.charge(.ping, now_ms);
                    self.settings_unacknowledged -= 1;
                    self.decoder.setLimit(self.settings.header_table_bytes);
                    return .nothing;
                },
                .ping => |data| {
                    frames.writePing(self.replyRoom(frames.ping_bytes), data, true);
                    return self.charge(.ping, now_ms);
                },
                .ping_ack => |data| {
                    const sent_ms = self.ping_sent_ms orelse return self.charge(.ping, now_ms);
                    if (!std.mem.eql(u8, &data, &ping_data)) return self.charge(.ping, now_ms);
                    // Within one tick of the clock it is known too: windows grow near by as well.
                    const passed_ms = @max(1, now_ms - sent_ms);
                    self.rtt_ms = @intCast(@min(passed_ms, std.math.maxInt(u32)));
                    self.ping_sent_ms = null;
                    return .{ .event = .pong };
                },
                .goaway => |goaway| {
                    self.peer_leaves = true;
                    return .{ .event = .{ .goaway = goaway.code } };
                },
                .rst_stream => |reset| return self.takeReset(owner, reset, now_ms),
                .window_update => |update| return self.takeUpdate(owner, update, now_ms),
                .priority => return self.charge(.priority, now_ms),
                .priority_update => |update| {
                    const priority = Priority.parse(update.value);
                    const stream = self.live(owner, update.stream) orelse
                        return self.takeEarlyPriority(update.stream, priority, now_ms);
                    return self.chargeAndTell(.priority, now_ms, .{
                        .prioritized = .{ .stream = stream, .priority = priority },
                    });
                },
                .unknown => return self.charge(.unknown_frame, now_ms),
                .stream_error => |of| {
                    if (self.streams.isIdle(of.stream)) return .{ .failed = switch (of.err) {
                        .invalid_priority_length => .invalid_frame_length,
                        else => .idle_stream,
                    } };
                    const stream = self.live(owner, of.stream);
                    // It may have been on its way; PRIORITY is wrong at any time.
                    if (stream == null and of.err == .window_update_of_zero)
                        return self.charge(.late_frame, now_ms);
                    return self.breakStream(of.stream, stream, of.err, now_ms);
                },
            }
        }

        /// Of a stream that is not under way. It may be about to begin (RFC 9218 §7.1).
        fn takeEarlyPriority(
            self: *Self,
            id: StreamId,
            priority: Priority,
            now_ms: u64,
        ) Taken {
            // A push that was not promised.
            if (id % 2 == 0 and self.streams.isIdle(id)) return .{ .failed = .idle_stream };
            if (id % 2 == 1 and self.streams.isAhead(id)) {
                self.early.put(id, priority);
                if (self.streams.count + self.early.count() > self.settings.streams_max) {
                    if (self.settings_unacknowledged == 0)
                        return .{ .failed = .too_many_prioritized };
                    _ = self.early.take(id); // it does not know yet how many may begin
                }
            }
            return self.charge(.priority, now_ms);
        }

        fn takeDataBegin(
            self: *Self,
            owner: *Owner,
            begin: *const frame_decoder.Event.DataBegin,
            now_ms: u64,
        ) Taken {
            const content = begin.window_bytes - begin.padding_bytes;
            self.data = .{ .stream = begin.stream, .left = content, .is_dropped = true };
            self.receive.receive(begin.window_bytes) catch
                return .{ .failed = .window_exceeded };
            self.giveBack(begin.padding_bytes, now_ms);
            if (content == 0 and !begin.end_stream) {
                const charged = self.charge(.empty_data, now_ms);
                if (charged != .nothing) return charged;
            }
            const stream = self.live(owner, begin.stream);
            switch (self.streams.onData(begin.stream, stateOf(stream))) {
                .accept => {},
                .ignore => return self.charge(.late_frame, now_ms),
                .stream_error => |why| return self.breakStream(begin.stream, stream, why, now_ms),
                .connection_error => |err| return .{ .failed = err },
            }
            const own = stream.?;
            own.receive.receive(begin.window_bytes) catch
                return self.breakStream(own.id, own, .window_exceeded, now_ms);
            self.data.is_dropped = false;
            self.data.is_counted = true;
            own.receive.consume(begin.padding_bytes);
            if (!begin.end_stream) self.replyUpdate(own, now_ms);
            return .nothing;
        }

        fn takeData(
            self: *Self,
            owner: *Owner,
            data: *const frame_decoder.Event.Data,
            now_ms: u64,
        ) Taken {
            const len: u24 = @intCast(data.bytes.len);
            self.data.left -= len;
            const found = if (self.data.is_dropped) null else self.live(owner, data.stream);
            const stream = found orelse {
                self.data.is_dropped = true;
                // What a stream's window has is given back with the stream.
                const is_held = self.data.is_counted and owner.findStream(data.stream) != null;
                if (!is_held) self.giveBack(len, now_ms);
                return .nothing;
            };
            // What is wrong is not delivered; it is given back with what the stream holds.
            stream.content.take(len) catch return self.breakData(stream, now_ms);
            if (data.end_stream) {
                stream.content.end() catch return self.breakData(stream, now_ms);
                self.endRemote(stream);
            } else if (len == 0) return .nothing;
            return .{ .event = .{ .data = .{
                .stream = stream,
                .bytes = data.bytes,
                .end_stream = data.end_stream,
            } } };
        }

        fn breakData(self: *Self, stream: *Stream, now_ms: u64) Taken {
            self.data.is_dropped = true;
            return self.breakStream(stream.id, stream, .malformed, now_ms);
        }

        fn takeHeaders(
            self: *Self,
            owner: *Owner,
            headers: *const frame_decoder.Event.Headers,
            scratch: Scratch,
            now_ms: u64,
        ) Taken {
            for (0..headers.continuations) |_| {
                const charged = self.charge(.continuation, now_ms);
                if (charged != .nothing) return charged;
            }
            self.decoder.decode(headers.block, scratch.block) catch |err| switch (err) {
                error.Compression => return .{ .failed = .invalid_field_block },
                error.ListTooLong => return .{ .failed = .field_list_too_long },
            };
            const id = headers.stream;
            const stream = self.live(owner, id);
            // Whether it begins or is refused: it is not ahead any more.
            const early = if (stream == null) self.early.take(id) else null;
            switch (self.streams.onHeaders(id, stateOf(stream), headers.end_stream)) {
                .begin => return self.takeRequest(headers, early, scratch, now_ms),
                .trailers => return self.takeTrailers(stream.?, scratch, now_ms),
                .ignore => return self.charge(.late_frame, now_ms),
                .stream_error => |why| return self.breakStream(id, stream, why, now_ms),
                .connection_error => |err| return .{ .failed = err },
            }
        }

        fn takeRequest(
            self: *Self,
            headers: *const frame_decoder.Event.Headers,
            early: ?Priority,
            scratch: Scratch,
            now_ms: u64,
        ) Taken {
            const id = headers.stream;
            const end_stream = headers.end_stream;
            if (headers.self_dependent)
                return self.breakStream(id, null, .self_dependency, now_ms);
            const limits = self.settings.request;
            switch (request.decode(scratch.block, end_stream, limits, scratch.req)) {
                .head => |head| {
                    // A frame's word goes before the field's (RFC 9218 §7).
                    const priority = early orelse Priority.parse(head.priority);
                    return .{ .event = .{ .request = .{
                        .id = id,
                        .end_stream = end_stream,
                        .head = head,
                        .priority = priority,
                    } } };
                },
                .refused => |why| return .{ .event = .{ .refused = .{
                    .id = id,
                    .end_stream = end_stream,
                    .why = why,
                } } },
                .malformed => |why| {
                    const broken = self.breakStream(id, null, .malformed, now_ms);
                    if (broken == .failed) return broken;
                    return .{ .event = .{ .malformed = .{ .id = id, .why = why } } };
                },
            }
        }

        fn takeTrailers(self: *Self, stream: *Stream, scratch: Scratch, now_ms: u64) Taken {
            const block = scratch.block;
            if (stream.is_tunnel) return self.breakStream(stream.id, stream, .malformed, now_ms);
            if (request.checkTrailers(block, self.settings.trailers) != null)
                return self.breakStream(stream.id, stream, .malformed, now_ms);
            stream.content.end() catch
                return self.breakStream(stream.id, stream, .malformed, now_ms);
            self.endRemote(stream);
            const lines = block.text[0..block.bytes];
            return .{ .event = .{ .trailers = .{ .stream = stream, .lines = lines } } };
        }

        fn takeSettings(
            self: *Self,
            owner: *Owner,
            settings: *const frame_decoder.Settings,
            now_ms: u64,
        ) Taken {
            if (settings.header_table_size) |size| {
                self.encoder.setPeerLimit(settings.header_table_size_min);
                self.encoder.setPeerLimit(size);
            }
            if (settings.enable_push) |push| self.peer.push = push;
            if (settings.max_concurrent_streams) |count| self.peer.streams_max = count;
            if (settings.max_frame_size) |bytes| self.peer.frame_bytes_max = bytes;
            if (settings.max_header_list_size) |bytes| self.peer.header_list_bytes_max = bytes;
            if (settings.initial_window_size) |size| {
                const before = self.peer.initial_window;
                self.peer.initial_window = size;
                var each = owner.nextStream(null);
                while (each) |stream| : (each = owner.nextStream(stream)) {
                    if (stream.isClosed()) continue;
                    stream.send.changeInitial(before, size) catch
                        return .{ .failed = .window_overflow };
                }
            }
            self.replyRoom(frames.header_bytes).* = frames.settings_ack;
            return self.chargeAndTell(.settings, now_ms, .{ .writable = null });
        }

        fn takeReset(
            self: *Self,
            owner: *Owner,
            reset: frame_decoder.Event.Reset,
            now_ms: u64,
        ) Taken {
            const stream = self.live(owner, reset.stream);
            switch (self.streams.onControl(reset.stream, stateOf(stream))) {
                .accept => {},
                .ignore => return self.charge(.late_frame, now_ms),
                .stream_error => |why| return self.breakStream(reset.stream, stream, why, now_ms),
                .connection_error => |err| return .{ .failed = err },
            }
            self.close(stream.?, .reset_by_peer);
            const is_push = stream.?.isPush();
            if (is_push) self.pushes_refused +|= 1;
            const cost: account_file.Charge = if (is_push) .push_refused else .stream_reset_by_peer;
            return self.chargeAndTell(cost, now_ms, .{
                .reset = .{ .stream = stream.?, .code = reset.code },
            });
        }

        fn takeUpdate(
            self: *Self,
            owner: *Owner,
            update: frame_decoder.Event.WindowUpdate,
            now_ms: u64,
        ) Taken {
            if (update.stream == 0) {
                self.send.grow(update.increment) catch return .{ .failed = .window_overflow };
                return self.chargeAndTell(.window_update, now_ms, .{ .writable = null });
            }
            const stream = self.live(owner, update.stream);
            switch (self.streams.onControl(update.stream, stateOf(stream))) {
                .accept => {},
                .ignore => return self.charge(.late_frame, now_ms),
                .stream_error => |why| return self.breakStream(update.stream, stream, why, now_ms),
                .connection_error => |err| return .{ .failed = err },
            }
            stream.?.send.grow(update.increment) catch
                return self.breakStream(update.stream, stream, .window_overflow, now_ms);
            return self.chargeAndTell(.window_update, now_ms, .{ .writable = stream });
        }

        /// Resets a stream for what the peer sent; `stream` is null when it is not under way.
        fn breakStream(
            self: *Self,
            id: StreamId,
            stream: ?*Stream,
            why: errors.StreamError,
            now_ms: u64,
        ) Taken {
            @branchHint(.cold);
            frames.writeRstStream(self.replyRoom(frames.rst_stream_bytes), id, why.code());
            const cost: account_file.Charge = switch (why) {
                .too_many_streams => .stream_refused,
                else => .stream_reset_for_error,
            };
            const own = stream orelse {
                self.streams.ended(id, .reset_here);
                return self.charge(cost, now_ms);
            };
            self.close(own, .reset_here);
            return self.chargeAndTell(cost, now_ms, .{
                .broken = .{ .stream = own, .why = why },
            });
        }

        fn charge(self: *Self, what: account_file.Charge, now_ms: u64) Taken {
            self.account.charge(what, now_ms) catch return .{ .failed = .excessive_load };
            return .nothing;
        }

        fn chargeAndTell(
            self: *Self,
            what: account_file.Charge,
            now_ms: u64,
            event: Event,
        ) Taken {
            const charged = self.charge(what, now_ms);
            return if (charged == .nothing) .{ .event = event } else charged;
        }

        /// The stream that is under way; null: there is none, or it is closed.
        fn live(self: *const Self, owner: *Owner, id: StreamId) ?*Stream {
            // One that begins is not looked for.
            if (id > self.streams.last and id % 2 == 1) return null;
            const stream = owner.findStream(id) orelse return null;
            assert(stream.id == id);
            return if (stream.isClosed()) null else stream;
        }

        fn stateOf(stream: ?*const Stream) ?streams_file.State {
            return if (stream) |own| own.state else null;
        }

        fn endRemote(self: *Self, stream: *Stream) void {
            stream.state = stream.state.afterRemoteEnd();
            if (stream.isClosed()) self.streams.ended(stream.id, .ended);
        }

        fn close(self: *Self, stream: *Stream, end: streams_file.End) void {
            assert(!stream.isClosed());
            stream.state = .closed;
            self.streams.ended(stream.id, end);
        }

        fn replyRoom(self: *Self, comptime len: usize) *[len]u8 {
            defer self.reply_len += len;
            return self.reply_bytes[self.reply_len..][0..len];
        }

        /// Content that nobody gets: it takes nothing of the connection's window any more.
        fn giveBack(self: *Self, bytes: u31, now_ms: u64) void {
            self.receive.consume(bytes);
            const increment = self.connectionUpdate(now_ms) orelse return;
            const room = self.replyRoom(frames.window_update_bytes);
            frames.writeWindowUpdate(room, 0, increment);
        }

        fn replyUpdate(self: *Self, stream: *Stream, now_ms: u64) void {
            const increment = self.streamUpdate(stream, now_ms) orelse return;
            const room = self.replyRoom(frames.window_update_bytes);
            frames.writeWindowUpdate(room, stream.id, increment);
        }

        fn connectionUpdate(self: *Self, now_ms: u64) ?u31 {
            // Streams that nobody reads hold some of it: the others are to go on.
            const least = @min(self.settings.stream_window, self.receive.size / 4);
            if (self.receive.open < least) return self.receive.takeAll();
            return self.updateOf(&self.receive, &self.tuning, self.settings.window_max, now_ms);
        }

        fn streamUpdate(self: *Self, stream: *Stream, now_ms: u64) ?u31 {
            const before = stream.receive.size;
            const own = self.settings;
            const most = if (stream.is_tunnel) own.tunnelWindow(self.tunnels) else own.window_max;
            const update = self.updateOf(&stream.receive, &stream.tuning, most, now_ms);
            // One stream alone does not take all that the connection may.
            if (stream.receive.size > before)
                self.receive.enlarge(@min(4 *| stream.receive.size, frames.window_max));
            return update;
        }

        fn updateOf(
            self: *const Self,
            window: *windows.ReceiveWindow,
            tuning: *windows.Tuning,
            size_max: u31,
            now_ms: u64,
        ) ?u31 {
            if (!window.isUpdateDue()) return null;
            if (self.rtt_ms > 0) tuning.onUpdate(window, now_ms, self.rtt_ms, size_max);
            return window.takeUpdate();
        }

        // What goes.

        pub const greeting_bytes_max = frames.header_bytes +
            Settings.said_max * frames.setting_bytes + frames.window_update_bytes;

        /// Writes what a server sends ahead of all else (§3.4), and returns its length.
        pub fn greet(self: *Self, out: *[greeting_bytes_max]u8) usize {
            var said: [Settings.said_max]frames.Setting = undefined;
            const len = frames.writeSettings(out, self.settings.said(&said));
            self.settings_unacknowledged += 1;
            self.receive.enlarge(self.settings.connection_window);
            const increment = self.receive.takeAll() orelse return len;
            const room = out[len..][0..frames.window_update_bytes];
            frames.writeWindowUpdate(room, 0, increment);
            return len + frames.window_update_bytes;
        }

        /// The request that was told of is a stream now, which `stream` is filled with.
        pub fn open(
            self: *Self,
            stream: *Stream,
            id: StreamId,
            end_stream: bool,
            content_length: ?u64,
        ) void {
            assert(id == self.streams.last);
            stream.* = .{
                .id = id,
                .state = if (end_stream) .half_closed_remote else .open,
                .send = windows.SendWindow.init(self.peer.initial_window),
                .receive = windows.ReceiveWindow.init(self.settings.stream_window),
                .content = .{ .left = content_length },
            };
            self.streams.opened();
        }

        /// How many more responses may be promised now, of at most `most` that are under way.
        pub fn pushRoom(self: *const Self, most: u32) u32 {
            const is_wanted = self.peer.push and self.pushes_refused < pushes_refused_max;
            if (!is_wanted or self.peer_leaves or self.failure != null) return 0;
            return @min(most, self.peer.streams_max) -| self.streams.promised_count;
        }

        /// A response is promised, for which there is room: `stream` is filled with the stream that
        /// it will be sent on. False: all numbers have been used.
        pub fn promise(self: *Self, stream: *Stream) bool {
            const id = self.streams.promise() orelse return false;
            stream.* = .{
                .id = id,
                .state = .reserved,
                .send = windows.SendWindow.init(self.peer.initial_window),
                .receive = windows.ReceiveWindow.init(self.settings.stream_window),
                .content = .{ .left = 0 },
            };
            return true;
        }

        /// The request that was told of is none: nothing was done for it (§8.7).
        pub fn refuse(self: *Self, id: StreamId, out: *[frames.rst_stream_bytes]u8) void {
            assert(id == self.streams.last);
            frames.writeRstStream(out, id, .refused_stream);
            self.streams.ended(id, .reset_here);
        }

        /// Ends a stream that is not closed, from our side.
        pub fn resetStream(
            self: *Self,
            stream: *Stream,
            code: errors.Code,
            out: *[frames.rst_stream_bytes]u8,
        ) void {
            frames.writeRstStream(out, stream.id, code);
            self.close(stream, .reset_here);
        }

        /// The owner lets go of a stream that is closed. What it has not consumed is given back.
        pub fn release(self: *Self, stream: *const Stream) void {
            assert(stream.isClosed());
            var bytes = stream.heldBytes();
            // What has not come yet is given back when it does.
            if (self.data.is_counted and self.data.stream == stream.id) bytes -= self.data.left;
            self.receive.consume(bytes);
            if (stream.is_tunnel) self.tunnels -= 1;
            self.streams.released(stream.id);
        }

        /// The request on `stream`, a CONNECT, is answered with success.
        pub fn beginTunnel(self: *Self, stream: *Stream) void {
            assert(!stream.is_tunnel);
            stream.is_tunnel = true;
            self.tunnels += 1;
        }

        /// A field block is being sent on a stream, which may be one that was promised.
        pub fn sentHead(_: *Self, stream: *Stream) void {
            stream.state = stream.state.afterLocalHead();
        }

        /// How much of a DATA frame may be sent now, bytes; it may be 0.
        pub fn sendableBytes(self: *const Self, stream: *const Stream) u24 {
            const window = @min(stream.send.available(), self.send.available());
            return @min(window, self.peer.frame_bytes_max);
        }

        /// DATA of so many bytes is being sent: at most what may be.
        pub fn sentData(self: *Self, stream: *Stream, bytes: u24, end_stream: bool) void {
            self.send.take(bytes);
            stream.send.take(bytes);
            // A window that is opened by a few bytes at a time is no progress.
            const is_dribble = bytes < account_file.useful_bytes_min and
                @min(self.send.available(), stream.send.available()) == 0;
            if (!is_dribble) self.account.credit(.data_sent);
            if (end_stream) self.sentEnd(stream);
        }

        /// END_STREAM is being sent.
        pub fn sentEnd(self: *Self, stream: *Stream) void {
            stream.state = stream.state.afterLocalEnd();
            if (stream.isPush()) {
                // Who refuses most of them gets no more, whatever is taken in between.
                self.pushes_refused -|= 1;
            } else self.account.credit(.response_sent);
            if (stream.isClosed()) self.streams.ended(stream.id, .ended);
        }

        /// So much of a stream's content is of no further concern, bytes.
        pub fn consume(self: *Self, stream: *Stream, bytes: u31) void {
            assert(bytes <= stream.heldBytes());
            stream.receive.consume(bytes);
            self.receive.consume(bytes);
        }

        pub const updates_bytes_max = 2 * frames.window_update_bytes;

        /// Writes the WINDOW_UPDATEs that are due, of the connection and of `stream`, and returns
        /// their length. To be called after `consume`, and after `release` with null.
        pub fn writeUpdates(
            self: *Self,
            stream: ?*Stream,
            now_ms: u64,
            out: *[updates_bytes_max]u8,
        ) usize {
            var len: usize = 0;
            if (self.connectionUpdate(now_ms)) |increment| {
                frames.writeWindowUpdate(out[0..frames.window_update_bytes], 0, increment);
                len = frames.window_update_bytes;
            }
            const own = stream orelse return len;
            // Nothing more comes on a stream that its client has ended.
            if (own.state != .open and own.state != .half_closed_local) return len;
            const increment = self.streamUpdate(own, now_ms) orelse return len;
            const room = out[len..][0..frames.window_update_bytes];
            frames.writeWindowUpdate(room, own.id, increment);
            return len + frames.window_update_bytes;
        }

        /// Asks for a round trip, unless one is being measured: null.
        pub fn ping(self: *Self, now_ms: u64, out: *[frames.ping_bytes]u8) ?usize {
            if (self.ping_sent_ms != null) return null;
            self.ping_sent_ms = now_ms;
            frames.writePing(out, ping_data, false);
            return frames.ping_bytes;
        }

        pub const Farewell = enum {
            /// The connection is to end: streams that begin within a round trip are served yet.
            announced,
            /// Those that have begun are served, and no others (§6.8).
            final,
        };

        pub fn goAway(
            self: *Self,
            farewell: Farewell,
            code: errors.Code,
            out: *[frames.goaway_bytes]u8,
        ) void {
            const last = switch (farewell) {
                .announced => std.math.maxInt(StreamId),
                .final => self.streams.goAway(),
            };
            frames.writeGoaway(out, last, code);
        }

        /// What always holds, unless the connection has failed.
        pub fn checkInvariants(self: *const Self, owner: *Owner) void {
            if (self.failure != null) return;
            var count: u32 = 0;
            var promised: u32 = 0;
            var held: u64 = 0;
            var has_counted = false;
            var each = owner.nextStream(null);
            while (each) |stream| : (each = owner.nextStream(stream)) {
                if (stream.isPush()) promised += 1 else count += 1;
                held += stream.heldBytes();
                if (self.data.is_counted and stream.id == self.data.stream) has_counted = true;
            }
            assert(count == self.streams.count and count <= self.streams.count_max);
            assert(promised == self.streams.promised_count);
            // What has not come of a frame is its stream's, or nobody's until it comes.
            if (!has_counted) held += self.data.left;
            const window = &self.receive;
            assert(@as(u64, window.open) + window.owed + held == window.size);
        }
    };
}

test {
    _ = @import("connection_test.zig");
}
