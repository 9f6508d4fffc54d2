//! Certificates and keys as people keep them: PEM, in files or in strings. What is wrong with them
//! is an error, and words that name the file and what helps.

const std = @import("std");
const Allocator = std.mem.Allocator;
const libcrypto = @import("libcrypto.zig");
const limits = @import("../core/limits.zig");
const system = @import("../core/system.zig");

/// The largest file that is read, bytes.
const file_bytes_max = 256 * 1024;
/// RSA keys below are broken, or will be.
const rsa_bits_min = 2048;
const pkey_rsa = 6;
const pkey_rsa_pss = 912;
const pkey_ed25519 = 1087;

pub const Source = union(enum) {
    /// A path.
    file: []const u8,
    /// The contents, and what to call them.
    text: struct { name: []const u8, bytes: []const u8 },

    pub fn name(self: Source) []const u8 {
        return switch (self) {
            .file => |path| path,
            .text => |text| text.name,
        };
    }
};

pub const Error = error{
    OutOfMemory,
    /// A file that cannot be read.
    Unreadable,
    BadCertificate,
    /// A certificate that has nothing to do with the others of its file.
    BadChain,
    BadKey,
    /// The key is locked with a passphrase.
    EncryptedKey,
    /// The key is not that of any of the certificates.
    KeyMismatch,
    /// A kind of key that TLS 1.3 has no signatures for, or that is too short.
    UnsupportedKey,
    BadStaple,
    BadAuthorities,
    BadName,
    TooMany,
};

/// What a person is told of a configuration.
pub const Report = struct {
    gpa: Allocator,
    /// Why it is refused; empty where it is not.
    message: []const u8 = "",
    /// What is served all the same.
    warnings: std.ArrayListUnmanaged([]const u8) = .{},

    pub fn deinit(self: *Report) void {
        self.gpa.free(self.message);
        for (self.warnings.items) |text| self.gpa.free(text);
        self.warnings.deinit(self.gpa);
    }

    pub fn fail(self: *Report, err: Error, comptime format: []const u8, args: anytype) Error {
        self.gpa.free(self.message);
        self.message = "";
        self.message = try std.fmt.allocPrint(self.gpa, format, args);
        return err;
    }

    pub fn warn(self: *Report, comptime format: []const u8, args: anytype) Error!void {
        const text = try std.fmt.allocPrint(self.gpa, format, args);
        errdefer self.gpa.free(text);
        try self.warnings.append(self.gpa, text);
    }
};

/// The bytes of a source; to be freed.
pub fn read(gpa: Allocator, source: Source, report: *Report) Error![]u8 {
    const path = switch (source) {
        .text => |text| return gpa.dupe(u8, text.bytes),
        .file => |path| path,
    };
    const buffer = try gpa.alloc(u8, file_bytes_max + 1);
    defer {
        std.crypto.secureZero(u8, buffer); // there may be a key in it
        gpa.free(buffer);
    }
    const bytes = system.readFile(path, buffer) catch |err| switch (err) {
        error.NoFile => return report.fail(error.Unreadable, "{s} is no file: a pipe or a " ++
            "device cannot be read again, so write what comes from it to a file", .{path}),
        error.IsDir => return report.fail(error.Unreadable, "{s} is a directory: name the file " ++
            "in it", .{path}),
        else => return report.fail(error.Unreadable, "{s} cannot be read ({s}): check the path, " ++
            "and who may read it", .{ path, @errorName(err) }),
    };
    if (bytes.len > file_bytes_max)
        return report.fail(error.Unreadable, "{s} is larger than {d} KiB: is it a PEM file?", .{
            path,
            file_bytes_max / 1024,
        });
    return gpa.dupe(u8, bytes);
}

/// What a key signs with. Those that have no name here are no servers' keys.
pub const KeyKind = enum {
    rsa,
    elliptic,
    ed25519,

    pub fn of(key: *const libcrypto.Pkey) KeyKind {
        return switch (libcrypto.EVP_PKEY_get_id(key)) {
            pkey_rsa, pkey_rsa_pss => .rsa,
            pkey_ed25519 => .ed25519,
            else => .elliptic,
        };
    }
};

