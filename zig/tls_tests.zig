//! The tests of zig/tls, and of what the server makes of it, apart from the others: they link
//! OpenSSL and picotls.

test {
    _ = @import("server/tls/development.zig");
    _ = @import("server/tls/shared_test.zig");
    _ = @import("tls/certificates.zig");
    _ = @import("tls/context.zig");
    _ = @import("tls/development.zig");
    _ = @import("tls/filter.zig");
    _ = @import("tls/filter_test.zig");
    _ = @import("tls/hostile_test.zig");
    _ = @import("tls/hello.zig");
    _ = @import("tls/identities_test.zig");
    _ = @import("tls/sessions_test.zig");
    _ = @import("tls/heap.zig");
    _ = @import("tls/legacy_hostile_test.zig");
    _ = @import("tls/legacy_test.zig");
    _ = @import("tls/memory_test.zig");
    _ = @import("tls/names.zig");
    _ = @import("tls/offload.zig");
    _ = @import("tls/record_test.zig");
    _ = @import("tls/replays.zig");
    _ = @import("tls/tickets.zig");
    _ = @import("tls/versions_test.zig");
    _ = @import("tls/testing/layout.zig");
}
