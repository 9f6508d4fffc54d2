//! What the TLS filter costs by itself: sealing and opening records, and handshakes, beside those
//! of OpenSSL's libssl as a server. Of a handshake the server's side alone is timed; the client is
//! libssl's. One thread, no sockets.
//!
//!     zig build bench-tls [-- --smoke]
const std = @import("std");
const posix = std.posix;
const tls = @import("tls");
const Client = tls.testing.openssl_client.Client;
const Filter = tls.filter.Filter;
const Keys = tls.record.Keys;
const picotls = tls.picotls;

/// Each number is the best of so many samples, which last so long at least.
var samples: usize = 9;
var sample_ns: u64 = 20 * std.time.ns_per_ms;

pub fn main() !void {
    var arguments = std.process.args();
    _ = arguments.skip();
    while (arguments.next()) |argument| if (std.mem.eql(u8, argument, "--smoke")) {
        samples = 1;
        sample_ns = std.time.ns_per_ms;
    };
    tls.heap.init();
    std.debug.print("AES-GCM is sealed by: {s}\n", .{@tagName(tls.suites.fusedHere())});
    try records();
    try handshakes();
}

// Records.

const Sealing = struct { keys: Keys, text: []const u8, out: []u8 };

fn seal(self: *Sealing) void {
    std.mem.doNotOptimizeAway(self.keys.sealBytes(.application_data, self.text, self.out));
}

const Opening = struct { keys: Keys, record: []const u8, copy: []u8 };

/// What is opened is written over: a copy of it is.
fn open(self: *Opening) void {
    @memcpy(self.copy, self.record);
    self.keys.seq = 0;
    std.mem.doNotOptimizeAway(self.keys.open(self.copy) catch unreachable);
}

fn records() !void {
    std.debug.print("\n{s:<32}{s:>10}{s:>10}\n", .{ "records", "ns", "MB/s" });
    const plain = [_]*const picotls.AeadAlgorithm{
        &picotls.ptls_openssl_aes128gcm,
        &picotls.ptls_openssl_aes256gcm,
    };
    const secret: [48]u8 = @splat(9);
    for ([_]u16{ 0x1301, 0x1302, 0x1303 }, 0..) |id, index| {
        const chosen = tls.suites.find(id).?.*;
        var by_libcrypto = chosen;
        if (index < plain.len) by_libcrypto.aead = plain[index];
        for ([_]usize{ 200, 1400, 4096, 16_384 }) |len| {
            for ([_]tls.suites.Suite{ chosen, by_libcrypto }, 0..) |suite, who| {
                if (who == 1 and by_libcrypto.aead == chosen.aead) continue;
                const text: [16_384]u8 = @splat('x');
                var out: [tls.record.record_bytes_max]u8 align(64) = undefined;
                const keys: Keys = try .init(&suite, .seal, secret[0..suite.hash.digest_size]);
                var sealing: Sealing = .{ .keys = keys, .text = text[0..len], .out = &out };
                defer sealing.keys.deinit();
                var name: [64]u8 = undefined;
                const by = if (who == 1) ", libcrypto" else "";
                const words = .{ id, len, by };
                show(try std.fmt.bufPrint(&name, "{x} seal {d}{s}", words), len, &sealing, seal);
                if (who == 1 or len < 16_384) continue;
                sealing.keys.seq = 0;
                const sealed = sealing.keys.sealBytes(.application_data, sealing.text, &out);
                var copy: [tls.record.record_bytes_max]u8 = undefined;
                var opening: Opening = .{
                    .keys = try .init(&suite, .open, secret[0..suite.hash.digest_size]),
                    .record = out[0..sealed],
                    .copy = copy[0..sealed],
                };
                defer opening.keys.deinit();
                const title = try std.fmt.bufPrint(&name, "{x} open {d}", .{ id, len });
                show(title, len, &opening, open);
            }
        }
    }
}

fn show(name: []const u8, bytes: usize, state: anytype, call: fn (@TypeOf(state)) void) void {
    var best: f64 = std.math.inf(f64);
    for (0..samples) |_| {
        var timer = std.time.Timer.start() catch unreachable;
        var count: u64 = 0;
        while (timer.read() < sample_ns) : (count += 16) for (0..16) |_| call(state);
        best = @min(best, @as(f64, @floatFromInt(timer.read())) / @as(f64, @floatFromInt(count)));
    }
    const speed = @as(f64, @floatFromInt(bytes)) * 1000 / best;
    std.debug.print("{s:<32}{d:>10.0}{d:>10.0}\n", .{ name, best, speed });
}