/// What one certificate of a server is made of.
pub const Identity = struct {
    /// The leaf first, each issued by the one behind it.
    chain: std.BoundedArray(*libcrypto.X509, limits.tls_chain_max) = .{},
    key: *libcrypto.Pkey,

    pub fn deinit(self: *Identity) void {
        for (self.chain.slice()) |certificate| libcrypto.X509_free(certificate);
        libcrypto.EVP_PKEY_free(self.key);
        self.* = undefined;
    }
};

pub fn load(
    gpa: Allocator,
    certificate: Source,
    key: Source,
    report: *Report,
) Error!Identity {
    const text = try read(gpa, certificate, report);
    defer {
        std.crypto.secureZero(u8, text); // the key may be in the same file
        gpa.free(text);
    }
    var all = try readAll(certificate.name(), text, report);
    defer for (all.slice()) |each| libcrypto.X509_free(each);
    var self: Identity = .{ .key = try readKey(gpa, key, report) };
    errdefer self.deinit();
    const leaf = for (all.slice(), 0..) |each, index| {
        if (libcrypto.X509_check_private_key(each, self.key) == 1) break index;
    } else {
        libcrypto.ERR_clear_error();
        return report.fail(error.KeyMismatch, "the key in {s} is not that of a certificate in " ++
            "{s}: give the two that were issued together", .{ key.name(), certificate.name() });
    };
    self.chain.appendAssumeCapacity(all.swapRemove(leaf));
    try order(&self, &all, certificate.name(), text, report);
    try checkTimes(self.chain.get(0), certificate.name(), report);
    return self;
}

const All = std.BoundedArray(*libcrypto.X509, limits.tls_chain_max);

/// The certificates of a PEM text, in its order.
pub fn readAll(name: []const u8, text: []const u8, report: *Report) Error!All {
    var all: All = .{};
    errdefer for (all.slice()) |each| libcrypto.X509_free(each);
    libcrypto.ERR_clear_error();
    const bio = libcrypto.BIO_new_mem_buf(text.ptr, @intCast(text.len)) orelse
        return error.OutOfMemory;
    defer _ = libcrypto.BIO_free(bio);
    while (libcrypto.PEM_read_bio_X509(bio, null, noPassword, null)) |certificate| {
        all.append(certificate) catch {
            libcrypto.X509_free(certificate);
            return report.fail(error.TooMany, "{s} holds more than {d} certificates: leave in " ++
                "it the server's own and those that lead to its authority", .{ name, all.len });
        };
    }
    const reason = lastReason();
    const marks = std.mem.count(u8, text, certificate_mark);
    if (marks == 0) return report.fail(error.BadCertificate, "{s} holds no certificate: a PEM " ++
        "file has one behind `-----BEGIN CERTIFICATE-----`", .{name});
    if (all.len < marks) return report.fail(error.BadCertificate, "{s}:{d}: the certificate " ++
        "that begins here is broken ({s}): get the file again from who issued it", .{
        name,
        lineOf(text, all.len),
        reason,
    });
    return all;
}

const certificate_mark = "-----BEGIN CERTIFICATE-----";

/// The line, from 1, on which the certificate with this index begins.
fn lineOf(text: []const u8, index: usize) usize {
    var at: usize = 0;
    for (0..index + 1) |n| {
        const from = if (n == 0) 0 else at + 1;
        at = std.mem.indexOfPos(u8, text, from, certificate_mark) orelse break;
    }
    return std.mem.count(u8, text[0..at], "\n") + 1;
}

/// In libcrypto's words; forgets them.
pub fn lastReason() []const u8 {
    const code = libcrypto.ERR_get_error();
    libcrypto.ERR_clear_error();
    const text = libcrypto.ERR_reason_error_string(code) orelse return "unknown";
    return std.mem.span(text);
}

fn noPassword(_: [*]u8, _: c_int, _: c_int, asked: ?*anyopaque) callconv(.c) c_int {
    if (asked) |flag| @as(*bool, @ptrCast(flag)).* = true;
    return -1;
}

