//! The worker of an engine on the JS thread that its handlers run on, in Node.js's loop: libuv
//! waits for the backend's descriptor and for the worker's next time, and has it make a turn. No
//! thread is woken for a request, nor for its answer.
//!
//! The library that node-zigar has loaded is a module of Node-API too, which Node.js loads by
//! `process.dlopen`: the same image, with the same engines. One function is exported:
//!   watch(id, turn) → answer     `turn` is called when the worker has something for JavaScript,
//!                                and `answer` is to be called when JavaScript has answered at
//!                                another time. Undefined: that engine cannot be watched.
//!
//! Everything here runs on that thread. What JavaScript does within `turn` may be anything: it may
//! destroy the engine, or end the thread.

const std = @import("std");
const log = @import("../core/log.zig");
const napi = @import("napi.zig");
const Api = napi.Api;

const gpa = std.heap.c_allocator;

/// How often JavaScript is called in one step, so that other things of its loop get on: what was
/// sent may grant it credit, with which it has more to say.
const calls_max = 4;

/// The module's functions, by the names that Node.js looks for.
pub fn Module(comptime registry: type) type {
    return struct {
        var api: Api = undefined;
        var lookup = std.once(find);
        var is_there = false;

        fn find() void {
            api = Api.find() orelse return;
            is_there = true;
        }

        /// `napi_register_module_v1`: once for each JS thread.
        pub fn register(env: napi.Env, exports: napi.Value) callconv(.c) ?napi.Value {
            lookup.call();
            if (!is_there) return exports;
            var function: napi.Value = undefined;
            if (api.napi_create_function(env, "watch", 5, &watch, null, &function) != 0)
                return exports;
            _ = api.napi_set_named_property(env, exports, "watch", function);
            return exports;
        }

        /// `node_api_module_get_api_version_v1`
        pub fn version() callconv(.c) i32 {
            return napi.version;
        }

        fn watch(env: napi.Env, info: napi.CallbackInfo) callconv(.c) ?napi.Value {
            var arguments: [2]napi.Value = undefined;
            var given: usize = 2;
            if (api.napi_get_cb_info(env, info, &given, &arguments, null, null) != 0) return null;
            var id: u32 = 0;
            if (given < 2 or api.napi_get_value_uint32(env, arguments[0], &id) != 0) return null;
            const instance = registry.find(id) orelse return null;
            if (!instance.is_inline or instance.watcher != null) return null;
            if (instance.engine == null) return null;
            return Watch.begin(env, id, instance, arguments[1]);
        }

        const Watch = struct {
            env: napi.Env,
            id: u32,
            /// Null: it is gone, or its worker has ended.
            instance: ?*registry.Instance,
            turn: napi.Reference,
            poll: *napi.Handle,
            timer: *napi.Handle,
            /// When the timer fires, by the worker's clock; 0: it does not.
            timer_due_ms: u64 = 0,
            in_step: bool = false,
            /// libuv has so many of the handles.
            handles: u32 = 0,
            /// JavaScript has the function by which it answers.
            has_function: bool = false,
            cleanup: ?napi.AsyncCleanup = null,

            /// The function by which JavaScript answers.
            fn begin(
                env: napi.Env,
                id: u32,
                instance: *registry.Instance,
                turn: napi.Value,
            ) ?napi.Value {
                const self = gpa.create(Watch) catch return null;
                var loop: ?*napi.Loop = null;
                const poll = makeHandle(napi.handle_poll);
                const timer = makeHandle(napi.handle_timer);
                self.* = .{
                    .env = env,
                    .id = id,
                    .instance = null,
                    .turn = undefined,
                    .poll = poll orelse return self.abandon(null, timer),
                    .timer = timer orelse return self.abandon(poll, null),
                };
                const status = api.napi_create_reference(env, turn, 1, &self.turn);
                if (status != 0) return self.abandon(poll, timer);
                if (api.napi_get_uv_event_loop(env, &loop) != 0 or
                    api.uv_poll_init(loop.?, self.poll, instance.engine.?.descriptor()) != 0)
                {
                    _ = api.napi_delete_reference(env, self.turn);
                    return self.abandon(poll, timer);
                }
                _ = api.uv_timer_init(loop.?, self.timer); // it cannot fail
                self.handles = 2;
                self.instance = instance;
                instance.watcher = .{ .context = self, .onDestroy = &onDestroy };
                for ([_]*napi.Handle{ self.poll, self.timer }) |handle| {
                    api.uv_handle_set_data(handle, self);
                    // It is the doorbell that keeps the process running, or does not.
                    api.uv_unref(handle);
                }
                return self.start() orelse {
                    self.close();
                    return null;
                };
            }

            fn start(self: *Watch) ?napi.Value {
                const env = self.env;
                const hook = &self.cleanup;
                if (api.napi_add_async_cleanup_hook(env, &onCleanup, self, hook) != 0) return null;
                var function: napi.Value = undefined;
                if (api.napi_create_function(env, "answer", 6, &answer, self, &function) != 0)
                    return null;
                if (api.napi_add_finalizer(env, function, self, &onFinalize, null, null) != 0)
                    return null;
                self.has_function = true;
                if (api.uv_poll_start(self.poll, napi.readable, &onPoll) != 0) return null;
                // Before its first turn nobody can wake it.
                const instance = self.instance.?;
                const level = log.setThreadLevel(instance.config.log);
                defer _ = log.setThreadLevel(level);
                instance.engine.?.turn();
                self.rest(instance);
                return function;
            }

            /// libuv has none of the handles.
            fn abandon(self: *Watch, poll: ?*napi.Handle, timer: ?*napi.Handle) ?napi.Value {
                freeHandle(poll);
                freeHandle(timer);
                gpa.destroy(self);
                return null;
            }

            fn onPoll(handle: *napi.Handle, _: c_int, _: c_int) callconv(.c) void {
                of(handle).step();
            }

            fn onTimer(handle: *napi.Handle) callconv(.c) void {
                const self = of(handle);
                self.timer_due_ms = 0;
                self.step();
            }

            fn of(handle: *napi.Handle) *Watch {
                return @alignCast(@ptrCast(api.uv_handle_get_data(handle).?));
            }

            fn step(self: *Watch) void {
                if (self.in_step) return; // JavaScript runs the loop from within
                const instance = self.instance orelse return;
                const level = log.setThreadLevel(instance.config.log);
                defer _ = log.setThreadLevel(level);
                self.in_step = true;
                defer self.in_step = false;
                // node-zigar takes what is written to the terminal, a panic's words too, and makes
                // handles for it.
                var scope: napi.Scope = undefined;
                if (api.napi_open_handle_scope(self.env, &scope) != 0) return;
                defer _ = api.napi_close_handle_scope(self.env, scope);
                const engine = &instance.engine.?;
                engine.turn();
                var calls: u32 = 0;
                while (instance.rung and calls < calls_max) : (calls += 1) {
                    instance.rung = false;
                    self.call();
                    if (self.instance == null) return; // JavaScript has destroyed the engine
                    engine.turnAside();
                }
                self.rest(instance);
            }

            /// JavaScript has its turn, and then what it has put off until that is over.
            fn call(self: *Watch) void {
                const env = self.env;
                var scope: napi.Scope = undefined;
                if (api.napi_open_handle_scope(env, &scope) != 0) return;
                defer _ = api.napi_close_handle_scope(env, scope);
                var turn: ?napi.Value = null;
                if (api.napi_get_reference_value(env, self.turn, &turn) != 0) return;
                const function = turn orelse return;
                const made = api.napi_make_callback(env, null, function, function, 0, null, null);
                if (made == 0) return;
                var is_pending = false;
                _ = api.napi_is_exception_pending(env, &is_pending);
                if (!is_pending) return; // the thread is being ended
                var exception: napi.Value = undefined;
                if (api.napi_get_and_clear_last_exception(env, &exception) != 0) return;
                _ = api.napi_fatal_exception(env, exception); // 'uncaughtException'
            }

            /// The worker waits for what comes next.
            fn rest(self: *Watch, instance: *registry.Instance) void {
                const engine = &instance.engine.?;
                const wait = engine.rest() orelse return self.close();
                if (wait == 0 or instance.rung) {
                    // By way of the loop, so that others get their turn.
                    registry.Instance.ring(engine.bell(0).number());
                } else if (wait > 0) self.setTimer(engine.nowMs() + @as(u64, @intCast(wait)), wait);
            }

            /// One that fires early finds nothing to do; that is less dear than to set it anew
            /// whenever there is a later time.
            fn setTimer(self: *Watch, due_ms: u64, wait: i32) void {
                if (self.timer_due_ms != 0 and self.timer_due_ms <= due_ms) return;
                self.timer_due_ms = due_ms;
                _ = api.uv_timer_start(self.timer, &onTimer, @intCast(wait), 0);
            }

            fn answer(env: napi.Env, info: napi.CallbackInfo) callconv(.c) ?napi.Value {
                var given: usize = 0;
                var data: ?*anyopaque = null;
                if (api.napi_get_cb_info(env, info, &given, null, null, &data) != 0) return null;
                const self: *Watch = @alignCast(@ptrCast(data.?));
                if (self.in_step) return null; // it is looked at then
                const instance = self.instance orelse return null;
                const level = log.setThreadLevel(instance.config.log);
                defer _ = log.setThreadLevel(level);
                instance.engine.?.turnAside();
                self.rest(instance);
                return null;
            }

            /// The engine is about to go, maybe by what JavaScript does in a step.
            fn onDestroy(context: *anyopaque) void {
                const self: *Watch = @alignCast(@ptrCast(context));
                self.close();
            }

            /// The descriptor may be closed after this.
            fn close(self: *Watch) void {
                const instance = self.instance orelse return;
                instance.watcher = null;
                self.instance = null;
                _ = api.uv_poll_stop(self.poll);
                _ = api.uv_timer_stop(self.timer);
                api.uv_close(self.poll, &onClosed);
                api.uv_close(self.timer, &onClosed);
                _ = api.napi_delete_reference(self.env, self.turn);
            }

            fn onClosed(handle: *napi.Handle) callconv(.c) void {
                const self = of(handle);
                freeHandle(handle);
                self.handles -= 1;
                if (self.handles > 0) return;
                if (self.cleanup) |hook| _ = api.napi_remove_async_cleanup_hook(hook);
                self.freeUnused();
            }

            fn onFinalize(_: napi.Env, data: ?*anyopaque, _: ?*anyopaque) callconv(.c) void {
                const self: *Watch = @alignCast(@ptrCast(data.?));
                self.has_function = false;
                self.freeUnused();
            }

            fn freeUnused(self: *Watch) void {
                if (self.handles == 0 and !self.has_function) gpa.destroy(self);
            }

            /// The JS thread ends. Where it was terminated, nobody has been told, and nobody else
            /// would have the worker run to its end. Node.js waits until the hook is removed.
            fn onCleanup(_: napi.AsyncCleanup, data: ?*anyopaque) callconv(.c) void {
                const self: *Watch = @alignCast(@ptrCast(data.?));
                if (self.instance != null) registry.destroy(self.id);
            }
        };

        fn makeHandle(kind: c_int) ?*napi.Handle {
            return @ptrCast(std.c.malloc(api.uv_handle_size(kind)));
        }

        fn freeHandle(handle: ?*napi.Handle) void {
            std.c.free(handle);
        }
    };
}
