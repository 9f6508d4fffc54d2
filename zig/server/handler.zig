//! The comptime handler interface: what a Zig program writes to answer requests.
//!
//!     const Counter = struct {
//!         count: std.atomic.Value(u64),
//!         pub fn init() Counter { return .{ .count = .init(0) }; }
//!         pub fn deinit(_: *Counter) void {}
//!         pub fn handleRequest(
//!             self: *Counter,
//!             req: *gyrfalcon.Request,
//!             res: *gyrfalcon.Response,
//!         ) !void {
//!             _ = req;
//!             try res.print("{d}\n", .{self.count.fetchAdd(1, .monotonic) + 1});
//!         }
//!     };
//!
//! One value serves all workers: `handleRequest` runs on several threads at once. Optional hooks:
//!     pub fn onListening(self: *H, listeners: []const gyrfalcon.Listener) void
//!         the server answers now, there
//!     pub fn onError(self: *H, err: anyerror, req: *Request, res: *Response) void
//!         handleRequest failed; `res` is a fresh 500
//!     pub const Tls = gyrfalcon.Tls
//!         `Config.tls` may secure connections; the program links OpenSSL and picotls (docs/TLS.md)
//!     pub const Deflate = gyrfalcon.Deflate
//!         `Config.websocket_deflate` may compress messages; the program links zlib-ng
//!         (docs/WEBSOCKET.md)
//!     pub fn onProtocolError(self: *H, err: *const gyrfalcon.ProtocolError) void
//!         a message was refused, or a client was too slow: the engine has answered or closed.
//!         This may be in the middle of a send to a WebSocket: no lock is taken that is held there
//!
//! WebSockets are those of requests that `handleRequest` has answered with `res.upgrade`. One of
//! these makes a handler that has some:
//!     pub fn handleWSMessage(
//!         self: *H,
//!         ws: gyrfalcon.WebSocket,
//!         message: *const gyrfalcon.WebSocket.Message,
//!     ) void
//!         a message has come
//!     pub fn handleWSFrame(
//!         self: *H,
//!         ws: gyrfalcon.WebSocket,
//!         frame: *const gyrfalcon.WebSocket.Frame,
//!     ) void
//!         instead: a part of one, as it comes; nothing is kept
//! and optional are:
//!     pub fn handleWSConn(self: *H, ws: gyrfalcon.WebSocket) void
//!         it is there
//!     pub fn handleWSDrain(self: *H, ws: gyrfalcon.WebSocket) void
//!         what waited for its peer has left
//!     pub fn handleWSDisconn(
//!         self: *H,
//!         ws: gyrfalcon.WebSocket,
//!         end: *const gyrfalcon.WebSocket.End,
//!     ) void
//!         it has ended: the last call for it
//! They are called for one socket by one thread, one at a time; for several sockets by several.

const std = @import("std");
const log = @import("../core/log.zig");
const Listener = @import("../net/listeners.zig").Listener;
const problem = @import("../http/problem.zig");
const ProtocolError = problem.ProtocolError;
const Request = @import("../http/request.zig").Request;
const Response = @import("../http/response.zig").Response;
const Action = @import("exchange.zig").Action;
const frame_decoder = @import("../websocket/frame_decoder.zig");
const Socket = @import("websocket/socket.zig").Socket;

/// Compile error, saying what to write, unless `Handler` is one.
pub fn check(comptime Handler: type) void {
    comptime checkAll(Handler);
}

