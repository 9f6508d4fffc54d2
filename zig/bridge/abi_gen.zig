//! Writes ts/src/bridge/abi.gen.ts: every constant, offset, size and enum value of `abi.zig`, by
//! reflection. Usage: `abi_gen [file]`; without a file it writes to standard output.

const std = @import("std");
const problem = @import("../http/problem.zig");
const push = @import("../http/push.zig");
const forbidden_trailers = @import("../http/trailers.zig").forbidden;
const abi = @import("abi.zig");

const structs = .{
    abi.RecordHeader,    abi.Span,          abi.FieldSpan,     abi.RequestHead,
    abi.ResponseHead,    abi.ResponseField, abi.Chunk,         abi.Credit,
    abi.RequestTrailers, abi.FieldSection,  abi.ProtocolError, abi.BlockHeader,
    abi.WorkerLine,      abi.ThreadLine,    abi.LaneControl,   abi.TlsHead,
    abi.SocketUpgrade,   abi.SocketOpen,    abi.SocketSend,    abi.SocketPublish,
    abi.SocketTopic,     abi.SocketClose,
};

const constants = .{
    "version",
    "magic",
    "state_stopped",
    "cache_line_bytes",
    "record_align",
    "chunk_bytes_max",
    "request_inline_bytes_max",
    "response_inline_bytes_max",
    "response_field_bytes_max",
    "response_field_bytes_bound",
    "response_field_count_max",
    "flag_end",
    "flag_begin",
    "flag_text",
    "flag_plain",
    "flag_compressed",
    "flag_origin_allowed",
    "flag_origin_refused",
    "publish_bytes_max",
    "topic_bytes_max",
    "socket_topics_max",
    "socket_message_cost",
    "socket_ack_bytes",
    "push_field_count_max",
    "push_bytes_max",
    "tls_flag_resumed",
    "tls_flag_early",
    "tls_flag_authorized",
    "ring_bytes_min",
    "ring_bytes_max",
    "ring_bytes_default",
    "credit_bytes_min",
    "credit_bytes_default",
    "request_record_bytes_max",
    "response_record_bytes_max",
};

pub fn main() !void {
    var arena = std.heap.ArenaAllocator.init(std.heap.page_allocator);
    defer arena.deinit();
    var text = std.ArrayList(u8).init(arena.allocator());
    try write(text.writer());
    const args = try std.process.argsAlloc(arena.allocator());
    if (args.len > 1) {
        try std.fs.cwd().writeFile(.{ .sub_path = args[1], .data = text.items });
    } else {
        try std.io.getStdOut().writeAll(text.items);
    }
}

/// Writes the whole TypeScript file.
pub fn write(w: anytype) !void {
    try w.writeAll(
        \\// Generated from zig/bridge/abi.zig by zig/bridge/abi_gen.zig. Do not edit: change the
        \\// Zig source and run `zig build abi`.
        \\
        \\
    );
    inline for (constants) |name| {
        try w.print("export const {} = {d};\n", .{ upper(name), @field(abi, name) });
    }
    inline for (structs) |T| try writeStruct(w, T);
    try writeKinds(w);
    try writeNames(w, "METHODS", abi.Method);
    try writeNames(w, "CONTENT_TYPES", abi.ContentType);
    try writeForbiddenFields(w);
    try writeProtocolErrors(w);
}

/// Offsets in bytes, and the size.
fn writeStruct(w: anytype, comptime T: type) !void {
    const name = comptime shortName(T);
    try w.print("\n/** Bytes of a {s}. */\n", .{name});
    try w.print("export const {}_BYTES = {d};\n", .{ upper(name), @sizeOf(T) });
    inline for (std.meta.fields(T)) |f| {
        if (comptime std.mem.eql(u8, f.name, "reserved")) continue;
        if (f.type == abi.RecordHeader) continue;
        const offset = @offsetOf(T, f.name);
        try w.print("export const {}_{} = {d};\n", .{ upper(name), upper(f.name), offset });
    }
}

fn writeKinds(w: anytype) !void {
    try w.writeAll("\n");
    inline for (std.meta.fields(abi.RecordKind)) |f| {
        try w.print("export const KIND_{} = {d};\n", .{ upper(f.name), f.value });
    }
}