fn readKey(gpa: Allocator, source: Source, report: *Report) Error!*libcrypto.Pkey {
    const text = try read(gpa, source, report);
    defer {
        std.crypto.secureZero(u8, text);
        gpa.free(text);
    }
    const bio = libcrypto.BIO_new_mem_buf(text.ptr, @intCast(text.len)) orelse
        return error.OutOfMemory;
    defer _ = libcrypto.BIO_free(bio);
    libcrypto.ERR_clear_error();
    var is_locked = std.mem.indexOf(u8, text, "ENCRYPTED") != null;
    const name = source.name();
    const key = libcrypto.PEM_read_bio_PrivateKey(bio, null, noPassword, &is_locked) orelse {
        const reason = lastReason();
        if (is_locked) return report.fail(error.EncryptedKey, "the key in {s} is locked with a " ++
            "passphrase: unlock it with `openssl pkey -in {s} -out key.pem`, and let nobody " ++
            "else read what you get", .{ name, name });
        if (std.mem.indexOf(u8, text, "PRIVATE KEY-----") == null)
            return report.fail(error.BadKey, "{s} holds no key: a PEM file has one behind " ++
                "`-----BEGIN PRIVATE KEY-----`", .{name});
        return report.fail(error.BadKey, "the key in {s} is broken ({s}): get it again from " ++
            "where it was made", .{ name, reason });
    };
    errdefer libcrypto.EVP_PKEY_free(key);
    const kind = libcrypto.EVP_PKEY_get_id(key);
    const bits = libcrypto.EVP_PKEY_get_bits(key);
    if ((kind == pkey_rsa or kind == pkey_rsa_pss) and bits < rsa_bits_min)
        return report.fail(error.UnsupportedKey, "the RSA key in {s} has {d} bits: clients want " ++
            "{d} at least, and a key on the curve P-256 is faster", .{ name, bits, rsa_bits_min });
    return key;
}

/// Puts the other certificates behind the leaf, each behind the one that it issued. The authority's
/// own is left out: clients have it, or do not believe it.
fn order(
    self: *Identity,
    all: *All,
    name: []const u8,
    text: []const u8,
    report: *Report,
) Error!void {
    outer: while (all.len > 0) {
        const last = self.chain.get(self.chain.len - 1);
        for (all.slice(), 0..) |each, index| {
            if (libcrypto.X509_check_issued(each, last) != libcrypto.x509_ok) continue;
            _ = all.swapRemove(index);
            const is_root = libcrypto.X509_check_issued(each, each) == libcrypto.x509_ok;
            const is_again = libcrypto.X509_cmp(each, last) == 0;
            if (is_root or is_again) {
                libcrypto.X509_free(each);
            } else {
                self.chain.appendAssumeCapacity(each);
            }
            continue :outer;
        }
        break;
    }
    if (all.len == 0) return;
    const index = try indexIn(all.get(0), name, text, report);
    return report.fail(error.BadChain, "{s}:{d}: the certificate that begins here did not issue " ++
        "the one that is served: leave it out, or put in what lies between", .{
        name,
        lineOf(text, index),
    });
}

/// The index of a certificate among those of its text.
fn indexIn(one: *libcrypto.X509, name: []const u8, text: []const u8, report: *Report) Error!usize {
    var again = try readAll(name, text, report);
    defer for (again.slice()) |each| libcrypto.X509_free(each);
    for (again.slice(), 0..) |each, index| if (libcrypto.X509_cmp(each, one) == 0) return index;
    return 0;
}

fn checkTimes(leaf: *libcrypto.X509, name: []const u8, report: *Report) Error!void {
    const until = secondsTo(libcrypto.X509_get0_notAfter(leaf));
    const from = secondsTo(libcrypto.X509_get0_notBefore(leaf));
    const day = std.time.s_per_day;
    if (until < 0) {
        try report.warn("the certificate in {s} expired {d} days ago: clients refuse it until " ++
            "it is renewed", .{ name, @divTrunc(-until, day) });
    } else if (from > 0) {
        try report.warn("the certificate in {s} is valid in {d} days only: is the clock right?", .{
            name,
            @divTrunc(from, day) + 1,
        });
    }
}

