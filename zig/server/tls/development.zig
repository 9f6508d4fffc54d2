//! Certificates for development: where the authority that issues them is kept for each user, and
//! how its user has it believed.

const builtin = @import("builtin");
const std = @import("std");
const Allocator = std.mem.Allocator;
const limits = @import("../../core/limits.zig");
const log = @import("../../core/log.zig");
const system = @import("../../core/system.zig");
const development = @import("../../tls/development.zig");
const Report = @import("../../tls/filter.zig").Report;

pub const Error = development.Error;

const separator = if (builtin.os.tag == .windows) "\\" else "/";
/// With a key and its certificate.
const file_bytes_max = 16 * 1024;
const certificate_mark = "-----BEGIN CERTIFICATE-----";
const end_mark = "-----END CERTIFICATE-----\n";
/// How often a file is read again that has no end yet, and how long after each time.
const reads_max = 25;
const read_pause_ms = 20;

/// A certificate for this machine. Made by `gpa`.
pub const Made = struct {
    pair: development.Pair,
    /// After so much time there is to be another one, s.
    renew_s: i64,

    pub fn deinit(self: Made, gpa: Allocator) void {
        self.pair.deinit(gpa);
    }
};

/// Issues a certificate by the user's authority, which is made when there is none.
pub fn make(gpa: Allocator, paths: *const Paths, report: *Report) Error!Made {
    var name_buffer: [256]u8 = undefined;
    const name = system.hostName(&name_buffer) catch "";
    return makeBy(gpa, paths, name, report);
}

fn makeBy(gpa: Allocator, paths: *const Paths, name: []const u8, report: *Report) Error!Made {
    var host_buffer: [development.host_bytes_max]u8 = undefined;
    const host = development.hostOf(name, &host_buffer);
    var memory: [file_bytes_max]u8 = undefined;
    defer std.crypto.secureZero(u8, &memory);
    const authority = try authorityAt(gpa, paths, host, &memory, report);
    const leaf = try development.issueLeaf(gpa, paths.key, authority, host, report);
    errdefer leaf.pair.deinit(gpa);
    if (host.len > 0 and !leaf.names_host) try report.warn("the certificate for development is " ++
        "not for {s}: the authority in {s} is from before the machine had that name; remove it " ++
        "for another one", .{ host, paths.key });
    const ahead_s = limits.tls_development_renew_days * std.time.s_per_day;
    return .{ .pair = leaf.pair, .renew_s = @max(leaf.good_s - ahead_s, std.time.s_per_day) };
}

/// Tells where the authority's certificate is, and how it comes to be believed.
pub fn tell(paths: *const Paths) void {
    const path = paths.certificate;
    log.info("certificates for development are issued by your own authority, {s}", .{path});
    switch (builtin.os.tag) {
        .windows => log.info("  Windows, Chrome, Edge: certutil -user -addstore Root \"{s}\"", .{
            path,
        }),
        .macos => log.info("  macOS, Chrome, Safari: security add-trusted-cert -k " ++
            "~/Library/Keychains/login.keychain-db \"{s}\"", .{path}),
        else => {
            log.info("  Debian, Ubuntu: sudo cp \"{s}\" /usr/local/share/ca-certificates/" ++
                "gyrfalcon.crt && sudo update-ca-certificates", .{path});
            log.info("  Fedora, Arch: sudo trust anchor \"{s}\"", .{path});
            log.info("  Chrome: certutil -d sql:$HOME/.pki/nssdb -A -t C,, -n Gyrfalcon " ++
                "-i \"{s}\"", .{path});
        },
    }
    log.info("  Firefox: Settings, Certificates, Authorities, Import. Node.js: " ++
        "NODE_EXTRA_CA_CERTS=\"{s}\". curl: --cacert \"{s}\"", .{ path, path });
}

