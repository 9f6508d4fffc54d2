//! Heads of responses that come again and again. Most that a server sends are alike but for
//! Content-Length: what they were made of is kept for a worker, and what that came to on a
//! connection, a few bytes once its table has all of the fields, is kept for the connection. Such a
//! head is copied where it would be put together from its fields.

const std = @import("std");
const assert = std.debug.assert;
const encoder_file = @import("hpack/encoder.zig");
const Encoder = encoder_file.Encoder;
const Out = encoder_file.Out;
const response = @import("response.zig");
const HeadParts = response.HeadParts;

/// How many are kept, each in the place that its hash gives it.
const kept_max = 8;
const Place = std.math.IntFittingRange(0, kept_max - 1);
/// Heads with more text have fields that differ each time, bytes.
const text_bytes_max = 256;
/// A field block that has little but indices, bytes.
const block_bytes_max = 11;
/// The same of Content-Length alone.
const length_bytes_max = 3;

/// What heads are made of: of a worker, for all of its connections.
pub const Shapes = struct {
    places: [kept_max]Shape = @splat(.{}),
    /// How many there have been.
    count: u64 = 0,

    const Shape = struct {
        /// Of this shape and no other that was ever here; 0: none.
        number: u64 = 0,
        status: u16 = 0,
        has_date: bool = false,
        has_server: bool = false,
        server_len: u16 = 0,
        own_line_len: u16 = 0,
        lines_len: u16 = 0,
        date: [29]u8 = undefined,
        /// Server, the own line, and the lines, one behind the other.
        text: [text_bytes_max]u8 = undefined,

        fn has(self: *const Shape, p: *const HeadParts) bool {
            if (self.number == 0 or self.status != p.status) return false;
            if (self.has_date != p.has_date or self.has_server != p.has_server) return false;
            if (self.server_len != p.server.len or self.own_line_len != p.own_line.len or
                self.lines_len != p.lines.text.len) return false;
            // The lines' lengths follow from their text: no name has a colon.
            return std.mem.eql(u8, &self.date, p.date) and
                std.mem.eql(u8, self.text[0..p.server.len], p.server) and
                std.mem.eql(u8, self.text[p.server.len..][0..p.own_line.len], p.own_line) and
                std.mem.eql(
                    u8,
                    self.text[p.server.len + p.own_line.len ..][0..p.lines.text.len],
                    p.lines.text,
                );
        }

        fn set(self: *Shape, number: u64, p: *const HeadParts) void {
            self.number = number;
            self.status = p.status;
            self.has_date = p.has_date;
            self.has_server = p.has_server;
            self.server_len = @intCast(p.server.len);
            self.own_line_len = @intCast(p.own_line.len);
            self.lines_len = @intCast(p.lines.text.len);
            self.date = p.date.*;
            var at: usize = 0;
            for ([_][]const u8{ p.server, p.own_line, p.lines.text }) |part| {
                @memcpy(self.text[at..][0..part.len], part);
                at += part.len;
            }
        }
    };

    const Found = struct { place: Place, number: u64 };

    /// What `p` is made of, which is kept from now on; null: it is not.
    fn find(self: *Shapes, p: *const HeadParts) ?Found {
        const bytes = p.server.len + p.own_line.len + p.lines.text.len;
        if (bytes > text_bytes_max) return null;
        const place = placeOf(p);
        const shape = &self.places[place];
        if (!shape.has(p)) {
            self.count += 1;
            shape.set(self.count, p);
        }
        return .{ .place = place, .number = shape.number };
    }

    /// What is secret stays no longer than it takes.
    fn forget(self: *Shapes, place: Place) void {
        const shape = &self.places[place];
        shape.number = 0;
        std.crypto.secureZero(u8, &shape.text);
    }

    /// Heads that differ mostly do so in how long they are, and in how they end.
    fn placeOf(p: *const HeadParts) Place {
        const text = p.lines.text;
        const end: u64 = if (text.len >= 12)
            std.mem.readInt(u64, text[text.len - 10 ..][0..8], .little)
        else
            0;
        const mixed = (end ^ text.len << 8 ^ p.status) *% 0x9e37_79b9_7f4a_7c15;
        return @intCast(mixed >> (64 - @bitSizeOf(Place)));
    }
};

/// What heads came to on a connection.
pub const Blocks = struct {
    /// Shapes of which there is a block; 0: none.
    numbers: [kept_max]u64 = @splat(0),
    places: [kept_max]Block = undefined,
    /// That this Content-Length came to `length_bytes`.
    length: u64 = 0,
    /// The encoder's, when the last head was written. Between two heads the table does not change
    /// 2^32 times, so that it would be the same again.
    changes: u32 = 0,
    /// 0: of none.
    length_len: u8 = 0,
    length_bytes: [length_bytes_max]u8 = undefined,

    const Block = struct { len: u8, bytes: [block_bytes_max]u8 };

    /// As `response.writeHead`.
    pub fn writeHead(
        self: *Blocks,
        shapes: *Shapes,
        encoder: *Encoder,
        out: *Out,
        p: *const HeadParts,
    ) void {
        assert(p.status >= 200);
        encoder.begin(out);
        if (self.changes != encoder.changes) self.forget(encoder);
        const found = shapes.find(p) orelse {
            response.writeFields(encoder, out, p);
            return self.writeLength(encoder, out, p);
        };
        const block = &self.places[found.place];
        const number = &self.numbers[found.place];
        if (number.* == found.number) {
            copy(block_bytes_max, out, &block.bytes, block.len);
        } else {
            const start = out.len;
            const before = encoder.learned();
            const secrets = encoder.secrets;
            response.writeFields(encoder, out, p);
            const came = out.bytes[start..out.len];
            if (encoder.secrets != secrets) {
                shapes.forget(found.place);
            } else if (came.len <= block_bytes_max and encoder.learned() == before) {
                number.* = found.number;
                block.len = @intCast(came.len);
                @memcpy(block.bytes[0..came.len], came);
            }
        }
        self.writeLength(encoder, out, p);
    }

    fn forget(self: *Blocks, encoder: *const Encoder) void {
        self.numbers = @splat(0);
        self.length_len = 0;
        self.changes = encoder.changes;
    }

    fn writeLength(self: *Blocks, encoder: *Encoder, out: *Out, p: *const HeadParts) void {
        const length = response.contentLength(p) orelse return;
        // Fields that came before it may have changed the table.
        const is_known = self.length_len > 0 and self.changes == encoder.changes;
        if (is_known and self.length == length)
            return copy(length_bytes_max, out, &self.length_bytes, self.length_len);
        const start = out.len;
        const before = encoder.learned();
        response.writeContentLength(encoder, out, length);
        const came = out.bytes[start..out.len];
        if (came.len > length_bytes_max or encoder.learned() != before) return;
        if (self.changes != encoder.changes) return;
        self.length = length;
        self.length_len = @intCast(came.len);
        @memcpy(self.length_bytes[0..came.len], came);
    }

    /// A head has room for more than such a part of it.
    inline fn copy(comptime max: usize, out: *Out, bytes: *const [max]u8, len: u8) void {
        out.bytes[out.len..][0..max].* = bytes.*;
        out.len += len;
    }
};

test {
    _ = @import("known_heads_test.zig");
}
