//! A worker of an engine on the JS thread that handlers run on, in Node.js's loop: libuv waits for
//! the backend's descriptor and for the worker's next time, and has it make a turn. No thread is
//! woken for a request, nor for its answer.
//!
//! The library that node-zigar has loaded is a module of Node-API too, which Node.js loads by
//! `process.dlopen`: the same image, with the same engines. One function is exported:
//!   watch(id, worker, turn) → answer   `turn` is called when the worker has something for
//!                                JavaScript, and `answer` is to be called when JavaScript has
//!                                answered at another time. Undefined: that worker cannot be had.
//!
//! Everything here runs on that thread. What JavaScript does within `turn` may be anything: it may
//! destroy the engine, or end the thread. The worker is either an engine's only one, which has no
//! other thread, or is lent by its own (server/loan.zig): then it is this thread's between `enter`
//! and `leave` alone, of which JavaScript is called outside, and may be gone by the next `enter`.
//! JavaScript goes on saying what it has to say by `answer` then, since it does not know: the
//! worker's own thread is woken for it.

const std = @import("std");
const log = @import("../core/log.zig");
const system = @import("../core/system.zig");
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
            var arguments: [3]napi.Value = undefined;
            var given: usize = 3;
            if (api.napi_get_cb_info(env, info, &given, &arguments, null, null) != 0) return null;
            var id: u32 = 0;
            var worker: u32 = 0;
            if (given < 3 or api.napi_get_value_uint32(env, arguments[0], &id) != 0) return null;
            if (api.napi_get_value_uint32(env, arguments[1], &worker) != 0) return null;
            if (registry.offer(id, worker)) |offered| {
                const instance, const offer = offered;
                return Watch.beginLent(env, id, instance, worker, offer, arguments[2]);
            }
            const instance = registry.find(id) orelse return null;
            if (!instance.is_inline or instance.lends or instance.watcher != null) return null;
            if (instance.engine == null or worker != 0) return null;
            return Watch.begin(env, id, instance, arguments[2]);
        }

        const Watch = struct {
            env: napi.Env,
            id: u32,
            /// Its number, which is that of the JS thread where it is lent.
            worker: u32,
            /// Null: it is gone, or its worker has ended, or is another's.
            instance: ?*registry.Instance = null,
            /// By which it is lent, and its own thread is woken. Null: it is the only one, and has
            /// no other thread.
            offer: ?registry.Instance.Offer = null,
            turn: ?napi.Reference = null,
            poll: *napi.Handle,
            timer: *napi.Handle,
            /// What libuv waits for where another thread may close the backend's.
            descriptor: system.File = system.no_file,
            /// When the timer fires, by the worker's clock; 0: it does not.
            timer_due_ms: u64 = 0,
            in_step: bool = false,
            /// libuv has so many of the handles.
            handles: u32 = 0,
            /// JavaScript has the function by which it answers.
            has_function: bool = false,
            cleanup: ?napi.AsyncCleanup = null,

            /// The function by which JavaScript answers. Of an engine's only worker.
            fn begin(
                env: napi.Env,
                id: u32,
                instance: *registry.Instance,
                turn: napi.Value,
            ) ?napi.Value {
                const self = make(env, id, 0) orelse return null;
                if (!self.open(instance.engine.?.descriptor(0), turn)) return self.abandon();
                self.instance = instance;
                instance.watcher = .{ .context = self, .onDestroy = &onDestroy };
                return self.start() orelse {
                    self.close();
                    return null;
                };
            }

            /// The same of a worker that is lent.
            fn beginLent(
                env: napi.Env,
                id: u32,
                instance: *registry.Instance,
                worker: u32,
                offer: registry.Instance.Offer,
                turn: napi.Value,
            ) ?napi.Value {
                const self = make(env, id, worker) orelse {
                    offer.loan.release();
                    return null;
                };
                self.offer = offer;
                switch (offer.loan.borrow(self, offer)) {
                    .lent => self.instance = instance,
                    .taken => return self.abandon(),
                    .ended => return self.answerOther(),
                }
                if (!self.duplicateDescriptor()) return self.abandon();
                // A stop is over.
                if (self.descriptor == system.no_file) return self.answerOther();
                if (!self.open(self.descriptor, turn)) return self.abandon();
                return self.start() orelse {
                    self.close();
                    return null;
                };
            }

            /// True, and no descriptor: its own thread has taken the worker back.
            fn duplicateDescriptor(self: *Watch) bool {
                const instance = self.enter() orelse return true;
                defer self.leave();
                self.descriptor = system.duplicate(
                    instance.engine.?.descriptor(self.worker),
                    0,
                ) catch |err| {
                    const level = log.setThreadLevel(instance.config.log);
                    defer _ = log.setThreadLevel(level);
                    log.err(
                        "worker {d} stays on its own thread: no other can wait for it ({s})",
                        .{ self.worker, @errorName(err) },
                    );
                    return false;
                };
                return true;
            }

            /// Of a worker that has ended, or that its own thread has: that is woken for what
            /// JavaScript says.
            fn answerOther(self: *Watch) ?napi.Value {
                freeHandle(self.poll);
                freeHandle(self.timer);
                return self.makeAnswer() orelse {
                    self.free();
                    return null;
                };
            }

            fn make(env: napi.Env, id: u32, worker: u32) ?*Watch {
                const self = gpa.create(Watch) catch return null;
                const poll = makeHandle(napi.handle_poll);
                const timer = makeHandle(napi.handle_timer);
                if (poll == null or timer == null) {
                    freeHandle(poll);
                    freeHandle(timer);
                    gpa.destroy(self);
                    return null;
                }
                self.* = .{
                    .env = env,
                    .id = id,
                    .worker = worker,
                    .poll = poll.?,
                    .timer = timer.?,
                };
                return self;
            }

            /// False: libuv has none of the handles.
            fn open(self: *Watch, descriptor: system.File, turn: napi.Value) bool {
                const env = self.env;
                var loop: ?*napi.Loop = null;
                var reference: napi.Reference = undefined;
                if (api.napi_create_reference(env, turn, 1, &reference) != 0) return false;
                self.turn = reference;
                if (api.napi_get_uv_event_loop(env, &loop) != 0) return false;
                if (api.uv_poll_init(loop.?, self.poll, descriptor) != 0) return false;
                _ = api.uv_timer_init(loop.?, self.timer); // it cannot fail
                self.handles = 2;
                for ([_]*napi.Handle{ self.poll, self.timer }) |handle| {
                    api.uv_handle_set_data(handle, self);
                    // It is the doorbell that keeps the process running, or does not.
                    api.uv_unref(handle);
                }
                return true;
            }

            fn start(self: *Watch) ?napi.Value {
                const env = self.env;
                const hook = &self.cleanup;
                if (api.napi_add_async_cleanup_hook(env, &onCleanup, self, hook) != 0) return null;
                const function = self.makeAnswer() orelse return null;
                if (api.uv_poll_start(self.poll, napi.readable, &onPoll) != 0) return null;
                // Before its first turn nobody can wake it.
                const instance = self.enter() orelse return function; // a stop is over
                const level = log.setThreadLevel(instance.config.log);
                defer _ = log.setThreadLevel(level);
                instance.engine.?.turn(self.worker);
                self.rest(instance);
                return function;
            }

            /// The function by which JavaScript answers; this stays until that is gone.
            fn makeAnswer(self: *Watch) ?napi.Value {
                const env = self.env;
                var function: napi.Value = undefined;
                if (api.napi_create_function(env, "answer", 6, &answer, self, &function) != 0)
                    return null;
                if (api.napi_add_finalizer(env, function, self, &onFinalize, null, null) != 0)
                    return null;
                self.has_function = true;
                return function;
            }

            /// libuv has none of the handles.
            fn abandon(self: *Watch) ?napi.Value {
                if (self.enter()) |_| self.letGo();
                if (self.turn) |turn| _ = api.napi_delete_reference(self.env, turn);
                freeHandle(self.poll);
                freeHandle(self.timer);
                self.free();
                return null;
            }

            // Whose the worker is.

            /// It is this thread's until `leave`. Null: it is gone, or run by another, for good.
            fn enter(self: *Watch) ?*registry.Instance {
                const instance = self.instance orelse return null;
                const offer = self.offer orelse return instance;
                if (offer.loan.enter(self)) return instance;
                self.instance = null;
                return null;
            }

            /// As `enter`, behind what JavaScript may have published: it has then left the wake to
            /// this. Where the worker is another's by now, that one is woken.
            fn enterOrWake(self: *Watch) ?*registry.Instance {
                if (self.enter()) |instance| return instance;
                if (self.offer) |offer| offer.loan.wake(offer);
                return null;
            }

            fn leave(self: *Watch) void {
                if (self.offer) |offer| offer.loan.leave();
            }

            /// In the place of `leave`: its own thread has it again, where it has one.
            fn letGo(self: *Watch) void {
                const instance = self.instance.?;
                self.instance = null;
                if (self.offer) |offer| offer.loan.giveBack() else instance.watcher = null;
            }

            /// Between `enter` and `leave`: it has something for JavaScript.
            fn rungOf(self: *Watch, instance: *registry.Instance) *bool {
                return if (self.offer) |offer| &offer.loan.rung else &instance.rung;
            }

            // Steps.

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
                const instance = self.enterOrWake() orelse return self.close();
                const level = log.setThreadLevel(instance.config.log);
                defer _ = log.setThreadLevel(level);
                self.in_step = true;
                defer self.in_step = false;
                // node-zigar takes what is written to the terminal, a panic's words too, and makes
                // handles for it.
                var scope: napi.Scope = undefined;
                if (api.napi_open_handle_scope(self.env, &scope) != 0) return self.leave();
                defer _ = api.napi_close_handle_scope(self.env, scope);
                const engine = &instance.engine.?;
                engine.turn(self.worker);
                const is_rung = self.rungOf(instance);
                var calls: u32 = 0;
                while (is_rung.* and calls < calls_max) : (calls += 1) {
                    is_rung.* = false;
                    self.leave();
                    self.call();
                    // Else JavaScript has destroyed the engine, or was so long that a stop is over.
                    _ = self.enterOrWake() orelse return self.close();
                    engine.turnAside(self.worker);
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
                if (api.napi_get_reference_value(env, self.turn.?, &turn) != 0) return;
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

            /// In the place of `leave`: the worker waits for what comes next.
            fn rest(self: *Watch, instance: *registry.Instance) void {
                const engine = &instance.engine.?;
                const wait = engine.rest(self.worker) orelse {
                    self.letGo();
                    return self.close();
                };
                if (wait == 0 or self.rungOf(instance).*) {
                    // By way of the loop, so that others get their turn.
                    registry.Instance.ring(engine.bell(self.worker).number());
                } else if (wait > 0) {
                    self.setTimer(engine.nowMs(self.worker) + @as(u64, @intCast(wait)), wait);
                }
                self.leave();
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
                const instance = self.enterOrWake() orelse {
                    self.close();
                    return null;
                };
                const level = log.setThreadLevel(instance.config.log);
                defer _ = log.setThreadLevel(level);
                instance.engine.?.turnAside(self.worker);
                self.rest(instance);
                return null;
            }

            /// The engine whose only worker it is is about to go, maybe by what JavaScript does in
            /// a step.
            fn onDestroy(context: *anyopaque) void {
                const self: *Watch = @alignCast(@ptrCast(context));
                self.close();
            }

            /// The worker is nobody's here any more; the backend's descriptor may be closed after
            /// this.
            fn close(self: *Watch) void {
                if (self.enter()) |_| self.letGo();
                const turn = self.turn orelse return; // it was closed before
                self.turn = null;
                _ = api.uv_poll_stop(self.poll);
                _ = api.uv_timer_stop(self.timer);
                api.uv_close(self.poll, &onClosed);
                api.uv_close(self.timer, &onClosed);
                _ = api.napi_delete_reference(self.env, turn);
            }

            fn onClosed(handle: *napi.Handle) callconv(.c) void {
                const self = of(handle);
                freeHandle(handle);
                self.handles -= 1;
                if (self.handles > 0) return;
                self.closeDescriptor();
                if (self.cleanup) |hook| _ = api.napi_remove_async_cleanup_hook(hook);
                self.freeUnused();
            }

            fn onFinalize(_: napi.Env, data: ?*anyopaque, _: ?*anyopaque) callconv(.c) void {
                const self: *Watch = @alignCast(@ptrCast(data.?));
                self.has_function = false;
                self.freeUnused();
            }

            fn freeUnused(self: *Watch) void {
                if (self.handles == 0 and !self.has_function) self.free();
            }

            fn closeDescriptor(self: *Watch) void {
                if (self.descriptor != system.no_file) system.close(self.descriptor);
                self.descriptor = system.no_file;
            }

            fn free(self: *Watch) void {
                self.closeDescriptor();
                if (self.offer) |offer| offer.loan.release();
                gpa.destroy(self);
            }

            /// The JS thread ends. Where it was terminated, nobody has been told, and nobody else
            /// would have its engine's only worker run to its end. One that is lent goes back to
            /// its own thread, which knows from the start that nobody is there to answer. Node.js
            /// waits until the hook is removed.
            fn onCleanup(_: napi.AsyncCleanup, data: ?*anyopaque) callconv(.c) void {
                const self: *Watch = @alignCast(@ptrCast(data.?));
                // It may have ended between what it published and its call of `answer`.
                const instance = self.enterOrWake() orelse return self.close();
                if (self.offer == null) return registry.destroy(self.id);
                instance.detach(self.worker);
                self.letGo();
                self.close();
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
