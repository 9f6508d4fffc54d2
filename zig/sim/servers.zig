//! What stands behind the engine in a simulation: a handler in Zig, or the bridge with JS threads
//! that are played.

const std = @import("std");
const Allocator = std.mem.Allocator;
const abi = @import("../bridge/abi.zig");
const Block = @import("../bridge/block.zig").Block;
const bridge = @import("../bridge/dispatcher.zig");
const table_file = @import("../bridge/table.zig");
const DirServer = @import("../handlers/dir_server.zig").DirServer;
const Network = @import("../io/simulated_network.zig").Network;
const Port = @import("../net/port.zig").Port;
const HandlerDispatcher = @import("../server/handler.zig").HandlerDispatcher;
const Files = @import("files.zig").Files;
const Handler = @import("handler.zig").Handler;
const JsThread = @import("js_thread.zig").JsThread;
const Options = @import("options.zig").Options;

pub const ZigServer = struct {
    pub const Dispatcher = HandlerDispatcher(Handler);

    dispatcher: Dispatcher,
    handler: Handler,
    dir: DirServer,

    /// `self` stays where it is.
    pub fn init(
        self: *ZigServer,
        gpa: Allocator,
        options: *const Options,
        _: *Network,
        files: *Files,
    ) !void {
        self.dir = try DirServer.init(gpa, .{ .root = files.path, .cache_bytes = 1 << 20 });
        self.dir.settle_ns = 0;
        self.dir.told = Files.told;
        self.dir.cache_ms = 0;
        self.handler = .{ .files = files, .dir = &self.dir, .secured = options.secured };
        self.dispatcher = .{ .handler = &self.handler };
    }

    pub fn deinit(self: *ZigServer, gpa: Allocator) void {
        self.dir.deinit(gpa);
    }

    pub fn open(_: *ZigServer, _: []Port) !void {}

    /// Who else takes part: nobody.
    pub fn players(_: *ZigServer) []JsThread {
        return &.{};
    }

    pub fn checkEnd(self: *ZigServer) void {
        if (self.handler.sockets != 0)
            std.debug.panic("invariant: {d} sockets have not ended", .{self.handler.sockets});
    }
};

pub const JsServer = struct {
    pub const Dispatcher = bridge.Dispatcher;

    dispatcher: Dispatcher,
    block: Block,
    bodies: table_file.Bodies,
    table: *table_file.Table,
    threads: []JsThread,

    /// `self` stays where it is.
    pub fn init(
        self: *JsServer,
        gpa: Allocator,
        options: *const Options,
        network: *Network,
        files: *Files,
    ) !void {
        const config = &options.config;
        self.block = try Block.take(.{
            .workers = config.workers,
            .threads = options.js_threads,
            .ring_bytes = abi.ring_bytes_min,
            .credit_bytes = abi.credit_bytes_min,
        });
        self.bodies = .{};
        var defect: table_file.Defect = .{};
        self.table = try table_file.Table.create(gpa, &.{
            .entries = &.{.{ .pattern = "/files/*", .target = 1 }},
            .targets = &.{
                .{ .kind = .lane, .route = 7 },
                .{ .kind = .dir, .root = files.path, .cache_ms = 0 },
            },
            .fallback = 0,
            .websocket = .{
                .tells_pings = options.tells_controls,
                .tells_pongs = options.tells_controls,
            },
        }, &self.bodies, &defect);
        self.table.targets[1].dir.settle_ns = 0; // a real clock decides nothing here
        self.table.targets[1].dir.told = Files.told;
        const exchanges = config.exchangesMax(config.workers);
        self.dispatcher = try Dispatcher.init(gpa, self.block, self.table, exchanges);
        self.threads = try gpa.alloc(JsThread, options.js_threads);
        for (self.threads, 0..) |*thread, i| thread.* = try JsThread.init(
            gpa,
            @intCast(i),
            &self.dispatcher,
            network,
            options.js_dies,
            options.secured,
        );
    }

    pub fn deinit(self: *JsServer, gpa: Allocator) void {
        for (self.threads) |*thread| thread.deinit();
        gpa.free(self.threads);
        self.dispatcher.deinit();
        self.table.destroy();
        self.bodies.deinit(gpa);
        self.block.release();
    }

    /// The workers are there: the threads come.
    pub fn open(self: *JsServer, ports: []Port) !void {
        for (ports, 0..) |*port, i|
            self.block.worker(@intCast(i)).wake_fd = port.bell.number();
        for (self.threads) |*thread| try thread.step();
    }

    pub fn players(self: *JsServer) []JsThread {
        return self.threads;
    }

    pub fn checkEnd(self: *JsServer) void {
        for (self.dispatcher.lanes) |*lane| {
            if (lane.sockets.list.first != null)
                std.debug.panic("invariant: sockets left on a lane", .{});
            if (lane.pending != 0 or lane.first != null)
                std.debug.panic("invariant: {d} exchanges left on a lane", .{lane.pending});
        }
        const bad = self.dispatcher.bad_records.load(.monotonic);
        if (bad != 0) std.debug.panic("invariant: {d} good records were refused", .{bad});
    }
};
