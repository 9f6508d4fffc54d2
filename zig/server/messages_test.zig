//! What a dispatcher can say beside head and body, on a real socket: trailers, interim responses,
//! answers ahead of the body. What a Zig handler can say is tested in tests/conformance.

const std = @import("std");
const posix = std.posix;
const testing = std.testing;
const Defect = @import("../core/defect.zig").Defect;
const log = @import("../core/log.zig");
const FieldLines = @import("../http/field_lines.zig").FieldLines;
const problem = @import("../http/problem.zig");
const Request = @import("../http/request.zig").Request;
const Response = @import("../http/response.zig").Response;
const Config = @import("config.zig").Config;
const Engine = @import("engine.zig").Engine;
const exchange = @import("exchange.zig");

/// How long anything may take before a test calls it missing.
const deadline_ms = 10_000;

/// What it does is named by the path, in the next turn unless it says otherwise:
///   /now             a short answer, at once, whatever of the body has come
///   /late-now        the same, when something of the body has come
///   /echo            the body and behind it the trailers, when they are whole
///   /stream/STATUS   a stream of unknown length with trailers
///   /length/N        a stream of N bytes, with trailers
///   /over, /under    a stream of more, or less, than was declared
///   /hint            an interim response; the answer when `gate` is set
///   /late            interim responses after the head and of 101: none of them may go out
///   /flood           more interim responses than a client can be asked to take
const Script = struct {
    gate: std.atomic.Value(bool) = .init(false),
    flooded: std.Thread.ResetEvent = .{},

    pub const WorkerState = struct { pending: std.BoundedArray(exchange.ExchangeId, 64) = .{} };
    pub const ExchangeState = struct {
        path: std.BoundedArray(u8, 32) = .{},
        body: std.BoundedArray(u8, 1024) = .{},
        whole: bool = false,
        hinted: bool = false,
    };

    pub fn workerStart(_: *Script, _: anytype) error{}!void {}
    pub fn workerStop(_: *Script, _: anytype) void {}
    pub fn onSent(_: *Script, _: anytype, _: anytype, _: u64) void {}
    pub fn onAbort(_: *Script, _: anytype, _: anytype) void {}

    pub fn onRequest(
        _: *Script,
        w: anytype,
        ex: anytype,
        req: *Request,
        res: *Response,
    ) exchange.Action {
        if (std.mem.eql(u8, req.path, "/now")) {
            res.sendStatic("now");
            return .respond;
        }
        ex.user.path.appendSlice(req.path) catch unreachable;
        for (req.body.segments) |segment| ex.user.body.appendSlice(segment) catch unreachable;
        ex.user.whole = ex.body_complete;
        ex.body_taken = ex.body_complete;
        w.state.pending.append(ex.id) catch unreachable;
        return .pending;
    }

    pub fn onBody(_: *Script, _: anytype, ex: anytype, bytes: []const u8, end: bool) usize {
        ex.user.body.appendSlice(bytes) catch unreachable;
        ex.user.whole = end;
        return bytes.len;
    }

    pub fn hasWork(_: *Script, w: anytype) bool {
        return w.state.pending.len > 0;
    }

    pub fn onTurn(self: *Script, w: anytype) void {
        var i: usize = 0;
        while (i < w.state.pending.len) {
            const ex = w.exchangeById(w.state.pending.get(i));
            if (ex == null or self.act(w, ex.?)) _ = w.state.pending.orderedRemove(i) else i += 1;
        }
    }

    /// True when it is done with the exchange.
    fn act(self: *Script, w: anytype, ex: anytype) bool {
        const path = ex.user.path.slice();
        const res = w.response();
        if (std.mem.eql(u8, path, "/echo")) {
            if (!ex.user.whole) return false;
            const fields = w.trailerFields(ex) catch unreachable;
            w.beginStream(ex, res, null);
            w.streamBody(ex, ex.user.body.slice(), false);
            const lines = w.response();
            for (fields.slice()) |field| lines.trailer(field.name, field.value) catch unreachable;
            w.endStream(ex, lines.trailerLines());
        } else if (std.mem.eql(u8, path, "/late-now")) {
            if (ex.user.body.len == 0) return false;
            res.sendStatic("now");
            w.respond(ex, res);
        } else if (std.mem.startsWith(u8, path, "/stream/")) {
            res.status = std.fmt.parseInt(u16, path["/stream/".len..], 10) catch unreachable;
            res.header("Trailer", "X-Sum") catch unreachable;
            stream(w, ex, res, null);
        } else if (std.mem.startsWith(u8, path, "/length/")) {
            res.header("Trailer", "X-Sum") catch unreachable;
            stream(w, ex, res, 5);
        } else if (std.mem.eql(u8, path, "/over")) {
            stream(w, ex, res, 4);
        } else if (std.mem.eql(u8, path, "/under")) {
            stream(w, ex, res, 6);
        } else if (std.mem.eql(u8, path, "/hint")) {
            return self.hint(w, ex, res);
        } else if (std.mem.eql(u8, path, "/late")) {
            w.interim(ex, 101, .{});
            w.interim(ex, 99, .{});
            w.interim(ex, 200, .{});
            w.beginStream(ex, res, null);
            w.interim(ex, 103, .of("Link: <late>\r\n"));
            w.streamBody(ex, "late", true);
        } else if (std.mem.eql(u8, path, "/flood")) {
            const line: FieldLines = .of("X: " ++ "f" ** 995 ++ "\r\n");
            for (0..1_000_000) |_| w.interim(ex, 102, line);
            self.flooded.set();
            res.sendStatic("flood");
            w.respond(ex, res);
        } else unreachable;
        return true;
    }

    fn stream(w: anytype, ex: anytype, res: *Response, length: ?u64) void {
        w.beginStream(ex, res, length);
        w.streamBody(ex, "hello", false);
        if (w.exchangeById(ex.id) == null) return;
        w.endStream(ex, .of("X-Sum: 1\r\nX-Two: 2\r\n"));
    }

    fn hint(self: *Script, w: anytype, ex: anytype, res: *Response) bool {
        if (!ex.user.hinted) {
            ex.user.hinted = true;
            res.earlyHint("Link", "<a>") catch unreachable;
            w.interim(ex, 103, res.hintLines());
            return false;
        }
        if (!self.gate.load(.acquire)) return false;
        const answer = w.response();
        answer.sendStatic("hinted");
        w.respond(ex, answer);
        return true;
    }
};

