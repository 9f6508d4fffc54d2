//! What WebSocket keeps of a connection, and of a worker.

const std = @import("std");
const assert = std.debug.assert;
const list = @import("../../core/list.zig");
const limits = @import("../../core/limits.zig");
const memory = @import("../../core/memory.zig");
const system = @import("../../core/system.zig");
const Chain = @import("../../core/chain.zig").Chain;
const slots = @import("../../core/slots.zig");
const connection = @import("../../websocket/connection.zig");
const frames = @import("../../websocket/frames.zig");
const errors = @import("../../websocket/errors.zig");
const Config = @import("../config.zig").Config;
const Compression = @import("compression.zig").Compression;
const socket = @import("socket.zig");
const topics_file = @import("topics.zig");
const Topics = topics_file.Topics;
const TunnelOf = @import("tunnel.zig").TunnelOf;

/// What a socket may keep beyond the slot of its connection, or of its stream, bytes.
const session_bytes_max = 1024;

/// For the driver `D`.
pub fn Sessions(comptime D: type) type {
    return struct {
        pub const Compressor = Compression(D.Codec);
        pub const Tunnel = TunnelOf(D);

        fn dueOf(session: *Session) *list.Link(Session) {
            return &session.due;
        }

        fn subscriptionsOf(session: *Session) *topics_file.Own {
            return &session.subscriptions;
        }

        /// Of a connection, or of a stream. It outlives that until the dispatcher has been told of
        /// the end.
        pub const Session = struct {
            id: slots.Id,
            /// What it is carried by. Null: it has ended.
            tunnel: ?Tunnel,
            protocol: connection.Connection,
            ends: Compressor.Ends = .{},
            /// What has come of a message, compressed or not, or is to be told of one (`backlog`).
            message: Chain = .{},
            /// A message that was decompressed, and that the dispatcher had no room for.
            backlog: ?Backlog = null,
            /// A message that the dispatcher sends in parts: what it has given.
            outgoing: Chain = .{},
            /// Its place among those of which something is to be told, or done, when the turn ends.
            due: list.Link(Session) = .{},
            notes: Notes = .{},
            subscriptions: topics_file.Own = .{},
            /// What it has published waits for its turn, as the post of this number: its next
            /// message is read behind that.
            ahead_of: u64 = 0,
            /// It is not read, as too much waits for the peer.
            is_paused: bool = false,
            /// It was told that something waits, and not that it has left.
            is_behind: bool = false,
            /// The dispatcher knows of it.
            is_told: bool = false,
            is_clean: bool = false,
            end_code: errors.Code = .abnormal,
            reason_len: u8 = 0,
            reason: [frames.reason_bytes_max]u8 = undefined,
            /// What `Response.upgrade` was given.
            user: u64,
            state: D.SocketState = .{},

            pub fn end(self: *const Session) socket.Socket.End {
                return .{
                    .code = @intFromEnum(self.end_code),
                    .reason = self.reason[0..self.reason_len],
                    .is_clean = self.is_clean,
                };
            }
        };

        /// What `Session.message` has is to be told, and ends its message.
        pub const Backlog = struct { kind: frames.Kind, begins: bool };

        pub const Notes = packed struct {
            /// What waited has left, or some of it: the dispatcher may go on sending.
            drained: bool = false,
            /// Little enough waits for the peer that it is read again.
            unpause: bool = false,
        };

        /// Of a worker.
        pub const Worker = struct {
            sessions: slots.Slots(Session),
            settings: connection.Settings,
            /// Where frames of the connections' own are written, one at a time.
            out: connection.Out = undefined,
            /// Where a message is put that is in several blocks, or in memory of its connection's.
            whole: []align(memory.page_bytes) u8,
            mailbox: socket.Mailbox,
            due: list.List(Session, dueOf) = .{},
            topics: Topics(Session, subscriptionsOf),
            /// What is left of this turn for what is published while messages are read, in sends.
            sends_left: u32 = limits.websocket_turn_sends_max,
            /// Null: no message is compressed.
            compression: if (D.has_compression) ?*Compressor else void,

            /// For so many connections. `driver` reaches the worker, by `operations`.
            pub fn init(
                config: *const Config,
                connections: u32,
                driver: *D,
                operations: *const socket.Mailbox.Operations,
            ) error{ OutOfMemory, SystemResources }!Worker {
                comptime assert(@sizeOf(Session) <= session_bytes_max);
                const has_sockets = D.has_sockets and config.websocket;
                // Each connection, and each stream, may have one that has ended, and is to be told
                // of, before it.
                const streams = if (config.http2) config.exchanges_spare else 0;
                const count = if (has_sockets) 2 * (connections + streams) else 0;
                var sessions = try slots.Slots(Session).init(count);
                errdefer sessions.deinit();
                // A part of a message is no longer than a block is, or than what was received.
                const part_bytes = limits.buffer_bytes_max;
                const whole_bytes = if (!has_sockets)
                    0
                else if (D.gathers_messages)
                    // What is decompressed may be found to be too long by a byte.
                    @max(part_bytes, config.websocket_message_bytes_max + 1)
                else
                    part_bytes;
                const whole = try memory.reserve(u8, whole_bytes);
                errdefer memory.release(u8, whole);
                var seed: u64 = undefined;
                system.random(std.mem.asBytes(&seed)) catch return error.SystemResources;
                const topics_max = if (has_sockets) config.websocket_subscriptions_max else 0;
                var topics = try Topics(Session, subscriptionsOf).init(topics_max, seed);
                errdefer topics.deinit();
                const its_compression = if (D.has_compression) try Compressor.create(config);
                errdefer if (D.has_compression) if (its_compression) |it| it.destroy();
                const posts_bytes = if (has_sockets) limits.websocket_posts_bytes else 0;
                var own = try socket.Lane.init(posts_bytes);
                errdefer own.deinit();
                return .{
                    .sessions = sessions,
                    .settings = settingsOf(config),
                    .whole = whole,
                    .topics = topics,
                    .compression = its_compression,
                    .mailbox = .{
                        .owner = driver,
                        .operations = operations,
                        .own = own,
                        .others = try socket.Lane.init(posts_bytes),
                    },
                };
            }

            fn settingsOf(config: *const Config) connection.Settings {
                return .{
                    .message_bytes_max = config.websocket_message_bytes_max,
                    .frame_bytes_max = config.websocket_frame_bytes_max,
                    .ping_after_ms = config.websocket_ping_after_ms,
                    .idle_timeout_ms = config.websocket_idle_timeout_ms,
                    .close_timeout_ms = config.websocket_close_timeout_ms,
                    .rate = .{
                        .bytes_per_s = config.body_rate_min,
                        .grace_ms = config.rate_grace_ms,
                        .ahead_ms_max = config.body_timeout_ms,
                    },
                };
            }

            /// What compressing and decompressing has taken since this was asked, in sends.
            pub fn takeSpent(self: *Worker) u32 {
                if (!D.has_compression) return 0;
                return if (self.compression) |it| it.takeSpent() else 0;
            }

            /// Memory that is set aside, bytes; what has not been used is not resident.
            pub fn reservedBytes(self: *const Worker) u64 {
                if (!D.has_sockets) return 0;
                const scratch = if (D.has_compression) blk: {
                    const it = self.compression orelse break :blk 0;
                    break :blk it.reservedBytes();
                } else 0;
                return self.sessions.reservedBytes() + self.whole.len + scratch +
                    self.topics.reservedBytes() + self.mailbox.reservedBytes();
            }

            pub fn deinit(self: *Worker) void {
                assert(self.sessions.used == 0);
                if (D.has_compression) if (self.compression) |it| it.destroy();
                self.mailbox.own.deinit();
                self.mailbox.others.deinit();
                self.topics.deinit();
                memory.release(u8, self.whole);
                self.sessions.deinit();
                self.* = undefined;
            }
        };
    };
}
