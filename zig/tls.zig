//! TLS as a filter, for programs that link OpenSSL and picotls: `npm run build:tls`.

pub const filter = @import("tls/filter.zig");
pub const heap = @import("tls/heap.zig");
pub const picotls = @import("tls/picotls.zig");
pub const record = @import("tls/record.zig");
pub const suites = @import("tls/suites.zig");

/// For tests and benches: certificates that are made when they are asked for, and clients.
pub const testing = struct {
    pub const issuer = @import("tls/testing/issuer.zig");
    pub const openssl_client = @import("tls/testing/openssl_client.zig");
};
