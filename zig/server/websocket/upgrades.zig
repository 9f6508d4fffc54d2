//! Requests that make WebSockets of their connections (RFC 6455 §4.2).

const std = @import("std");
const assert = std.debug.assert;
const limits = @import("../../core/limits.zig");
const Id = @import("../../core/slots.zig").Id;
const Field = @import("../../http/fields.zig").Field;
const problem = @import("../../http/problem.zig");
const Request = @import("../../http/request.zig").Request;
const HeaderError = @import("../../http/response.zig").HeaderError;
const Response = @import("../../http/response.zig").Response;
const encoder = @import("../../http1/encoder.zig");
const handshake = @import("../../websocket/handshake.zig");
const refusals_of = @import("../refusals.zig").Refusals;
const responses_of = @import("../responses.zig").Responses;
const permessage_deflate = @import("../../websocket/permessage_deflate.zig");
const sessions_of = @import("session.zig").Sessions;
const Mailbox = @import("socket.zig").Mailbox;

/// The part of the driver `D` that turns connections over.
pub fn Upgrades(comptime D: type) type {
    return struct {
        const Conn = D.Conn;
        const Exchange = D.Exchange;
        const http1 = D.http1;
        const refusals = refusals_of(D);
        const responses = responses_of(D);
        const Ends = sessions_of(D).Compressor.Ends;
        const tunnels = D.http2.tunnels;

        /// The dispatcher wants a WebSocket for `ex`, whose request is `d.request`: the connection
        /// speaks it from here on, or the request is answered with what is wrong.
        pub fn upgrade(d: *D, conn: *Conn, ex: *Exchange, res: *Response) void {
            if (!D.has_sockets) unreachable; // their dispatchers alone say so
            const how = res.upgrade_to.?;
            res.upgrade_to = null;
            if (obstacleOf(d, conn, ex)) |code| return refuseFor(d, conn, ex, res, code);
            const way: handshake.Way = if (ex.version == .http2) .extended_connect else .upgrade;
            const policy: handshake.Policy = .{
                .origins = how.origins,
                .deflate = if (how.may_compress) deflatePolicy(d) else null,
            };
            var verdict = handshake.read(&d.request, way, &policy);
            switch (verdict) {
                .refused => |refusal| {
                    fillRefusal(res, problem.formatOf(&d.request.fields), way, refusal);
                    refusals.report(d, conn, codeOf(refusal, way), res.status);
                    responses.respond(d, ex, res);
                },
                .offer => |*offer| {
                    // There are two for each connection and stream.
                    const id = d.websocket_worker.sessions.take() orelse
                        return refuseFor(d, conn, ex, res, .service_unavailable);
                    var ends = admit(d, conn, ex, &offer.deflate);
                    var answer: handshake.Answer = .{};
                    const fields = offer.answer(offer.choose(how.protocols), &answer);
                    fill(res, fields) catch {
                        if (D.has_compression) ends.deinit();
                        d.websocket_worker.sessions.release(id);
                        return refuseFor(d, conn, ex, res, .internal_error);
                    };
                    begin(d, conn, ex, id, res, &ends, how.user);
                },
            }
        }

        pub fn deflatePolicy(d: *const D) ?permessage_deflate.Policy {
            if (!D.has_compression) return null;
            const compression = d.websocket_worker.compression orelse return null;
            return compression.policy;
        }

        /// What the socket has to compress with; the agreement may come to be one on less.
        fn admit(
            d: *D,
            conn: *Conn,
            ex: *const Exchange,
            agreed: *?permessage_deflate.Agreement,
        ) Ends {
            if (!D.has_compression) return .{};
            const agreement = if (agreed.*) |*some| some else return .{};
            if (ex.version == .http2 and hasItsShare(d, conn)) {
                agreement.server_no_context_takeover = true;
                agreement.client_no_context_takeover = true;
            }
            return d.websocket_worker.compression.?.admit(agreement);
        }

        /// Whether the streams of `conn` have as many compressors as those of one connection may.
        fn hasItsShare(d: *D, conn: *Conn) bool {
            var count: u32 = 0;
            var at = D.http2.of(conn).first;
            while (at) |ex| : (at = ex.next) {
                if (D.websockets.hasOwnCompressor(d, ex)) count += 1;
            }
            return count >= limits.websocket_deflate_own_per_connection_max;
        }

        /// What a dispatcher wants that has let the request wait: all else was seen to when it
        /// came.
        pub const Late = struct {
            /// Over HTTP/2 it means nothing.
            key: [handshake.key_bytes]u8,
            /// One of the client's, or of nobody's; "": none.
            protocol: []const u8,
            /// What was made of the client's offers of compression by `deflatePolicy`.
            deflate: ?permessage_deflate.Agreement,
        };

        /// The dispatcher wants a WebSocket for `ex`, which has waited, and held its connection's
        /// input. Null: there is one, and the exchange has ended. Else what the request is to be
        /// answered with.
        pub fn upgradeLate(d: *D, ex: *Exchange, res: *Response, how: *const Late) ?problem.Code {
            const conn = d.connOf(ex);
            if (d.net.draining or !conn.isOpen()) return .service_unavailable;
            if (!mayTurn(conn, ex)) return .invalid_websocket_handshake;
            const is_stream = ex.version == .http2;
            if (!is_stream and !conn.paused) return .service_unavailable;
            const id = d.websocket_worker.sessions.take() orelse return .service_unavailable;
            var agreed = how.deflate;
            var ends = admit(d, conn, ex, &agreed);
            var answer: handshake.Answer = .{};
            const key = if (is_stream) null else &how.key;
            fill(res, handshake.answerTo(key, how.protocol, &agreed, &answer)) catch {
                if (D.has_compression) ends.deinit();
                d.websocket_worker.sessions.release(id);
                return .internal_error;
            };
            begin(d, conn, ex, id, res, &ends, 0);
            if (is_stream) {
                d.afterAnswer(conn);
                return null;
            }
            const session = conn.app.websocket orelse return null;
            // It is read again when this turn ends.
            assert(conn.paused);
            session.is_paused = true;
            session.protocol.pause(d.net.now_ms);
            session.notes.unpause = true;
            D.websockets.settleLater(d, session);
            d.afterAnswer(conn);
            return null;
        }

        /// Whether a request that has waited can become a socket: nothing of what follows it was
        /// looked at, and its client has not ended its side.
        fn mayTurn(conn: *Conn, ex: *const Exchange) bool {
            if (ex.version == .http2)
                return tunnels.isAsked(ex) and !D.http2.isWhole(ex);
            const own = http1.of(conn);
            return ex.version == .http11 and ex.holds_input and
                own.first == ex and own.last == ex and own.reading == null;
        }

        /// Why there can be no WebSocket now, whatever the request says.
        fn obstacleOf(d: *const D, conn: *const Conn, ex: *const Exchange) ?problem.Code {
            if (d.net.draining) return .service_unavailable;
            // A copy of the request would have what its owner said to the socket said again.
            if (d.request.tls) |security| if (security.is_early) return .too_early;
            // Its client has ended the stream.
            if (ex.version == .http2)
                return if (D.http2.isWhole(ex)) .invalid_websocket_handshake else null;
            // Behind requests that wait for their answers: no client does that.
            if (http1.of(conn).first != ex) return .invalid_websocket_handshake;
            return null;
        }

        fn refuseFor(
            d: *D,
            conn: *Conn,
            ex: *Exchange,
            res: *Response,
            code: problem.Code,
        ) void {
            @branchHint(.cold);
            res.reset();
            problem.write(res, problem.formatOf(&d.request.fields), code);
            refusals.report(d, conn, code, res.status);
            responses.respond(d, ex, res);
        }

        /// Makes `res` the answer to a request that is none for a WebSocket.
        pub fn refuse(d: *D, res: *Response, refusal: handshake.Refusal) void {
            @branchHint(.cold);
            fillRefusal(res, problem.formatOf(&d.request.fields), .upgrade, refusal);
        }

        fn fillRefusal(
            res: *Response,
            format: problem.Format,
            way: handshake.Way,
            refusal: handshake.Refusal,
        ) void {
            @branchHint(.cold);
            res.reset();
            for (refusal.fields(way)) |field| res.header(field.name, field.value) catch
                unreachable; // few and short, to a fresh response
            problem.write(res, format, codeOf(refusal, way));
            assert(res.status == refusal.status(way));
        }

        /// Answers a request that has waited, and was none for a WebSocket.
        pub fn refuseLate(d: *D, ex: *Exchange, refusal: handshake.Refusal) void {
            const res = d.response();
            const way: handshake.Way = if (ex.version == .http2) .extended_connect else .upgrade;
            fillRefusal(res, ex.format, way, refusal);
            refusals.report(d, d.connOf(ex), codeOf(refusal, way), res.status);
            responses.respond(d, ex, res);
        }

        /// Makes `res` the answer that brings the socket, with its own fields and these.
        fn fill(res: *Response, fields: []const Field) HeaderError!void {
            res.dropBody();
            // The engine's own to say.
            for ([_][]const u8{
                "sec-websocket-accept",   "sec-websocket-extensions",
                "sec-websocket-protocol", "sec-websocket-version",
                "upgrade",                "connection",
                "trailer",
            }) |name| res.dropField(name);
            res.has_upgrade = false;
            // Upgrade brings Connection along.
            for (fields) |field| try res.header(field.name, field.value);
        }

        /// The head of the 101, in the worker's buffer for heads.
        fn writeHead(d: *D, res: *const Response) []const u8 {
            // The buffer holds the largest head.
            const len = encoder.head(d.head_buffer, .{
                .status = 101,
                .field_lines = res.fieldLines().text,
                .length = null,
                .date = d.dateNow(),
                .keep_alive = true,
            }) catch unreachable;
            return d.head_buffer[0..len];
        }

        fn begin(
            d: *D,
            conn: *Conn,
            ex: *Exchange,
            id: Id,
            res: *Response,
            ends: *const Ends,
            user: u64,
        ) void {
            const worker = &d.websocket_worker;
            const session = worker.sessions.get(id).?;
            const is_compressed = D.has_compression and ends.is_on;
            const is_stream = ex.version == .http2;
            session.* = .{
                .id = id,
                .tunnel = .{ .conn = conn, .stream = if (is_stream) ex else null },
                .protocol = .init(&worker.settings, null, is_compressed, d.net.now_ms),
                .ends = ends.*,
                .user = user,
            };
            if (is_stream) tunnels.begin(d, ex, id, res) else leaveHttp1(d, conn, ex, session, res);
            if (session.tunnel == null) return;
            session.is_told = true;
            D.websockets.noteDeadline(session);
            const before = worker.mailbox.enter();
            d.dispatcher.onSocketOpen(d, session);
            Mailbox.leave(before);
            // What has come while it waited for this.
            if (is_stream and session.tunnel != null) session.tunnel.?.goOnLater(d);
        }

        fn leaveHttp1(
            d: *D,
            conn: *Conn,
            ex: *Exchange,
            session: *D.websockets.Session,
            res: *const Response,
        ) void {
            const head = writeHead(d, res);
            ex.response = .done;
            http1.leave(d, conn, ex);
            conn.app.http1.spoken = .websocket;
            conn.app.websocket = session;
            d.net.writeBorrowed(conn, head);
        }
    };
}

fn codeOf(refusal: handshake.Refusal, way: handshake.Way) problem.Code {
    if (way == .extended_connect and refusal == .unsupported_version)
        return .invalid_websocket_handshake;
    return switch (refusal) {
        .no_upgrade, .unsupported_version => .upgrade_required,
        .wrong_method => .method_not_allowed,
        .forbidden_origin => .forbidden_origin,
        .wrong_http_version,
        .no_connection_upgrade,
        .has_content,
        .duplicate_version,
        .missing_key,
        .invalid_key,
        .duplicate_key,
        .duplicate_origin,
        .invalid_protocol,
        .invalid_extensions,
        => .invalid_websocket_handshake,
    };
}

test "each refusal is answered with the status that the handshake has for it" {
    for (std.enums.values(handshake.Way)) |way| {
        for (std.enums.values(handshake.Refusal)) |refusal| {
            const code = codeOf(refusal, way);
            try std.testing.expectEqual(refusal.status(way), problem.statusOf(code));
        }
    }
}