const Server = struct {
    config: Config,
    script: Script,
    engine: Engine(Script, void, void),

    fn start(self: *Server) !void {
        log.setLevel(.silent); // the failures below are meant
        self.config = .{
            .hostname = "127.0.0.1",
            .port = 0,
            .workers = 1,
            .connections_max = 16,
            .buffer_memory_bytes = 8 * 1024 * 1024,
            .server_name = "",
            .connect = true,
        };
        self.script = .{};
        var defect: Defect = .{};
        self.engine = try Engine(Script, void, void).init(
            testing.allocator,
            &self.config,
            &self.script,
            &defect,
        );
        errdefer self.engine.deinit();
        try self.engine.start();
    }

    /// Every pool has to be whole again.
    fn stop(self: *Server) !void {
        self.engine.requestStop(deadline_ms);
        self.engine.join();
        defer self.engine.deinit();
        try testing.expectEqual(0, self.engine.stats().buffer_bytes);
        try testing.expectEqual(0, self.engine.stats().allocations_after_start);
    }

    fn connect(self: *const Server) !std.net.Stream {
        const address = std.net.Address.initIp4(.{ 127, 0, 0, 1 }, self.engine.address().port);
        const stream = try std.net.tcpConnectToAddress(address);
        errdefer stream.close();
        const timeout: posix.timeval = .{ .sec = deadline_ms / 1000, .usec = 0 };
        const value = std.mem.asBytes(&timeout);
        try posix.setsockopt(stream.handle, posix.SOL.SOCKET, posix.SO.RCVTIMEO, value);
        return stream;
    }

    /// All that is answered to `request` up to the end of the connection, without Date.
    fn answers(self: *const Server, request: []const u8, buffer: []u8) ![]const u8 {
        const stream = try self.connect();
        defer stream.close();
        try stream.writeAll(request);
        try posix.shutdown(stream.handle, .send);
        const len = try stream.reader().readAll(buffer);
        return withoutDates(buffer[0..len]);
    }

    /// The answer to a request that goes on, or might.
    fn expectAnswerAhead(self: *const Server, request: []const u8, expected: []const u8) !void {
        const stream = try self.connect();
        defer stream.close();
        try stream.writeAll(request);
        var buffer: [1024]u8 = undefined;
        const date_len = "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n".len;
        const len = try stream.reader().readAll(buffer[0 .. expected.len + date_len]);
        try testing.expectEqualStrings(expected, withoutDates(buffer[0..len]));
    }

    fn expectAnswers(self: *const Server, request: []const u8, expected: []const u8) !void {
        var buffer: [16 * 1024]u8 = undefined;
        try testing.expectEqualStrings(expected, try self.answers(request, &buffer));
    }
};