// Texts through a filter.

const Writing = struct { filter: *Filter, text: []const u8, out: []u8 };

fn write(self: *Writing) void {
    const pieces = [1]posix.iovec_const{.{ .base = self.text.ptr, .len = self.text.len }};
    std.mem.doNotOptimizeAway(self.filter.write(&pieces, self.out));
}

/// What the filter writes, with AES-128-GCM.
fn texts(context: *const tls.filter.Context) !void {
    const gpa = std.heap.c_allocator;
    std.debug.print("\n{s:<32}{s:>10}{s:>10}\n", .{ "written by the filter", "ns", "MB/s" });
    for ([_]Kind{ kinds[0], kinds[2] }) |kind| {
        const client = try clientOf(gpa, kind, null);
        defer client.destroy();
        var state = try (Server{ .filter = context }).begin();
        defer Server.end(&state);
        try finish(gpa, &state, client);
        const text: [16_384]u8 = @splat('x');
        var out: [32_768]u8 align(64) = undefined;
        for ([_]usize{ 200, 4096, 16_384 }) |len| {
            var writing: Writing = .{
                .filter = &state.filter,
                .text = text[0..len],
                .out = &out,
            };
            var name: [64]u8 = undefined;
            const version = @tagName(state.filter.version());
            const title = try std.fmt.bufPrint(&name, "{s}, {d} bytes", .{ version, len });
            show(title, len, &writing, write);
        }
    }
}

fn finish(gpa: std.mem.Allocator, state: *Server.State, client: *Client) !void {
    var out: [16_384]u8 align(64) = undefined;
    while (client.out.items.len > 0) {
        const up = try client.out.toOwnedSlice(gpa);
        defer gpa.free(up);
        const len = Server.answer(state, up, &out);
        if (len > 0) try client.feed(out[0..len]);
    }
}

// Handshakes.

const Ctx = opaque {};
const Ssl = opaque {};
const Bio = opaque {};
extern fn TLS_server_method() *const anyopaque;
extern fn SSL_CTX_new(*const anyopaque) ?*Ctx;
extern fn SSL_CTX_use_certificate(*Ctx, *anyopaque) c_int;
extern fn SSL_CTX_use_PrivateKey(*Ctx, *anyopaque) c_int;
extern fn SSL_CTX_set_num_tickets(*Ctx, usize) c_int;
extern fn SSL_new(*Ctx) ?*Ssl;
extern fn SSL_free(*Ssl) void;
extern fn SSL_set_bio(*Ssl, *Bio, *Bio) void;
extern fn SSL_set_accept_state(*Ssl) void;
extern fn SSL_do_handshake(*Ssl) c_int;
extern fn BIO_s_mem() *const anyopaque;
extern fn BIO_new(*const anyopaque) ?*Bio;
extern fn BIO_write(*Bio, [*]const u8, c_int) c_int;
extern fn BIO_read(*Bio, [*]u8, c_int) c_int;

/// A server that answers a client's flight.
const Server = union(enum) {
    filter: *const tls.filter.Context,
    libssl: *Ctx,

    const State = union(enum) {
        filter: Filter,
        libssl: struct { ssl: *Ssl, incoming: *Bio, outgoing: *Bio },
    };

    fn begin(self: Server) !State {
        switch (self) {
            .filter => |context| return .{ .filter = try .init(context) },
            .libssl => |ctx| {
                const ssl = SSL_new(ctx).?;
                const incoming = BIO_new(BIO_s_mem()).?;
                const outgoing = BIO_new(BIO_s_mem()).?;
                SSL_set_bio(ssl, incoming, outgoing);
                SSL_set_accept_state(ssl);
                return .{ .libssl = .{ .ssl = ssl, .incoming = incoming, .outgoing = outgoing } };
            },
        }
    }

    fn answer(state: *State, bytes: []u8, out: []u8) usize {
        switch (state.*) {
            .filter => |*filter| {
                var at: usize = 0;
                while (true) {
                    const read = filter.read(bytes[at..]);
                    at += read.used;
                    if (read.used == 0) break;
                }
                return filter.write(&.{}, out).len;
            },
            .libssl => |server| {
                _ = BIO_write(server.incoming, bytes.ptr, @intCast(bytes.len));
                _ = SSL_do_handshake(server.ssl);
                return @intCast(@max(BIO_read(server.outgoing, out.ptr, @intCast(out.len)), 0));
            },
        }
    }

    fn end(state: *State) void {
        switch (state.*) {
            .filter => |*filter| filter.deinit(),
            .libssl => |server| SSL_free(server.ssl),
        }
    }
};

