//! uWebSockets over its C interface, as the Python package socketify carries it: at /echo what
//! comes goes back, at /cast everybody else is sent it. `uws_socket <port>`

const uws = @import("uws.zig");

const App = uws.App;
const Socket = opaque {};

const Behavior = extern struct {
    compression: c_int = 0,
    payload_bytes_max: c_uint = 16 << 20,
    // bench/ws_load.zig reads no PINGs.
    idle_timeout_s: c_ushort = 0,
    backpressure_bytes_max: c_uint = 16 << 20,
    closes_on_backpressure: bool = false,
    resets_timeout_on_send: bool = false,
    sends_pings: bool = false,
    lifetime_min_max: c_ushort = 0,
    upgrade: ?*const anyopaque = null,
    open: ?*const fn (*Socket, ?*anyopaque) callconv(.c) void = null,
    message: *const fn (*Socket, [*]const u8, usize, c_int, ?*anyopaque) callconv(.c) void,
    drain: ?*const anyopaque = null,
    ping: ?*const anyopaque = null,
    pong: ?*const anyopaque = null,
    close: ?*const anyopaque = null,
    subscription: ?*const anyopaque = null,
};

extern fn uws_ws(c_int, *App, [*:0]const u8, Behavior, ?*anyopaque) void;
extern fn uws_ws_send(c_int, *Socket, [*]const u8, usize, c_int) c_int;
extern fn uws_ws_subscribe(c_int, *Socket, [*]const u8, usize) bool;
extern fn uws_ws_publish_with_options(
    c_int,
    *Socket,
    [*]const u8,
    usize,
    [*]const u8,
    usize,
    c_int,
    bool,
) bool;

const topic = "all";

fn onEcho(
    ws: *Socket,
    bytes: [*]const u8,
    len: usize,
    kind: c_int,
    _: ?*anyopaque,
) callconv(.c) void {
    _ = uws_ws_send(0, ws, bytes, len, kind);
}

fn onJoin(ws: *Socket, _: ?*anyopaque) callconv(.c) void {
    _ = uws_ws_subscribe(0, ws, topic, topic.len);
}

fn onCast(
    ws: *Socket,
    bytes: [*]const u8,
    len: usize,
    kind: c_int,
    _: ?*anyopaque,
) callconv(.c) void {
    _ = uws_ws_publish_with_options(0, ws, topic, topic.len, bytes, len, kind, false);
}

pub fn main() !void {
    const app = uws.create();
    uws_ws(0, app, "/echo", .{ .message = onEcho }, null);
    uws_ws(0, app, "/cast", .{ .message = onCast, .open = onJoin }, null);
    try uws.run(app);
}
