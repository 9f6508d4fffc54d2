//! What can be wrong with what a peer sends, and the error code that it is told (RFC 9113 §7).

/// RFC 9113 §7
pub const Code = enum(u32) {
    no_error = 0x0,
    protocol_error = 0x1,
    internal_error = 0x2,
    flow_control_error = 0x3,
    settings_timeout = 0x4,
    stream_closed = 0x5,
    frame_size_error = 0x6,
    refused_stream = 0x7,
    cancel = 0x8,
    compression_error = 0x9,
    connect_error = 0xa,
    enhance_your_calm = 0xb,
    inadequate_security = 0xc,
    http_1_1_required = 0xd,
    _,
};

/// The connection ends: GOAWAY (RFC 9113 §5.4.1).
pub const ConnectionError = enum {
    /// It does not begin with the preface (§3.4).
    invalid_preface,
    /// The first frame is no SETTINGS (§3.4).
    settings_missing,
    /// A frame is longer than SETTINGS_MAX_FRAME_SIZE (§4.2).
    frame_too_large,
    /// A frame has a length that its type cannot have (§4.2).
    invalid_frame_length,
    /// A frame is on a stream, or on none, that its type cannot be on (§5.1.1, §6).
    invalid_stream_id,
    /// Padding is longer than what it pads (§6.1).
    invalid_padding,
    /// Another frame within a field block (§6.10).
    field_block_interrupted,
    /// CONTINUATION without a field block (§6.10).
    continuation_without_headers,
    /// A client pushes (§8.4).
    push_from_client,
    /// A setting has a value that it cannot have (§6.5.2).
    invalid_setting,
    /// SETTINGS_INITIAL_WINDOW_SIZE is too large (§6.5.2).
    invalid_initial_window,
    /// WINDOW_UPDATE by nothing (§6.9).
    window_update_of_zero,
    /// A window grew beyond what it can be (§6.9.1).
    window_overflow,
    /// More data than the connection's window allows (§6.9).
    window_exceeded,
    /// A frame on a stream that has not begun (§5.1).
    idle_stream,
    /// Content on a stream whose response was promised (§5.1).
    content_for_push,
    /// Priorities for more streams that have not begun than may begin (RFC 9218 §7.1).
    too_many_prioritized,
    /// A stream begins whose identifier is not above all earlier ones (§5.1.1), or HEADERS come on
    /// one that has ended.
    stream_id_not_new,
    /// A frame on a stream that both sides have ended (§5.1).
    stream_ended,
    /// A field block cannot be decoded (§4.3).
    invalid_field_block,
    /// A field block, decoded, is longer than is worth reading (§10.5.1).
    field_list_too_long,
    /// A field block has more bytes than are kept.
    field_block_too_large,
    /// A field block is in more pieces than are put together.
    too_many_continuations,
    /// More settings in one frame than there can be a reason for.
    too_many_settings,
    /// Frames that cost work and bring nothing, or streams that are begun and given up.
    excessive_load,

    pub fn code(self: ConnectionError) Code {
        return switch (self) {
            .invalid_preface,
            .settings_missing,
            .invalid_stream_id,
            .invalid_padding,
            .field_block_interrupted,
            .continuation_without_headers,
            .push_from_client,
            .invalid_setting,
            .window_update_of_zero,
            .idle_stream,
            .content_for_push,
            .too_many_prioritized,
            .stream_id_not_new,
            => .protocol_error,
            .frame_too_large, .invalid_frame_length => .frame_size_error,
            .invalid_initial_window, .window_overflow, .window_exceeded => .flow_control_error,
            .stream_ended => .stream_closed,
            .invalid_field_block => .compression_error,
            .field_list_too_long,
            .field_block_too_large,
            .too_many_continuations,
            .too_many_settings,
            .excessive_load,
            => .enhance_your_calm,
        };
    }
};

/// One stream ends: RST_STREAM (RFC 9113 §5.4.2).
pub const StreamError = enum {
    /// A stream is made to depend on itself (RFC 7540 §5.3.1).
    self_dependency,
    /// PRIORITY of another length than five bytes (§6.3).
    invalid_priority_length,
    /// WINDOW_UPDATE by nothing (§6.9).
    window_update_of_zero,
    /// The stream's window grew beyond what it can be (§6.9.1).
    window_overflow,
    /// More data than the stream's window allows (§6.9).
    window_exceeded,
    /// A frame behind the end of the stream (§5.1).
    stream_closed,
    /// A message that is malformed (§8.1.1).
    malformed,
    /// More streams than SETTINGS_MAX_CONCURRENT_STREAMS (§5.1.2). It may be tried again.
    too_many_streams,

    pub fn code(self: StreamError) Code {
        return switch (self) {
            .self_dependency, .window_update_of_zero, .malformed => .protocol_error,
            .invalid_priority_length => .frame_size_error,
            .window_overflow, .window_exceeded => .flow_control_error,
            .stream_closed => .stream_closed,
            .too_many_streams => .refused_stream,
        };
    }
};