fn handshakes() !void {
    const gpa = std.heap.c_allocator;
    const issued = try tls.testing.issuer.issue(.{ .names = "DNS:localhost" });
    defer issued.deinit();
    const certificate = try issued.certificatePem(gpa);
    defer gpa.free(certificate);
    const key = try issued.keyPem(gpa);
    defer gpa.free(key);
    var report: tls.filter.Report = .{ .gpa = gpa };
    defer report.deinit();
    const context = try tls.filter.Context.create(gpa, .{
        .certificates = &.{.{
            .certificate = .{ .text = .{ .name = "certificate", .bytes = certificate } },
            .key = .{ .text = .{ .name = "key", .bytes = key } },
        }},
        .version_min = .tls12,
    }, &report);
    defer context.destroy();
    try texts(context);
    const ctx = SSL_CTX_new(TLS_server_method()).?;
    _ = SSL_CTX_use_certificate(ctx, @ptrCast(issued.certificate));
    _ = SSL_CTX_use_PrivateKey(ctx, @ptrCast(issued.key));
    _ = SSL_CTX_set_num_tickets(ctx, 1); // as many as the filter sends

    std.debug.print("\n{s:<32}{s:>10}{s:>10}\n", .{ "handshakes, server's CPU", "µs", "per s" });
    for (kinds) |kind| {
        for ([_]bool{ false, true }) |is_resumed| {
            for ([_]Server{ .{ .filter = context }, .{ .libssl = ctx } }) |server| {
                var best: u64 = std.math.maxInt(u64);
                for (0..samples) |_| {
                    var total: u64 = 0;
                    var count: u64 = 0;
                    while (total < sample_ns) : (count += 1)
                        total += try handshake(gpa, server, kind, is_resumed);
                    best = @min(best, total / count);
                }
                var name: [64]u8 = undefined;
                const us = @as(f64, @floatFromInt(best)) / 1000;
                std.debug.print("{s:<32}{d:>10.1}{d:>10.0}\n", .{
                    try std.fmt.bufPrint(&name, "{s}{s}, {s}", .{
                        kind.name,
                        if (is_resumed) ", resumed" else "",
                        @tagName(server),
                    }),
                    us,
                    1_000_000 / us,
                });
            }
        }
    }
}

const Kind = struct { name: []const u8, group: [:0]const u8, version_max: u16 = 0x0304 };

const kinds = [_]Kind{
    .{ .name = "X25519", .group = "X25519" },
    .{ .name = "X25519MLKEM768", .group = "X25519MLKEM768" },
    // There the curves of certificates are among the groups.
    .{ .name = "TLS 1.2", .group = "X25519:P-256", .version_max = 0x0303 },
};

fn clientOf(gpa: std.mem.Allocator, kind: Kind, former: ?*Client) !*Client {
    return Client.create(gpa, .{
        .server_name = "localhost",
        .groups = kind.group,
        .version_max = kind.version_max,
        .session = if (former) |client| client.takeSession() else null,
    });
}

/// Nanoseconds that the server spent on one.
fn handshake(gpa: std.mem.Allocator, server: Server, kind: Kind, is_resumed: bool) !u64 {
    const first = try clientOf(gpa, kind, null);
    defer first.destroy();
    const in_full = try serve(gpa, server, first);
    if (!is_resumed) return in_full;
    const client = try clientOf(gpa, kind, first);
    defer client.destroy();
    const spent = try serve(gpa, server, client);
    if (!client.isResumed()) return error.NotResumed;
    return spent;
}

fn serve(gpa: std.mem.Allocator, server: Server, client: *Client) !u64 {
    var out: [16_384]u8 align(64) = undefined;
    var timer = try std.time.Timer.start();
    var state = try server.begin();
    var spent = timer.read();
    while (client.out.items.len > 0) {
        const up = try client.out.toOwnedSlice(gpa);
        defer gpa.free(up);
        timer.reset();
        const len = Server.answer(&state, up, &out);
        spent += timer.read();
        if (len > 0) try client.feed(out[0..len]);
    }
    timer.reset();
    Server.end(&state);
    spent += timer.read();
    if (!client.isComplete()) return error.NotComplete;
    return spent;
}
