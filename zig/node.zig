//! The engine as a node-zigar module: the control plane of Node.js. What it exports is called from
//! ts/src/bridge/engine.ts; requests and responses do not pass here but through shared memory
//! (bridge/abi.zig).

const builtin = @import("builtin");
const std = @import("std");
const inline_file = @import("bridge/inline.zig");
const registry_file = @import("bridge/registry.zig");
const Share = @import("core/cpus.zig").Share;
const Tls = @import("server/tls.zig").Tls;
const Deflate = @import("websocket/deflate.zig");

const has_tls = @import("build_options").tls;
const has_deflate = @import("build_options").deflate;
const registry = registry_file.Registry(
    if (has_tls) Tls else void,
    if (has_deflate) Deflate else void,
);

/// Whether this module has OpenSSL and picotls in it.
pub fn hasTls() bool {
    return has_tls;
}

/// Whether this module has zlib-ng in it.
pub fn hasDeflate() bool {
    return has_deflate;
}

pub const keepLoaded = registry_file.keepLoaded;
pub const survey = registry_file.survey;
pub const create = registry.create;
pub const start = registry.start;
pub const listeners = registry.listeners;
pub const memory = registry.memory;
pub const attach = registry.attach;
pub const ring = registry.ring;
pub const detach = registry.detach;
pub const reload = registry.reload;
pub const requestStop = registry.requestStop;
pub const isStopped = registry.isStopped;
pub const destroy = registry.destroy;
pub const stats = registry.stats;

/// CPUs that threads of this process can run on at the same time.
pub fn cpuCount() u32 {
    return Share.read("").cpus();
}

// As a module of Node-API: bridge/inline.zig.
comptime {
    if (builtin.os.tag == .linux) {
        const module = inline_file.Module(registry);
        @export(&module.register, .{ .name = "napi_register_module_v1" });
        @export(&module.version, .{ .name = "node_api_module_get_api_version_v1" });
    }
}

test "node: all that it exports compiles" {
    std.testing.refAllDecls(@This());
}
