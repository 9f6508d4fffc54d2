//! What backends that are told of readiness have in common: operations that are one call of the
//! system's, whatever the backend waits with, and how it waits.

const posix = @import("std").posix;
const clock = @import("../core/clock.zig");
const sealing = @import("../core/sealing.zig");
const system = @import("../core/system.zig");
const io = @import("io.zig");
const transfer = @import("transfer.zig");
const Stream = io.Stream;

/// Those of a backend `B`, by the names that io.zig has for them.
pub fn Calls(comptime B: type) type {
    return struct {
        pub fn nowMs(_: *const B) u64 {
            return clock.monotonicMs();
        }

        pub fn wallSeconds(_: *const B) i64 {
            return clock.realtimeSeconds();
        }

        pub fn closeAccepted(_: *B, fd: system.Socket) void {
            system.closeSocket(fd);
        }

        pub fn shutdownSend(_: *B, stream: *Stream) void {
            system.shutdown(stream.fd, .send) catch {}; // a connection that is gone needs no FIN
        }

        pub fn hasInput(_: *B, stream: *const Stream) bool {
            return transfer.hasInput(stream.fd);
        }

        pub fn inFlight(_: *B, stream: *const Stream) u64 {
            return system.inFlight(stream.fd);
        }

        pub fn send(
            _: *B,
            stream: *Stream,
            iovecs: []const posix.iovec_const,
            more: bool,
        ) io.SendResult {
            return transfer.send(stream.fd, iovecs, more);
        }

        pub fn sendFile(
            _: *B,
            stream: *Stream,
            file: system.File,
            offset: u64,
            len: u64,
        ) io.SendResult {
            return transfer.sendFile(stream.fd, file, offset, len);
        }

        /// Of a backend that has nobody to seal.
        pub fn sealNothing(_: *B, _: *Stream, _: *const sealing.Keys) bool {
            return false;
        }

        pub fn sendNothingSealed(_: *B, _: *Stream, _: *const sealing.Message) io.SendResult {
            unreachable; // nothing is sealed
        }

        pub fn acceptBatch(_: *B, stream: *Stream, context: anytype) bool {
            return transfer.acceptBatch(stream.fd, stream.token, context);
        }

        /// Waits by `B.sleep`, which returns how many events there are. Looks for a while before it
        /// sleeps, if it is told to.
        pub fn wait(self: *B, timeout_ms: i32) usize {
            if (self.busy_poll_us == 0 or timeout_ms == 0) return self.sleep(timeout_ms);
            var looking: transfer.BusyPoll = .begin(self.busy_poll_us, timeout_ms);
            while (true) {
                const count = self.sleep(0);
                if (count > 0) return count;
                if (!looking.goesOn()) break;
            }
            return self.sleep(looking.left_ms);
        }
    };
}
