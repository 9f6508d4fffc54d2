//! Compression of a worker's messages (RFC 7692): who may have a compressor of his own, and what it
//! takes of the worker's turn.
//!
//! Messages that stand by themselves go through one compressor for each window and one
//! decompressor, which all connections of the worker share: a message that comes in parts is
//! gathered as it comes, and goes through when it is whole, so that nobody waits for the rest of
//! another's. Connections whose messages refer to those before them have their own, within a
//! budget; who comes when that is used up shares the others.

const std = @import("std");
const limits = @import("../../core/limits.zig");
const memory = @import("../../core/memory.zig");
const frames = @import("../../websocket/frames.zig");
const permessage_deflate = @import("../../websocket/permessage_deflate.zig");
const Config = @import("../config.zig").Config;
const Walk = @import("topics.zig").Walk;
const Agreement = permessage_deflate.Agreement;

/// What a message of so many bytes takes of a turn, in sends that carry `per_send` each.
fn costOf(bytes: usize, per_send: u32) u32 {
    return std.math.lossyCast(u32, bytes / per_send);
}

/// Of a program that has none: it is not asked for any of it.
const Nothing = struct {
    pub const Memory = void;
    pub const Settings = void;
    pub const Shared = void;
};

/// `Codec`: ../../websocket/deflate.zig, or void.
pub fn Compression(comptime Codec: type) type {
    return struct {
        const Self = @This();
        const is_there = Codec != void;
        const Deflate = if (is_there) Codec else Nothing;

        /// What a connection has of its own.
        pub const Ends = if (!is_there) struct {} else struct {
            /// It was agreed on.
            is_on: bool = false,
            /// How far back the peer looks.
            window_bits: permessage_deflate.WindowBits = 15,
            /// Null: it shares the worker's.
            deflater: ?*Deflate.Deflater = null,
            inflater: ?*Deflate.Inflater = null,

            /// Gives back what it has. Not while one of its messages is being told of.
            pub fn deinit(self: *Ends) void {
                if (self.deflater) |own| own.destroy();
                if (self.inflater) |own| own.destroy();
                self.* = .{};
            }
        };

        memory: Deflate.Memory,
        settings: Deflate.Settings,
        policy: permessage_deflate.Policy,
        shared: Deflate.Shared,
        /// Where messages are compressed to on their way out.
        scratch: []align(memory.page_bytes) u8,
        /// Of what is published, until all have it.
        copies: std.EnumArray(Walk, Copies),
        /// What the turn has not been charged with yet, in sends.
        spent: u32 = 0,
        /// Messages that were compressed. Written by the worker alone; others may look.
        made: std.atomic.Value(u64) = .init(0),

        /// Null where the configuration has none. The result stays where it is.
        pub fn create(config: *const Config) error{OutOfMemory}!?*Self {
            if (!is_there or !config.websocket_deflate) return null;
            const allocator = std.heap.c_allocator;
            const self = try allocator.create(Self);
            errdefer allocator.destroy(self);
            const scratch = try memory.reserve(u8, limits.websocket_deflate_bytes_max);
            errdefer memory.release(u8, scratch);
            // What goes on over several turns has been posted.
            const own_posts = try memory.reserve(u8, limits.websocket_posts_bytes);
            errdefer memory.release(u8, own_posts);
            const posts = try memory.reserve(u8, limits.websocket_posts_bytes);
            errdefer memory.release(u8, posts);
            self.* = .{
                .memory = .{
                    .allocator = allocator,
                    .bytes_max = std.math.lossyCast(usize, config.websocket_deflate_memory_bytes),
                },
                .settings = .{
                    .level = @intCast(config.websocket_deflate_level),
                    .message_bytes_min = config.websocket_deflate_bytes_min,
                    .inflated_bytes_max = config.websocket_message_bytes_max,
                    .inflation_ratio_max = config.websocket_inflation_ratio_max,
                },
                .policy = .{
                    .server_context_takeover = config.websocket_deflate_server_context_takeover,
                    .client_context_takeover = config.websocket_deflate_client_context_takeover,
                    .server_window_bits = @intCast(config.websocket_deflate_server_window_bits),
                    .client_window_bits = @intCast(config.websocket_deflate_client_window_bits),
                },
                .shared = undefined,
                .scratch = scratch,
                .copies = .init(.{
                    .at_once = .{ .buffer = scratch },
                    .own_posts = .{ .buffer = own_posts },
                    .posts = .{ .buffer = posts },
                }),
            };
            self.shared = try Deflate.Shared.init(&self.memory, &self.settings);
            return self;
        }

        pub fn destroy(self: *Self) void {
            self.shared.deinit();
            std.debug.assert(self.memory.bytes == 0);
            // That of `at_once` is the scratch.
            for (&self.copies.values) |*copies| memory.release(u8, copies.buffer);
            std.heap.c_allocator.destroy(self);
        }

        /// What a connection gets of what was agreed on; where the budget does not hold that, the
        /// agreement becomes one that it holds: a server may always say that messages stand by
        /// themselves (RFC 7692 §7.1.1).
        pub fn admit(self: *Self, agreement: *Agreement) Ends {
            var ends: Ends = .{ .is_on = true, .window_bits = agreement.server_window_bits };
            if (!agreement.server_no_context_takeover) ends.deflater = Deflate.Deflater.create(
                &self.memory,
                &self.settings,
                agreement.server_window_bits,
                true,
            ) catch null;
            if (!agreement.client_no_context_takeover) ends.inflater = Deflate.Inflater.create(
                &self.memory,
                agreement.client_window_bits,
                true,
            ) catch null;
            agreement.server_no_context_takeover = ends.deflater == null;
            agreement.client_no_context_takeover = ends.inflater == null;
            return ends;
        }

        /// A message that has come begins to go through what it has to.
        pub fn inflate(self: *Self, ends: *Ends, kind: frames.Kind) Deflate.Inflation {
            return .begin(ends.inflater orelse self.shared.inflater, &self.settings, kind);
        }

        pub fn chargeInflated(self: *Self, bytes: usize) void {
            self.spent +|= costOf(bytes, limits.websocket_send_inflated_bytes);
        }

        /// What a message becomes on its way out, until the next call. Null: it is sent as it is.
        pub fn deflate(self: *Self, ends: *const Ends, bytes: []const u8) ?[]const u8 {
            return self.deflatePieces(ends, &.{bytes});
        }

        /// The same, of a message in pieces.
        pub fn deflatePieces(
            self: *Self,
            ends: *const Ends,
            pieces: []const []const u8,
        ) ?[]const u8 {
            // Behind what is kept there of a message that is being published.
            return self.deflateTo(self.scratch[self.copies.get(.at_once).used..], ends, pieces);
        }

        fn deflateTo(
            self: *Self,
            out: []u8,
            ends: *const Ends,
            pieces: []const []const u8,
        ) ?[]const u8 {
            var len: usize = 0;
            for (pieces) |piece| len += piece.len;
            if (!self.wants(ends, len)) return null;
            const deflater = ends.deflater orelse
                self.shared.deflater(ends.window_bits) orelse return null;
            self.spent +|= costOf(len, limits.websocket_send_deflated_bytes);
            self.made.store(self.made.raw +% 1, .monotonic);
            return deflater.compress(pieces, out);
        }

        fn wants(self: *const Self, ends: *const Ends, len: usize) bool {
            return ends.is_on and len >= self.settings.message_bytes_min and
                len <= limits.websocket_deflate_bytes_max;
        }

        /// One message for many sockets: those whose messages stand by themselves get the same
        /// bytes, made once for each window.
        pub const Copies = struct {
            by_window: [16]Copy = @splat(.unknown),
            /// Where they are.
            buffer: []align(memory.page_bytes) u8,
            used: usize = 0,

            const Copy = union(enum) {
                unknown,
                /// It is sent as it is.
                plain,
                compressed: []const u8,
            };
        };

        /// As `deflate`, of the message of a walk; `dropCopies` comes between two of them.
        pub fn deflateOnce(
            self: *Self,
            ends: *const Ends,
            bytes: []const u8,
            walk: Walk,
        ) ?[]const u8 {
            if (ends.deflater != null or !ends.is_on) return self.deflate(ends, bytes);
            const copies = self.copies.getPtr(walk);
            const copy = &copies.by_window[ends.window_bits];
            if (copy.* == .unknown) {
                copy.* = .plain;
                if (self.deflateTo(copies.buffer[copies.used..], ends, &.{bytes})) |payload| {
                    copy.* = .{ .compressed = payload };
                    copies.used += payload.len;
                }
            }
            return switch (copy.*) {
                .compressed => |payload| payload,
                else => null,
            };
        }

        pub fn dropCopies(self: *Self, walk: Walk) void {
            const copies = self.copies.getPtr(walk);
            copies.* = .{ .buffer = copies.buffer };
        }

        /// What was spent since this was asked, in sends.
        pub fn takeSpent(self: *Self) u32 {
            defer self.spent = 0;
            return self.spent;
        }

        /// Memory that is set aside, bytes.
        pub fn reservedBytes(self: *const Self) u64 {
            var bytes: u64 = 0;
            for (&self.copies.values) |*copies| bytes += copies.buffer.len;
            return bytes;
        }

        /// What a message takes of a turn for each of many sockets that compress it by themselves.
        pub fn ownCost(self: *const Self, bytes: usize) u32 {
            if (!self.policy.server_context_takeover) return 0;
            if (bytes < self.settings.message_bytes_min) return 0;
            return costOf(bytes, limits.websocket_send_deflated_bytes);
        }
    };
}
