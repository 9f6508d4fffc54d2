//! All tests of the bridge's engine side.

test {
    _ = @import("abi.zig");
    _ = @import("abi_gen.zig");
    _ = @import("block.zig");
    _ = @import("doorbell.zig");
    _ = @import("doorbell_windows.zig");
    _ = @import("hostile_test.zig");
    _ = @import("lane.zig");
    if (@import("builtin").os.tag == .linux) {
        _ = @import("lent_test.zig");
        _ = @import("napi.zig");
    }
    _ = @import("ring_test.zig");
    _ = @import("sections_test.zig");
    _ = @import("socket_state.zig");
    _ = @import("sockets_publish_test.zig");
    _ = @import("sockets_test.zig");
    _ = @import("sockets_turns_test.zig");
    _ = @import("table.zig");
    _ = @import("table_survey.zig");
    _ = @import("threads.zig");
    _ = @import("waits_test.zig");
    @import("std").testing.refAllDecls(@import("registry.zig"));
}
