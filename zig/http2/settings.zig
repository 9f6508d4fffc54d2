//! What the two sides of a connection have told each other that they take (RFC 9113 §6.5).

const std = @import("std");
const frames = @import("frames.zig");
const frame_decoder = @import("frame_decoder.zig");
const hpack_decoder = @import("hpack/decoder.zig");
const request = @import("request.zig");

/// Our side.
pub const Settings = struct {
    frame: frame_decoder.Limits = .{},
    /// SETTINGS_HEADER_TABLE_SIZE, at most the capacity that the decoder was made with, bytes.
    header_table_bytes: u32 = hpack_decoder.table_bytes_initial,
    streams_max: u32 = 100,
    /// Of each stream when it begins, bytes.
    stream_window: u31 = frames.window_initial,
    /// Of the connection, bytes; at least `frames.window_initial`.
    connection_window: u31 = frames.window_initial,
    /// What windows may be made by tuning, bytes.
    window_max: u31 = 16 << 20,
    /// What the window of a tunnel may be made, bytes; of each of several a part.
    tunnel_window_bytes: u31 = 8 << 20,
    /// SETTINGS_MAX_HEADER_LIST_SIZE, bytes. It is a block's `list_bytes_max` too.
    header_list_bytes: u32 = 32 * 1024,
    request: request.Limits = .{},
    trailers: request.TrailerLimits = .{ .bytes_max = 8 * 1024, .count_max = 64 },

    /// How many the peer is told at most.
    pub const said_max = 7;

    /// What the peer is told ahead of all else.
    pub fn said(self: *const Settings, out: *[said_max]frames.Setting) []const frames.Setting {
        out.* = .{
            .{ .id = .header_table_size, .value = self.header_table_bytes },
            .{ .id = .max_concurrent_streams, .value = self.streams_max },
            .{ .id = .initial_window_size, .value = self.stream_window },
            .{ .id = .max_frame_size, .value = self.frame.frame_bytes_max },
            .{ .id = .max_header_list_size, .value = self.header_list_bytes },
            .{ .id = .no_rfc7540_priorities, .value = 1 },
            .{ .id = .enable_connect_protocol, .value = 1 },
        };
        return if (self.request.extended_connect) out else out[0 .. said_max - 1];
    }

    /// What the window of one of `count` tunnels may be made, bytes. Their content has no end: they
    /// share what is kept of it while nobody reads them.
    pub fn tunnelWindow(self: *const Settings, count: u31) u31 {
        return @min(self.window_max, self.tunnel_window_bytes / count);
    }
};

/// The peer's side.
pub const PeerSettings = struct {
    initial_window: u31 = frames.window_initial,
    frame_bytes_max: u24 = frames.frame_bytes_initial,
    header_list_bytes_max: u32 = std.math.maxInt(u32),
    push: bool = true,
    /// Of those that are begun here: pushes.
    streams_max: u32 = std.math.maxInt(u32),
};
