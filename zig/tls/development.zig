//! Certificates for development: a small authority, which its user's browsers are told to believe,
//! and certificates of it for the machine at hand. No files are known here.
//!
//! Who gets hold of the authority's key could make certificates that those browsers believe. So it
//! can issue none for other names than those of this machine (RFC 5280 §4.2.1.10), and for servers
//! alone.

const std = @import("std");
const Allocator = std.mem.Allocator;
const certificates = @import("certificates.zig");
const Report = certificates.Report;
const heap = @import("heap.zig");
const issuer = @import("issuer.zig");
const Issued = issuer.Issued;
const libcrypto = @import("libcrypto.zig");
const limits = @import("../core/limits.zig");
const system = @import("../core/system.zig");

extern fn X509_check_purpose(*libcrypto.X509, purpose: c_int, c_int) c_int;
extern fn NAME_CONSTRAINTS_check(*libcrypto.X509, *anyopaque) c_int;
extern fn NAME_CONSTRAINTS_free(*anyopaque) void;

const authority_days = 3650;
/// Clocks that go differently, s.
const slack_s = 3600;
/// What the library of names takes for one label, and more than machines have.
pub const host_bytes_max = 63;

pub const Error = certificates.Error;

/// A private key and its certificate, PEM. Made by `gpa`.
pub const Pair = struct {
    certificate: []u8,
    key: []u8,

    pub fn deinit(self: Pair, gpa: Allocator) void {
        std.crypto.secureZero(u8, self.key);
        gpa.free(self.key);
        gpa.free(self.certificate);
    }

    fn of(gpa: Allocator, issued: Issued) (Allocator.Error || issuer.Error)!Pair {
        const certificate = try issued.certificatePem(gpa);
        errdefer gpa.free(certificate);
        return .{ .certificate = certificate, .key = try issued.keyPem(gpa) };
    }
};

/// The name in the form of certificates, in `buffer`; "" for one that cannot be in any, and for
/// localhost.
pub fn hostOf(name: []const u8, buffer: *[host_bytes_max]u8) []const u8 {
    if (name.len > buffer.len) return "";
    const host = std.ascii.lowerString(buffer, name);
    if (std.mem.eql(u8, host, "localhost")) return "";
    var labels = std.mem.splitScalar(u8, host, '.');
    while (labels.next()) |label| {
        if (label.len == 0 or label[0] == '-' or label[label.len - 1] == '-') return "";
        for (label) |byte| switch (byte) {
            'a'...'z', '0'...'9', '-' => {},
            else => return "",
        };
    }
    return host;
}

/// A new authority for the machine `host`, "" for one that has no name (`hostOf`).
pub fn makeAuthority(gpa: Allocator, host: []const u8, report: *Report) Error!Pair {
    heap.init();
    return tryMakeAuthority(gpa, host) catch |err| return told(err, report);
}

fn tryMakeAuthority(gpa: Allocator, host: []const u8) !Pair {
    const key = try issuer.newKey();
    var constraints: Text = .{};
    constraints.add("critical,permitted;IP:127.0.0.0/255.0.0.0", .{});
    constraints.add(",permitted;IP:::1/ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", .{});
    constraints.add(",permitted;DNS:localhost", .{});
    if (isOwn(host)) constraints.add(",permitted;DNS:{s}", .{host});
    if (isBare(host)) constraints.add(",permitted;DNS:{s}.local", .{host});
    const serial = try randomNumber();
    // Another authority of the same name would be taken for this one.
    var name: Text = .{};
    name.add("Gyrfalcon development authority {x:0>16}", .{serial});
    const issued = issuer.certify(key, .{
        .common_name = name.slice(),
        .extensions = &.{
            .{ .kind = .basic_constraints, .value = "critical,CA:TRUE,pathlen:0" },
            .{ .kind = .key_usage, .value = "critical,keyCertSign" },
            .{ .kind = .extended_key_usage, .value = "serverAuth" },
            .{ .kind = .name_constraints, .value = constraints.slice() },
            .{ .kind = .subject_key_identifier, .value = "hash" },
        },
        .serial = serial,
        .from_s = -slack_s,
        .until_s = authority_days * std.time.s_per_day,
    }) catch |err| {
        libcrypto.EVP_PKEY_free(key);
        return err;
    };
    defer issued.deinit();
    return Pair.of(gpa, issued);
}

