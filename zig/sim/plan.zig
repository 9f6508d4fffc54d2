//! What a simulated client asks for, in the path of its request, and what the simulated handlers,
//! in Zig and beyond the bridge, make of it. The client is known by its address, never by what it
//! sends.

const std = @import("std");
const Address = @import("../core/address.zig").Address;
const Pattern = @import("pattern.zig").Pattern;

pub const Plan = struct {
    kind: Kind,
    style: Style = .whole,
    /// Bytes of the answer's body; for `status` the status.
    length: u32 = 0,
    number: u32 = 0,
    close: bool = false,

    pub const Kind = enum {
        /// A body made for this request.
        gen,
        /// The request's body: `length` bytes of it, answered by as many of `gen`.
        echo,
        /// An answer of few bytes to a body of any length.
        sum,
        /// A status, without a body.
        status,
        /// The handler fails.
        fail,
    };

    /// How the body is handed over.
    pub const Style = enum {
        whole,
        written,
        /// The same bytes for all.
        static,
        file,
        /// Beyond the bridge alone: answered before the request's body was read.
        early,
        /// Beyond the bridge alone: fewer bytes than its Content-Length.
        less,
        /// Beyond the bridge alone: more bytes than its Content-Length.
        more,
        /// Beyond the bridge alone: some of its bytes, and then nothing until its client has left.
        silent,
    };

    /// The handler does not keep what the answer's head promises.
    pub fn isSpoiled(self: Plan) bool {
        return switch (self.style) {
            .less, .more, .silent => true,
            .whole, .written, .static, .file, .early => false,
        };
    }

    pub const shared_bytes_max = 300_000;

    pub fn write(self: Plan, out: []u8) []const u8 {
        return std.fmt.bufPrint(out, "/{s}/{s}/{d}/{d}{s}", .{
            @tagName(self.kind),
            @tagName(self.style),
            self.length,
            self.number,
            if (self.close) "?close" else "",
        }) catch unreachable; // the caller's buffer is large enough
    }

    pub fn parse(path: []const u8, query: []const u8) ?Plan {
        var parts = std.mem.splitScalar(u8, path, '/');
        if ((parts.next() orelse return null).len != 0) return null;
        const kind = std.meta.stringToEnum(Kind, parts.next() orelse return null) orelse
            return null;
        const style = std.meta.stringToEnum(Style, parts.next() orelse return null) orelse
            return null;
        const length = std.fmt.parseInt(u32, parts.next() orelse return null, 10) catch
            return null;
        const number = std.fmt.parseInt(u32, parts.next() orelse return null, 10) catch
            return null;
        if (parts.next() != null or length > shared_bytes_max) return null;
        return .{
            .kind = kind,
            .style = style,
            .length = length,
            .number = number,
            .close = std.mem.eql(u8, query, "close"),
        };
    }

    /// The answer, if it comes in chunks, has a trailer with the request's number in it.
    pub fn hasTrailer(self: Plan) bool {
        return self.kind == .gen and self.style == .written and self.number % 2 == 1;
    }

    /// A 103 (Early Hints) comes before the answer.
    pub fn hasHint(self: Plan) bool {
        return self.kind == .gen and self.style == .early and self.number % 2 == 1;
    }

    /// Requests of their own, which are pushed beside the answer, to clients that take pushes.
    pub fn pushCount(self: Plan) u32 {
        if (self.kind != .gen or self.number >= pushed_from) return 0;
        return if (self.isSpoiled()) 0 else self.number % 3;
    }

    pub fn pushed(self: Plan, index: u32) Plan {
        const styles = [_]Style{ .written, .static };
        return .{
            .kind = .gen,
            .style = styles[index],
            .length = self.length / (index + 1),
            .number = self.number + (index + 1) * pushed_from,
        };
    }

    pub const pushes_max = 2;
    const pushed_from = 100_000;

    pub const trailer_name = "X-Sum";
    pub const hint = .{ "Link", "</style.css>; rel=preload; as=style" };

    /// Bytes of the answer's body.
    pub fn answerLength(self: Plan) u32 {
        return switch (self.kind) {
            .gen, .echo => self.length,
            .sum => 9,
            .status, .fail => 0,
        };
    }

    /// The answer's bytes, for the client at `connection`.
    pub fn pattern(self: Plan, connection: u32) Pattern {
        if (self.style == .static or self.style == .file) return .shared;
        return .of(.response, connection, self.number);
    }

    pub fn status(self: Plan) u16 {
        return switch (self.kind) {
            .gen, .echo, .sum => 200,
            .status => @intCast(std.math.clamp(self.length, 200, 599)),
            .fail => 500,
        };
    }
};

/// The address that a connection comes from, and back.
pub fn addressOf(connection: u32) Address {
    var address: Address = .{ .family = .ipv4, .port = @truncate(connection) };
    address.bytes[0..4].* = .{ 10, 0, @truncate(connection >> 24), @truncate(connection >> 16) };
    return address;
}

pub fn connectionOf(bytes: [16]u8, port: u16) u32 {
    return @as(u32, bytes[2]) << 24 | @as(u32, bytes[3]) << 16 | port;
}

test "a plan survives its path" {
    var buffer: [64]u8 = undefined;
    const plan: Plan = .{ .kind = .echo, .style = .early, .length = 12, .number = 7 };
    try std.testing.expectEqual(plan, Plan.parse(plan.write(&buffer), "").?);
    for ([_][]const u8{ "", "/", "/gen/whole/1", "/gen/whole/1/2/3", "/gen/whole/-1/2", "x" }) |bad|
        try std.testing.expectEqual(null, Plan.parse(bad, ""));
    const address = addressOf(0x01020304);
    try std.testing.expectEqual(0x01020304, connectionOf(address.bytes, address.port));
}
