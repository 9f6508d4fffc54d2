//! Node-API and libuv, as far as an inline worker needs them: declared by hand, and looked up in
//! the program when it asks for them. A library that was linked with them would not load where they
//! are not, in programs that are no Node.js.

const std = @import("std");

pub const Env = *opaque {};
pub const Value = *opaque {};
pub const Reference = *opaque {};
pub const Scope = *opaque {};
pub const AsyncContext = *opaque {};
pub const CallbackInfo = *opaque {};
pub const AsyncCleanup = *opaque {};
/// 0 is napi_ok.
pub const Status = c_int;
pub const Callback = *const fn (env: Env, info: CallbackInfo) callconv(.c) ?Value;
pub const Finalizer = *const fn (env: Env, data: ?*anyopaque, hint: ?*anyopaque) callconv(.c) void;
pub const AsyncCleanupHook = *const fn (handle: AsyncCleanup, data: ?*anyopaque) callconv(.c) void;

pub const Loop = opaque {};
/// Memory of `uv_handle_size` bytes.
pub const Handle = opaque {};
/// uv_handle_type.
pub const handle_poll: c_int = 8;
pub const handle_timer: c_int = 13;
/// UV_READABLE
pub const readable: c_int = 1;
pub const PollCallback = *const fn (*Handle, status: c_int, events: c_int) callconv(.c) void;
pub const HandleCallback = *const fn (*Handle) callconv(.c) void;

/// The version of Node-API that all of it is in (`node_api_module_get_api_version_v1`).
pub const version = 8;

/// A field is named as its function is.
pub const Api = struct {
    napi_create_function: Fn(.{ Env, ?[*]const u8, usize, Callback, ?*anyopaque, *Value }),
    napi_set_named_property: Fn(.{ Env, Value, [*:0]const u8, Value }),
    napi_get_cb_info: Fn(.{ Env, CallbackInfo, *usize, ?[*]Value, ?*Value, ?*?*anyopaque }),
    napi_get_value_uint32: Fn(.{ Env, Value, *u32 }),
    napi_create_reference: Fn(.{ Env, Value, u32, *Reference }),
    napi_delete_reference: Fn(.{ Env, Reference }),
    napi_get_reference_value: Fn(.{ Env, Reference, *?Value }),
    napi_open_handle_scope: Fn(.{ Env, *Scope }),
    napi_close_handle_scope: Fn(.{ Env, Scope }),
    napi_make_callback: Fn(.{
        Env, ?AsyncContext, Value, Value, usize, ?[*]const Value, ?*Value,
    }),
    napi_is_exception_pending: Fn(.{ Env, *bool }),
    napi_get_and_clear_last_exception: Fn(.{ Env, *Value }),
    napi_fatal_exception: Fn(.{ Env, Value }),
    napi_add_finalizer: Fn(.{
        Env, Value, ?*anyopaque, Finalizer, ?*anyopaque, ?*Reference,
    }),
    napi_get_uv_event_loop: Fn(.{ Env, *?*Loop }),
    napi_add_async_cleanup_hook: Fn(.{ Env, AsyncCleanupHook, ?*anyopaque, *?AsyncCleanup }),
    napi_remove_async_cleanup_hook: Fn(.{AsyncCleanup}),

    uv_handle_size: *const fn (c_int) callconv(.c) usize,
    uv_handle_set_data: *const fn (*Handle, ?*anyopaque) callconv(.c) void,
    uv_handle_get_data: *const fn (*const Handle) callconv(.c) ?*anyopaque,
    uv_poll_init: *const fn (*Loop, *Handle, c_int) callconv(.c) c_int,
    uv_poll_start: *const fn (*Handle, c_int, PollCallback) callconv(.c) c_int,
    uv_poll_stop: *const fn (*Handle) callconv(.c) c_int,
    uv_timer_init: *const fn (*Loop, *Handle) callconv(.c) c_int,
    uv_timer_start: *const fn (*Handle, HandleCallback, u64, u64) callconv(.c) c_int,
    uv_timer_stop: *const fn (*Handle) callconv(.c) c_int,
    uv_unref: *const fn (*Handle) callconv(.c) void,
    uv_close: *const fn (*Handle, HandleCallback) callconv(.c) void,

    /// Null: this program lacks one of them.
    pub fn find() ?Api {
        var api: Api = undefined;
        inline for (std.meta.fields(Api)) |field| {
            const symbol = std.c.dlsym(null, field.name) orelse return null;
            @field(api, field.name) = @alignCast(@ptrCast(symbol));
        }
        return api;
    }
};

/// A function of Node-API with these parameters.
fn Fn(comptime params: anytype) type {
    var list: [params.len]std.builtin.Type.Fn.Param = undefined;
    inline for (params, &list) |T, *param|
        param.* = .{ .is_generic = false, .is_noalias = false, .type = T };
    return *const @Type(.{ .@"fn" = .{
        .calling_convention = .c,
        .is_generic = false,
        .is_var_args = false,
        .return_type = Status,
        .params = &list,
    } });
}

test "a program that is no Node.js has none of it, and is told so" {
    try std.testing.expect(Api.find() == null);
}
