//! TLS for an engine: what it secures connections by. A program that has it links OpenSSL and
//! picotls (docs/TLS.md).

const shared = @import("tls/shared.zig");
const filter = @import("tls/filter.zig");

pub const Tls = struct {
    pub const Filter = filter.Filter;
    pub const Handshakes = filter.Handshakes;
    pub const Shared = shared.Shared;
};
