//! What programs of both kinds declare of uWebSockets' C interface, as the Python package socketify
//! carries it: an app that listens. The zeros say that it does so without TLS.

const std = @import("std");

pub const App = opaque {};
/// Of use over TLS.
const Options = extern struct { texts: [6]?[*:0]const u8 = @splat(null), saves_memory: c_int = 0 };
const Listen = extern struct { port: c_int, host: ?[*:0]const u8, options: c_int };
const OnListening = *const fn (?*anyopaque, Listen, ?*anyopaque) callconv(.c) void;

extern fn uws_create_app(c_int, Options) *App;
extern fn uws_app_listen_with_config(c_int, *App, Listen, OnListening, ?*anyopaque) void;
extern fn uws_app_run(c_int, *App) void;

pub fn create() *App {
    return uws_create_app(0, .{});
}

/// Serves 127.0.0.1 at the port that is the program's first argument, and does not return.
pub fn run(app: *App) !void {
    var args = std.process.args();
    _ = args.skip();
    const port = try std.fmt.parseInt(u16, args.next() orelse return error.PortMissing, 10);
    const where: Listen = .{ .port = port, .host = "127.0.0.1", .options = 0 };
    uws_app_listen_with_config(0, app, where, onListening, null);
    uws_app_run(0, app);
}

fn onListening(socket: ?*anyopaque, _: Listen, _: ?*anyopaque) callconv(.c) void {
    if (socket == null) std.process.exit(1);
}
