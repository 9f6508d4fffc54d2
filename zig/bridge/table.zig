//! The route table: patterns and what answers them, as `serve()` describes it in JSON.

const std = @import("std");
const Allocator = std.mem.Allocator;
const limits = @import("../core/limits.zig");
const Method = @import("../http/method.zig").Method;
const FieldLines = @import("../http/field_lines.zig").FieldLines;
const LineBuffer = @import("../http/field_lines.zig").LineBuffer;
const Response = @import("../http/response.zig").Response;
const Config = @import("../server/config.zig").Config;
const DirServer = @import("../handlers/dir_server.zig").DirServer;
const router_file = @import("../router/router.zig");
const Router = router_file.Router;

/// The table as ts/src/server/routes.ts writes it.
pub const Description = struct {
    entries: []const Entry = &.{},
    targets: []const TargetDescription = &.{},
    /// Index of the target of what no pattern matches; null: 404.
    fallback: ?u32 = null,
    /// The program wants to hear of messages that are refused.
    protocol_errors: bool = false,
    /// Requests may become WebSockets. What bounds them is as it was when the engine was made.
    websocket: ?WebSocketDescription = null,

    pub const Entry = struct { pattern: []const u8, method: ?[]const u8 = null, target: u32 };
};

/// Null: as zig/server/config.zig has it.
pub const WebSocketDescription = struct {
    message_bytes_max: ?u32 = null,
    ping_after_ms: ?u32 = null,
    idle_timeout_ms: ?u32 = null,
    unsent_bytes_max: ?u32 = null,
    subscriptions_max: ?u32 = null,
    deflate: ?bool = null,
    deflate_level: ?u8 = null,
    deflate_bytes_min: ?u32 = null,
    deflate_server_context_takeover: ?bool = null,
    deflate_client_context_takeover: ?bool = null,
    deflate_server_window_bits: ?u8 = null,
    deflate_client_window_bits: ?u8 = null,
    deflate_memory_bytes: ?u64 = null,
    inflation_ratio_max: ?u32 = null,
    /// Who does not take what is published to it is closed, else misses it.
    closes_on_overflow: bool = false,
    /// The program wants to hear of pings that come, and of pongs.
    tells_pings: bool = false,
    tells_pongs: bool = false,

    /// Puts what was given in the place of what is there.
    pub fn apply(self: *const WebSocketDescription, config: *Config) void {
        config.websocket_overflow = if (self.closes_on_overflow) .close else .drop;
        inline for (.{
            "message_bytes_max",               "ping_after_ms",
            "idle_timeout_ms",                 "unsent_bytes_max",
            "subscriptions_max",               "deflate",
            "deflate_level",                   "deflate_bytes_min",
            "deflate_server_context_takeover", "deflate_client_context_takeover",
            "deflate_server_window_bits",      "deflate_client_window_bits",
            "deflate_memory_bytes",            "inflation_ratio_max",
        }) |name| {
            if (@field(self, name)) |value| @field(config, "websocket_" ++ name) = value;
        }
    }
};

pub const TargetDescription = struct {
    kind: Kind,
    /// lane
    route: u32 = 0,
    /// constant
    status: u16 = 200,
    /// Name, value, name, value, …
    fields: []const []const u8 = &.{},
    /// Base64.
    body: []const u8 = "",
    /// dir
    root: []const u8 = "",
    index: []const []const u8 = &.{"index.html"},
    cache: bool = true,
    cache_ms: u32 = 1000,
    cache_bytes: u64 = 16 * 1024 * 1024,
    open_files: u32 = 64,
    dotfiles: bool = false,
    max_age_s: ?u32 = null,
    redirect: bool = true,

    pub const Kind = enum { lane, constant, dir };
};

/// A response that was laid out when the table was made.
pub const Constant = struct {
    status: u16,
    /// Validated.
    lines: FieldLines,
    body: []const u8,
    has_date: bool,
    has_server: bool,
    close: bool,

    /// Fills in `res`, which is fresh.
    pub fn fill(self: *const Constant, res: *Response) void {
        res.status = self.status;
        res.addLines(self.lines) catch unreachable; // no response has less room than they fit
        res.has_date = self.has_date;
        res.has_server = self.has_server;
        res.close = self.close;
        // What is sent by reference has to outlive every connection that it is on its way to.
        const long = self.body.len > copied_body_bytes_max;
        if (long) res.sendStatic(self.body) else res.send(self.body);
    }
};

/// The engine copies a borrowed body of this size at once. Longer ones are kept in `Bodies`.
const copied_body_bytes_max = limits.output_buffer_bytes / 4;

