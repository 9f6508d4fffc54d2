//! What is checked between the decoder and the dispatcher: whether this server serves such a
//! request.

const Code = @import("../http/problem.zig").Code;
const decoder = @import("../http1/decoder.zig");

pub fn Admission(comptime D: type) type {
    return struct {
        /// Why the decoded request cannot be served; null when it can.
        pub fn refusal(d: *D, framing: decoder.Framing) ?Code {
            switch (d.request.method) {
                // No resource here has a meaning for them (RFC 9110 §9.3.6, §9.3.8, §15.6.2).
                .CONNECT, .TRACE => return .method_not_implemented,
                else => {},
            }
            switch (framing.body) {
                .length => |n| if (n > d.config.body_bytes_max) return .body_too_large,
                else => {},
            }
            return null;
        }
    };
}
