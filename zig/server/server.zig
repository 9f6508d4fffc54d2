//! `Server(Handler)`: the engine specialised at comptime for one handler.

const builtin = @import("builtin");
const std = @import("std");
const Address = @import("../core/address.zig").Address;
const Defect = @import("../core/defect.zig").Defect;
const log = @import("../core/log.zig");
const listeners_file = @import("../net/listeners.zig");
const Listener = listeners_file.Listener;
const Listeners = listeners_file.Listeners;
const system = @import("../core/system.zig");
const Config = @import("config.zig").Config;
const engine = @import("engine.zig");
const HandlerDispatcher = @import("handler.zig").HandlerDispatcher;
const Socket = @import("websocket/socket.zig").Socket;
const signals = if (builtin.os.tag == .windows)
    @import("signals_windows.zig")
else
    @import("signals.zig");

pub const Error = engine.StartError || error{
    InvalidConfig,
    /// All that was listened on has failed: what was in flight is served, and nobody else can come.
    ListenersLost,
    /// The system does not let SIGINT and SIGTERM be caught.
    SignalsRefused,
};

/// A server that answers with `Handler`: see server/handler.zig for what that is.
///
///     var server: Server(Counter) = undefined;
///     try server.init(gpa, .{ .port = 8080 });
///     defer server.deinit();
///     try server.run(); // until SIGINT or SIGTERM
pub fn Server(comptime Handler: type) type {
    return struct {
        const Self = @This();
        const Dispatcher = HandlerDispatcher(Handler);
        const Security = if (@hasDecl(Handler, "Tls")) Handler.Tls else void;
        const Deflate = if (@hasDecl(Handler, "Deflate")) Handler.Deflate else void;
        const Engine = engine.Engine(Dispatcher, Security, Deflate);

        config: Config,
        handler: Handler,
        dispatcher: Dispatcher,
        engine: Engine,

        /// Makes the handler by its `init`, binds the port and reserves all memory. `self` must
        /// stay where it is. Strings in `config` must outlive the server. An invalid configuration
        /// is logged with the rule it breaks, what cannot be listened on with the reason.
        pub fn init(self: *Self, gpa: std.mem.Allocator, config: Config) !void {
            const made = Handler.init();
            var handler = if (@typeInfo(@TypeOf(made)) == .error_union) try made else made;
            errdefer handler.deinit();
            try self.initWith(gpa, config, handler);
        }

        /// `init` with a handler that was made elsewhere, for one that needs arguments. The server
        /// calls its `deinit`, unless an error is returned.
        pub fn initWith(
            self: *Self,
            gpa: std.mem.Allocator,
            config: Config,
            handler: Handler,
        ) Error!void {
            const level = log.setThreadLevel(config.log);
            defer _ = log.setThreadLevel(level);
            if (config.validate()) |problem| {
                log.err("configuration: {s} must be {s}", .{ problem.option, problem.rule });
                return error.InvalidConfig;
            }
            self.config = config;
            self.handler = handler;
            self.dispatcher = .{ .handler = &self.handler };
            var defect: Defect = .{};
            self.engine = Engine.init(
                gpa,
                &self.config,
                &self.dispatcher,
                &defect,
            ) catch |err| {
                if (defect.len > 0) log.err("{s}{s}{s}{s} [{s}]", .{
                    defect.message(),
                    if (defect.hint.len > 0) " (" else "",
                    defect.hint,
                    if (defect.hint.len > 0) ")" else "",
                    defect.code,
                });
                return err;
            };
        }

        pub fn deinit(self: *Self) void {
            self.engine.deinit();
            self.handler.deinit();
            self.* = undefined;
        }

        /// Starts the threads and returns: the server answers now.
        pub fn start(self: *Self) Error!void {
            const level = log.setThreadLevel(self.config.log);
            defer _ = log.setThreadLevel(level);
            try self.engine.start();
            var buffer: [512]u8 = undefined;
            log.info("listening on {s}: {s} ({s}), {d} workers, {d} MiB of pools", .{
                Listeners.describe(self.listeners(), &buffer),
                self.engine.backendName(),
                self.engine.choice.reason,
                self.engine.workerCount(),
                self.engine.memoryBytes() >> 20,
            });
            if (@hasDecl(Handler, "onListening")) self.handler.onListening(self.listeners());
        }

        /// Serves until SIGINT, SIGTERM or `requestStop`, or until nothing is listened on any more,
        /// then stops in order. A second signal ends what is in flight.
        pub fn run(self: *Self) Error!void {
            const level = log.setThreadLevel(self.config.log);
            defer _ = log.setThreadLevel(level);
            var waiter = signals.install() catch |err| return switch (err) {
                error.ProcessFdQuotaExceeded,
                error.SystemFdQuotaExceeded,
                error.SystemResources,
                => error.SystemResources,
                else => error.SignalsRefused,
            };
            defer waiter.uninstall();
            self.engine.onStopped(wakeRun, &waiter);
            var run_on: RunOn = .{ .server = self, .waiter = waiter };
            self.engine.onListenerLost(RunOn.onListenerLost, &run_on);
            try self.start();
            waiter.wait();
            run_on.is_stopping.store(true, .release);
            const timeout_ms = self.config.shutdown_timeout_ms;
            if (!self.engine.isStopped()) {
                log.info("stopping: {d} ms for what is in flight", .{timeout_ms});
            }
            self.engine.requestStop(timeout_ms);
            const watcher = system.spawn(secondSignal, .{ self, waiter }) catch null;
            self.engine.join();
            waiter.release();
            if (watcher) |thread| thread.join();
            if (self.engine.listenersLeft() == 0) return error.ListenersLost;
        }

        const RunOn = struct {
            server: *Self,
            waiter: signals.Waiter,
            /// What is released then would count for a second signal.
            is_stopping: std.atomic.Value(bool) = .init(false),

            fn onListenerLost(context: *anyopaque) void {
                const self: *RunOn = @alignCast(@ptrCast(context));
                if (self.is_stopping.load(.acquire)) return;
                if (self.server.engine.listenersLeft() == 0) self.waiter.release();
            }
        };

        /// All threads have ended, also without a signal.
        fn wakeRun(context: *anyopaque) void {
            const waiter: *signals.Waiter = @alignCast(@ptrCast(context));
            waiter.release();
        }

        fn secondSignal(self: *Self, waiter: signals.Waiter) void {
            waiter.wait();
            self.engine.requestStop(0);
        }

        /// Any thread: reads certificates and keys anew. When that fails, what was there is served
        /// on, and the log tells why.
        pub fn reloadCertificates(self: *Self) error{ OutOfMemory, TlsRefused }!void {
            const level = log.setThreadLevel(self.config.log);
            defer _ = log.setThreadLevel(level);
            var defect: Defect = .{};
            errdefer if (defect.len > 0) log.err("{s} [{s}]", .{ defect.message(), defect.code });
            try self.engine.reloadTls(null, &defect);
        }

        /// Any thread: stop accepting, finish what is in flight within `timeout_ms`,
        /// then close the rest.
        pub fn requestStop(self: *Self, timeout_ms: u32) void {
            self.engine.requestStop(timeout_ms);
        }

        /// Waits until the server has stopped.
        pub fn join(self: *Self) void {
            self.engine.join();
        }

        /// Any thread: sends a message to all WebSockets that have subscribed to the topic. Those
        /// that do not take what they are sent miss it.
        pub fn publish(
            self: *Self,
            topic: []const u8,
            kind: Socket.Kind,
            bytes: []const u8,
        ) Socket.Status {
            return self.engine.mailbox(0).publish(.none, topic, .{ .kind = kind }, bytes);
        }

        /// The address that is listened on;
        /// `port` is the one the system picked when 0 was asked for.
        pub fn address(self: *const Self) Address {
            return self.engine.address();
        }

        /// All that is listened on.
        pub fn listeners(self: *const Self) []const Listener {
            return self.engine.listeners();
        }

        pub fn stats(self: *const Self) engine.Stats {
            return self.engine.stats();
        }
    };
}
