//! An encoder and a decoder of HPACK with their memory, for tests.

const std = @import("std");
const FieldLines = @import("../../http/field_lines.zig").FieldLines;
const decoder_file = @import("../hpack/decoder.zig");
const encoder_file = @import("../hpack/encoder.zig");
const table_file = @import("../hpack/table.zig");

pub const Fixture = struct {
    encoder_memory: [encoder_file.memoryBytes(capacity)]u8 align(table_file.alignment) = undefined,
    decoder_memory: [table_file.memoryBytes(capacity)]u8 align(table_file.alignment) = undefined,
    text: [text_bytes]u8 = undefined,
    lines: [128]table_file.Record = undefined,
    out: [2 * text_bytes]u8 = undefined,
    encoder: encoder_file.Encoder = undefined,
    decoder: decoder_file.Decoder = undefined,
    block: decoder_file.Block = undefined,

    const capacity = 4096;
    const text_bytes = 8192;

    pub fn init(self: *Fixture) void {
        self.encoder = encoder_file.Encoder.init(&self.encoder_memory, capacity);
        self.decoder = decoder_file.Decoder.init(&self.decoder_memory, capacity);
        self.block = .{
            .text = &self.text,
            .lines = &self.lines,
            .limits = .{ .list_bytes_max = text_bytes, .read_bytes_max = 16 * text_bytes },
        };
    }

    /// The fields of a field block as lines; they are in `block` too.
    pub fn decode(self: *Fixture, bytes: []const u8) ![]const u8 {
        try self.decoder.decode(bytes, &self.block);
        return self.text[0..self.block.bytes];
    }

    /// Encodes lines and decodes them into `block`.
    pub fn pass(self: *Fixture, lines: FieldLines) !void {
        var out: encoder_file.Out = .{ .bytes = &self.out };
        self.encoder.begin(&out);
        self.encoder.lines(&out, lines);
        _ = try self.decode(out.written());
    }
};
