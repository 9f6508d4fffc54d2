//! The simulation's Zig handler: every way in which a handler can hand over a body.

const std = @import("std");
const posix = std.posix;
const Request = @import("../http/request.zig").Request;
const Response = @import("../http/response.zig").Response;
const DirServer = @import("../handlers/dir_server.zig").DirServer;
const Files = @import("files.zig").Files;
const Pattern = @import("pattern.zig").Pattern;
const plan_file = @import("plan.zig");
const Plan = plan_file.Plan;
const talk = @import("talk.zig");
const Socket = @import("../server/websocket/socket.zig").Socket;

pub const Handler = struct {
    files: *Files,
    dir: *DirServer,
    /// Requests come over what stands in TLS's place.
    secured: bool,
    /// A body that is borrowed until the next call.
    borrowed: [Plan.shared_bytes_max]u8 = undefined,
    errors: u64 = 0,
    /// WebSockets that are there.
    sockets: u64 = 0,

    pub fn init() Handler {
        unreachable; // the simulation fills it in
    }

    pub fn deinit(_: *Handler) void {}

    pub fn handleRequest(self: *Handler, req: *Request, res: *Response) !void {
        if ((req.tls != null) != self.secured)
            std.debug.panic("invariant: a handler is told of TLS: {}", .{req.tls != null});
        if (std.mem.startsWith(u8, req.path, "/files/")) {
            return self.dir.handle(req, res, req.path["/files".len..]);
        }
        const connection = plan_file.connectionOf(req.peer.bytes, req.peer.port);
        if (std.mem.startsWith(u8, req.path, "/socket/"))
            return res.upgrade(.{ .user = connection });
        const plan = Plan.parse(req.path, req.query) orelse {
            res.status = 404;
            return;
        };
        if (plan.kind == .fail) return error.Planned;
        try res.headerFmt("X-Id", "{d}.{d}", .{ connection, plan.number });
        if (plan.close) try res.header("Connection", "close");
        res.status = plan.status();
        switch (plan.kind) {
            .status, .fail => {},
            .gen => try self.generate(res, plan, connection),
            .echo, .sum => {
                if (!isWhole(req, plan, connection)) res.status = 422;
                try self.generate(res, plan, connection);
            },
        }
    }

    pub fn handleWSConn(self: *Handler, ws: Socket) void {
        self.sockets += 1;
        _ = ws.subscribe(talk.topic);
    }

    pub fn handleWSMessage(_: *Handler, ws: Socket, message: *const Socket.Message) void {
        const note = talk.Note.parse(message.bytes) orelse return echo(ws, message);
        switch (note.verb) {
            .echo => echo(ws, message),
            .publish => {
                if (ws.publish(talk.topic, message.kind, message.bytes) == .invalid)
                    std.debug.panic("invariant: what came cannot be published", .{});
                echo(ws, message);
            },
            .close => _ = ws.close(note.closeCode(), "bye"),
            .terminate => _ = ws.terminate(),
        }
    }

    fn echo(ws: Socket, message: *const Socket.Message) void {
        const is_plain = message.bytes.len % 5 == 0;
        const status = if (is_plain)
            ws.sendPlain(message.kind, message.bytes)
        else
            ws.send(message.kind, message.bytes);
        switch (status) {
            .sent, .waits, .posted, .closed => {},
            .dropped => _ = ws.close(talk.too_slow, ""),
            .invalid => std.debug.panic("invariant: what came cannot be sent", .{}),
        }
    }

    pub fn handleWSDisconn(self: *Handler, _: Socket, _: *const Socket.End) void {
        self.sockets -= 1; // more ends than beginnings overflow
    }

    pub fn onError(self: *Handler, _: anyerror, _: *Request, res: *Response) void {
        self.errors += 1;
        res.text(500, "planned\n");
    }

    fn generate(self: *Handler, res: *Response, plan: Plan, connection: u32) !void {
        const pattern = plan.pattern(connection);
        const length = plan.answerLength();
        for (0..plan.pushCount()) |index| {
            var buffer: [64]u8 = undefined;
            const target = plan.pushed(@intCast(index)).write(&buffer);
            res.push(&.{ .target = target }) catch break; // its client takes no more, or none
        }
        if (plan.hasHint()) try res.earlyHint(Plan.hint[0], Plan.hint[1]);
        if (plan.hasTrailer()) {
            var digits: [10]u8 = undefined;
            const number = std.fmt.bufPrint(&digits, "{d}", .{plan.number}) catch
                unreachable; // it fits
            try res.trailer(Plan.trailer_name, number);
        }
        switch (plan.style) {
            .static => res.sendStatic(self.files.shared[0..length]),
            .file => res.sendFile(try self.files.open(), 0, length),
            .written => {
                var at: u32 = 0;
                var piece: [1000]u8 = undefined;
                while (at < length) {
                    const n = @min(piece.len, length - at);
                    pattern.fill(piece[0..n], at);
                    try res.write(piece[0..n]);
                    at += n;
                }
            },
            else => {
                pattern.fill(self.borrowed[0..length], 0);
                res.send(self.borrowed[0..length]);
            },
        }
    }

    /// Whether the request's body is the one that this client sends with this request.
    fn isWhole(req: *const Request, plan: Plan, connection: u32) bool {
        const pattern = Pattern.of(.request, connection, plan.number);
        if (req.header("Trailer") != null) {
            const text = req.trailers.get(Plan.trailer_name) orelse return false;
            const number = std.fmt.parseInt(u32, text, 10) catch return false;
            if (number != plan.number) return false;
        }
        var at: u64 = 0;
        for (req.body.segments) |segment| {
            if (pattern.difference(segment, at) != null) return false;
            at += segment.len;
        }
        return at == req.body.len and (plan.kind == .sum or at == plan.length);
    }
};
