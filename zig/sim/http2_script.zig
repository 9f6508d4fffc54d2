//! What one simulated client of HTTP/2 asks for, stream by stream, what has to come back for it,
//! and how the client goes about it.

const std = @import("std");
const Allocator = std.mem.Allocator;
const Files = @import("files.zig").Files;
const Options = @import("options.zig").Options;
const Plan = @import("plan.zig").Plan;

pub const Expected = union(enum) {
    /// What the plan says.
    answer: Plan,
    /// So many of the bytes that all share, or a part of them.
    file: struct { status: u16, length: u32 },
    /// One of these statuses.
    refused: []const u16,
    /// The stream is reset.
    broken,
    /// The handler breaks its promise: the stream is reset.
    spoiled: Plan,
    /// The stream becomes a WebSocket (RFC 8441).
    socket,
};

pub const Field = struct { name: []const u8, value: []const u8 };

/// One stream's request.
pub const Ask = struct {
    method: []const u8,
    target: []const u8,
    /// It names the scheme that the connection does not have.
    is_misdirected: bool = false,
    /// Behind those that every request has.
    fields: []const Field = &.{},
    filler: u8 = 0,
    /// Of the plan: which request it is.
    number: u32,
    /// Bytes; null: none, and the request ends with its head.
    content: ?u32 = null,
    /// Null: no Content-Length.
    declared: ?u32 = null,
    trailer: bool = false,
    expects_continue: bool = false,
    /// The content is never sent: the answer comes without.
    withholds: bool = false,
    expected: Expected,
    /// When the client resets the stream, if it does.
    cancels: enum { not, at_once, on_head, later } = .not,
    cancels_after_ms: u32 = 0,
    /// The client waits so long before it begins.
    rests_ms: u32 = 0,
    /// PRIORITY_UPDATE, after the head or ahead of it.
    priority: ?[]const u8 = null,

    pub fn isHead(self: *const Ask) bool {
        return std.mem.eql(u8, self.method, "HEAD");
    }

    fn expectStatus(self: *Ask, statuses: []const u16, fields: []const Field) void {
        self.expected = .{ .refused = statuses };
        self.fields = fields;
    }

    pub fn isSilent(self: *const Ask) bool {
        return self.expected == .spoiled and self.expected.spoiled.style == .silent;
    }
};

/// How the client goes about it, whatever it asks for.
pub const Ways = struct {
    /// SETTINGS_INITIAL_WINDOW_SIZE, bytes.
    initial_window: u32 = 65_535,
    /// A stream's window is filled up to this when half of it is used, bytes; and the connection's.
    stream_target: u32 = 65_535,
    connection_target: u32 = 65_535,
    /// No more windows are opened once so much has come, bytes.
    stalls_after: ?u64 = null,
    streams_max: u32 = 100,
    frame_bytes_max: u32 = 16_384,
    table_bytes: u32 = 4096,
    data_bytes_max: u32 = 16_384,
    pads: bool = false,
    splits: bool = false,
    /// Frames that nothing depends on: PING, PRIORITY, SETTINGS, of unknown types.
    noises: u32 = 0,
    noise_pause_ms: u32 = 0,
    settings_change: bool = false,
    says_goaway: bool = false,
    /// SETTINGS_MAX_CONCURRENT_STREAMS, of pushes; null: SETTINGS_ENABLE_PUSH is 0.
    pushes_max: ?u32 = null,
    /// One push in so many is reset; 0: none is.
    push_cancels_in: u8 = 0,
    /// Where bytes are changed, of all that is sent.
    spoils_at: [3]usize = @splat(std.math.maxInt(usize)),

    pub fn of(random: std.Random, spoils: bool) Ways {
        var self: Ways = .{};
        switch (random.uintLessThan(u8, 10)) {
            0, 1 => self.windows(0, random.intRangeAtMost(u32, 1000, 70_000)),
            2 => self.windows(1, random.intRangeAtMost(u32, 400, 3_000)),
            3 => self.windows(random.uintAtMost(u32, 100), random.intRangeAtMost(u32, 1, 100)),
            4, 5 => self.windows((1 << 31) - 1 - (4 << 20), 1 << 20),
            6, 7 => self.windows(1 << 20, 1 << 20),
            8 => self.stalls_after = random.uintAtMost(u64, 100_000),
            else => {},
        }
        self.connection_target = if (random.boolean())
            65_535
        else
            random.intRangeAtMost(u32, 1_000, 4 << 20);
        self.streams_max = if (random.boolean()) 100 else random.intRangeAtMost(u32, 1, 8);
        if (random.boolean()) self.frame_bytes_max = random.intRangeAtMost(u32, 16_384, 70_000);
        self.table_bytes = switch (random.uintLessThan(u8, 4)) {
            0 => 0,
            1 => random.uintAtMost(u32, 4096),
            else => 4096,
        };
        if (random.boolean()) self.data_bytes_max = random.intRangeAtMost(u32, 1, 3_000);
        self.pads = random.uintLessThan(u8, 4) == 0;
        self.splits = random.uintLessThan(u8, 4) == 0;
        self.noises = if (random.boolean()) random.uintAtMost(u32, 20) else 0;
        self.noise_pause_ms = random.uintAtMost(u32, 300);
        self.settings_change = random.uintLessThan(u8, 3) == 0;
        self.says_goaway = random.uintLessThan(u8, 4) == 0;
        if (random.boolean()) self.pushes_max = random.uintAtMost(u32, 6);
        if (random.boolean()) self.push_cancels_in = random.intRangeAtMost(u8, 1, 5);
        if (spoils) {
            const largest: usize = if (random.boolean()) 500 else 20_000;
            for (self.spoils_at[0 .. 1 + random.uintLessThan(usize, 3)]) |*at|
                at.* = random.uintAtMost(usize, largest);
        }
        return self;
    }

    fn windows(self: *Ways, initial: u32, target: u32) void {
        self.initial_window = initial;
        self.stream_target = target;
    }

    /// No stream waits so long for them that the server takes the client for gone.
    pub fn areOpen(self: *const Ways) bool {
        return self.stalls_after == null and self.stream_target >= 400;
    }

    pub fn areSpoiled(self: *const Ways) bool {
        return self.spoils_at[0] != std.math.maxInt(usize);
    }
};

