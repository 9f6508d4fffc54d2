//! What can be wrong with what a peer sends, and the close code that it is told (RFC 6455 §7.4.1).

/// The numbers of RFC 6455 §7.4.1 and of IANA's registry that are sent or looked at here.
pub const Code = enum(u16) {
    normal = 1000,
    going_away = 1001,
    protocol_error = 1002,
    unsupported_data = 1003,
    /// Stands for a Close without a code; never sent.
    no_status = 1005,
    /// Stands for a connection that ended without a Close; never sent.
    abnormal = 1006,
    invalid_payload = 1007,
    policy_violation = 1008,
    message_too_big = 1009,
    mandatory_extension = 1010,
    internal_error = 1011,
    service_restart = 1012,
    try_again_later = 1013,
    bad_gateway = 1014,
    /// Stands for a TLS handshake that failed; never sent.
    tls_handshake = 1015,
    _,

    /// Whether a Close may have it (§7.4): those that are registered for that, those of libraries
    /// (3000 on) and of applications (4000 on).
    pub fn maySend(self: Code) bool {
        return switch (@intFromEnum(self)) {
            1000...1003, 1007...1014, 3000...4999 => true,
            else => false,
        };
    }
};

/// Why a connection is failed (RFC 6455 §7.1.7).
pub const Error = enum {
    /// A client's frame is not masked (§5.1).
    unmasked_frame,
    /// A server's frame is masked (§5.1).
    masked_frame,
    /// A reserved bit is set that no extension has given a meaning (§5.2).
    reserved_bits,
    /// The opcode is one of those that are reserved (§5.2).
    reserved_opcode,
    /// A length has more bytes than it needs (§5.2).
    length_not_minimal,
    /// A length of 64 bits has the highest of them set (§5.2).
    length_too_large,
    /// A control frame is one of several fragments (§5.5).
    fragmented_control,
    /// A control frame has more than 125 bytes (§5.5).
    control_too_long,
    /// A continuation where nothing has begun (§5.4).
    nothing_to_continue,
    /// A message begins where one has not ended (§5.4).
    message_interrupted,
    /// A Close has one byte (§5.5.1).
    invalid_close_length,
    /// A Close has a code that is never sent, or that nobody has registered (§7.4).
    invalid_close_code,
    /// The reason in a Close is no UTF-8 (§5.5.1).
    invalid_close_reason,
    /// A text is no UTF-8 (§8.1).
    invalid_utf8,
    /// A compressed message cannot be inflated (RFC 7692 §7.2.2).
    invalid_compression,
    /// A message is longer than is taken (§10.4).
    message_too_large,
    /// A message stands for many times as much as it has bytes.
    inflation_too_large,
    /// Frames that cost work and bring nothing.
    excessive_load,

    pub fn code(self: Error) Code {
        return switch (self) {
            .unmasked_frame,
            .masked_frame,
            .reserved_bits,
            .reserved_opcode,
            .length_not_minimal,
            .length_too_large,
            .fragmented_control,
            .control_too_long,
            .nothing_to_continue,
            .message_interrupted,
            .invalid_close_length,
            .invalid_close_code,
            => .protocol_error,
            .invalid_close_reason, .invalid_utf8, .invalid_compression => .invalid_payload,
            .message_too_large, .inflation_too_large => .message_too_big,
            .excessive_load => .policy_violation,
        };
    }
};

const testing = @import("std").testing;

test "codes that stand for something else, and those that nobody has registered, are not sent" {
    for ([_]struct { u16, u16, bool }{
        .{ 0, 999, false },
        .{ 1000, 1003, true },
        .{ 1004, 1006, false },
        .{ 1007, 1014, true },
        .{ 1015, 2999, false },
        .{ 3000, 4999, true },
        .{ 5000, 65535, false },
    }) |case| {
        for (case[0]..@as(u32, case[1]) + 1) |number| {
            const code: Code = @enumFromInt(number);
            try testing.expectEqual(case[2], code.maySend());
        }
    }
}

test "what a connection is failed for has a code that may be sent" {
    for (@import("std").enums.values(Error)) |err| try testing.expect(err.code().maySend());
}
