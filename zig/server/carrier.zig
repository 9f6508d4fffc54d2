//! What an exchange reaches its connection by, whatever protocol that speaks. All that write may
//! end the connection: `isOpen` tells.

const FieldLines = @import("../http/field_lines.zig").FieldLines;
const Response = @import("../http/response.zig").Response;
const problem = @import("../http/problem.zig");
const budget_file = @import("budget.zig");
const Http1Carrier = @import("http1/carrier.zig").Http1Carrier;
const Http2Carrier = @import("http2/carrier.zig").Http2Carrier;

pub fn Carrier(comptime D: type) type {
    return struct {
        const Self = @This();
        const Conn = D.Conn;
        const Exchange = D.Exchange;

        d: *D,
        conn: *Conn,

        inline fn one(self: Self) Http1Carrier(D) {
            return .{ .d = self.d, .conn = self.conn };
        }

        inline fn two(self: Self) Http2Carrier(D) {
            return .{ .d = self.d, .conn = self.conn };
        }

        inline fn isHttp1(self: Self) bool {
            return self.conn.app.http1.spoken == .http1;
        }

        pub inline fn isOpen(self: Self) bool {
            return self.conn.isOpen();
        }

        /// Whether what `ex` writes leaves at once.
        pub inline fn isSpeaking(self: Self, ex: *const Exchange) bool {
            return if (self.isHttp1()) self.one().isSpeaking(ex) else true;
        }

        /// Of an exchange that is speaking, bytes.
        pub inline fn unsentBytes(self: Self, ex: *const Exchange) u64 {
            return if (self.isHttp1()) self.one().unsentBytes(ex) else self.two().unsentBytes(ex);
        }

        /// Some of the speaking exchange's stream was sent, or it has begun.
        pub inline fn noteStreamed(self: Self) void {
            if (self.isHttp1()) self.one().noteStreamed() else self.two().noteStreamed();
        }

        // The request's body.

        /// Whether the content of `ex` is being read.
        pub inline fn isReading(self: Self, ex: *const Exchange) bool {
            return if (self.isHttp1()) self.one().isReading(ex) else self.two().isReading(ex);
        }

        /// What is still to come of it is read and dropped.
        pub inline fn dropRequestBody(self: Self, ex: *Exchange) void {
            if (self.isHttp1()) self.one().dropRequestBody(ex) else self.two().dropRequestBody(ex);
        }

        /// A response is about to be written whose request's content nobody reads.
        pub inline fn announceUnreadBody(self: Self, ex: *Exchange) void {
            if (self.isHttp1()) self.one().announceUnreadBody(ex);
        }

        /// Nobody wants so much of what is still to come as to read on. The response, if it is
        /// still under way, is sent to its end first.
        pub fn stopReading(self: Self, ex: *Exchange) void {
            if (self.isHttp1()) self.one().stopReading(ex) else self.two().stopReading(ex);
        }

        /// The message whose content is being read is refused.
        pub fn refuseMessage(self: Self, ex: *Exchange, code: problem.Code) void {
            if (self.isHttp1()) return self.one().refuseMessage(ex, code);
            self.two().refuseMessage(ex, code);
        }

        pub fn refuseForMemory(self: Self, ex: *Exchange, owner: budget_file.Owner) void {
            if (self.isHttp1()) return self.one().refuseForMemory(ex, owner);
            self.two().refuseForMemory(ex, owner);
        }

        /// Refuses the message if more is kept than may be.
        pub fn checkInputMemory(self: Self, ex: *Exchange) void {
            if (self.isHttp1()) return self.one().checkInputMemory(ex);
            self.two().checkInputMemory(ex);
        }

        /// Tells a client that waits for it to send its body.
        pub fn writeContinue(self: Self, ex: *Exchange) void {
            if (self.isHttp1()) self.one().writeContinue(ex) else self.two().writeContinue(ex);
        }

        // Heads and content.

        /// `framed`: whether the head tells where the content ends.
        pub fn writeHead(
            self: Self,
            ex: *Exchange,
            res: *Response,
            length: ?u64,
            framed: bool,
        ) void {
            if (self.isHttp1()) return self.one().writeHead(ex, res, length, framed);
            self.two().writeHead(ex, res, length, framed);
        }

        pub inline fn writeHeadInline(
            self: Self,
            ex: *Exchange,
            res: *Response,
            length: ?u64,
            framed: bool,
        ) void {
            if (self.isHttp1()) return self.one().writeHeadInline(ex, res, length, framed);
            self.two().writeHead(ex, res, length, framed);
        }

        pub fn writeInterim(self: Self, ex: *Exchange, status: u16, lines: FieldLines) void {
            if (self.isHttp1()) return self.one().writeInterim(ex, status, lines);
            self.two().writeInterim(ex, status, lines);
        }

        /// Head, content and trailers.
        pub fn writeWithTrailers(self: Self, ex: *Exchange, res: *Response) void {
            if (self.isHttp1()) return self.one().writeWithTrailers(ex, res);
            self.two().writeWithTrailers(ex, res);
        }

        /// The body as it is.
        pub inline fn writeBody(self: Self, ex: *Exchange, res: *Response) void {
            if (self.isHttp1()) self.one().writeBody(ex, res) else self.two().writeBody(ex, res);
        }

        /// Some bytes of a stream.
        pub fn writeData(self: Self, ex: *Exchange, data: []const u8) void {
            if (self.isHttp1()) self.one().writeData(ex, data) else self.two().writeData(ex, data);
        }

        /// The end of a stream.
        pub fn writeEnd(self: Self, ex: *Exchange, trailer_lines: FieldLines) void {
            if (self.isHttp1()) return self.one().writeEnd(ex, trailer_lines);
            self.two().writeEnd(ex, trailer_lines);
        }

        /// All of a response has been written: those whose turn it is now go on.
        pub fn advance(self: Self, ex: *Exchange) void {
            if (self.isHttp1()) self.one().advance(ex) else self.two().advance(ex);
        }
    };
}