fn checkAll(comptime Handler: type) void {
    if (@typeInfo(Handler) != .@"struct") {
        @compileError("a handler is a struct; got " ++ @typeName(Handler));
    }
    const short = shortName(Handler);
    const self = "self: *" ++ short;
    const exchange = "req: *gyrfalcon.Request, res: *gyrfalcon.Response";

    const init = "pub fn init() " ++ short;
    declare(Handler, "init", init ++ " (or !" ++ short ++ ")");
    expect(Handler, "init", &.{}, Handler, init);

    const deinit = "pub fn deinit(" ++ self ++ ") void";
    declare(Handler, "deinit", deinit);
    expect(Handler, "deinit", &.{*Handler}, void, deinit);

    const handle = "pub fn handleRequest(" ++ self ++ ", " ++ exchange ++ ") !void";
    declare(Handler, "handleRequest", handle);
    expect(Handler, "handleRequest", &.{ *Handler, *Request, *Response }, void, handle);

    if (@hasDecl(Handler, "onError")) {
        const form = "pub fn onError(" ++ self ++ ", err: anyerror, " ++ exchange ++ ") void";
        expect(Handler, "onError", &.{ *Handler, anyerror, *Request, *Response }, void, form);
    }
    if (@hasDecl(Handler, "onProtocolError")) {
        const form = "pub fn onProtocolError(" ++ self ++
            ", err: *const gyrfalcon.ProtocolError) void";
        expect(Handler, "onProtocolError", &.{ *Handler, *const ProtocolError }, void, form);
    }
    if (@hasDecl(Handler, "onListening")) {
        const form = "pub fn onListening(" ++ self ++
            ", listeners: []const gyrfalcon.Listener) void";
        expect(Handler, "onListening", &.{ *Handler, []const Listener }, void, form);
    }
    checkSockets(Handler, self);
}

fn checkSockets(comptime Handler: type, comptime self: []const u8) void {
    const has_messages = @hasDecl(Handler, "handleWSMessage");
    const has_frames = @hasDecl(Handler, "handleWSFrame");
    if (has_messages and has_frames) @compileError(@typeName(Handler) ++
        " has both handleWSMessage and handleWSFrame: they are told of the same bytes");
    const ws = ", ws: gyrfalcon.WebSocket";
    inline for (.{
        .{ "handleWSConn", void, "" },
        .{ "handleWSMessage", Socket.Message, ", message: *const gyrfalcon.WebSocket.Message" },
        .{ "handleWSFrame", Socket.Frame, ", frame: *const gyrfalcon.WebSocket.Frame" },
        .{ "handleWSDrain", void, "" },
        .{ "handleWSDisconn", Socket.End, ", end: *const gyrfalcon.WebSocket.End" },
    }) |hook| if (@hasDecl(Handler, hook[0])) {
        if (!has_messages and !has_frames) @compileError(@typeName(Handler) ++
            " has " ++ hook[0] ++ " and neither handleWSMessage nor handleWSFrame");
        const form = "pub fn " ++ hook[0] ++ "(" ++ self ++ ws ++ hook[2] ++ ") void";
        const params: []const type = if (hook[1] == void)
            &.{ *Handler, Socket }
        else
            &.{ *Handler, Socket, *const hook[1] };
        expect(Handler, hook[0], params, void, form);
    };
}

fn shortName(comptime T: type) []const u8 {
    const name = @typeName(T);
    return name[if (std.mem.lastIndexOfScalar(u8, name, '.')) |dot| dot + 1 else 0..];
}

fn declare(comptime Handler: type, comptime name: []const u8, comptime form: []const u8) void {
    if (@hasDecl(Handler, name)) return;
    @compileError(@typeName(Handler) ++ " has no public `" ++ name ++ "`; write: " ++ form);
}

fn expect(
    comptime Handler: type,
    comptime name: []const u8,
    comptime params: []const type,
    comptime Result: type,
    comptime form: []const u8,
) void {
    const wrong = @typeName(Handler) ++ "." ++ name ++ " has another form; write: " ++ form;
    const F = @TypeOf(@field(Handler, name));
    if (@typeInfo(F) != .@"fn") @compileError(wrong);
    const info = @typeInfo(F).@"fn";
    if (info.params.len != params.len) @compileError(wrong);
    for (info.params, params) |param, P| {
        const T = param.type orelse continue; // anytype takes it
        const reads_only = @typeInfo(P) == .pointer and T == *const @typeInfo(P).pointer.child;
        if (T != P and !reads_only) @compileError(wrong);
    }
    const Return = info.return_type orelse return;
    const Payload = switch (@typeInfo(Return)) {
        .error_union => |u| u.payload,
        else => Return,
    };
    if (Payload != Result) @compileError(wrong);
}

