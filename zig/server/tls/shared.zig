//! What an engine has of TLS: its sets of certificates, which of its listeners have which, and a
//! thread that looks whether certificates' files have changed.

const std = @import("std");
const assert = std.debug.assert;
const Allocator = std.mem.Allocator;
const Defect = @import("../../core/defect.zig").Defect;
const limits = @import("../../core/limits.zig");
const log = @import("../../core/log.zig");
const heap = @import("../../tls/heap.zig");
const io = @import("../../io/io.zig");
const kernel_tls = @import("../../io/kernel_tls.zig");
const system = @import("../../core/system.zig");
const Listener = @import("../../net/listeners.zig").Listener;
const Config = @import("../config.zig").Config;
const development = @import("development.zig");
const Settings = @import("settings.zig").Settings;
const store = @import("store.zig");
const Report = store.Report;
const Set = store.Set;

pub const Shared = struct {
    gpa: Allocator,
    sets: []Set,
    /// By the listeners' numbers; null: none.
    by_listener: [limits.listeners_max]?*Set = @splat(null),
    /// The port that every request is sent to, by the listeners' numbers.
    redirects: [limits.listeners_max]?u16 = @splat(null),
    /// Held while something is loaded, which takes a while.
    loading: std.Thread.Mutex = .{},
    watcher: ?std.Thread = null,
    /// The watcher is to end.
    end: std.Thread.ResetEvent = .{},
    level: log.Level,
    /// Of the memory that the C libraries may take.
    heap_share: usize,

    pub const Error = error{
        OutOfMemory,
        /// `defect` says why.
        TlsRefused,
    };

    /// For an engine that listens on `listeners`; `gpa` may be called from any thread.
    pub fn create(
        gpa: Allocator,
        config: *const Config,
        listeners: []const Listener,
        defect: *Defect,
    ) Error!*Shared {
        const self = try gpa.create(Shared);
        errdefer gpa.destroy(self);
        const sets = try gpa.alloc(Set, config.tls.len);
        errdefer gpa.free(sets);
        self.* = .{
            .gpa = gpa,
            .sets = sets[0..0],
            .level = config.log,
            .heap_share = shareOf(config),
        };
        heap.addShare(self.heap_share);
        errdefer heap.takeShare(self.heap_share);
        errdefer for (self.sets) |*set| set.deinit();
        for (sets, config.tls, 1..) |*set, *settings, count| {
            var report: Report = .{ .gpa = gpa };
            defer report.deinit();
            var own = settings.*;
            own.http2 = own.http2 and config.http2;
            set.init(gpa, &own, &report) catch |err| return refuse(err, &report, defect);
            Set.tellWarnings(&report);
            self.sets = sets[0..count];
        }
        for (self.sets) |*set| if (set.plan.authority) |*paths| {
            development.tell(paths);
            break;
        };
        for (listeners, 0..) |*listener, i| {
            const place = config.listenAt(listener.place);
            if (place.tls) |index| self.by_listener[i] = &self.sets[index];
            const asked = place.redirect_port orelse continue;
            self.redirects[i] = portFor(config, asked, listeners) orelse {
                const text = "No place with TLS has a port to redirect to";
                const hint = "name the one by which clients reach https";
                defect.set("GYR_OPTION_INVALID", hint, text, .{});
                return error.TlsRefused;
            };
        }
        return self;
    }

    /// All connections at rest, and as many handshakes under way as there may be.
    fn shareOf(config: *const Config) usize {
        const connections: usize = config.connections_max;
        const handshakes = @as(usize, config.workerCount()) *| config.tls_handshakes_max;
        return config.tls.len *| limits.tls_set_bytes_max +|
            connections *| limits.tls_legacy_idle_bytes_max +|
            @min(handshakes, connections) *| limits.tls_handshake_bytes_max;
    }

    /// The port that requests are sent to: as configured, or that of the first listener with TLS
    /// that has one.
    fn portFor(config: *const Config, asked: u16, listeners: []const Listener) ?u16 {
        if (asked != 0) return asked;
        for (listeners) |*listener| {
            const is_secured = config.listenAt(listener.place).tls != null;
            if (is_secured and listener.endpoint != .unix) return listener.endpoint.port();
        }
        return null;
    }

    fn refuse(err: Set.Error, report: *const Report, defect: *Defect) Error {
        if (err == error.OutOfMemory) return error.OutOfMemory;
        defect.set("GYR_TLS_CERTIFICATE", "", "{s}", .{report.message});
        return error.TlsRefused;
    }

    /// No connection is left.
    pub fn destroy(self: *Shared) void {
        assert(self.watcher == null);
        const gpa = self.gpa;
        for (self.sets) |*set| set.deinit();
        gpa.free(self.sets);
        heap.takeShare(self.heap_share);
        gpa.destroy(self);
    }

    /// Who seals the files that connections are sent, for the log. A connection that the system
    /// does not take is the filter's.
    pub fn tellSealing(config: *const Config, backend: io.Backend) void {
        for (config.tls) |*settings| {
            if (settings.ktls) break;
        } else return;
        if (backend == .io_uring)
            return log.info("TLS: files are sealed here, since io_uring runs: no kTLS", .{});
        switch (kernel_tls.support()) {
            .yes => log.info("TLS: files are sealed by the kernel (kTLS)", .{}),
            .no => |why| log.info("TLS: files are sealed here: no kTLS, {s}", .{why}),
        }
    }

    /// Starts to look after files. Without a thread for it they are not looked after, and that is
    /// told.
    pub fn start(self: *Shared) void {
        const ms = self.period() orelse return;
        self.end.reset();
        self.watcher = system.spawn(watch, .{ self, ms }) catch |err| {
            log.warn("certificates are not read anew when their files change: {s}", .{
                @errorName(err),
            });
            return;
        };
    }

    pub fn stop(self: *Shared) void {
        self.end.set();
        if (self.watcher) |thread| thread.join();
        self.watcher = null;
    }

    /// How often is looked, ms.
    fn period(self: *Shared) ?u32 {
        self.loading.lock();
        defer self.loading.unlock();
        var least: ?u32 = null;
        for (self.sets) |*set| if (set.period()) |ms| {
            least = @min(least orelse ms, ms);
        };
        return least;
    }

    fn watch(self: *Shared, ms: u32) void {
        _ = log.setThreadLevel(self.level);
        while (true) {
            self.end.timedWait(@as(u64, ms) * std.time.ns_per_ms) catch {
                self.loading.lock();
                defer self.loading.unlock();
                for (self.sets) |*set| set.follow();
                continue;
            };
            return;
        }
    }

    /// Any thread: reads all certificates anew, or takes `settings`, of as many sets, in their
    /// place. After an error those that were there are served on, all of them.
    pub fn reload(self: *Shared, settings: ?[]const Settings, defect: *Defect) Error!void {
        self.loading.lock();
        defer self.loading.unlock();
        var all: std.BoundedArray(Set.Next, limits.listeners_max) = .{};
        errdefer for (all.slice()) |*next| next.deinit();
        for (self.sets, 0..) |*set, i| {
            var report: Report = .{ .gpa = self.gpa };
            defer report.deinit();
            const given = if (settings) |each| &each[i] else null;
            const next = set.prepare(given, &report) catch |err|
                return refuse(err, &report, defect);
            all.appendAssumeCapacity(next);
            Set.tellWarnings(&report);
        }
        for (self.sets, all.slice()) |*set, next| set.take(next);
    }
};
