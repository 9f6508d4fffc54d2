//! Records of WebSockets, as the engine writes them. False: the ring has no room.

const abi = @import("abi.zig");
const Id = @import("../core/slots.zig").Id;
const frame_decoder = @import("../websocket/frame_decoder.zig");
const lane_file = @import("lane.zig");
const Lane = lane_file.Lane;
const writeHeader = lane_file.writeHeader;
const Corrupt = @import("ring.zig").Corrupt;

pub fn writeOpen(
    lane: *Lane,
    id: Id,
    exchange: Id,
    credit: u32,
    unsent_max: u32,
    is_compressed: bool,
) Corrupt!bool {
    const size = @sizeOf(abi.SocketOpen);
    const room = try lane.reserve(size) orelse return false;
    const flags: u16 = if (is_compressed) abi.flag_compressed else 0;
    writeHeader(room, size, .socket_open, flags, id);
    const record: *abi.SocketOpen = @ptrCast(room.ptr);
    record.exchange_slot = exchange.slot;
    record.exchange_generation = exchange.generation;
    record.credit = credit;
    record.unsent_max = unsent_max;
    lane.requests.commit(size);
    return true;
}

/// What a record of `bytes` bytes of a message takes.
pub fn messageSize(bytes: usize) u32 {
    return abi.recordSize(@intCast(@sizeOf(abi.Chunk) + bytes));
}

pub fn writeMessage(lane: *Lane, id: Id, data: *const frame_decoder.Data) Corrupt!bool {
    var flags: u16 = if (data.kind == .text) abi.flag_text else 0;
    if (data.begins) flags |= abi.flag_begin;
    if (data.ends) flags |= abi.flag_end;
    return writeBytes(lane, .socket_message, flags, id, data.bytes);
}

/// A ping or a pong.
pub fn writeBytes(
    lane: *Lane,
    kind: abi.RecordKind,
    flags: u16,
    id: Id,
    bytes: []const u8,
) Corrupt!bool {
    const size = messageSize(bytes.len);
    const room = try lane.reserve(size) orelse return false;
    writeHeader(room, size, kind, flags, id);
    const record: *abi.Chunk = @ptrCast(room.ptr);
    record.len = @intCast(bytes.len);
    record.reserved = 0;
    @memcpy(room[@sizeOf(abi.Chunk)..][0..bytes.len], bytes);
    lane.requests.commit(size);
    return true;
}

pub fn writeSent(lane: *Lane, id: Id, bytes: u32) Corrupt!bool {
    const size = @sizeOf(abi.Credit);
    const room = try lane.reserve(size) orelse return false;
    writeHeader(room, size, .socket_sent, 0, id);
    const record: *abi.Credit = @ptrCast(room.ptr);
    record.grant = bytes;
    record.reserved = 0;
    lane.requests.commit(size);
    return true;
}

pub fn writeClose(
    lane: *Lane,
    id: Id,
    code: u16,
    reason: []const u8,
    is_clean: bool,
) Corrupt!bool {
    const size = abi.recordSize(@intCast(@sizeOf(abi.SocketClose) + reason.len));
    const room = try lane.reserve(size) orelse return false;
    writeHeader(room, size, .socket_close, if (is_clean) abi.flag_end else 0, id);
    const record: *abi.SocketClose = @ptrCast(room.ptr);
    record.code = code;
    record.reason_len = @intCast(reason.len);
    record.reserved = 0;
    @memcpy(room[@sizeOf(abi.SocketClose)..][0..reason.len], reason);
    lane.requests.commit(size);
    return true;
}
