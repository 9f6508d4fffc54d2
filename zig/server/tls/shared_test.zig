//! What an engine has of TLS, and what a connection keeps of it: they link OpenSSL and picotls, and
//! run with the tests of zig/tls.

const std = @import("std");
const testing = std.testing;
const posix = std.posix;
const Defect = @import("../../core/defect.zig").Defect;
const log = @import("../../core/log.zig");
const system = @import("../../core/system.zig");
const Listener = @import("../../net/listeners.zig").Listener;
const heap = @import("../../tls/heap.zig");
const issuer = @import("../../tls/testing/issuer.zig");
const Client = @import("../../tls/testing/picotls_client.zig").Client;
const Config = @import("../config.zig").Config;
const filters = @import("filter.zig");
const Filter = filters.Filter;
const Settings = @import("settings.zig").Settings;
const Shared = @import("shared.zig").Shared;
const Set = @import("store.zig").Set;

/// Certificates for localhost.
const Issue = struct {
    arena: std.heap.ArenaAllocator,
    identity: [1]Settings.Identity,

    /// `self` stays where it is.
    fn make(self: *Issue) !void {
        self.arena = .init(testing.allocator);
        const issued = try issuer.issue(.{ .names = "DNS:localhost" });
        defer issued.deinit();
        const allocator = self.arena.allocator();
        self.identity = .{.{
            .certificate = .{ .text = try issued.certificatePem(allocator) },
            .key = .{ .text = try issued.keyPem(allocator) },
        }};
    }

    fn deinit(self: *Issue) void {
        self.arena.deinit();
    }

    fn settings(self: *const Issue) Settings {
        return .{ .certificates = &self.identity };
    }
};

fn listenerOf(place: u16, port: u16) Listener {
    const endpoint: @FieldType(Listener, "endpoint") = .{
        .ip4 = .{ .bytes = .{ 127, 0, 0, 1 }, .port = port },
    };
    return .{ .fd = system.no_socket, .endpoint = endpoint, .place = place };
}

fn unixListenerOf(place: u16) Listener {
    return .{ .fd = system.no_socket, .endpoint = .{ .unix = .{ .len = 0 } }, .place = place };
}

fn currentOf(set: *Set) usize {
    const bundle = set.acquire();
    defer bundle.release();
    return @intFromPtr(bundle);
}

test "of several sets all are taken, or none; secrets of tickets stay until others are given" {
    const level = log.setThreadLevel(.silent);
    defer _ = log.setThreadLevel(level);
    var issued: [3]Issue = undefined;
    for (&issued) |*one| try one.make();
    defer for (&issued) |*one| one.deinit();
    const given = [_]Settings{ issued[0].settings(), issued[1].settings() };
    const config: Config = .{ .tls = &given, .listen = &.{
        .{ .place = .{ .tcp = .{} }, .tls = 0 },
        .{ .place = .{ .tcp = .{} }, .tls = 1 },
    } };
    var defect: Defect = .{};
    const listeners = [_]Listener{ listenerOf(0, 1), listenerOf(1, 2) };
    const shared = try Shared.create(testing.allocator, &config, &listeners, &defect);
    defer shared.destroy();
    const sets = shared.sets;
    const before = [_]usize{ currentOf(&sets[0]), currentOf(&sets[1]) };
    const secrets = sets[0].plan.secrets;

    var mixed = issued[1].identity;
    mixed[0].key = issued[2].identity[0].key;
    const torn = [_]Settings{ issued[2].settings(), .{ .certificates = &mixed } };
    try testing.expectError(error.TlsRefused, shared.reload(&torn, &defect));
    try testing.expectEqualStrings("GYR_TLS_CERTIFICATE", defect.code);
    for (before, sets) |bundle, *set| try testing.expectEqual(bundle, currentOf(set));

    const others = [_]Settings{ issued[2].settings(), issued[1].settings() };
    try shared.reload(&others, &defect);
    for (before, sets) |bundle, *set| try testing.expect(bundle != currentOf(set));
    try testing.expectEqualSlices([32]u8, secrets.constSlice(), sets[0].plan.secrets.constSlice());

    var rotated = others;
    rotated[0].ticket_secrets = &.{"07" ** 32};
    try shared.reload(&rotated, &defect);
    try testing.expectEqual(@as([32]u8, @splat(7)), sets[0].plan.secrets.get(0));
    try shared.reload(null, &defect);
    try testing.expectEqual(@as([32]u8, @splat(7)), sets[0].plan.secrets.get(0));
}

