//! The Zig contender over TLS: a constant body, and a folder. One worker, the engine's defaults
//! otherwise. `zig_https <port> <certificate> <key> <folder> [idle]`

const std = @import("std");
const gyrfalcon = @import("gyrfalcon");

const Site = struct {
    dir: gyrfalcon.DirServer,

    pub const Tls = gyrfalcon.Tls;

    pub fn init() error{NeedsFolder}!Site {
        return error.NeedsFolder; // made by `initWith`
    }

    pub fn deinit(self: *Site) void {
        self.dir.deinit(std.heap.c_allocator);
    }

    pub fn handleRequest(
        self: *Site,
        req: *gyrfalcon.Request,
        res: *gyrfalcon.Response,
    ) !void {
        if (req.path.len > 1) return self.dir.handle(req, res, req.path);
        try res.header("Content-Type", "text/plain");
        res.sendStatic("Hello, World!");
    }
};

pub fn main() !void {
    const gpa = std.heap.c_allocator;
    const args = try std.process.argsAlloc(gpa);
    if (args.len < 5) return error.ArgumentsMissing;
    const tls = [_]gyrfalcon.TlsSettings{.{
        .certificates = &.{.{ .certificate = .{ .file = args[2] }, .key = .{ .file = args[3] } }},
    }};
    const site: Site = .{ .dir = try gyrfalcon.DirServer.init(gpa, .{ .root = args[4] }) };
    var config: gyrfalcon.Config = .{
        .hostname = "127.0.0.1",
        .port = try std.fmt.parseInt(u16, args[1], 10),
        .workers = 1,
        .tls = &tls,
    };
    if (args.len > 5 and std.mem.eql(u8, args[5], "idle")) { // as in zig_hello.zig
        config.connections_max = 24_000;
        config.idle_timeout_ms = std.time.ms_per_hour;
        config.header_timeout_ms = std.time.ms_per_hour;
    }
    var server: gyrfalcon.Server(Site) = undefined;
    try server.initWith(gpa, config, site);
    defer server.deinit();
    try server.run();
}
