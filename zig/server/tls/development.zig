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
pub fn make(gpa: Allocator, report: *Report) Error!Made {
    var memory: [Paths.bytes_max]u8 = undefined;
    const paths = try Paths.find(&memory, report);
    var name_buffer: [256]u8 = undefined;
    const name = system.hostName(&name_buffer) catch "";
    return makeBy(gpa, paths, name, report);
}

fn makeBy(gpa: Allocator, paths: Paths, name: []const u8, report: *Report) Error!Made {
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
pub fn tell(gpa: Allocator) void {
    var memory: [Paths.bytes_max]u8 = undefined;
    var report: Report = .{ .gpa = gpa };
    defer report.deinit();
    const path = (Paths.find(&memory, &report) catch return).certificate;
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
    paths: Paths,
    host: []const u8,
    memory: *[file_bytes_max]u8,
    report: *Report,
) Error![]const u8 {
    const text = system.readFile(paths.key, memory) catch |err| switch (err) {
        error.FileNotFound => blk: {
            try makeAuthority(gpa, paths, host, report);
            break :blk system.readFile(paths.key, memory) catch |again|
                return refuse(paths.key, again, report);
        },
        else => return refuse(paths.key, err, report),
    };
    keepCertificate(paths, text) catch |err| return refuse(paths.certificate, err, report);
    return text;
}

/// Of several processes that come at a time, one makes it.
fn makeAuthority(gpa: Allocator, paths: Paths, host: []const u8, report: *Report) Error!void {
    const pair = try development.makeAuthority(gpa, host, report);
    defer pair.deinit(gpa);
    var memory: [file_bytes_max]u8 = undefined;
    defer std.crypto.secureZero(u8, &memory);
    const text = std.fmt.bufPrint(&memory, "{s}{s}", .{ pair.key, pair.certificate }) catch
        unreachable; // a key of 32 bytes, and a certificate whose names are short
    makeFolders(paths.folder) catch |err| return refuse(paths.folder, err, report);
    publish(paths.key, text, 0o600) catch |err| return refuse(paths.key, err, report);
}

/// Puts a whole file in its place, unless there is one: its reader finds all of it, or none.
fn publish(path: []const u8, text: []const u8, rights: u16) system.Error!void {
    var number: [8]u8 = undefined;
    try system.random(&number);
    var buffer: [Paths.bytes_max]u8 = undefined;
    const partial = std.fmt.bufPrint(&buffer, "{s}.{}", .{
        path,
        std.fmt.fmtSliceHexLower(&number),
    }) catch return error.NameTooLong;
    try system.createFile(partial, text, rights);
    system.publish(partial, path) catch |err| {
        system.unlink(partial) catch {}; // what went wrong first is told
        switch (err) {
            error.PathAlreadyExists => {},
            // There are file systems that give a file one name.
            error.PermissionDenied, error.NotSupported => {
                system.createFile(path, text, rights) catch |second|
                    if (second != error.PathAlreadyExists) return second;
            },
            else => return err,
        }
    };
}

/// The certificate by itself, for who is to believe it.
fn keepCertificate(paths: Paths, text: []const u8) system.Error!void {
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

const Paths = struct {
    folder: []const u8,
    /// The authority's key and certificate: its user's alone.
    key: []const u8,
    /// Its certificate by itself.
    certificate: []const u8,

    const bytes_max = 8 * 1024;

    fn find(memory: *[bytes_max]u8, report: *Report) Error!Paths {
        var buffer: [2048]u8 = undefined;
        const data = dataFolder(&buffer) orelse return report.fail(
            error.Unreadable,
            "there is no place for the authority for development: set {s}",
            .{if (builtin.os.tag == .windows) "LOCALAPPDATA" else "HOME or XDG_DATA_HOME"},
        );
        return below(data, memory);
    }

    fn below(data: []const u8, memory: *[bytes_max]u8) Paths {
        var fixed = std.heap.FixedBufferAllocator.init(memory);
        const own = fixed.allocator();
        const name = "development-authority";
        const parts = [_][]const u8{ data, separator, "gyrfalcon", separator, name };
        const base = std.mem.concat(own, u8, &parts) catch unreachable; // data is short
        return .{
            .folder = base[0..std.mem.lastIndexOf(u8, base, separator).?],
            .key = std.mem.concat(own, u8, &.{ base, ".key" }) catch unreachable,
            .certificate = std.mem.concat(own, u8, &.{ base, ".pem" }) catch unreachable,
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
    var memory: [Paths.bytes_max]u8 = undefined;
    const paths: Paths = .below(data, &memory);
    var threads: [8]std.Thread = undefined;
    var failures: std.atomic.Value(u32) = .init(0);
    for (&threads) |*thread| thread.* = try std.Thread.spawn(.{}, makeOne, .{ paths, &failures });
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

fn makeOne(paths: Paths, failures: *std.atomic.Value(u32)) void {
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

test "an authority that is none, and a place that cannot be, are told" {
    const gpa = testing.allocator;
    var tmp = testing.tmpDir(.{});
    defer tmp.cleanup();
    var buffer: [512]u8 = undefined;
    const data = try std.fmt.bufPrint(&buffer, ".zig-cache/tmp/{s}", .{&tmp.sub_path});
    var memory: [Paths.bytes_max]u8 = undefined;
    const paths: Paths = .below(data, &memory);
    var report: Report = .{ .gpa = gpa };
    defer report.deinit();
    const made = try makeBy(gpa, paths, "before", &report);
    made.deinit(gpa);
    const renamed = try makeBy(gpa, paths, "after", &report);
    renamed.deinit(gpa);
    try testing.expectEqual(1, report.warnings.items.len);
    try tmp.dir.writeFile(.{ .sub_path = "gyrfalcon/development-authority.key", .data = "torn" });
    try testing.expectError(error.BadCertificate, makeBy(gpa, paths, "", &report));
    try testing.expect(std.mem.indexOf(u8, report.message, "authority.key holds no cert") != null);
    try tmp.dir.deleteTree("gyrfalcon");
    try tmp.dir.writeFile(.{ .sub_path = "gyrfalcon", .data = "a file" });
    try testing.expectError(error.Unreadable, makeBy(gpa, paths, "", &report));
    try testing.expect(std.mem.indexOf(u8, report.message, "cannot be kept in") != null);
}