/// Long constant bodies, kept until the engine ends: a connection may still be sending one whose
/// table is gone. The same body in a later table is the same memory.
pub const Bodies = struct {
    map: std.StringHashMapUnmanaged(void) = .{},

    pub fn deinit(self: *Bodies, gpa: Allocator) void {
        var keys = self.map.keyIterator();
        while (keys.next()) |key| gpa.free(key.*);
        self.map.deinit(gpa);
    }

    fn intern(self: *Bodies, gpa: Allocator, bytes: []const u8) Allocator.Error![]const u8 {
        if (self.map.getKey(bytes)) |known| return known;
        const copy = try gpa.dupe(u8, bytes);
        errdefer gpa.free(copy);
        try self.map.put(gpa, copy, {});
        return copy;
    }
};

pub const Target = union(enum) {
    /// The number that JS knows the handler by.
    lane: u32,
    constant: Constant,
    dir: DirServer,
};

pub const Defect = @import("../core/defect.zig").Defect;

pub const Error = error{ OutOfMemory, Refused };

/// Immutable once made; read by all workers at the same time (dir servers synchronise themselves).
pub const Table = struct {
    gpa: Allocator,
    arena: std.heap.ArenaAllocator,
    router: Router,
    targets: []Target,
    fallback: ?u32,
    protocol_errors: bool,
    websocket: bool,
    tells_pings: bool,
    tells_pongs: bool,

    /// Makes a table; `description` may be gone afterwards. When `Refused`, `defect` tells why.
    pub fn create(
        gpa: Allocator,
        description: *const Description,
        bodies: *Bodies,
        defect: *Defect,
    ) Error!*Table {
        const self = try gpa.create(Table);
        errdefer gpa.destroy(self);
        self.* = .{
            .gpa = gpa,
            .arena = .init(gpa),
            .router = undefined,
            .targets = &.{},
            .fallback = description.fallback,
            .protocol_errors = description.protocol_errors,
            .websocket = description.websocket != null,
            .tells_pings = if (description.websocket) |its| its.tells_pings else false,
            .tells_pongs = if (description.websocket) |its| its.tells_pongs else false,
        };
        errdefer self.arena.deinit();
        const targets = try self.arena.allocator().alloc(Target, description.targets.len);
        var made: usize = 0;
        errdefer for (targets[0..made]) |*target| dropTarget(target, gpa);
        while (made < targets.len) : (made += 1) {
            targets[made] = try self.makeTarget(&description.targets[made], bodies, defect);
        }
        self.targets = targets;
        if (description.fallback) |index| try checkTarget(index, targets.len, defect);
        self.router = try self.makeRouter(description, defect);
        return self;
    }

    /// Nothing may be answered from the table any more.
    pub fn destroy(self: *Table) void {
        const gpa = self.gpa;
        self.router.deinit(gpa);
        for (self.targets) |*target| dropTarget(target, gpa);
        self.arena.deinit();
        gpa.destroy(self);
    }

    fn dropTarget(target: *Target, gpa: Allocator) void {
        switch (target.*) {
            .dir => |*dir| dir.deinit(gpa),
            .lane, .constant => {},
        }
    }

    fn makeRouter(self: *Table, description: *const Description, defect: *Defect) Error!Router {
        const entries = try self.gpa.alloc(Router.Entry, description.entries.len);
        defer self.gpa.free(entries);
        for (entries, description.entries) |*entry, given| {
            try checkTarget(given.target, self.targets.len, defect);
            entry.* = .{
                .pattern = given.pattern,
                .method = if (given.method) |name| try methodOf(name, defect) else null,
                .target = given.target,
            };
        }
        var which: router_file.Defect = .{};
        return Router.initReporting(self.gpa, entries, &which) catch |err| switch (err) {
            error.OutOfMemory => error.OutOfMemory,
            else => |e| {
                const pattern = description.entries[which.entry].pattern;
                defect.set(
                    "GYR_ROUTE_PATTERN",
                    router_file.explain(e),
                    "Route \"{s}\" is refused",
                    .{pattern},
                );
                return error.Refused;
            },
        };
    }

    fn methodOf(name: []const u8, defect: *Defect) Error!Method {
        const method = Method.parse(name);
        if (method != .other) return method;
        defect.set("GYR_ROUTE_VALUE", "", "\"{s}\" is no method that a route can have", .{name});
        return error.Refused;
    }

    fn checkTarget(index: u32, count: usize, defect: *Defect) Error!void {
        if (index < count) return;
        defect.set("GYR_ENGINE_FAILED", "", "the table names target {d} of {d}", .{ index, count });
        return error.Refused;
    }

    fn makeTarget(
        self: *Table,
        given: *const TargetDescription,
        bodies: *Bodies,
        defect: *Defect,
    ) Error!Target {
        return switch (given.kind) {
            .lane => .{ .lane = given.route & std.math.maxInt(i32) },
            .constant => .{ .constant = try self.makeConstant(given, bodies, defect) },
            .dir => .{ .dir = try self.makeDir(given, defect) },
        };
    }

    fn makeDir(self: *Table, given: *const TargetDescription, defect: *Defect) Error!DirServer {
        return DirServer.init(self.gpa, .{
            .root = given.root,
            .index = given.index,
            .cache = given.cache,
            .cache_ms = given.cache_ms,
            .cache_bytes = given.cache_bytes,
            .open_files = given.open_files,
            .dotfiles = given.dotfiles,
            .max_age_s = given.max_age_s,
            .redirect = given.redirect,
        }) catch |err| switch (err) {
            error.OutOfMemory => error.OutOfMemory,
            else => {
                defect.set(
                    "GYR_ROUTE_DIRECTORY",
                    reasonFor(err),
                    "The directory {s} cannot be served",
                    .{given.root},
                );
                return error.Refused;
            },
        };
    }

    fn reasonFor(err: anyerror) []const u8 {
        return switch (err) {
            error.FileNotFound => "there is no such directory",
            error.NotDir => "it is not a directory",
            error.AccessDenied, error.PermissionDenied => "this user may not read it",
            error.InvalidCacheBytes => "cacheBytes is from 262144 to 68719476736",
            error.InvalidOpenFiles => "openFiles is from 0 to 4096",
            error.InvalidIndexName => "an index name is a file name without slash",
            else => @errorName(err),
        };
    }

    fn makeConstant(
        self: *Table,
        given: *const TargetDescription,
        bodies: *Bodies,
        defect: *Defect,
    ) Error!Constant {
        const arena = self.arena.allocator();
        var lines: LineBuffer(
            limits.response_head_bytes_max_default,
            limits.response_field_count_max,
        ) = .{};
        var res = Response.init(lines.list(), undefined); // no body is written to it
        var i: usize = 0;
        while (i + 1 < given.fields.len) : (i += 2) {
            res.header(given.fields[i], given.fields[i + 1]) catch |err| {
                const too_large = err == error.HeadTooLarge;
                const most = "at most 1024 fields, which fit 16 KiB";
                const hint = if (too_large) most else "RFC 9110 §5.5";
                defect.set(
                    "GYR_ROUTE_CONSTANT",
                    hint,
                    "Field \"{s}\" of a constant response cannot be sent",
                    .{given.fields[i]},
                );
                return error.Refused;
            };
        }
        return .{
            .status = given.status,
            .lines = try res.fieldLines().dupe(arena),
            .body = try self.makeBody(given.body, bodies, defect),
            .has_date = res.has_date,
            .has_server = res.has_server,
            .close = res.close,
        };
    }

    fn makeBody(self: *Table, text: []const u8, bodies: *Bodies, defect: *Defect) Error![]const u8 {
        const decoder = std.base64.standard.Decoder;
        const size = decoder.calcSizeForSlice(text) catch return badBody(defect);
        const bytes = try self.gpa.alloc(u8, size);
        defer self.gpa.free(bytes);
        decoder.decode(bytes, text) catch return badBody(defect);
        if (size > copied_body_bytes_max) return bodies.intern(self.gpa, bytes);
        return self.arena.allocator().dupe(u8, bytes);
    }

    fn badBody(defect: *Defect) Error {
        defect.set("GYR_ENGINE_FAILED", "", "the body of a constant response is not base64", .{});
        return error.Refused;
    }

    /// Bytes that the dir servers have taken for their caches.
    pub fn memoryBytes(self: *const Table) u64 {
        var total: u64 = 0;
        for (self.targets) |*target| switch (target.*) {
            .dir => |*dir| total += dir.memoryBytes(),
            .lane, .constant => {},
        };
        return total;
    }
};

