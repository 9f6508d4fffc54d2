//! uWebSockets over its C interface, as the Python package socketify carries it, with the workloads
//! of the race. `uws_http <port>`

const std = @import("std");
const json = @import("json");
const List = @import("list");
const uws = @import("uws.zig");

const App = uws.App;
const Res = opaque {};
const Req = opaque {};
const Handler = *const fn (*Res, *Req, ?*anyopaque) callconv(.c) void;
const OnData = *const fn (*Res, [*]const u8, usize, bool, ?*anyopaque) callconv(.c) void;
const OnEnd = *const fn (*Res, ?*anyopaque) callconv(.c) void;

extern fn uws_app_get(c_int, *App, [*:0]const u8, Handler, ?*anyopaque) void;
extern fn uws_app_post(c_int, *App, [*:0]const u8, Handler, ?*anyopaque) void;
extern fn uws_res_write_header(c_int, *Res, [*]const u8, usize, [*]const u8, usize) void;
extern fn uws_res_end(c_int, *Res, [*]const u8, usize, bool) void;
extern fn uws_res_on_data(c_int, *Res, OnData, ?*anyopaque) void;
extern fn uws_res_on_aborted(c_int, *Res, OnEnd, ?*anyopaque) void;
extern fn uws_req_get_parameter(*Req, c_ushort, *?[*]const u8) usize;
extern fn uws_req_get_query(*Req, [*]const u8, usize, *?[*]const u8) usize;

const gpa = std.heap.c_allocator;
const user_bytes_max = 1024;
var list: List = undefined;

fn send(res: *Res, kind: []const u8, body: []const u8) void {
    const name = "Content-Type";
    uws_res_write_header(0, res, name, name.len, kind.ptr, kind.len);
    uws_res_end(0, res, body.ptr, body.len, false);
}

fn onHello(res: *Res, _: *Req, _: ?*anyopaque) callconv(.c) void {
    send(res, "text/plain", "Hello, World!");
}

fn onJson(res: *Res, _: *Req, _: ?*anyopaque) callconv(.c) void {
    var lines: List.Lines = undefined;
    var buffer: [List.bytes_max]u8 = undefined;
    const text = json.writeBuffer(&buffer, list.totalled(&lines)) catch
        @panic("the list is longer than its room");
    send(res, "application/json", text);
}

fn onUser(res: *Res, req: *Req, _: ?*anyopaque) callconv(.c) void {
    var id: ?[*]const u8 = null;
    const id_len = uws_req_get_parameter(req, 0, &id);
    const value = .{
        .id = if (id) |text| text[0..id_len] else "",
        .page = query(req, "page"),
        .sort = query(req, "sort"),
    };
    var buffer: [user_bytes_max]u8 = undefined;
    const text = json.writeBuffer(&buffer, value) catch @panic("a user is longer than its room");
    send(res, "application/json", text);
}

/// uWebSockets decodes it.
fn query(req: *Req, name: []const u8) []const u8 {
    var text: ?[*]const u8 = null;
    const len = uws_req_get_query(req, name.ptr, name.len, &text);
    return if (text) |bytes| bytes[0..len] else "";
}

/// A body that is being received.
const Body = struct { bytes: std.ArrayListUnmanaged(u8) = .empty, len: usize = 0, keeps: bool };

fn onPost(comptime keeps: bool) Handler {
    return struct {
        fn handle(res: *Res, _: *Req, _: ?*anyopaque) callconv(.c) void {
            const body = gpa.create(Body) catch @panic("out of memory");
            body.* = .{ .keeps = keeps };
            uws_res_on_data(0, res, onData, body);
            uws_res_on_aborted(0, res, onAborted, body);
        }
    }.handle;
}

fn onData(
    res: *Res,
    bytes: [*]const u8,
    len: usize,
    is_end: bool,
    data: ?*anyopaque,
) callconv(.c) void {
    const body: *Body = @ptrCast(@alignCast(data));
    body.len += len;
    // What comes in one piece needs no copy.
    const is_whole = is_end and body.bytes.items.len == 0;
    if (body.keeps and !is_whole)
        body.bytes.appendSlice(gpa, bytes[0..len]) catch @panic("out of memory");
    if (!is_end) return;
    if (body.keeps) {
        send(res, "text/plain", if (is_whole) bytes[0..len] else body.bytes.items);
    } else {
        var buffer: [20]u8 = undefined;
        const digits = std.fmt.bufPrint(&buffer, "{d}", .{body.len}) catch unreachable; // 20 digits
        send(res, "text/plain", digits);
    }
    free(body);
}

fn onAborted(_: *Res, data: ?*anyopaque) callconv(.c) void {
    free(@ptrCast(@alignCast(data)));
}

fn free(body: *Body) void {
    body.bytes.deinit(gpa);
    gpa.destroy(body);
}

pub fn main() !void {
    list = try List.load(gpa);
    const app = uws.create();
    uws_app_get(0, app, "/", onHello, null);
    uws_app_get(0, app, "/json", onJson, null);
    uws_app_get(0, app, "/users/:id", onUser, null);
    uws_app_post(0, app, "/echo", onPost(true), null);
    uws_app_post(0, app, "/upload", onPost(false), null);
    try uws.run(app);
}
