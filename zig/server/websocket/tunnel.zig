//! What carries a WebSocket: a connection that has left HTTP/1, or a stream of HTTP/2 (RFC 8441).

const limits = @import("../../core/limits.zig");
const Tunnels = @import("../http2/tunnels.zig").Tunnels;

/// For the driver `D`.
pub fn TunnelOf(comptime D: type) type {
    return struct {
        const Tunnel = @This();
        const Conn = D.Conn;
        const Exchange = D.Exchange;
        const Session = D.websockets.Session;
        const streams = Tunnels(D);

        conn: *Conn,
        /// That of the stream; null: the socket has the connection for itself. It is there for as
        /// long as its socket is.
        stream: ?*Exchange = null,

        // What comes.

        /// The next bytes stay where they are, until the peer has taken some, say.
        pub fn pause(self: Tunnel, d: *D) void {
            if (self.stream == null) d.net.pauseInput(self.conn);
        }

        pub fn unpause(self: Tunnel, d: *D) void {
            if (self.stream) |ex| streams.read(d, ex) else d.net.resumeInput(self.conn);
        }

        /// What comes is read on in the next turn.
        pub fn goOnLater(self: Tunnel, d: *D) void {
            if (self.stream) |ex| streams.readLater(d, ex) else d.net.goOnLater(self.conn);
        }

        /// Asked before each message. False: its connection has had its share of this turn.
        pub fn beginMessage(self: Tunnel, d: *D) bool {
            if (d.net.beginRequest(self.conn)) return true;
            if (self.stream) |ex| streams.readLater(d, ex);
            return false;
        }

        /// Whether what is being read lies in memory of the worker's: whoever is told of it may end
        /// the connection.
        pub fn isInPlace(self: Tunnel) bool {
            if (self.stream) |ex| if (ex.http2.inbox.len > 0) return false;
            return !self.conn.is_filtered and self.conn.input.len == 0;
        }

        // What goes.

        /// What waits for the peer, bytes.
        pub fn waiting(self: Tunnel) u64 {
            return if (self.stream) |ex| ex.held.bytes else self.conn.queue.bytes;
        }

        /// The same, with what was gathered for it in this turn.
        pub fn unsent(self: Tunnel, d: *const D) u64 {
            if (self.stream) |ex| return ex.held.bytes;
            const is_own = d.net.batch.owner == @as(?*anyopaque, self.conn);
            return self.conn.queue.bytes + if (is_own) d.net.batch.bytes else 0;
        }

        /// Whether all that was said has left, or does with what else this turn brings.
        pub fn isClear(self: Tunnel) bool {
            if (self.stream) |ex| return streams.isClear(D.http2.of(self.conn), ex);
            return self.conn.queue.isEmpty();
        }

        /// What its connection would hold with so much more, bytes. Null: more than it may.
        pub fn holding(self: Tunnel, d: *const D, bytes: usize) ?u64 {
            if (self.stream == null) return self.conn.queue.bytes + bytes;
            const session = D.http2.of(self.conn);
            if (!streams.mayHold(d, session, self.waiting() + bytes, bytes)) return null;
            return streams.heldBytes(session) + bytes;
        }

        /// Something was not taken for want of room: its socket is to be told when there is some.
        pub fn noteRefused(self: Tunnel) void {
            if (self.stream != null) D.http2.of(self.conn).has_refused = true;
        }

        /// Says `bytes`, together with what else this turn brings. The socket may end by it.
        pub fn write(self: Tunnel, d: *D, bytes: []const u8) void {
            const ex = self.stream orelse return d.net.write(self.conn, bytes);
            if (!streams.write(d, ex, bytes)) D.websockets.loseStream(d, ex);
        }

        /// The same of bytes that may be many, and are not copied where they leave at once.
        pub fn writeBorrowed(self: Tunnel, d: *D, bytes: []const u8) void {
            if (self.stream != null) return self.write(d, bytes);
            d.net.writeBorrowed(self.conn, bytes);
        }

        /// What was gathered for it in this turn goes out now, as far as it may. The socket may end
        /// by it.
        pub fn flush(self: Tunnel, d: *D) void {
            if (self.stream) |ex| return streams.flush(d, ex);
            if (d.net.batch.owner == @as(?*anyopaque, self.conn)) d.net.flush();
        }

        // The end.

        /// The last that is said on it. This end is closed behind it (RFC 6455 §7.1.1). Its socket
        /// is over.
        pub fn finish(self: Tunnel, d: *D, farewell: []const u8) void {
            if (self.stream) |ex| return streams.end(d, ex, farewell);
            if (farewell.len > 0) d.net.write(self.conn, farewell);
            if (self.conn.isOpen()) d.endConn(self.conn, true);
        }

        /// Ends it without a word; what was not sent is lost. Its socket is over.
        pub fn reset(self: Tunnel, d: *D) void {
            if (self.stream) |ex| D.http2.reset(d, ex, .cancel) else d.net.close(self.conn);
        }

        /// The deadline of its socket may have come nearer.
        pub fn expect(self: Tunnel, at_ms: u64) void {
            if (self.stream != null) D.http2.of(self.conn).expect(at_ms);
        }
    };
}
