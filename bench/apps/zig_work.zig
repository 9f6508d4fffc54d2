//! The workloads of the race in Zig: a list as JSON, a route with a parameter and a query, a body
//! that comes back, one that is counted. One worker, the engine's defaults otherwise.
//! `zig_work <port>`

const std = @import("std");
const gyrfalcon = @import("gyrfalcon");
const List = @import("zig_list.zig");

const users = "/users/";
const parameter_bytes_max = 128;

const Work = struct {
    list: List,

    pub fn init() error{NeedsData}!Work {
        return error.NeedsData; // made by `initWith`
    }

    pub fn deinit(_: *Work) void {}

    pub fn handleRequest(
        self: *Work,
        req: *gyrfalcon.Request,
        res: *gyrfalcon.Response,
    ) !void {
        if (std.mem.eql(u8, req.path, "/json")) {
            var lines: List.Lines = undefined;
            return res.json(self.list.totalled(&lines));
        }
        if (std.mem.startsWith(u8, req.path, users)) return user(req, res);
        try res.header("Content-Type", "text/plain");
        if (std.mem.eql(u8, req.path, "/echo")) {
            for (req.body.segments) |segment| try res.write(segment);
        } else if (std.mem.eql(u8, req.path, "/upload")) {
            try res.print("{d}", .{req.body.len});
        } else res.sendStatic("Hello, World!");
    }
};

fn user(req: *gyrfalcon.Request, res: *gyrfalcon.Response) !void {
    var buffers: [2][parameter_bytes_max]u8 = undefined;
    try res.json(.{
        .id = req.path[users.len..],
        .page = try parameter(req, "page", &buffers[0]),
        .sort = try parameter(req, "sort", &buffers[1]),
    });
}

/// The decoded value of a parameter of the query; empty when there is none.
fn parameter(req: *gyrfalcon.Request, name: []const u8, out: []u8) ![]const u8 {
    var pairs = req.queryIterator();
    const value = pairs.find(name) orelse return "";
    return (gyrfalcon.uri.QueryIterator.Pair{ .name = name, .value = value }).decodeValue(out);
}

pub fn main() !void {
    var args = std.process.args();
    _ = args.skip();
    const port = try std.fmt.parseInt(u16, args.next() orelse return error.PortMissing, 10);
    const config: gyrfalcon.Config = .{ .hostname = "127.0.0.1", .port = port, .workers = 1 };
    const work: Work = .{ .list = try List.load(std.heap.c_allocator) };
    var server: gyrfalcon.Server(Work) = undefined;
    try server.initWith(std.heap.c_allocator, config, work);
    defer server.deinit();
    try server.run();
}