/// The text of the authority's file, in `memory`.
fn authorityAt(
    gpa: Allocator,
    paths: *const Paths,
    host: []const u8,
    memory: *[file_bytes_max]u8,
    report: *Report,
) Error![]const u8 {
    const text = readWhole(paths.key, memory) catch |err| switch (err) {
        error.FileNotFound => blk: {
            try makeAuthority(gpa, paths, host, report);
            break :blk readWhole(paths.key, memory) catch |again|
                return refuse(paths.key, again, report);
        },
        error.NotPrivate => return report.fail(error.Unreadable, "{s} belongs to another user, " ++
            "or others may read or write it: who has its key can issue certificates that your " ++
            "browsers believe. Remove {s} for another authority, or make the file yours alone", .{
            paths.key,
            paths.folder,
        }),
        else => return refuse(paths.key, err, report),
    };
    keepCertificate(paths, text) catch |err| return refuse(paths.certificate, err, report);
    return text;
}

/// A file whose beginning alone is there is waited for: where the file system gives no other way,
/// another process may be writing it.
fn readWhole(path: []const u8, memory: *[file_bytes_max]u8) system.Error![]const u8 {
    var tries: u32 = 0;
    while (true) : (tries += 1) {
        const text = try system.readPrivateFile(path, memory);
        if (std.mem.endsWith(u8, text, end_mark) or tries == reads_max) return text;
        system.sleepMs(read_pause_ms);
    }
}

/// Of several processes that come at a time, one makes it.
fn makeAuthority(
    gpa: Allocator,
    paths: *const Paths,
    host: []const u8,
    report: *Report,
) Error!void {
    const pair = try development.makeAuthority(gpa, host, report);
    defer pair.deinit(gpa);
    var memory: [file_bytes_max]u8 = undefined;
    defer std.crypto.secureZero(u8, &memory);
    const text = std.fmt.bufPrint(&memory, "{s}{s}", .{ pair.key, pair.certificate }) catch
        unreachable; // a key of 32 bytes, and a certificate whose names are short
    makeFolders(paths.folder) catch |err| return refuse(paths.folder, err, report);
    publish(paths.key, text, 0o600) catch |err| return refuse(paths.key, err, report);
}

/// Unless there is one.
fn publish(path: []const u8, text: []const u8, rights: u16) system.Error!void {
    system.publish(path, text, rights) catch |err| if (err != error.PathAlreadyExists) return err;
}

/// The certificate by itself, for who is to believe it.
fn keepCertificate(paths: *const Paths, text: []const u8) system.Error!void {
    const begin = std.mem.indexOf(u8, text, certificate_mark) orelse return; // that is told later
    const certificate = text[begin..];
    var memory: [file_bytes_max]u8 = undefined;
    if (system.readFile(paths.certificate, &memory)) |there| {
        if (std.mem.eql(u8, there, certificate)) return;
        // That of an authority that is no more. Another process may be at it, too.
        system.unlink(paths.certificate) catch |err| if (err != error.FileNotFound) return err;
    } else |err| if (err != error.FileNotFound) return err;
    try publish(paths.certificate, certificate, 0o644);
}

/// Makes a folder and those that it is in, as far as they are not there.
fn makeFolders(folder: []const u8) system.Error!void {
    system.makeDirectory(folder, 0o700) catch |err| switch (err) {
        error.PathAlreadyExists => {},
        error.FileNotFound => {
            const end = std.mem.lastIndexOfAny(u8, folder, separator) orelse return err;
            if (end == 0) return err;
            try makeFolders(folder[0..end]);
            system.makeDirectory(folder, 0o700) catch |again|
                if (again != error.PathAlreadyExists) return again;
        },
        else => return err,
    };
}

fn refuse(path: []const u8, err: system.Error, report: *Report) Error {
    return report.fail(error.Unreadable, "the authority for development cannot be kept in {s} " ++
        "({s}): check the path, and who may write there", .{ path, @errorName(err) });
}

