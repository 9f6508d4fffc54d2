//! What HTTP/2 keeps of a connection, and of a worker.

const std = @import("std");
const assert = std.debug.assert;
const limits = @import("../../core/limits.zig");
const list = @import("../../core/list.zig");
const memory = @import("../../core/memory.zig");
const Segment = @import("../../core/chain.zig").Segment;
const never = @import("../../core/rate.zig").never;
const h2 = @import("../../http2/connection.zig");
const frames = @import("../../http2/frames.zig");
const StreamId = frames.StreamId;
const hpack_decoder = @import("../../http2/hpack/decoder.zig");
const hpack_encoder = @import("../../http2/hpack/encoder.zig");
const table = @import("../../http2/hpack/table.zig");
const known_heads = @import("../../http2/known_heads.zig");
const TablePool = @import("../../http2/hpack/table_pool.zig").TablePool;
const scheduler = @import("../../http2/scheduler.zig");
const StreamMap = @import("../../http2/stream_map.zig").StreamMap;
const StreamEntry = @import("../../http2/stream_map.zig").Entry;
const Config = @import("../config.zig").Config;
const Part = @import("part.zig").Part;
const Stall = @import("stall.zig").Stall;

const Stream = h2.Stream;
const encoder_bytes = 512;
/// What a connection keeps beyond its slot, TLS and the decoder's table, bytes.
const session_bytes_max = 2 * 1024;
/// A table that is usual: of who has asked for a page with a few dozen parts, bytes.
const usual_table_bytes = 2 * 1024;