const testing = std.testing;

test "a table is made from its description and answers a constant" {
    var bodies: Bodies = .{};
    defer bodies.deinit(testing.allocator);
    var defect: Defect = .{};
    const table = try Table.create(testing.allocator, &.{
        .entries = &.{.{ .pattern = "/a", .target = 0 }},
        .targets = &.{
            .{ .kind = .constant, .status = 201, .fields = &.{ "x-a", "b" }, .body = "aGk=" },
        },
    }, &bodies, &defect);
    defer table.destroy();
    var lines: LineBuffer(256, 8) = .{};
    var res = Response.init(lines.list(), undefined);
    table.targets[0].constant.fill(&res);
    try testing.expectEqual(201, res.status);
    try testing.expectEqualStrings("x-a: b\r\n", res.fieldLines().text);
    try testing.expectEqualStrings("hi", res.body.borrowed);
}

test "a constant has as many fields as a response may" {
    var bodies: Bodies = .{};
    defer bodies.deinit(testing.allocator);
    var defect: Defect = .{};
    const count = limits.response_field_count_max;
    const given = [_][]const u8{ "a", "b" } ** (count + 1);
    for ([_]usize{ count, count + 1 }) |each| {
        const target: TargetDescription = .{ .kind = .constant, .fields = given[0 .. 2 * each] };
        const made = Table.create(testing.allocator, &.{ .targets = &.{target} }, &bodies, &defect);
        if (each > count) {
            try testing.expectError(error.Refused, made);
            try testing.expectEqualStrings("GYR_ROUTE_CONSTANT", defect.code);
            continue;
        }
        const table = try made;
        defer table.destroy();
        var lines: LineBuffer(16 * 1024, count) = .{};
        var res = Response.init(lines.list(), undefined);
        table.targets[0].constant.fill(&res);
        var fields = res.fields();
        for (0..count) |_| try testing.expectEqualStrings("b", fields.next().?.value);
        try testing.expectEqual(null, fields.next());
    }
}