/// The variable of the environment that tells where a user's data is, for the time of a test.
const DataHome = struct {
    const name = "XDG_DATA_HOME";
    extern fn setenv([*:0]const u8, [*:0]const u8, c_int) c_int;
    extern fn unsetenv([*:0]const u8) c_int;

    before: [std.fs.max_path_bytes]u8 = undefined,
    len: ?usize = null,

    fn set(self: *DataHome, folder: std.fs.Dir) !void {
        if (system.variable(name, self.before[0 .. self.before.len - 1])) |value| {
            self.len = value.len;
            self.before[value.len] = 0;
        }
        var buffer: [std.fs.max_path_bytes]u8 = undefined;
        const path = try folder.realpath(".", &buffer);
        buffer[path.len] = 0;
        try testing.expectEqual(0, setenv(name, buffer[0..path.len :0], 1));
    }

    fn putBack(self: *DataHome) void {
        _ = if (self.len) |len| setenv(name, self.before[0..len :0], 1) else unsetenv(name);
    }
};

test "a certificate for development needs no file of its user's, and is replaced before its end" {
    const level = log.setThreadLevel(.silent);
    defer _ = log.setThreadLevel(level);
    const gpa = testing.allocator;
    var tmp = testing.tmpDir(.{});
    defer tmp.cleanup();
    var data: DataHome = .{};
    try data.set(tmp.dir);
    defer data.putBack();
    const config: Config = .{ .tls = &.{.{ .self_signed = true, .version_min = .tls12 }} };
    var defect: Defect = .{};
    const shared = try Shared.create(gpa, &config, &.{listenerOf(0, 443)}, &defect);
    defer shared.destroy();
    const set = shared.by_listener[0].?;
    try testing.expect(set.period() != null);
    const first = set.current;
    const day = std.time.s_per_day;
    const in_s = first.renew_at_s.? - std.time.timestamp();
    try testing.expect(in_s > 59 * day and in_s <= 60 * day);
    set.follow();
    try testing.expectEqual(first, set.current);
    first.renew_at_s = 0;
    set.follow();
    try testing.expect(set.current.renew_at_s.? > 0); // the first is gone
    // The environment is its program's to change meanwhile.
    var other = testing.tmpDir(.{});
    defer other.cleanup();
    var later: DataHome = .{};
    try later.set(other.dir);
    defer later.putBack();
    set.current.renew_at_s = 0;
    set.follow();
    try shared.reload(config.tls, &defect);
    try testing.expectError(error.FileNotFound, other.dir.access("gyrfalcon", .{}));
    // Where that is not possible, what is there serves on, and it is tried again later.
    try tmp.dir.writeFile(.{ .sub_path = "gyrfalcon/development-authority.key", .data = "torn" });
    const second = set.current;
    second.renew_at_s = 0;
    set.follow();
    try testing.expectEqual(second, set.current);
    try testing.expect(second.renew_at_s.? > std.time.timestamp());
}

test "clients are sent to a place with TLS that has a port" {
    var issued: Issue = undefined;
    try issued.make();
    defer issued.deinit();
    const given = [_]Settings{issued.settings()};
    const config: Config = .{ .tls = &given, .listen = &.{
        .{ .place = .{ .unix = .{ .path = "a" } }, .tls = 0 },
        .{ .place = .{ .tcp = .{} }, .redirect_port = 0 },
        .{ .place = .{ .tcp = .{} }, .tls = 0 },
    } };
    const listeners = [_]Listener{ unixListenerOf(0), listenerOf(1, 80), listenerOf(2, 443) };
    var defect: Defect = .{};
    const shared = try Shared.create(testing.allocator, &config, &listeners, &defect);
    defer shared.destroy();
    try testing.expectEqual(443, shared.redirects[1].?);
    const refused = Shared.create(testing.allocator, &config, listeners[0..2], &defect);
    try testing.expectError(error.TlsRefused, refused);
    try testing.expectEqualStrings("GYR_OPTION_INVALID", defect.code);
}

/// Moves bytes between the two until neither has any. Returns the last text of the client's.
fn converse(filter: *Filter, client: *Client, text: []u8) ![]const u8 {
    const gpa = testing.allocator;
    var room: [32 * 1024]u8 align(64) = undefined;
    var len: usize = 0;
    while (true) {
        const up = try client.out.toOwnedSlice(gpa);
        defer gpa.free(up);
        var used: usize = 0;
        while (used < up.len) {
            const read = filter.read(up[used..]);
            if (read.text.len > 0) {
                @memcpy(text[0..read.text.len], read.text);
                len = read.text.len;
            }
            used += read.used;
        }
        const written = filter.write(&.{}, &room);
        if (written.len > 0) try client.feed(room[0..written.len]);
        if (up.len == 0 and written.len == 0) return text[0..len];
    }
}

