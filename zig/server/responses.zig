//! What a response means: which statuses there are and which have content, what a stream has
//! promised, credit for what has left. How that is written, and in what order, is the affair of the
//! exchange's carrier.

const std = @import("std");
const assert = std.debug.assert;
const log = @import("../core/log.zig");
const FieldLines = @import("../http/field_lines.zig").FieldLines;
const problem = @import("../http/problem.zig");
const status_codes = @import("../http/status.zig");
const Response = @import("../http/response.zig").Response;

pub fn Responses(comptime D: type) type {
    return struct {
        const Carrier = D.Carrier;
        const Exchange = D.Exchange;

        /// Sends a whole response.
        pub fn respond(d: *D, ex: *Exchange, res: *Response) void {
            assert(ex.response == .none);
            const carrier = d.carrierOf(ex);
            // From here on the dispatcher is done with it,
            // also when the connection fails under the writes.
            markDone(carrier, ex);
            carrier.announceUnreadBody(ex);
            if (res.status == 200 and !ex.is_head and !ex.is_connect and !res.unusual) {
                carrier.writeHeadInline(ex, res, res.bodyLength(), true);
                if (carrier.isOpen()) carrier.writeBody(ex, res);
            } else respondUnusual(d, carrier, ex, res);
            res.dropBody();
            if (res.unusual) res.dropPushes(); // of a connection that has ended meanwhile
            if (carrier.isOpen()) carrier.advance(ex);
        }

        /// With another status than 200, for another method than GET, with early hints ahead,
        /// trailers behind, or fields that depend on the client.
        fn respondUnusual(d: *D, carrier: Carrier, ex: *Exchange, res: *Response) void {
            @branchHint(.unlikely);
            _ = checkStatus(d, ex, res);
            if (res.hints_len > 0) carrier.writeInterim(ex, 103, res.hintLines());
            if (!carrier.isOpen()) return;
            if (ex.is_head or !status_codes.contentAllowed(res.status)) {
                return respondHead(carrier, ex, res);
            }
            if (res.trailers_len > 0) return carrier.writeWithTrailers(ex, res);
            carrier.writeHead(ex, res, res.bodyLength(), true);
            if (carrier.isOpen()) carrier.writeBody(ex, res);
        }

        /// Without content, whatever the handler gave.
        fn respondHead(carrier: Carrier, ex: *Exchange, res: *Response) void {
            @branchHint(.unlikely);
            if (res.status == 205) {
                noteContent(ex, res);
                return carrier.writeHead(ex, res, 0, true);
            }
            if (!ex.is_head) noteContent(ex, res);
            // A handler that gave no body to HEAD has not said how long that to GET is: it must
            // not be told then (RFC 9110 §8.6).
            const known = res.declared_length != null or res.body != .none;
            const length = res.declared_length orelse res.bodyLength();
            carrier.writeHead(ex, res, if (known) length else null, known);
        }

        fn noteContent(ex: *const Exchange, res: *const Response) void {
            if (ex.is_head or res.bodyLength() == 0) return;
            log.limited("a handler gave a body with status {d}: it is left out", .{res.status});
        }

        /// False: the response has been replaced.
        fn checkStatus(d: *const D, ex: *const Exchange, res: *Response) bool {
            if (res.status >= 200 and res.status <= 599) {
                if (!ex.is_connect or res.status >= 300) return true;
            }
            refuseStatus(d, ex, res);
            return false;
        }

        fn refuseStatus(d: *const D, ex: *const Exchange, res: *Response) void {
            @branchHint(.cold);
            // A success would make a tunnel of the connection, and there is none (RFC 9110 §9.3.6).
            const tunnel = ex.is_connect and res.status >= 200 and res.status < 300;
            const code: problem.Code = if (tunnel) .tunnel_not_supported else .internal_error;
            // A page that is asked for a WebSocket is no handler's fault.
            if (!(tunnel and ex.version == .http2 and ex.http2.asks_tunnel))
                log.limited("a handler set status {d}{s}: answered with {d}", .{
                    res.status, if (tunnel) " for CONNECT" else "", problem.statusOf(code),
                });
            // An exchange that is answered at once is that of `request`.
            const at_once = !ex.dispatched;
            const format = if (at_once) problem.formatOf(&d.request.fields) else ex.format;
            res.reset();
            problem.write(res, format, code);
        }

        /// The engine's page for `code`, in the form that was kept for the exchange.
        pub fn respondError(d: *D, ex: *Exchange, code: problem.Code) void {
            if (ex.response != .none) return d.reset(ex);
            const res = d.response();
            problem.write(res, ex.format, code);
            respond(d, ex, res);
        }

        /// Sends an interim response, where the client may get one (RFC 9110 §15.2).
        pub fn interim(d: *D, ex: *Exchange, status: u16, lines: FieldLines) void {
            @branchHint(.cold);
            if (ex.response != .none) return;
            if (status < 100 or status > 199 or status == 101) return;
            d.carrierOf(ex).writeInterim(ex, status, lines);
        }

        // Streams.

        pub fn beginStream(d: *D, ex: *Exchange, res: *Response, length: ?u64) void {
            assert(ex.response == .none);
            const carrier = d.carrierOf(ex);
            const replaced = !checkStatus(d, ex, res);
            const empty = replaced or res.status == 205;
            ex.response = .streaming;
            ex.drop_body = ex.is_head or empty or !status_codes.contentAllowed(res.status);
            ex.stream_left = length;
            if (res.hints_len > 0) carrier.writeInterim(ex, 103, res.hintLines());
            if (!carrier.isOpen()) return res.dropBody();
            const told = if (replaced) res.bodyLength() else if (empty) 0 else length;
            carrier.writeHead(ex, res, told, true);
            // A page in the place of what was to be streamed is sent at once.
            if (replaced and carrier.isOpen() and !ex.is_head) carrier.writeBody(ex, res);
            res.dropBody();
            if (carrier.isOpen() and carrier.isSpeaking(ex)) carrier.noteStreamed();
        }

        pub fn streamBody(d: *D, ex: *Exchange, bytes: []const u8, end: bool) void {
            assert(ex.response == .streaming);
            const carrier = d.carrierOf(ex);
            if (ex.drop_body) {
                if (end) return finishStream(carrier, ex);
                return d.dispatcher.onSent(d, ex, bytes.len);
            }
            var data = bytes;
            var excess = false;
            if (ex.stream_left) |left| {
                excess = bytes.len > left;
                if (excess) data = bytes[0..@intCast(left)];
                ex.stream_left = left - data.len;
            }
            ex.uncredited += data.len;
            carrier.writeData(ex, data);
            if (!carrier.isOpen()) return;
            if (excess) return spoiled(d, carrier, ex, "more than its Content-Length");
            if (end) return endBody(d, carrier, ex, .{});
            if (!carrier.isSpeaking(ex)) return;
            carrier.noteStreamed();
            credit(d, carrier, ex);
        }

        pub fn endStream(d: *D, ex: *Exchange, trailer_lines: FieldLines) void {
            assert(ex.response == .streaming);
            const carrier = d.carrierOf(ex);
            if (ex.drop_body) return finishStream(carrier, ex);
            endBody(d, carrier, ex, trailer_lines);
        }

        fn endBody(d: *D, carrier: Carrier, ex: *Exchange, trailer_lines: FieldLines) void {
            if ((ex.stream_left orelse 0) > 0) {
                return spoiled(d, carrier, ex, "less than its Content-Length");
            }
            carrier.writeEnd(ex, trailer_lines);
            if (carrier.isOpen()) finishStream(carrier, ex);
        }

        fn finishStream(carrier: Carrier, ex: *Exchange) void {
            markDone(carrier, ex);
            carrier.advance(ex);
        }

        fn markDone(carrier: Carrier, ex: *Exchange) void {
            ex.response = .done;
            // Nobody wants what is still to come of the request's body.
            carrier.dropRequestBody(ex);
        }

        /// A body that does not keep what its head promised: the client has to see that, and no
        /// response may follow.
        fn spoiled(d: *D, carrier: Carrier, ex: *Exchange, comptime what: []const u8) void {
            log.limited("a handler sent " ++ what ++ ": the connection is closed", .{});
            ex.keep_alive = false;
            ex.is_spoiled = true;
            // The dispatcher may believe that more is to follow.
            if (ex.dispatched) d.dispatcher.onAbort(d, ex);
            ex.dispatched = false;
            finishStream(carrier, ex);
        }

        /// Grants credit for the bytes of a stream that have left.
        pub fn credit(d: *D, carrier: Carrier, ex: *Exchange) void {
            if (ex.response != .streaming) return;
            const outstanding = @min(carrier.unsentBytes(ex), ex.uncredited);
            const granted = ex.uncredited - outstanding;
            if (granted == 0) return;
            ex.uncredited = outstanding;
            d.dispatcher.onSent(d, ex, granted);
        }
    };
}