/// The names of an enum whose values count up from 0; a last one that does not is left out.
fn writeNames(w: anytype, comptime name: []const u8, comptime E: type) !void {
    try w.print(
        "\n/** Names in the order of their numbers. */\nexport const {s}: readonly string[] = [\n",
        .{name},
    );
    inline for (std.meta.fields(E), 0..) |f, i| {
        if (f.value != i) break;
        try w.print("  '{s}',\n", .{f.name});
    }
    try w.writeAll("];\n");
}

fn writeForbiddenFields(w: anytype) !void {
    try w.writeAll(
        \\
        \\/** Fields that must not stand in a trailer section (RFC 9110 §6.5.1), lower case. */
        \\export const FORBIDDEN_TRAILERS: readonly string[] = [
        \\
    );
    for (forbidden_trailers) |name| try w.print("  '{s}',\n", .{name});
    try w.writeAll(
        \\];
        \\
        \\/** Fields that a request that is pushed must not have, lower case. */
        \\export const FORBIDDEN_PUSH_FIELDS: readonly string[] = [
        \\
    );
    for (push.framing_fields) |name| try w.print("  '{s}',\n", .{name});
    try w.writeAll(
        \\];
        \\
        \\/** Fields that it takes over from the request beside it, lower case. */
        \\export const INHERITED_PUSH_FIELDS: readonly string[] = [
        \\
    );
    for (push.inherited_fields) |name| try w.print("  '{s}',\n", .{name});
    try w.writeAll("];\n");
}

fn writeProtocolErrors(w: anytype) !void {
    try w.writeAll(
        \\
        \\/** Code and sentence of each protocol error, by number (zig/http/problem.zig). */
        \\export const PROTOCOL_ERRORS: ReadonlyMap<number, readonly [string, string]> = new Map([
        \\
    );
    inline for (std.meta.fields(problem.Code)) |f| {
        try w.print("  [{d}, ['{s}', {}]],\n", .{
            f.value,
            f.name,
            std.json.fmt(problem.detailOf(@enumFromInt(f.value)), .{}),
        });
    }
    try w.writeAll("]);\n");
}

fn shortName(comptime T: type) []const u8 {
    const full = @typeName(T);
    return full[std.mem.lastIndexOfScalar(u8, full, '.').? + 1 ..];
}

/// `fooBar`, `FooBar` and `foo_bar` as `FOO_BAR`.
fn upper(comptime name: []const u8) std.fmt.Formatter(formatUpper) {
    return .{ .data = name };
}

fn formatUpper(
    name: []const u8,
    comptime _: []const u8,
    _: std.fmt.FormatOptions,
    w: anytype,
) !void {
    for (name, 0..) |c, i| {
        if (std.ascii.isUpper(c) and i > 0) try w.writeByte('_');
        try w.writeByte(std.ascii.toUpper(c));
    }
}

test "names become constants" {
    try std.testing.expectFmt("FOO_BAR", "{}", .{upper("FooBar")});
    try std.testing.expectFmt("FOO_BAR", "{}", .{upper("foo_bar")});
}

test "the generated file holds offsets, kinds and names" {
    var text = std.ArrayList(u8).init(std.testing.allocator);
    defer text.deinit();
    try write(text.writer());
    for ([_][]const u8{
        "export const RECORD_HEADER_BYTES = 16;\n",
        "export const RECORD_HEADER_GENERATION = 12;\n",
        "export const LANE_CONTROL_REQUEST_HEAD = 64;\n",
        "export const KIND_RESPONSE_HEAD = 16;\n",
        "  'PATCH',\n",
    }) |line| try std.testing.expect(std.mem.indexOf(u8, text.items, line) != null);
    try std.testing.expect(std.mem.indexOf(u8, text.items, "'other'") == null);
}

test "no two generated constants share a name" {
    var text = std.ArrayList(u8).init(std.testing.allocator);
    defer text.deinit();
    try write(text.writer());
    var seen = std.StringHashMap(void).init(std.testing.allocator);
    defer seen.deinit();
    var lines = std.mem.tokenizeScalar(u8, text.items, '\n');
    while (lines.next()) |line| {
        if (!std.mem.startsWith(u8, line, "export const ")) continue;
        const name = line["export const ".len .. std.mem.indexOfAny(u8, line[13..], ": ").? + 13];
        try std.testing.expect(!(try seen.getOrPut(name)).found_existing);
    }
}
