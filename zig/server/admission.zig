//! What happens between the decoder and the dispatcher: the path gets its canonical form, and what
//! this server does not serve is refused.

const Code = @import("../http/problem.zig").Code;
const uri = @import("../http/uri.zig");
const decoder = @import("../http1/decoder.zig");

pub fn Admission(comptime D: type) type {
    return struct {
        /// Makes the decoded request what a dispatcher may see; or tells why it cannot be served.
        pub fn admit(d: *D, framing: decoder.Framing) ?Code {
            switch (d.request.method) {
                // No resource here has a meaning for them (RFC 9110 §9.3.6, §9.3.8, §15.6.2).
                .CONNECT, .TRACE => return .method_not_implemented,
                else => {},
            }
            switch (framing.body) {
                .length => |n| if (n > d.config.body_bytes_max) return .body_too_large,
                else => {},
            }
            return makePathCanonical(d);
        }

        /// Whoever looks at a path from here on sees one form of it. What is no path ("*", and
        /// CONNECT's empty one) looks canonical and stays.
        pub inline fn makePathCanonical(d: *D) ?Code {
            if (uri.isCanonical(d.request.path)) return null;
            return resolvePath(d);
        }

        fn resolvePath(d: *D) ?Code {
            @branchHint(.cold);
            d.request.path = uri.canonicalPath(d.request.path, d.path_buffer) catch |err| {
                return codeOf(err);
            };
            return null;
        }

        fn codeOf(err: uri.PathError) Code {
            return switch (err) {
                error.InvalidEncoding => .invalid_percent_encoding,
                error.AmbiguousSeparator => .ambiguous_separator,
                error.ControlCharacter => .control_character_in_path,
                error.InvalidUtf8 => .invalid_utf8_in_path,
                error.EscapesRoot => .path_escapes_root,
            };
        }
    };
}