pub const Leaf = struct {
    pair: Pair,
    /// Whether it is for the machine's name too: the authority may be one of another machine, or
    /// from before it was renamed.
    names_host: bool,
    /// From now, s.
    good_s: i64,
};

/// A new certificate of the authority in `pem`, its certificate and its key, which `name` names.
pub fn issueLeaf(
    gpa: Allocator,
    name: []const u8,
    pem: []const u8,
    host: []const u8,
    report: *Report,
) Error!Leaf {
    heap.init();
    const source: certificates.Source = .{ .text = .{ .name = name, .bytes = pem } };
    var identity = try certificates.load(gpa, source, source, report);
    defer identity.deinit();
    const authority: Issued = .{ .key = identity.key, .certificate = identity.chain.get(0) };
    const left_s = certificates.secondsTo(
        libcrypto.X509_get0_notAfter(authority.certificate),
    );
    if (left_s < std.time.s_per_day) return report.fail(error.BadCertificate, "the authority in " ++
        "{s} has expired: remove that file, and have browsers believe the next one", .{name});
    return tryIssueLeaf(gpa, authority, host, left_s) catch |err| return told(err, report);
}

fn tryIssueLeaf(gpa: Allocator, authority: Issued, host: []const u8, left_s: i64) !Leaf {
    const key = try issuer.newKey();
    var issued = certifyLeaf(key, authority, host, left_s) catch |err| {
        libcrypto.EVP_PKEY_free(key);
        return err;
    };
    defer issued.deinit();
    const names_host = host.len > 0 and isPermitted(authority, issued);
    if (host.len > 0 and !names_host) {
        const other = try certifyLeaf(key, authority, "", left_s);
        libcrypto.X509_free(issued.certificate);
        issued = other;
    }
    const good_s = certificates.secondsTo(libcrypto.X509_get0_notAfter(issued.certificate));
    return .{
        .pair = try Pair.of(gpa, issued),
        .names_host = names_host,
        .good_s = good_s,
    };
}

fn certifyLeaf(key: *libcrypto.Pkey, authority: Issued, host: []const u8, left_s: i64) !Issued {
    var names: Text = .{};
    names.add("DNS:localhost,DNS:*.localhost,IP:127.0.0.1,IP:::1", .{});
    if (isOwn(host)) names.add(",DNS:{s}", .{host});
    if (isBare(host)) names.add(",DNS:{s}.local", .{host});
    const until_s = @min(left_s, limits.tls_development_days * std.time.s_per_day);
    return issuer.certify(key, .{
        .common_name = "localhost",
        .extensions = &.{
            .{ .kind = .basic_constraints, .value = "critical,CA:FALSE" },
            .{ .kind = .key_usage, .value = "critical,digitalSignature" },
            .{ .kind = .extended_key_usage, .value = "serverAuth" },
            .{ .kind = .subject_alt_name, .value = names.slice() },
            .{ .kind = .authority_key_identifier, .value = "keyid" },
        },
        .issuer = authority,
        .serial = try randomNumber(),
        .from_s = -slack_s,
        .until_s = @intCast(until_s),
    });
}

/// Whether clients that believe the authority believe it for all names of `issued`.
fn isPermitted(authority: Issued, issued: Issued) bool {
    const nid = @intFromEnum(issuer.Kind.name_constraints);
    const constraints = libcrypto.X509_get_ext_d2i(authority.certificate, nid, null, null) orelse
        return true;
    defer NAME_CONSTRAINTS_free(constraints);
    // The check looks at what this has read of the extensions.
    if (X509_check_purpose(issued.certificate, -1, 0) != 1) return false;
    return NAME_CONSTRAINTS_check(issued.certificate, constraints) == libcrypto.x509_ok;
}

/// Whether a name is this machine's. One of letters alone may be a top-level domain too (dev, app):
/// an authority for it would be one for all names below.
fn isOwn(host: []const u8) bool {
    return std.mem.indexOfAny(u8, host, ".-0123456789") != null and
        !std.mem.startsWith(u8, host, "xn--");
}

/// A name for the network at hand alone, where it ends in .local (RFC 6762).
fn isBare(host: []const u8) bool {
    return host.len > 0 and std.mem.indexOfScalar(u8, host, '.') == null;
}