/// For the driver `D`.
pub fn Sessions(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const Exchange = D.Exchange;
        const Order = scheduler.Scheduler(Exchange, placeOf);

        fn placeOf(ex: *Exchange) *scheduler.Place(Exchange) {
            return &ex.http2.place;
        }

        fn waitingOf(ex: *Exchange) *list.Link(Exchange) {
            return &ex.http2.waiting;
        }

        fn resumesOf(session: *Session) *list.Link(Session) {
            return &session.resumes;
        }

        pub fn exchangeOf(stream: *Stream) *Exchange {
            const part: *Part(Exchange) = @alignCast(@fieldParentPtr("stream", stream));
            return @alignCast(@fieldParentPtr("http2", part));
        }

        /// What HTTP/2 keeps of `conn`.
        pub inline fn of(conn: *const Conn) *Session {
            return conn.app.http2;
        }

        /// Of a connection, in a slot of its worker's with the connection's number.
        pub const Session = struct {
            d: *D,
            conn: *Conn,
            protocol: h2.Connection(Session),
            /// Exchanges that have content to send, and a window for it.
            order: Order = .{},
            /// Exchanges, in the order in which they have begun.
            first: ?*Exchange = null,
            last: ?*Exchange = null,
            depth: u16 = 0,
            /// In memory, of responses that wait to be sent, bytes.
            held_bytes: u64 = 0,
            held_files: u32 = 0,
            /// What of that waits for the windows of its own streams.
            stalled_bytes: u64 = 0,
            stalled_files: u32 = 0,
            /// Exchanges that do.
            stalled_count: u16 = 0,
            /// The connection's window is closed, and something waits for it.
            stall: Stall = .{},
            /// What the system held for the client when it was last asked, bytes.
            in_flight: u64 = 0,
            /// Exchanges that have been given all of their credit.
            large_count: u16 = 0,
            /// What the decoder of frames has been lent for a field block in pieces.
            lent: ?*Segment = null,
            /// Since when the field block that is being read is, monotonic ms; 0 between blocks.
            block_since_ms: u64 = 0,
            /// No exchange waits longer than it may before this, monotonic ms. It may be too early.
            due_ms: u64 = never,
            farewell: enum { none, announced, final } = .none,
            farewell_ms: u64 = 0,
            /// A PING went behind the announcement: the one from before it is back.
            farewell_pinged: bool = false,
            /// Nothing more is read: the connection ends behind what has been written.
            is_over: bool = false,
            /// In its worker's list of those whose requests may go on.
            resumes: list.Link(Session) = .{},
            /// Exchanges that wait until less is under way to the client.
            held_up: Waiting = .{},
            /// Exchanges that are tunnels, of which something is to be read.
            unread: Waiting = .{},
            /// Those went ahead of what has come since, when it was last asked.
            unread_first: bool = false,
            /// A request was read on it.
            served: bool = false,
            /// A socket on one of its streams was refused room for a message.
            has_refused: bool = false,
            in_pump: bool = false,
            heads: known_heads.Blocks = .{},
            encoder_memory: [hpack_encoder.memoryBytes(encoder_bytes)]u8 align(table.alignment) =
                undefined,

            comptime {
                assert(@sizeOf(Session) <= session_bytes_max);
                const usual = @sizeOf(Session) + table.memoryBytes(usual_table_bytes);
                assert(D.idle_bytes + usual <= limits.http2_idle_bytes_max);
            }

            pub fn findStream(self: *Session, id: StreamId) ?*Stream {
                const slot = self.d.http2_worker.streams.get(self.conn.id.slot, id) orelse
                    return null;
                return &self.d.exchanges.slots.items[slot].http2.stream;
            }

            pub fn nextStream(self: *Session, before: ?*Stream) ?*Stream {
                const next = if (before) |stream| exchangeOf(stream).next else self.first;
                return if (next) |ex| &ex.http2.stream else null;
            }

            /// Something of it is late from `at_ms` on, if nothing happens.
            pub fn expect(self: *Session, at_ms: u64) void {
                self.due_ms = @min(self.due_ms, at_ms);
            }

            /// Of a connection that begins, until `deinit`. What of it is large is not written to.
            pub fn init(self: *Session, d: *D, conn: *Conn) void {
                self.* = .{ .d = d, .conn = conn, .protocol = undefined };
                self.protocol = .init(
                    &d.http2_worker.settings,
                    .initPooled(&d.http2_worker.tables),
                    .init(&self.encoder_memory, encoder_bytes),
                );
            }

            /// The connection is closed.
            pub fn deinit(self: *Session) void {
                self.protocol.decoder.deinit();
            }
        };

        pub const Waiting = list.List(Exchange, waitingOf);

        /// Of a worker.
        pub const Worker = struct {
            sessions: []align(memory.page_bytes) Session,
            streams: StreamMap,
            entries: []align(memory.page_bytes) StreamEntry,
            /// Of the decoders' tables.
            tables: TablePool,
            table_memory: []align(memory.page_bytes) u8,
            /// Where field blocks are decoded to.
            block: hpack_decoder.Block,
            lines: []table.Record,
            settings: h2.Settings,
            shapes: known_heads.Shapes = .{},
            /// Exchanges whose request the dispatcher refused as `busy`, oldest first.
            busy: Waiting = .{},
            /// Those whose requests may go on.
            resuming: list.List(Session, resumesOf) = .{},

            /// For so many connections. `seed` is random.
            pub fn init(
                gpa: std.mem.Allocator,
                config: *const Config,
                connections: u32,
                seed: u64,
            ) !Worker {
                const sessions_max = if (config.http2) connections else 0;
                const sessions = try memory.reserve(Session, sessions_max);
                errdefer memory.release(Session, sessions);
                const streams_max = if (config.http2) connections + config.exchanges_spare else 0;
                const entries = try memory.reserve(StreamEntry, StreamMap.entryCount(streams_max));
                errdefer memory.release(StreamEntry, entries);
                const table_memory = try memory.reserve(u8, TablePool.memoryBytes(sessions_max));
                errdefer memory.release(u8, table_memory);
                const text = try gpa.alloc(u8, block_text_bytes);
                errdefer gpa.free(text);
                const lines = try gpa.alloc(table.Record, block_lines);
                return .{
                    .sessions = sessions,
                    .streams = .init(entries, seed),
                    .entries = entries,
                    .tables = .init(table_memory, sessions_max),
                    .table_memory = table_memory,
                    .block = .{
                        .text = text,
                        .lines = lines,
                        .limits = .{
                            .list_bytes_max = config.head_bytes_max,
                            .read_bytes_max = 4 * config.head_bytes_max,
                        },
                    },
                    .lines = lines,
                    .settings = settingsOf(config),
                };
            }

            fn settingsOf(config: *const Config) h2.Settings {
                // Streams that nobody reads keep no others from theirs.
                const windows = @as(u64, config.http2_streams_max) *
                    config.http2_stream_window_bytes;
                return .{
                    .frame = .{ .frame_bytes_max = @intCast(config.http2_frame_bytes_max) },
                    .streams_max = config.http2_streams_max,
                    .stream_window = @intCast(config.http2_stream_window_bytes),
                    .connection_window = @intCast(std.math.clamp(
                        windows,
                        frames.window_initial,
                        frames.window_max,
                    )),
                    .window_max = @intCast(config.http2_window_bytes_max),
                    .tunnel_window_bytes = tunnelWindowBytes(config),
                    .header_list_bytes = config.head_bytes_max,
                    .request = .{
                        .target_bytes_max = config.target_bytes_max,
                        .header_count_max = config.header_count_max,
                        .extended_connect = D.has_sockets and config.websocket,
                    },
                };
            }

            /// What has been invited for sockets that are not read for a while is kept: an eighth
            /// is for the window of one, half of that for a second, and so on, which makes less
            /// than a connection may hold for a thousand of them.
            fn tunnelWindowBytes(config: *const Config) u31 {
                const bytes = config.connection_memory_bytes_max / 8;
                return @intCast(@min(bytes, frames.window_max));
            }

            /// Memory that is set aside, bytes; what has not been used is not resident.
            pub fn reservedBytes(self: *const Worker) u64 {
                return self.sessions.len * @sizeOf(Session) + self.table_memory.len +
                    self.entries.len * @sizeOf(StreamEntry);
            }

            pub fn deinit(self: *Worker, gpa: std.mem.Allocator) void {
                gpa.free(self.lines);
                gpa.free(self.block.text);
                memory.release(u8, self.table_memory);
                memory.release(StreamEntry, self.entries);
                memory.release(Session, self.sessions);
                self.* = undefined;
            }
        };

        const block_text_bytes = 65_535;
        const block_lines = 256;
    };
}
