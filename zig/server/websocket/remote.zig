//! Sockets as a dispatcher has them whose program is elsewhere (the bridge): it says things to them
//! in its own turns, and has seen to it that they may be sent.

const Id = @import("../../core/slots.zig").Id;
const errors = @import("../../websocket/errors.zig");
const frames = @import("../../websocket/frames.zig");
const permessage_deflate = @import("../../websocket/permessage_deflate.zig");
const budget_of = @import("../budget.zig").Budget;
const output_of = @import("output.zig").Output;
const sessions_of = @import("session.zig").Sessions;
const upgrades_of = @import("upgrades.zig").Upgrades;
const socket = @import("socket.zig");
const Status = socket.Socket.Status;

/// For the driver `D`. All of these are called on the worker's thread, in the dispatcher's
/// `onTurn`, or where something is told to it. Any may end the socket's connection.
pub fn RemoteSockets(comptime D: type) type {
    return struct {
        const budget = budget_of(D);
        const output = output_of(D);
        const upgrades = upgrades_of(D);

        pub const Session = sessions_of(D).Session;
        pub const Late = upgrades.Late;
        pub const upgrade = upgrades.upgradeLate;
        pub const refuse = upgrades.refuseLate;
        pub const Manner = socket.Manner;

        /// What is agreed on with those that offer it; null: nothing is compressed.
        pub fn deflatePolicy(d: *const D) ?permessage_deflate.Policy {
            return upgrades.deflatePolicy(d);
        }

        /// What waits for the peer, bytes.
        pub fn waiting(d: *const D, session: *const Session) u64 {
            const tunnel = session.tunnel orelse return 0;
            return tunnel.unsent(d);
        }

        /// What was gathered for it in this turn goes out now.
        pub fn flush(d: *D, session: *const Session) void {
            if (session.tunnel) |tunnel| tunnel.flush(d);
        }

        /// The dispatcher's `onSocketDrain` is called when the turn ends.
        pub fn settleLater(d: *D, session: *Session) void {
            session.notes.drained = true;
            D.websockets.settleLater(d, session);
        }

        /// The dispatcher has room again for what comes.
        pub fn unpause(d: *D, session: *Session) void {
            if (session.tunnel == null or !session.is_paused) return;
            session.notes.unpause = true;
            D.websockets.settleLater(d, session);
        }

        /// Sends a message. Where there is no memory for it, its socket ends with 1013: none is
        /// left out.
        pub fn send(d: *D, session: *Session, manner: socket.Manner, bytes: []const u8) void {
            if (!output.hasMemory(d, session.tunnel.?, bytes.len))
                return D.websockets.giveUp(d, session, .out_of_buffers);
            _ = output.write(d, session, manner, bytes);
            d.websocket_worker.sends_left -|= d.websocket_worker.takeSpent();
        }

        /// So much was compressed and decompressed in this turn that the next message is for
        /// another.
        pub fn isSpent(d: *const D) bool {
            if (!D.has_compression) return false;
            return d.websocket_worker.compression != null and d.websocket_worker.sends_left == 0;
        }

        /// Whether messages of this socket are compressed (RFC 7692), so that ends agree on.
        pub fn isCompressed(session: *const Session) bool {
            return session.protocol.decoder.has_compression;
        }

        /// A part of a message of `total` bytes that `sendGathered` will send. False: there is no
        /// memory for it, and the socket has ended.
        pub fn gather(d: *D, session: *Session, bytes: []const u8, total: usize) bool {
            const tunnel = session.tunnel.?;
            const is_first = session.outgoing.len == 0;
            if (is_first and !output.hasMemory(d, tunnel, total)) {
                D.websockets.giveUp(d, session, .out_of_buffers);
                return false;
            }
            session.outgoing.append(&d.net.pools.buffers, bytes) catch {
                D.websockets.giveUp(d, session, .out_of_buffers);
                return false;
            };
            if (budget.over(d, tunnel.conn, .input) == null) return true;
            // Not 1009, which is said of what was received (RFC 6455 §7.4.1).
            D.websockets.giveUp(d, session, .out_of_buffers);
            return false;
        }

        pub fn sendGathered(d: *D, session: *Session, manner: socket.Manner) void {
            // It may end meanwhile.
            var message = session.outgoing;
            session.outgoing = .{};
            defer message.deinit(&d.net.pools.buffers);
            output.writeChain(d, session, manner, &message);
            d.websocket_worker.sends_left -|= d.websocket_worker.takeSpent();
        }

        pub fn control(d: *D, session: *Session, is_ping: bool, bytes: []const u8) void {
            output.control(d, session, is_ping, bytes);
        }

        /// Begins to close; the peer's answer is waited for.
        pub fn close(d: *D, session: *Session, code: errors.Code, reason: []const u8) void {
            output.close(d, session, code, reason);
        }

        pub fn terminate(d: *D, session: *Session) void {
            if (session.tunnel != null) D.websockets.terminate(d, session);
        }

        /// Ends it with `code`, for want of what it needs.
        pub fn giveUp(d: *D, session: *Session, code: errors.Code) void {
            D.websockets.closeFor(d, session, code);
        }

        pub fn subscribe(d: *D, session: *Session, topic: []const u8) error{NoRoom}!void {
            return d.websocket_worker.topics.subscribe(session, topic);
        }

        pub fn unsubscribe(d: *D, session: *Session, topic: []const u8) void {
            d.websocket_worker.topics.unsubscribe(session, topic);
        }

        /// To all of this worker's who have subscribed, but to `except`. Text is UTF-8. `last`
        /// names it where it takes more turns than this: until it has reached all, whoever
        /// publishes is behind.
        pub fn publish(
            d: *D,
            except: Id,
            topic: []const u8,
            manner: socket.Manner,
            bytes: []const u8,
            last: *u64,
        ) Status {
            const mailbox = &d.websocket_worker.mailbox;
            const before = mailbox.enter();
            defer socket.Mailbox.leave(before);
            const status = output.publish(d, except, topic, manner, bytes);
            if (status == .posted) last.* = mailbox.own_posted;
            return status;
        }

        /// What was published as `last` has not reached all: what its publisher says now would
        /// overtake it.
        pub fn isBehind(d: *const D, last: u64) bool {
            return d.websocket_worker.mailbox.isBehind(last);
        }

        /// How it has ended, of one whose `onSocketClose` was answered with false.
        pub fn endOf(session: *const Session) socket.Socket.End {
            return session.end();
        }

        /// The dispatcher is done with such a one.
        pub fn release(d: *D, session: *Session) void {
            d.websocket_worker.sessions.release(session.id);
        }
    };
}