fn randomNumber() system.Error!u64 {
    var bytes: [8]u8 = undefined;
    try system.random(&bytes);
    return std.mem.readInt(u64, &bytes, .little) >> 1 | 1;
}

fn told(err: anyerror, report: *Report) Error {
    if (err == error.OutOfMemory) return error.OutOfMemory;
    return report.fail(error.BadCertificate, "a certificate for development cannot be made: {s}", .{
        if (err == error.Libcrypto) certificates.lastReason() else @errorName(err),
    });
}

/// Text with a NUL behind it. What is put in is bounded by `host_bytes_max`.
const Text = struct {
    buffer: [512]u8 = undefined,
    len: usize = 0,

    fn add(self: *Text, comptime format: []const u8, args: anytype) void {
        const rest = self.buffer[self.len .. self.buffer.len - 1];
        self.len += (std.fmt.bufPrint(rest, format, args) catch unreachable).len;
    }

    fn slice(self: *Text) [:0]const u8 {
        self.buffer[self.len] = 0;
        return self.buffer[0..self.len :0];
    }
};

const testing = std.testing;

test "a machine's name is one of certificates, or none" {
    var buffer: [host_bytes_max]u8 = undefined;
    try testing.expectEqualStrings("box-1.example", hostOf("Box-1.example", &buffer));
    const none = [_][]const u8{ "localhost", "", "a_b", "-a", "a-", "a..b", "a,DNS:b", "b" ** 64 };
    for (none) |name|
        try testing.expectEqualStrings("", hostOf(name, &buffer));
}

test "a name that may be a domain of others is not the machine's own" {
    for ([_][]const u8{ "dev", "app", "box", "xn--p1ai", "" }) |name|
        try testing.expect(!isOwn(name));
    for ([_][]const u8{ "box-1", "desktop7", "box.example" }) |name|
        try testing.expect(isOwn(name));
}

test "an authority issues for this machine, and for no other name" {
    const gpa = testing.allocator;
    var report: Report = .{ .gpa = gpa };
    defer report.deinit();
    for ([_][]const u8{ "box", "box-1", "box.example", "" }) |host| {
        const made = try makeAuthority(gpa, host, &report);
        defer made.deinit(gpa);
        const pem = try std.mem.concat(gpa, u8, &.{ made.key, made.certificate });
        defer gpa.free(pem);
        for ([_][]const u8{ host, "other", "" }) |asked| {
            const leaf = try issueLeaf(gpa, "ca", pem, asked, &report);
            defer leaf.pair.deinit(gpa);
            const is_own = asked.len > 0 and std.mem.eql(u8, asked, host);
            try testing.expectEqual(is_own, leaf.names_host);
            const texts = leaf.pair;
            var identity = try certificates.load(
                gpa,
                .{ .text = .{ .name = "leaf", .bytes = texts.certificate } },
                .{ .text = .{ .name = "key", .bytes = texts.key } },
                &report,
            );
            defer identity.deinit();
            var names: std.BoundedArray(u8, 256) = .{};
            try certificates.forEachName(identity.chain.get(0), &names, addName);
            var expected: std.BoundedArray(u8, 256) = .{};
            try addName(&expected, "localhost");
            try addName(&expected, "*.localhost");
            if (is_own) {
                if (!std.mem.eql(u8, host, "box")) try addName(&expected, host);
                if (std.mem.eql(u8, host, "box")) try addName(&expected, "box.local");
                if (std.mem.eql(u8, host, "box-1")) try addName(&expected, "box-1.local");
            }
            try testing.expectEqualStrings(expected.constSlice(), names.constSlice());
        }
    }
}

fn addName(names: *std.BoundedArray(u8, 256), name: []const u8) Error!void {
    names.appendSlice(name) catch unreachable;
    names.append(' ') catch unreachable;
}

test "what is no authority is told" {
    const gpa = testing.allocator;
    var report: Report = .{ .gpa = gpa };
    defer report.deinit();
    try testing.expectError(error.BadCertificate, issueLeaf(gpa, "ca", "nothing", "", &report));
    try testing.expect(std.mem.startsWith(u8, report.message, "ca holds no certificate"));
}
