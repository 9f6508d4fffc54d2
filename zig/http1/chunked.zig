//! Decoder of the chunked transfer coding (RFC 9112 §7.1), sans-I/O and resumable at every byte.
//! Chunk extensions are checked against the grammar and dropped; trailer fields are checked and
//! given out.
const std = @import("std");
const limits = @import("../core/limits.zig");
const chars = @import("../http/chars.zig");
const forbidden_trailers = @import("../http/trailers.zig").forbidden;

/// Largest chunk: 2^63 - 1 bytes, so that sums with it cannot wrap.
pub const chunk_size_max = std.math.maxInt(i64);
/// Most hexadecimal digits of a chunk size, leading zeros included.
pub const chunk_digits_max = 16;
/// Most bytes of extensions on one chunk.
pub const extension_bytes_max = 4096;
/// How far the bytes of extensions of a body may run ahead of twice its data: a body of tiny chunks
/// with large extensions costs the reader much more than it carries.
pub const overhead_bytes_max = 16_384;
/// Most bytes of the trailer section, without its empty line.
pub const trailer_bytes_max = limits.trailer_bytes_max;
/// Most fields of the trailer section.
pub const trailer_count_max = limits.trailer_count_max;

/// Why a body was refused. The connection cannot be used further. Status and explanation are with
/// the `problem.Code` of the same name.
pub const ChunkError = enum {
    /// A chunk does not begin with a hexadecimal digit, or goes on with none of digit, ";", CRLF.
    invalid_chunk_size,
    /// More than `chunk_size_max`, or more than `chunk_digits_max` digits.
    chunk_size_too_large,
    /// Not `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`.
    invalid_extension,
    /// More than `extension_bytes_max` on a chunk, or `overhead_bytes_max` over the body.
    extensions_too_large,
    /// LF without CR before it.
    bare_line_feed,
    /// CR without LF after it.
    bare_carriage_return,
    /// A chunk's data is not followed by CRLF: it is longer than its size said.
    missing_chunk_end,
    invalid_trailer,
    /// A field that must not stand in a trailer section (RFC 9110 §6.5.1).
    forbidden_trailer,
    trailers_too_large,
    /// More than `trailer_count_max`.
    too_many_trailers,
};

/// What `ChunkedDecoder.next` found.
pub const Event = union(enum) {
    /// All given bytes were framing and are consumed (this many).
    need_more: usize,
    /// Body data, a slice of the given bytes; `consumed` counts it and the framing before it. There
    /// may be more in the rest of the given bytes.
    data: struct { bytes: []const u8, consumed: usize },
    /// The next bytes of the trailer section, a slice of the given bytes, cut as the reads were.
    /// All such pieces of a body together are "name: value\r\n" lines, without the empty line that
    /// ends the section. They mean nothing before `end` has come: what is refused is in them too.
    trailer: struct { bytes: []const u8, consumed: usize },
    /// The body has ended after this many of the given bytes, trailer section and last CRLF
    /// included.
    end: usize,
    err: ChunkError,
};