/// Where the authority of a user is kept.
pub const Paths = struct {
    folder: []const u8,
    /// The authority's key and certificate: its user's alone.
    key: []const u8,
    /// Its certificate by itself.
    certificate: []const u8,

    /// By the environment, which other threads of the process may be changing later on: this is
    /// for the start. The paths are made by `arena`.
    pub fn find(arena: Allocator, report: *Report) Error!Paths {
        var buffer: [2048]u8 = undefined;
        const data = dataFolder(&buffer) orelse return report.fail(
            error.Unreadable,
            "there is no place for the authority for development: set {s}",
            .{if (builtin.os.tag == .windows) "LOCALAPPDATA" else "HOME or XDG_DATA_HOME"},
        );
        return below(arena, data);
    }

    pub fn clone(self: *const Paths, arena: Allocator) Allocator.Error!Paths {
        return .{
            .folder = try arena.dupe(u8, self.folder),
            .key = try arena.dupe(u8, self.key),
            .certificate = try arena.dupe(u8, self.certificate),
        };
    }

    fn below(arena: Allocator, data: []const u8) Allocator.Error!Paths {
        const name = "development-authority";
        const parts = [_][]const u8{ data, separator, "gyrfalcon", separator, name };
        const base = try std.mem.concat(arena, u8, &parts);
        return .{
            .folder = base[0..std.mem.lastIndexOf(u8, base, separator).?],
            .key = try std.mem.concat(arena, u8, &.{ base, ".key" }),
            .certificate = try std.mem.concat(arena, u8, &.{ base, ".pem" }),
        };
    }

    /// Where programs keep what is their user's (the XDG Base Directory Specification, and what
    /// other systems have in its place); null: nothing says where.
    fn dataFolder(buffer: *[2048]u8) ?[]const u8 {
        if (builtin.os.tag == .windows) return system.variable("LOCALAPPDATA", buffer);
        if (system.variable("XDG_DATA_HOME", buffer)) |path|
            if (std.fs.path.isAbsolute(path)) return path;
        const home = system.variable("HOME", buffer) orelse return null;
        if (!std.fs.path.isAbsolute(home)) return null;
        const is_macos = builtin.os.tag == .macos;
        const rest = if (is_macos) "/Library/Application Support" else "/.local/share";
        if (home.len + rest.len > buffer.len) return null;
        @memcpy(buffer[home.len..][0..rest.len], rest);
        return buffer[0 .. home.len + rest.len];
    }
};

const testing = std.testing;

test "an authority is made once, by whoever comes first, and kept from others" {
    var tmp = testing.tmpDir(.{});
    defer tmp.cleanup();
    var buffer: [512]u8 = undefined;
    const data = try std.fmt.bufPrint(&buffer, ".zig-cache/tmp/{s}/a/b", .{&tmp.sub_path});
    var arena: std.heap.ArenaAllocator = .init(testing.allocator);
    defer arena.deinit();
    const paths: Paths = try .below(arena.allocator(), data);
    var threads: [8]std.Thread = undefined;
    var failures: std.atomic.Value(u32) = .init(0);
    for (&threads) |*thread| thread.* = try std.Thread.spawn(.{}, makeOne, .{ &paths, &failures });
    for (threads) |thread| thread.join();
    try testing.expectEqual(0, failures.load(.monotonic));
    var folder = try tmp.dir.openDir("a/b/gyrfalcon", .{ .iterate = true });
    defer folder.close();
    var count: u32 = 0;
    var entries = folder.iterate();
    while (try entries.next()) |_| count += 1;
    try testing.expectEqual(2, count); // nothing that was begun is left
    if (builtin.os.tag != .windows) {
        const kept = try folder.statFile("development-authority.key");
        try testing.expectEqual(0o600, kept.mode & 0o777);
    }
    // Those of all processes are the one authority's, whose certificate stands by itself.
    var texts: [2][file_bytes_max]u8 = undefined;
    const both = try system.readFile(paths.key, &texts[0]);
    const alone = try system.readFile(paths.certificate, &texts[1]);
    try testing.expect(std.mem.endsWith(u8, both, alone));
    try testing.expect(std.mem.startsWith(u8, alone, certificate_mark));
    try testing.expect(std.mem.indexOf(u8, alone, "PRIVATE") == null);
}

