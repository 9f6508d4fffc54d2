//! What becomes of a request's content: the dispatcher has it as it comes, or whole, or nobody
//! wants it. How it is framed is the affair of the protocol that brings it.

const assert = @import("std").debug.assert;
const Sink = @import("request_body.zig").Sink;

pub fn RequestBodies(comptime D: type) type {
    return struct {
        const Carrier = D.Carrier;
        const Exchange = D.Exchange;

        /// The content of `ex` begins to arrive.
        pub fn begin(d: *D, ex: *Exchange, sink: Sink) void {
            ex.body = .begin(sink, d.rates.body, d.net.now_ms);
            ex.trailers.deinit(&d.net.pools.buffers); // they come again, behind it
        }

        /// Keeps the head of a request whose content is gathered, since both are looked at again.
        /// The message is no longer read when there is no room.
        pub fn keepHead(d: *D, carrier: Carrier, ex: *Exchange, head: []const u8) void {
            if ((ex.body_length orelse 0) > d.config.body_buffered_bytes_max)
                return carrier.refuseMessage(ex, .body_too_large);
            ex.gathered.append(&d.net.pools.buffers, head) catch
                return carrier.refuseForMemory(ex, .pool);
            ex.head_len = @intCast(head.len);
        }

        /// Takes content; returns how many bytes are done with, null when the message is no longer
        /// read: it has been refused, or its connection has ended. `announced`: what is known to
        /// follow at least, bytes.
        pub fn deliver(
            d: *D,
            carrier: Carrier,
            ex: *Exchange,
            bytes: []const u8,
            announced: u64,
            is_end: bool,
        ) ?usize {
            const body = &ex.body;
            if (body.isTooLarge(bytes.len + announced, d.config.body_bytes_max)) {
                carrier.refuseMessage(ex, .body_too_large);
                return null;
            }
            var taken = bytes.len;
            switch (body.sink) {
                .stream => taken = d.dispatcher.onBody(d, ex, bytes, is_end),
                .gather => keep(d, carrier, ex, bytes),
                .discard => if (!body.discard(bytes.len)) carrier.stopReading(ex),
            }
            if (!carrier.isReading(ex)) return null;
            if (body.sink == .discard) taken = bytes.len; // it was answered under the call
            assert(taken <= bytes.len);
            body.seen += taken;
            return taken;
        }

        fn keep(d: *D, carrier: Carrier, ex: *Exchange, bytes: []const u8) void {
            const held = ex.gathered.len - ex.head_len;
            if (held + bytes.len > d.config.body_buffered_bytes_max)
                return carrier.refuseMessage(ex, .body_too_large);
            ex.gathered.append(&d.net.pools.buffers, bytes) catch
                return carrier.refuseForMemory(ex, .pool);
            carrier.checkInputMemory(ex);
        }

        /// Trailer lines, which nobody wants of content that nobody wants.
        pub fn keepTrailers(d: *D, carrier: Carrier, ex: *Exchange, lines: []const u8) void {
            if (ex.body.sink == .discard) return;
            ex.trailers.append(&d.net.pools.buffers, lines) catch
                carrier.refuseForMemory(ex, .pool);
        }
    };
}