/// Decoder of one body. Begin each body with a fresh value `.{}`.
pub const ChunkedDecoder = struct {
    /// Size while it is read, then the data bytes still to come.
    remaining: u64 = 0,
    /// Bytes of extensions not yet paid for by the sizes of chunks.
    overhead: u32 = 0,
    /// Bytes of this chunk's extensions.
    extension: u16 = 0,
    /// Bytes of the trailer section.
    trailer: u16 = 0,
    /// Which of `forbidden_trailers` begin with the trailer name read so far.
    candidates: Candidates = 0,
    /// Fields of the trailer section that have begun.
    trailers: u8 = 0,
    /// Length of the trailer name read so far.
    name_len: u8 = 0,
    digits: u8 = 0,
    state: State = .size,

    const State = enum(u8) {
        size,
        /// After white space that must lead to ";".
        before_semicolon,
        before_extension_name,
        extension_name,
        after_extension_name,
        before_extension_value,
        extension_value,
        quoted_value,
        quoted_pair,
        after_extension_value,
        size_line_feed,
        data,
        data_carriage_return,
        data_line_feed,
        trailer_start,
        trailer_name,
        trailer_value,
        trailer_line_feed,
        last_line_feed,
        done,
        failed,
    };

    /// Bytes that are still to come of the chunk whose data is being read.
    pub fn dataLeft(self: *const ChunkedDecoder) u64 {
        return if (self.state == .data) self.remaining else 0;
    }

    /// Whether all data has come: at most the trailer section is missing, which is bounded.
    pub fn lastChunkSeen(self: *const ChunkedDecoder) bool {
        return switch (self.state) {
            .trailer_start,
            .trailer_name,
            .trailer_value,
            .trailer_line_feed,
            .last_line_feed,
            .done,
            => true,
            else => false,
        };
    }

    /// Takes back the last `n` bytes of the `data` event just returned: they will be given again.
    pub fn unread(self: *ChunkedDecoder, n: u64) void {
        if (n == 0) return;
        std.debug.assert(self.state == .data or self.state == .data_carriage_return);
        self.remaining += n;
        self.state = .data;
    }

    /// Consumes from the start of `bytes`. After `data` and `trailer`, call again with the bytes
    /// behind what was consumed; after `need_more`, with those that come next. After `end` or `err`
    /// the decoder must not be called.
    pub fn next(self: *ChunkedDecoder, bytes: []const u8) Event {
        std.debug.assert(self.state != .done and self.state != .failed);
        var i: usize = 0;
        while (i < bytes.len) {
            if (self.state == .data) return self.takeData(bytes, i);
            if (self.inTrailerLine(bytes[i])) return self.takeTrailer(bytes, i);
            if (self.step(bytes[i])) |e| return self.fail(e);
            i += 1;
            if (self.state == .done) return .{ .end = i };
        }
        return .{ .need_more = bytes.len };
    }

    fn fail(self: *ChunkedDecoder, e: ChunkError) Event {
        self.state = .failed;
        return .{ .err = e };
    }

    fn takeData(self: *ChunkedDecoder, bytes: []const u8, start: usize) Event {
        const take: usize = @intCast(@min(self.remaining, bytes.len - start));
        self.remaining -= take;
        if (self.remaining == 0) self.state = .data_carriage_return;
        return .{ .data = .{ .bytes = bytes[start..][0..take], .consumed = start + take } };
    }

    /// Whether `c`, the next byte, is one of a trailer line: not of the empty line after the last.
    fn inTrailerLine(self: *const ChunkedDecoder, c: u8) bool {
        return switch (self.state) {
            .trailer_start => c != '\r',
            .trailer_name, .trailer_value, .trailer_line_feed => true,
            else => false,
        };
    }

    /// As many whole and begun trailer lines as there are.
    fn takeTrailer(self: *ChunkedDecoder, bytes: []const u8, start: usize) Event {
        var i = start;
        while (i < bytes.len and self.inTrailerLine(bytes[i])) {
            if (self.state == .trailer_value) {
                // The longest stretch without a decision; only its length has to be kept.
                const stop = chars.find(.value_stop, bytes, i);
                if (!self.countTrailer(stop - i)) return self.fail(.trailers_too_large);
                i = stop;
                if (i == bytes.len) break;
            }
            if (self.stepTrailer(bytes[i])) |e| return self.fail(e);
            i += 1;
        }
        return .{ .trailer = .{ .bytes = bytes[start..i], .consumed = i } };
    }

    /// Moves over one byte of framing.
    fn step(self: *ChunkedDecoder, c: u8) ?ChunkError {
        switch (self.state) {
            .size => return self.stepSize(c),
            .before_semicolon,
            .before_extension_name,
            .extension_name,
            .after_extension_name,
            .before_extension_value,
            .extension_value,
            .quoted_value,
            .quoted_pair,
            .after_extension_value,
            => return self.stepExtension(c),
            .size_line_feed => {
                if (c != '\n') return .bare_carriage_return;
                self.state = if (self.remaining > 0) .data else .trailer_start;
                self.digits = 0;
                self.extension = 0;
                // The type is spelled out because @min's is only as wide as its smaller side.
                const paid: u32 = @min(self.remaining, overhead_bytes_max);
                self.overhead -|= 2 * paid;
            },
            .data_carriage_return => {
                if (c != '\r') return if (c == '\n') .bare_line_feed else .missing_chunk_end;
                self.state = .data_line_feed;
            },
            .data_line_feed => {
                if (c != '\n') return .bare_carriage_return;
                self.state = .size;
            },
            // The empty line.
            .trailer_start => self.state = .last_line_feed,
            .last_line_feed => {
                if (c != '\n') return .bare_carriage_return;
                self.state = .done;
            },
            // `next` lets none of them in
            .data, .trailer_name, .trailer_value, .trailer_line_feed, .done, .failed => unreachable,
        }
        return null;
    }

    fn stepSize(self: *ChunkedDecoder, c: u8) ?ChunkError {
        if (chars.hexValue(c)) |digit| {
            if (self.digits == chunk_digits_max) return .chunk_size_too_large;
            if (self.remaining > chunk_size_max >> 4) return .chunk_size_too_large;
            self.remaining = self.remaining << 4 | digit;
            self.digits += 1;
            return null;
        }
        if (self.digits == 0) return .invalid_chunk_size;
        self.state = switch (c) {
            '\r' => .size_line_feed,
            '\n' => return .bare_line_feed,
            ';' => .before_extension_name,
            ' ', '\t' => .before_semicolon,
            else => return .invalid_chunk_size,
        };
        return if (self.countExtension()) null else .extensions_too_large;
    }

    fn stepExtension(self: *ChunkedDecoder, c: u8) ?ChunkError {
        if (!self.countExtension()) return .extensions_too_large;
        const token = chars.token_table[c];
        const blank = chars.isOws(c);
        self.state = switch (self.state) {
            .before_semicolon => if (blank)
                .before_semicolon
            else if (c == ';')
                .before_extension_name
            else
                return extensionDefect(c),
            .before_extension_name => if (blank)
                .before_extension_name
            else if (token)
                .extension_name
            else
                return extensionDefect(c),
            .extension_name => if (token) .extension_name else return self.afterName(c),
            .after_extension_name => if (blank) .after_extension_name else switch (c) {
                '=', ';' => return self.afterName(c),
                else => return extensionDefect(c),
            },
            .before_extension_value => if (blank)
                .before_extension_value
            else if (c == '"')
                .quoted_value
            else if (token)
                .extension_value
            else
                return extensionDefect(c),
            .extension_value => if (token) .extension_value else return self.afterValue(c),
            .quoted_value => switch (c) {
                '"' => .after_extension_value,
                '\\' => .quoted_pair,
                else => if (isQuotable(c)) .quoted_value else return extensionDefect(c),
            },
            .quoted_pair => if (isQuotable(c)) .quoted_value else return extensionDefect(c),
            .after_extension_value => return self.afterValue(c),
            else => unreachable, // `step` sends the states of extensions only
        };
        return null;
    }

    fn afterName(self: *ChunkedDecoder, c: u8) ?ChunkError {
        if (c == '=') {
            self.state = .before_extension_value;
            return null;
        }
        if (chars.isOws(c)) {
            self.state = .after_extension_name;
            return null;
        }
        return self.afterValue(c);
    }

    fn afterValue(self: *ChunkedDecoder, c: u8) ?ChunkError {
        self.state = switch (c) {
            '\r' => .size_line_feed,
            ';' => .before_extension_name,
            ' ', '\t' => .before_semicolon,
            else => return extensionDefect(c),
        };
        return null;
    }

    fn extensionDefect(c: u8) ChunkError {
        return if (c == '\n') .bare_line_feed else .invalid_extension;
    }

    fn isQuotable(c: u8) bool {
        return !chars.Class.has(.value_stop, c);
    }

    fn countExtension(self: *ChunkedDecoder) bool {
        if (self.extension == extension_bytes_max) return false;
        if (self.overhead == overhead_bytes_max) return false;
        self.extension += 1;
        self.overhead += 1;
        return true;
    }

    fn countTrailer(self: *ChunkedDecoder, n: usize) bool {
        if (n > trailer_bytes_max - self.trailer) return false;
        self.trailer += @intCast(n);
        return true;
    }

    fn stepTrailer(self: *ChunkedDecoder, c: u8) ?ChunkError {
        switch (self.state) {
            .trailer_start => {
                if (c == '\n') return .bare_line_feed;
                if (!chars.token_table[c]) return .invalid_trailer;
                if (self.trailers == trailer_count_max) return .too_many_trailers;
                self.trailers += 1;
                self.candidates = all_candidates;
                self.name_len = 0;
                self.state = .trailer_name;
                return self.stepTrailerName(c);
            },
            .trailer_name => return self.stepTrailerName(c),
            .trailer_value => {
                if (!self.countTrailer(1)) return .trailers_too_large;
                if (c == '\n') return .bare_line_feed;
                if (c != '\r') return .invalid_trailer;
                self.state = .trailer_line_feed;
            },
            .trailer_line_feed => {
                if (c != '\n') return .bare_carriage_return;
                if (!self.countTrailer(1)) return .trailers_too_large;
                self.state = .trailer_start;
            },
            else => unreachable, // `takeTrailer` sends the states of trailer lines only
        }
        return null;
    }

    fn stepTrailerName(self: *ChunkedDecoder, c: u8) ?ChunkError {
        if (!self.countTrailer(1)) return .trailers_too_large;
        if (c == ':') {
            if (self.isForbidden()) return .forbidden_trailer;
            self.state = .trailer_value;
            return null;
        }
        if (c == '\n') return .bare_line_feed;
        if (!chars.token_table[c]) return .invalid_trailer;
        const lower = std.ascii.toLower(c);
        inline for (forbidden_trailers, 0..) |name, n| {
            const fits = self.name_len < name.len and name[self.name_len] == lower;
            if (!fits) self.candidates &= ~(@as(Candidates, 1) << n);
        }
        self.name_len +|= 1;
        return null;
    }

    fn isForbidden(self: *const ChunkedDecoder) bool {
        inline for (forbidden_trailers, 0..) |name, n| {
            if (self.candidates >> n & 1 != 0 and self.name_len == name.len) return true;
        }
        return false;
    }
};

const Candidates = u64;
const all_candidates: Candidates = (1 << forbidden_trailers.len) - 1;

comptime {
    std.debug.assert(@sizeOf(ChunkedDecoder) <= 32);
    std.debug.assert(forbidden_trailers.len <= @bitSizeOf(Candidates));
    std.debug.assert(trailer_bytes_max <= std.math.maxInt(u16));
    std.debug.assert(trailer_count_max <= std.math.maxInt(u8));
    std.debug.assert(extension_bytes_max <= std.math.maxInt(u16));
}

test {
    _ = @import("chunked_test.zig");
}
