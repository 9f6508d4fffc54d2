//! A module for Node.js that has OpenSSL in it, for a test: Node.js has another one, whose
//! functions must not be called in its place (scripts/lib/archives.mjs).

const heap = @import("tls/heap.zig");
const libcrypto = @import("tls/libcrypto.zig");
const picotls = @import("tls/picotls.zig");

const Env = ?*anyopaque;
const Value = ?*anyopaque;

extern fn napi_create_string_utf8(Env, [*]const u8, usize, *Value) c_int;
extern fn napi_set_named_property(Env, Value, [*:0]const u8, Value) c_int;
extern fn EVP_Q_digest(
    context: ?*anyopaque,
    name: [*:0]const u8,
    properties: ?[*:0]const u8,
    data: [*]const u8,
    len: usize,
    out: [*]u8,
    out_len: ?*usize,
) c_int;

const auto_length = ~@as(usize, 0);

export fn napi_register_module_v1(env: Env, exports: Value) Value {
    heap.init();
    set(env, exports, "version", libcrypto.OpenSSL_version(0), auto_length);
    // Something that reaches far into it: names are looked up, and code for the processor is
    // chosen.
    var random: [16]u8 = undefined;
    picotls.ptls_openssl_random_bytes(&random, random.len);
    var digest: [32]u8 = undefined;
    const text = "abc";
    if (EVP_Q_digest(null, "SHA256", null, text, text.len, &digest, null) == 1) {
        const hex = @import("std").fmt.bytesToHex(digest, .lower);
        set(env, exports, "digest", &hex, hex.len);
    }
    return exports;
}

fn set(env: Env, exports: Value, name: [*:0]const u8, text: [*]const u8, len: usize) void {
    var value: Value = null;
    _ = napi_create_string_utf8(env, text, len, &value);
    _ = napi_set_named_property(env, exports, name, value);
}