/// Answers requests with a handler: each is complete, body and all, when the handler is called.
pub fn HandlerDispatcher(comptime Handler: type) type {
    comptime checkAll(Handler);
    return struct {
        const Self = @This();

        handler: *Handler,

        pub const WorkerState = struct {};
        pub const ExchangeState = struct {};

        const has_sockets =
            @hasDecl(Handler, "handleWSMessage") or @hasDecl(Handler, "handleWSFrame");
        pub const SocketState = if (has_sockets) struct {} else void;
        pub const gathers_messages = @hasDecl(Handler, "handleWSMessage");

        pub fn workerStart(_: *Self, _: anytype) error{}!void {}
        pub fn workerStop(_: *Self, _: anytype) void {}
        pub fn onTurn(_: *Self, _: anytype) void {}
        pub fn hasWork(_: *Self, _: anytype) bool {
            return false;
        }
        pub fn onBody(_: *Self, _: anytype, _: anytype, bytes: []const u8, _: bool) usize {
            return bytes.len;
        }
        pub fn onAbort(_: *Self, _: anytype, _: anytype) void {}
        pub fn onSent(_: *Self, _: anytype, _: anytype, _: u64) void {}

        pub fn onProtocolError(self: *Self, _: anytype, err: *const ProtocolError) void {
            if (@hasDecl(Handler, "onProtocolError")) self.handler.onProtocolError(err);
        }

        pub fn onRequest(
            self: *Self,
            w: anytype,
            ex: anytype,
            req: *Request,
            res: *Response,
        ) Action {
            if (!ex.body_complete) return .buffer;
            res.push_room = w.pushRoom(ex);
            const result = self.handler.handleRequest(req, res);
            if (@typeInfo(@TypeOf(result)) == .error_union) {
                result catch |err| self.fail(err, req, res);
            }
            if (res.upgrade_to != null) return self.upgrade(req, res);
            return .respond;
        }

        fn upgrade(self: *Self, req: *Request, res: *Response) Action {
            if (has_sockets) return .upgrade;
            self.fail(error.HandlerHasNoSockets, req, res);
            return .respond;
        }

        pub fn onSocketOpen(self: *Self, w: anytype, session: anytype) void {
            if (@hasDecl(Handler, "handleWSConn")) self.handler.handleWSConn(w.socketOf(session));
        }

        pub fn onSocketData(
            self: *Self,
            w: anytype,
            session: anytype,
            data: *const frame_decoder.Data,
        ) void {
            const ws = w.socketOf(session);
            if (gathers_messages) {
                const message: Socket.Message = .{ .kind = data.kind, .bytes = data.bytes };
                return self.handler.handleWSMessage(ws, &message);
            }
            self.handler.handleWSFrame(ws, &.{
                .kind = data.kind,
                .bytes = data.bytes,
                .begins = data.begins,
                .ends = data.ends,
            });
        }

        pub fn onSocketDrain(self: *Self, w: anytype, session: anytype) void {
            if (@hasDecl(Handler, "handleWSDrain")) self.handler.handleWSDrain(w.socketOf(session));
        }

        pub fn onSocketClose(
            self: *Self,
            w: anytype,
            session: anytype,
            end: *const Socket.End,
        ) bool {
            if (@hasDecl(Handler, "handleWSDisconn"))
                self.handler.handleWSDisconn(w.socketOf(session), end);
            return true;
        }

        fn fail(self: *Self, err: anyerror, req: *Request, res: *Response) void {
            @branchHint(.cold);
            res.reset();
            res.status = 500;
            if (@hasDecl(Handler, "onError")) return self.handler.onError(err, req, res);
            log.limited("handleRequest failed with {s}: answered with 500{s}", .{
                @errorName(err),
                // What a handler passes on from `Response.write`.
                if (err == error.OutOfBuffers)
                    " (connection_memory_bytes_max, buffer_memory_bytes)"
                else
                    "",
            });
            problem.write(res, problem.formatOf(&req.fields), .internal_error);
        }
    };
}
