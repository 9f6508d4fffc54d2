//! A filter and a client that are connected by memory.

const std = @import("std");
const Allocator = std.mem.Allocator;
const posix = std.posix;
const filters = @import("../filter.zig");
const Context = filters.Context;
const Filter = filters.Filter;
const issuer = @import("issuer.zig");
const limits = @import("../../core/limits.zig");
const openssl_client = @import("openssl_client.zig");
const picotls_client = @import("picotls_client.zig");

/// A server's end: what its protocol would have got, and be sending.
pub const Server = struct {
    gpa: Allocator,
    filter: Filter,
    /// Of the last bytes that came those that are no whole record.
    partial: std.ArrayListUnmanaged(u8) = .{},
    text: std.ArrayListUnmanaged(u8) = .{},
    early: std.ArrayListUnmanaged(u8) = .{},
    out: std.ArrayListUnmanaged(u8) = .{},

    pub fn init(gpa: Allocator, context: *const Context) !Server {
        return .{ .gpa = gpa, .filter = try .init(context) };
    }

    pub fn deinit(self: *Server) void {
        self.filter.deinit();
        self.partial.deinit(self.gpa);
        self.text.deinit(self.gpa);
        self.early.deinit(self.gpa);
        self.out.deinit(self.gpa);
    }

    pub fn feed(self: *Server, bytes: []const u8) !void {
        try self.partial.appendSlice(self.gpa, bytes);
        const all = self.partial.items;
        var at: usize = 0;
        while (true) {
            const read = self.filter.read(all[at..]);
            const to = if (read.is_early) &self.early else &self.text;
            try to.appendSlice(self.gpa, read.text);
            at += read.used;
            if (read.used == 0) break;
        }
        std.mem.copyForwards(u8, all[0 .. all.len - at], all[at..]);
        self.partial.items.len -= at;
        try self.flush();
    }

    pub fn flush(self: *Server) !void {
        try self.send("");
    }

    /// Sends all of it, through a buffer of the usual size.
    pub fn send(self: *Server, bytes: []const u8) !void {
        try self.sendThrough(bytes, 32 * 1024);
    }

    pub fn sendThrough(self: *Server, bytes: []const u8, room: usize) !void {
        const memory = try self.gpa.alignedAlloc(u8, 64, room);
        defer self.gpa.free(memory);
        var rest = bytes;
        while (true) {
            const pieces = [1]posix.iovec_const{.{ .base = rest.ptr, .len = rest.len }};
            const written = self.filter.write(&pieces, memory);
            try self.out.appendSlice(self.gpa, memory[0..written.len]);
            rest = rest[written.taken..];
            if (written.len == 0) break;
        }
        if (rest.len > 0) return error.NotSent;
    }
};

pub fn Link(comptime Client: type) type {
    return struct {
        const Self = @This();

        server: Server,
        client: *Client,

        pub fn deinit(self: *Self) void {
            self.server.deinit();
            self.client.destroy();
        }

        /// Moves bytes until nobody has any.
        pub fn run(self: *Self) !void {
            while (self.client.out.items.len > 0 or self.server.out.items.len > 0) try self.step();
        }

        pub fn step(self: *Self) !void {
            const gpa = self.server.gpa;
            const up = try self.client.out.toOwnedSlice(gpa);
            defer gpa.free(up);
            try self.server.feed(up);
            const down = try self.server.out.toOwnedSlice(gpa);
            defer gpa.free(down);
            if (down.len > 0) try self.client.feed(down);
        }

        /// The same, so many bytes at a time.
        pub fn runInParts(self: *Self, bytes: usize) !void {
            const gpa = self.server.gpa;
            while (self.client.out.items.len > 0 or self.server.out.items.len > 0) {
                const up = try self.client.out.toOwnedSlice(gpa);
                defer gpa.free(up);
                var parts = std.mem.window(u8, up, bytes, bytes);
                while (parts.next()) |part| try self.server.feed(part);
                const down = try self.server.out.toOwnedSlice(gpa);
                defer gpa.free(down);
                var back = std.mem.window(u8, down, bytes, bytes);
                while (back.next()) |part| if (part.len > 0) try self.client.feed(part);
            }
        }
    };
}

pub const PicotlsLink = Link(picotls_client.Client);
pub const OpensslLink = Link(openssl_client.Client);

pub fn withPicotls(context: *const Context, options: picotls_client.Options) !PicotlsLink {
    const gpa = std.testing.allocator;
    var server: Server = try .init(gpa, context);
    errdefer server.deinit();
    return .{ .server = server, .client = try .create(gpa, options) };
}

pub fn withOpenssl(context: *const Context, options: openssl_client.Options) !OpensslLink {
    const gpa = std.testing.allocator;
    var server: Server = try .init(gpa, context);
    errdefer server.deinit();
    return .{ .server = server, .client = try .create(gpa, options) };
}

/// A context, and the certificates that it was made of.
pub const Site = struct {
    context: *Context,
    issued: []const issuer.Issued,

    pub fn deinit(self: Site) void {
        self.context.destroy();
        for (self.issued) |each| each.deinit();
        std.testing.allocator.free(self.issued);
    }
};

/// A context with a certificate for each of `certificates`; `options` for the rest.
pub fn siteOf(certificates: []const issuer.Options, options: Context.Settings) !Site {
    const gpa = std.testing.allocator;
    var arena: std.heap.ArenaAllocator = .init(gpa);
    defer arena.deinit();
    const issued = try gpa.alloc(issuer.Issued, certificates.len);
    const identities = try arena.allocator().alloc(Context.Settings.Identity, certificates.len);
    for (certificates, issued, identities) |given, *made, *identity| {
        made.* = try issuer.issue(given);
        identity.* = .{
            .certificate = textSource("certificate", try made.certificatePem(arena.allocator())),
            .key = textSource("key", try made.keyPem(arena.allocator())),
        };
    }
    var all = options;
    all.certificates = identities;
    var report: filters.Report = .{ .gpa = gpa };
    defer report.deinit();
    const context = Context.create(gpa, all, &report) catch |err| {
        std.debug.print("{s}\n", .{report.message});
        return err;
    };
    return .{ .context = context, .issued = issued };
}

pub fn textSource(name: []const u8, bytes: []const u8) filters.Source {
    return .{ .text = .{ .name = name, .bytes = bytes } };
}

/// A site with one certificate on P-256, for localhost.
pub fn site(options: Context.Settings) !Site {
    return siteOf(&.{.{ .names = "DNS:localhost" }}, options);
}