test "what came ahead of a handshake knows its name, and outlives the handshake's end for others" {
    const gpa = testing.allocator;
    var issued: Issue = undefined;
    try issued.make();
    defer issued.deinit();
    var settings = issued.settings();
    settings.early_data_bytes_max = 1024;
    const config: Config = .{ .tls = &.{settings} };
    var defect: Defect = .{};
    const shared = try Shared.create(gpa, &config, &.{listenerOf(0, 443)}, &defect);
    defer shared.destroy();
    const set = shared.by_listener[0].?;
    var handshakes: filters.Handshakes = .{ .most = 1 };
    var memory: [1024]u8 = undefined;

    const before = try Client.create(gpa, .{
        .server_name = "localhost",
        .protocols = &.{"http/1.1"},
    });
    defer before.destroy();
    var filter: Filter = .init(set, &handshakes, .{ .slot = 0, .generation = 0 });
    defer filter.deinit();
    _ = try converse(&filter, before, &memory);
    try testing.expect(filter.isOpen() and !filter.securityNow().is_early);
    try testing.expectEqualStrings("localhost", filter.securityNow().server_name);

    const client = try Client.create(gpa, .{
        .server_name = "localhost",
        .protocols = &.{"http/1.1"},
        .ticket = before.tickets.items[0],
        .early = "ahead",
    });
    defer client.destroy();
    var early: Filter = .init(set, &handshakes, .{ .slot = 1, .generation = 0 });
    defer early.deinit();
    var used: usize = 0;
    var text: []const u8 = "";
    while (used < client.out.items.len) {
        const read = early.read(client.out.items[used..]);
        used += read.used;
        if (read.text.len > 0) text = read.text;
    }
    try testing.expectEqualStrings("ahead", text);
    const security = early.securityNow();
    try testing.expect(security.is_early and security.is_resumed);
    try testing.expectEqualStrings("localhost", security.server_name);
    try testing.expectEqualStrings("http/1.1", security.protocol);

    // Another handshake begins, and there is room for one.
    const next = try Client.create(gpa, .{});
    defer next.destroy();
    var other: Filter = .init(set, &handshakes, .{ .slot = 2, .generation = 0 });
    defer other.deinit();
    _ = other.read(next.out.items);
    try testing.expect(early.hasFailed() and !other.hasFailed());
    // A request that it left behind may still be looked at in this turn.
    try testing.expect(early.securityNow().is_early);
    try testing.expectEqualStrings("", early.securityNow().server_name);
    try testing.expectEqualStrings("", early.hstsLine());
    const pieces = [1]posix.iovec_const{.{ .base = "text", .len = 4 }};
    try testing.expectEqual(0, early.write(&pieces, &memory).len);
    try testing.expectEqual(&early, handshakes.takeEvicted().?);
}

test "a connection that has failed holds nothing once its peer has been told" {
    const gpa = testing.allocator;
    var issued: Issue = undefined;
    try issued.make();
    defer issued.deinit();
    const config: Config = .{ .tls = &.{issued.settings()} };
    var defect: Defect = .{};
    const shared = try Shared.create(gpa, &config, &.{listenerOf(0, 443)}, &defect);
    defer shared.destroy();
    const set = shared.by_listener[0].?;
    var handshakes: filters.Handshakes = .{ .most = 1 };
    var memory: [1024]u8 align(64) = undefined;
    const Case = struct { sent: []const u8, answer: u8 };
    for ([_]Case{
        .{ .sent = &.{ 22, 3, 1, 0, 1, 0 }, .answer = 21 },
        .{ .sent = "GET / HTTP/1.1\r\n\r\n", .answer = 'H' },
    }) |case| {
        const before = heap.counts().bytes;
        var filter: Filter = .init(set, &handshakes, .{ .slot = 0, .generation = 0 });
        defer filter.deinit();
        var bytes: [64]u8 = undefined;
        @memcpy(bytes[0..case.sent.len], case.sent);
        try testing.expectEqual(case.sent.len, filter.read(bytes[0..case.sent.len]).used);
        // What follows changes nothing.
        try testing.expectEqual(5, filter.read(bytes[40..45]).used);
        try testing.expect(filter.hasFailed() and filter.takeReason() != null);
        try testing.expect(filter.write(&.{}, &memory).len > 0);
        try testing.expectEqual(case.answer, memory[0]);
        while (filter.hasOutput()) _ = filter.write(&.{}, &memory);
        try testing.expectEqual(before, heap.counts().bytes);
        try testing.expect(filter.hasFailed() and !filter.isOpen() and !filter.takesText());
    }
}

test "what begins no record is looked at once its first bytes are there" {
    try testing.expectEqual(2, Filter.lacking("GET"));
    try testing.expectEqual(0, Filter.lacking("GET /"));
    try testing.expectEqual(256, Filter.lacking(&.{ 22, 3, 1, 1, 0 }));
}