fn makeOne(paths: *const Paths, failures: *std.atomic.Value(u32)) void {
    var report: Report = .{ .gpa = std.heap.c_allocator };
    defer report.deinit();
    const made = makeBy(std.heap.c_allocator, paths, "box", &report) catch {
        std.debug.print("{s}\n", .{report.message});
        _ = failures.fetchAdd(1, .monotonic);
        return;
    };
    defer made.deinit(std.heap.c_allocator);
    if (report.warnings.items.len > 0) _ = failures.fetchAdd(1, .monotonic);
}

/// An authority's files, in a folder of a test's.
const Site = struct {
    tmp: testing.TmpDir,
    arena: std.heap.ArenaAllocator,
    paths: Paths,
    report: Report,

    const key = "gyrfalcon/development-authority.key";

    fn init() !Site {
        var site: Site = .{
            .tmp = testing.tmpDir(.{}),
            .arena = .init(testing.allocator),
            .paths = undefined,
            .report = .{ .gpa = testing.allocator },
        };
        var buffer: [512]u8 = undefined;
        const data = try std.fmt.bufPrint(&buffer, ".zig-cache/tmp/{s}", .{&site.tmp.sub_path});
        site.paths = try .below(site.arena.allocator(), data);
        return site;
    }

    fn deinit(self: *Site) void {
        self.report.deinit();
        self.arena.deinit();
        self.tmp.cleanup();
    }

    fn make(self: *Site, name: []const u8) !void {
        const made = try makeBy(testing.allocator, &self.paths, name, &self.report);
        made.deinit(testing.allocator);
    }

    fn expectRefusal(self: *Site, err: Error, words: []const u8) !void {
        try testing.expectError(err, self.make(""));
        try testing.expect(std.mem.indexOf(u8, self.report.message, words) != null);
    }
};

test "an authority that is none, and a place that cannot be, are told" {
    var site: Site = try .init();
    defer site.deinit();
    try site.make("before");
    try site.make("after");
    try testing.expectEqual(1, site.report.warnings.items.len);
    try site.tmp.dir.writeFile(.{ .sub_path = Site.key, .data = "torn" });
    try site.expectRefusal(error.BadCertificate, "authority.key holds no cert");
    try site.tmp.dir.deleteTree("gyrfalcon");
    try site.tmp.dir.writeFile(.{ .sub_path = "gyrfalcon", .data = "a file" });
    try site.expectRefusal(error.Unreadable, "cannot be kept in");
}

test "an authority that others may read or write is refused" {
    if (builtin.os.tag == .windows) return error.SkipZigTest;
    var site: Site = try .init();
    defer site.deinit();
    try site.make("box");
    for ([_]u16{ 0o644, 0o620 }) |mode| {
        try system.changeMode(site.paths.key, mode);
        try site.expectRefusal(error.Unreadable, "others may read or write it");
    }
    try system.changeMode(site.paths.key, 0o600);
    try site.make("box");
}

test "an authority that another process is writing is waited for" {
    var site: Site = try .init();
    defer site.deinit();
    try site.make("box");
    var memory: [file_bytes_max]u8 = undefined;
    const whole = try system.readFile(site.paths.key, &memory);
    const file = try site.tmp.dir.openFile(Site.key, .{ .mode = .write_only });
    defer file.close();
    try file.setEndPos(whole.len / 2);
    const writer = try std.Thread.spawn(.{}, writeRest, .{ file, whole, whole.len / 2 });
    defer writer.join();
    try site.make("box");
}

fn writeRest(file: std.fs.File, whole: []const u8, from: usize) void {
    system.sleepMs(2 * read_pause_ms);
    file.pwriteAll(whole[from..], from) catch |err| std.debug.panic("{s}", .{@errorName(err)});
}
