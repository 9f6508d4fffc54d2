//! The Zig contender of the race: one handler, one constant body, the engine's defaults but for one
//! worker on the one core that the race gives it. `zig_hello <port> [idle]`

const std = @import("std");
const gyrfalcon = @import("gyrfalcon");

const Hello = struct {
    pub fn init() Hello {
        return .{};
    }

    pub fn deinit(_: *Hello) void {}

    pub fn handleRequest(_: *Hello, _: *gyrfalcon.Request, res: *gyrfalcon.Response) !void {
        try res.header("Content-Type", "text/plain");
        res.sendStatic("Hello, World!");
    }
};

pub fn main() !void {
    var args = std.process.args();
    _ = args.skip();
    const port = try std.fmt.parseInt(u16, args.next() orelse return error.PortMissing, 10);
    var config: gyrfalcon.Config = .{ .hostname = "127.0.0.1", .port = port, .workers = 1 };
    if (args.next()) |word| if (std.mem.eql(u8, word, "idle")) {
        config.connections_max = 24_000; // bench/idle.mjs holds most of them, for minutes
        config.idle_timeout_ms = std.time.ms_per_hour;
        config.header_timeout_ms = std.time.ms_per_hour;
    };
    var server: gyrfalcon.Server(Hello) = undefined;
    try server.init(std.heap.c_allocator, config);
    defer server.deinit();
    try server.run();
}
