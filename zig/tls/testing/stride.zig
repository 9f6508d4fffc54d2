//! How much of what has many places is tried: each allocation that may fail, each byte to cut at.

const std = @import("std");

const variable = "GYRFALCON_TLS_STRIDE";

/// Every how manieth place is tried: 1, all of them, unless the environment says otherwise. The
/// tests run once more on a processor that is emulated, where all of them would take minutes.
pub fn stride() !u32 {
    const gpa = std.testing.allocator;
    const text = std.process.getEnvVarOwned(gpa, variable) catch |err| switch (err) {
        error.EnvironmentVariableNotFound => return 1,
        else => return err,
    };
    defer gpa.free(text);
    return @max(1, try std.fmt.parseInt(u16, text, 10));
}