/// Writes what a client asks for to memory of `arena`. `odd`: some of it has to be refused;
/// `spoils`: nothing is asked for whose answer has no end.
pub fn make(
    arena: Allocator,
    random: std.Random,
    options: *const Options,
    odd: bool,
    spoils: bool,
) ![]Ask {
    const count = switch (random.uintLessThan(u8, 8)) {
        0 => random.intRangeAtMost(u32, 20, 60),
        1 => 1,
        else => random.intRangeAtMost(u32, 1, 15),
    };
    const asks = try arena.alloc(Ask, count);
    var writer: Writer = .{
        .arena = arena,
        .random = random,
        .options = options,
        .spoils = spoils,
    };
    for (asks, 0..) |*ask, i| {
        ask.* = if (options.socket_tenths > 0 and writer.one(3))
            try writer.socket(@intCast(i))
        else if (odd and writer.one(4))
            try writer.oddAsk(@intCast(i))
        else if (writer.one(10))
            try writer.file(@intCast(i))
        else
            try writer.usual(@intCast(i));
        if (writer.one(6)) ask.filler = random.uintAtMost(u8, 10);
        if (writer.one(5)) ask.priority = if (writer.one(2)) "u=1" else "u=5, i";
        if (writer.one(12)) ask.rests_ms = random.uintAtMost(u32, 400);
        if (writer.one(10)) {
            ask.cancels = random.enumValue(@TypeOf(ask.cancels));
            ask.cancels_after_ms = random.uintAtMost(u32, 600);
        }
        if (ask.isSilent() and ask.cancels == .not) {
            ask.cancels = .on_head;
            ask.cancels_after_ms = random.uintAtMost(u32, 2_000);
        }
    }
    return asks;
}