fn withoutDates(bytes: []u8) []u8 {
    var text = bytes;
    while (std.mem.indexOf(u8, text, "Date: ")) |at| {
        const end = std.mem.indexOfScalarPos(u8, text, at, '\n').? + 1;
        std.mem.copyForwards(u8, text[at..], text[end..]);
        text = text[0 .. text.len - (end - at)];
    }
    return text;
}

const get_now = "GET /now HTTP/1.1\r\nHost: a\r\n\r\n";
const now = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnow";
const chunked_ok = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

inline fn get(comptime path: []const u8) []const u8 {
    return comptime "GET " ++ path ++ " HTTP/1.1\r\nHost: a\r\n\r\n";
}

test "trailers of a streamed request are whole when its body ends, and go back the same" {
    var server: Server = undefined;
    try server.start();
    const head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    const rest = "3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-Two:\t b\r\n\r\n";
    const expected = chunked_ok ++ "3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-Two: b\r\n\r\n";
    try server.expectAnswers(head ++ rest ++ get_now, expected ++ now);
    for (0..rest.len + 1) |cut| {
        const stream = try server.connect();
        defer stream.close();
        try stream.writeAll(head);
        try stream.writeAll(rest[0..cut]);
        try server.expectAnswers(get_now, now); // its one worker has seen the first part
        try stream.writeAll(rest[cut..]);
        try posix.shutdown(stream.handle, .send);
        var buffer: [1024]u8 = undefined;
        const len = try stream.reader().readAll(&buffer);
        try testing.expectEqualStrings(expected, withoutDates(buffer[0..len]));
    }
    try server.stop();
}

test "a stream ends with trailers where there are chunks, and without elsewhere" {
    var server: Server = undefined;
    try server.start();
    try server.expectAnswers(
        get("/stream/200") ++ get("/length/5") ++ get_now,
        "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n" ++
            "5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Two: 2\r\n\r\n" ++
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello" ++ now,
    );
    try server.expectAnswers(
        "GET /stream/200 HTTP/1.0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
    );
    try server.expectAnswers(
        "HEAD /stream/200 HTTP/1.1\r\nHost: a\r\n\r\n" ++ get_now,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" ++ now,
    );
    try server.stop();
}

test "a stream with a status that has no content sends none, with one that is none a page" {
    var server: Server = undefined;
    try server.start();
    try server.expectAnswers(
        get("/stream/204") ++ get("/stream/205") ++ get("/stream/304") ++ get_now,
        "HTTP/1.1 204 No Content\r\n\r\n" ++
            "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n" ++
            "HTTP/1.1 304 Not Modified\r\n\r\n" ++ now,
    );
    const text = "Content-Type: text/plain; charset=utf-8\r\nVary: Accept\r\n";
    const page = comptime problem.page(.text, .internal_error);
    try server.expectAnswers(
        get("/stream/103") ++ get_now,
        "HTTP/1.1 500 Internal Server Error\r\n" ++ text ++ std.fmt.comptimePrint(
            "Content-Length: {d}\r\n\r\n{s}",
            .{ page.len, page },
        ) ++ now,
    );
    try server.stop();
}

test "a stream of more or less than was declared ends its connection" {
    var server: Server = undefined;
    try server.start();
    const head = "HTTP/1.1 200 OK\r\nContent-Length: ";
    try server.expectAnswers(get("/over") ++ get_now, head ++ "4\r\n\r\nhell");
    try server.expectAnswers(get("/under") ++ get_now, head ++ "6\r\n\r\nhello");
    try server.stop();
}

test "an interim response is sent at once, ahead of the final one, each in its turn" {
    var server: Server = undefined;
    try server.start();
    const stream = try server.connect();
    defer stream.close();
    try stream.writeAll(get("/hint") ++ get("/hint"));
    const first = "HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n";
    var buffer: [1024]u8 = undefined;
    // The final one waits for the gate.
    const hint_len = try stream.reader().readAll(buffer[0..first.len]);
    try testing.expectEqualStrings(first, buffer[0..hint_len]);
    server.script.gate.store(true, .release);
    try posix.shutdown(stream.handle, .send);
    const final = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhinted";
    const len = try stream.reader().readAll(&buffer);
    try testing.expectEqualStrings(final ++ first ++ final, withoutDates(buffer[0..len]));
    try server.stop();
}