/// From now, s; negative when it is past.
pub fn secondsTo(time: *const libcrypto.Time) i64 {
    var days: c_int = 0;
    var seconds: c_int = 0;
    if (libcrypto.ASN1_TIME_diff(&days, &seconds, null, time) != 1) return 0;
    return @as(i64, days) * std.time.s_per_day + seconds;
}

/// The DER form of a certificate; to be freed.
pub fn derOf(gpa: Allocator, certificate: *const libcrypto.X509) Error![]u8 {
    const len = libcrypto.i2d_X509(certificate, null);
    if (len <= 0) return error.OutOfMemory;
    const out = try gpa.alloc(u8, @intCast(len));
    var end: [*]u8 = out.ptr;
    _ = libcrypto.i2d_X509(certificate, &end);
    return out;
}

/// Calls `add(context, name)` for each DNS name that a certificate is for, or for its common name
/// where it tells none.
pub fn forEachName(
    certificate: *const libcrypto.X509,
    context: anytype,
    comptime add: fn (@TypeOf(context), []const u8) Error!void,
) Error!void {
    const found = libcrypto.X509_get_ext_d2i(
        certificate,
        libcrypto.nid_subject_alt_name,
        null,
        null,
    ) orelse {
        var memory: [256]u8 = undefined;
        const subject = libcrypto.X509_get_subject_name(certificate);
        const nid = libcrypto.nid_common_name;
        const len = libcrypto.X509_NAME_get_text_by_NID(subject, nid, &memory, memory.len);
        if (len > 0) try add(context, memory[0..@intCast(len)]);
        return;
    };
    defer libcrypto.GENERAL_NAMES_free(found);
    const stack: *const libcrypto.Stack = @ptrCast(found);
    var index: c_int = 0;
    while (index < libcrypto.OPENSSL_sk_num(stack)) : (index += 1) {
        const value = libcrypto.OPENSSL_sk_value(stack, index).?;
        const name: *const libcrypto.GeneralName = @alignCast(@ptrCast(value));
        if (name.kind != libcrypto.general_name_dns) continue;
        const len: usize = @intCast(libcrypto.ASN1_STRING_length(name.value));
        try add(context, libcrypto.ASN1_STRING_get0_data(name.value)[0..len]);
    }
}

/// An OCSP response as the authority gives it, DER; to be freed. It is not verified: clients do.
pub fn readStaple(gpa: Allocator, source: Source, report: *Report) Error![]u8 {
    const bytes = try read(gpa, source, report);
    errdefer gpa.free(bytes);
    if (!isSequence(bytes)) return report.fail(error.BadStaple, "{s} is no OCSP response in " ++
        "DER: `openssl ocsp … -respout FILE` writes one", .{source.name()});
    return bytes;
}

/// Whether these bytes are one DER sequence, with nothing behind it.
fn isSequence(bytes: []const u8) bool {
    if (bytes.len < 2 or bytes[0] != 0x30) return false;
    if (bytes[1] < 0x80) return bytes.len == 2 + @as(usize, bytes[1]);
    const count = bytes[1] & 0x7f;
    if (count == 0 or count > 3 or bytes.len < 2 + @as(usize, count)) return false;
    var len: usize = 0;
    for (bytes[2..][0..count]) |byte| len = len << 8 | byte;
    return bytes.len == 2 + count + len;
}

const testing = std.testing;

test "a staple is one DER sequence and nothing else" {
    try testing.expect(isSequence(&.{ 0x30, 0 }));
    try testing.expect(isSequence(&.{ 0x30, 1, 5 }));
    try testing.expect(isSequence(&.{ 0x30, 0x81, 1, 5 }));
    try testing.expect(!isSequence(&.{}));
    try testing.expect(!isSequence(&.{0x30}));
    try testing.expect(!isSequence(&.{ 0x31, 0 }));
    try testing.expect(!isSequence(&.{ 0x30, 1, 5, 6 }));
    try testing.expect(!isSequence(&.{ 0x30, 0x82, 1 }));
    try testing.expect(!isSequence(&.{ 0x30, 0x84, 0, 0, 0, 0 }));
}