const Writer = struct {
    arena: Allocator,
    random: std.Random,
    options: *const Options,
    spoils: bool,

    fn one(self: *Writer, in: u16) bool {
        return self.random.uintLessThan(u16, in) == 0;
    }

    fn length(self: *Writer) u32 {
        return switch (self.random.uintLessThan(u8, 20)) {
            0...11 => self.random.uintAtMost(u32, 200),
            12...16 => self.random.uintAtMost(u32, 5_000),
            17...18 => self.random.uintAtMost(u32, 40_000),
            else => self.random.uintAtMost(u32, 200_000),
        };
    }

    fn usual(self: *Writer, number: u32) !Ask {
        var plan: Plan = .{
            .kind = self.random.enumValue(Plan.Kind),
            .style = self.style(),
            .length = self.length(),
            .number = number,
            .close = self.one(30), // a connection's option: it means nothing here
        };
        if (plan.kind == .status) plan.length = if (self.one(2)) 204 else 404;
        if (plan.kind == .fail and !self.one(4)) plan.kind = .gen;
        if (plan.isSpoiled()) {
            plan.kind = .gen;
            plan.length = @max(plan.length, 10);
        }
        var buffer: [64]u8 = undefined;
        const target = try self.arena.dupe(u8, plan.write(&buffer));
        const has_content = plan.kind == .echo or plan.kind == .sum;
        const is_head = plan.kind == .gen and !plan.isSpoiled() and self.one(8);
        const content: ?u32 = if (!has_content)
            null
        else if (plan.kind == .sum) self.length() else plan.length;
        const trailer = has_content and self.one(3);
        return .{
            .method = if (has_content) "POST" else if (is_head) "HEAD" else "GET",
            .target = target,
            .number = number,
            .content = content,
            .declared = if (has_content and self.one(2)) content else null,
            .trailer = trailer,
            .expects_continue = has_content and content.? > 0 and self.one(4),
            .expected = if (plan.isSpoiled()) .{ .spoiled = plan } else .{ .answer = plan },
        };
    }

    fn style(self: *Writer) Plan.Style {
        const chosen = self.random.enumValue(Plan.Style);
        return switch (chosen) {
            .less, .more => if (self.options.bridge and self.one(3)) chosen else .whole,
            .silent => if (self.options.bridge and !self.spoils and self.one(3))
                chosen
            else
                .whole,
            else => chosen,
        };
    }

    fn file(self: *Writer, number: u32) !Ask {
        const size = Files.sizes[self.random.uintLessThan(usize, Files.sizes.len)];
        const there = !self.one(8);
        const is_head = self.one(4);
        const part = there and size >= 5000 and self.one(3) and !is_head;
        const name = if (there) "bin" else "none";
        return .{
            .method = if (is_head) "HEAD" else "GET",
            .target = try std.fmt.allocPrint(self.arena, "/files/{d}.{s}", .{ size, name }),
            .number = number,
            .fields = if (part) &.{.{ .name = "range", .value = "bytes=0-99" }} else &.{},
            .expected = .{ .file = .{
                .status = if (!there) 404 else if (part) 206 else 200,
                .length = if (part) 100 else size,
            } },
        };
    }

    fn socket(self: *Writer, number: u32) !Ask {
        return .{
            .method = "CONNECT",
            .target = try std.fmt.allocPrint(self.arena, "/socket/{d}", .{number}),
            .number = number,
            .fields = &.{.{ .name = "sec-websocket-version", .value = "13" }},
            .content = std.math.maxInt(u32), // until it ends
            .expected = .socket,
        };
    }

    const long = "v" ** 900;
    const many = [_]Field{.{ .name = "f", .value = "v" }} ** 30;
    const large = [_]Field{.{ .name = "f", .value = long }} ** 36;

    /// One that is refused, or that resets its stream; other streams go on.
    fn oddAsk(self: *Writer, number: u32) !Ask {
        var ask: Ask = .{
            .method = "GET",
            .target = "/gen/whole/5/9999",
            .number = number,
            .expected = .broken,
        };
        switch (self.random.uintLessThan(u8, 16)) {
            0 => ask.fields = &.{.{ .name = "connection", .value = "close" }},
            1 => ask.fields = &.{.{ .name = "transfer-encoding", .value = "chunked" }},
            2 => ask.fields = &.{.{ .name = "X-Upper", .value = "v" }},
            3 => ask.fields = &.{.{ .name = "te", .value = "gzip" }},
            4 => ask.fields = &.{.{ .name = "x", .value = "a\nb" }},
            5 => ask.fields = &.{.{ .name = ":status", .value = "200" }},
            6 => ask.target = "",
            7 => ask.fields = &.{.{ .name = "content-length", .value = "x" }},
            8 => { // more, or less, than was said
                ask.method = "POST";
                ask.target = "/sum/whole/0/9999";
                ask.content = 100;
                ask.declared = if (self.one(2)) 99 else 101;
            },
            9 => ask.expectStatus(&.{417}, &.{.{ .name = "expect", .value = "magic" }}),
            10 => ask.expectStatus(&.{431}, &many),
            // Not so long that the connection ends for it.
            11 => {
                const count = self.options.config.head_bytes_max * 2 / 940;
                ask.expectStatus(&.{431}, large[0..count]);
            },
            12 => {
                ask.target = "/" ++ "x" ** 700;
                ask.expectStatus(&.{414}, &.{});
            },
            13 => {
                ask.method = "TRACE";
                ask.expectStatus(&.{501}, &.{});
            },
            14 => {
                ask.is_misdirected = true;
                ask.expectStatus(&.{421}, &.{});
            },
            else => {
                ask.method = "POST";
                ask.target = "/sum/whole/0/9999";
                ask.content = 9_999_999;
                ask.declared = 9_999_999;
                ask.withholds = true;
                ask.expectStatus(&.{413}, &.{});
            },
        }
        return ask;
    }
};