test "no interim response goes to HTTP/1.0, behind a head, for 101, or for what is none" {
    var server: Server = undefined;
    try server.start();
    server.script.gate.store(true, .release);
    try server.expectAnswers(
        "GET /hint HTTP/1.0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhinted",
    );
    try server.expectAnswers(get("/late"), chunked_ok ++ "4\r\nlate\r\n0\r\n\r\n");
    try server.stop();
}

test "interim responses that a client does not read are left out, not kept" {
    var server: Server = undefined;
    try server.start();
    const stream = try server.connect();
    defer stream.close();
    // Behind another exchange they are held in memory, where nothing drains them.
    try stream.writeAll(get("/hint") ++ get("/flood"));
    try server.script.flooded.timedWait(deadline_ms * std.time.ns_per_ms);
    const used = server.engine.stats().buffer_bytes;
    try testing.expect(used <= 2 * server.config.output_high_water_bytes + 64 * 1024);
    server.script.gate.store(true, .release);
    try posix.shutdown(stream.handle, .send);
    var buffer: [512 * 1024]u8 = undefined;
    const len = try stream.reader().readAll(&buffer);
    try testing.expect(std.mem.endsWith(u8, buffer[0..len], "\r\n\r\nflood"));
    try server.stop();
}

test "an answer ahead of a body announces the close when the body is known to be large" {
    var server: Server = undefined;
    try server.start();
    const closing = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nnow";
    const head = "POST /now HTTP/1.1\r\nHost: a\r\n";
    const chunked = head ++ "Transfer-Encoding: chunked\r\n\r\n";
    try server.expectAnswers(chunked ++ "3\r\nabc\r\n", now);
    try server.expectAnswers(chunked ++ "3\r\nabc\r\n0\r\n\r\n" ++ get_now, now ++ now);
    try server.expectAnswers(head ++ "Content-Length: 262145\r\n\r\nabc", closing);
    try server.expectAnswers(head ++ "Content-Length: 4\r\n\r\nabcd" ++ get_now, now ++ now);
    // Who waits for 100 may send the body or not.
    const expect = "Expect: 100-continue\r\nContent-Length: 4\r\n\r\n";
    try server.expectAnswers(head ++ expect, closing);
    const late = "POST /late-now HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    try server.expectAnswerAhead(late ++ "40004\r\nabc", closing);
    try server.expectAnswerAhead(late ++ "40003\r\nabc", now);
    const stream = try server.connect();
    defer stream.close();
    try stream.writeAll(head ++ "Content-Length: 4\r\n\r\nab");
    var buffer: [1024]u8 = undefined;
    _ = try stream.read(&buffer);
    try stream.writeAll("cd" ++ get_now);
    try posix.shutdown(stream.handle, .send);
    const len = try stream.reader().readAll(&buffer);
    try testing.expectEqualStrings(now, withoutDates(buffer[0..len]));
    try server.stop();
}

test "a client that waits is told to go on, one that has begun its body is not" {
    var server: Server = undefined;
    try server.start();
    const head = "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n" ++
        "Content-Length: 4\r\n\r\n";
    for ([_]struct { []const u8, []const u8, []const u8 }{
        .{ "", "abcd", "HTTP/1.1 100 Continue\r\n\r\n" },
        .{ "ab", "cd", "" },
        .{ "abcd", "", "" },
    }) |case| {
        const stream = try server.connect();
        defer stream.close();
        var request: [256]u8 = undefined;
        try stream.writeAll(try std.fmt.bufPrint(&request, "{s}{s}", .{ head, case[0] }));
        var interim: [64]u8 = undefined;
        const interim_len = try stream.reader().readAll(interim[0..case[2].len]);
        try testing.expectEqualStrings(case[2], interim[0..interim_len]);
        try stream.writeAll(case[1]);
        try posix.shutdown(stream.handle, .send);
        var buffer: [1024]u8 = undefined;
        const len = try stream.reader().readAll(&buffer);
        const expected = chunked_ok ++ "4\r\nabcd\r\n0\r\n\r\n";
        try testing.expectEqualStrings(expected, withoutDates(buffer[0..len]));
    }
    try server.stop();
}