test "a long constant body is shared by the tables that have it" {
    var bodies: Bodies = .{};
    defer bodies.deinit(testing.allocator);
    var defect: Defect = .{};
    const text = "QUFB" ** 8192;
    const description: Description = .{ .targets = &.{.{ .kind = .constant, .body = text }} };
    const first = try Table.create(testing.allocator, &description, &bodies, &defect);
    const body = first.targets[0].constant.body;
    first.destroy();
    const second = try Table.create(testing.allocator, &description, &bodies, &defect);
    defer second.destroy();
    try testing.expectEqual(body.ptr, second.targets[0].constant.body.ptr);
    try testing.expectEqual(3 * 8192, body.len);
}

test "a table that cannot be is refused with what is wrong, and leaks nothing" {
    const Case = struct {
        code: []const u8,
        entries: []const Description.Entry = &.{},
        target: TargetDescription = .{ .kind = .lane },
        fallback: ?u32 = null,
    };
    const split: TargetDescription = .{ .kind = .constant, .fields = &.{ "a", "b\r\nc: d" } };
    for ([_]Case{
        .{ .code = "GYR_ROUTE_PATTERN", .entries = &.{.{ .pattern = "/:", .target = 0 }} },
        .{ .code = "GYR_ROUTE_PATTERN", .entries = &.{.{ .pattern = "/a%5cb", .target = 0 }} },
        .{ .code = "GYR_ROUTE_PATTERN", .entries = &.{.{ .pattern = "/:id/..", .target = 0 }} },
        .{
            .code = "GYR_ROUTE_PATTERN",
            .entries = &.{
                .{ .pattern = "/a", .target = 0 },
                .{ .pattern = "//%61", .target = 0 },
            },
        },
        .{
            .code = "GYR_ROUTE_VALUE",
            .entries = &.{.{ .pattern = "/", .method = "get", .target = 0 }},
        },
        .{ .code = "GYR_ENGINE_FAILED", .entries = &.{.{ .pattern = "/", .target = 1 }} },
        .{ .code = "GYR_ENGINE_FAILED", .fallback = 3 },
        .{ .code = "GYR_ENGINE_FAILED", .target = .{ .kind = .constant, .body = "?" } },
        .{ .code = "GYR_ROUTE_CONSTANT", .target = split },
        .{ .code = "GYR_ROUTE_DIRECTORY", .target = .{ .kind = .dir, .root = "/nowhere/at/all" } },
    }) |case| {
        var bodies: Bodies = .{};
        defer bodies.deinit(testing.allocator);
        var defect: Defect = .{};
        const description: Description = .{
            .entries = case.entries,
            .targets = &.{case.target},
            .fallback = case.fallback,
        };
        const made = Table.create(testing.allocator, &description, &bodies, &defect);
        try testing.expectError(error.Refused, made);
        try testing.expectEqualStrings(case.code, defect.code);
        try testing.expect(defect.len > 0);
    }
}
