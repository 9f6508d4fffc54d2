//! What an engine has of TLS: its sets of certificates, which of its listeners have which, and a
//! thread that looks whether certificates' files have changed.

const std = @import("std");
const assert = std.debug.assert;
const Allocator = std.mem.Allocator;
const Defect = @import("../../core/defect.zig").Defect;
const limits = @import("../../core/limits.zig");
const log = @import("../../core/log.zig");
const system = @import("../../core/system.zig");
const Listener = @import("../../net/listeners.zig").Listener;
const Config = @import("../config.zig").Config;
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
    watcher: ?std.Thread = null,
    /// The watcher is to end.
    end: std.Thread.ResetEvent = .{},
    level: log.Level,

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
        self.* = .{ .gpa = gpa, .sets = sets[0..0], .level = config.log };
        errdefer for (self.sets) |*set| set.deinit();
        for (sets, config.tls, 1..) |*set, *settings, count| {
            var report: Report = .{ .gpa = gpa };
            defer report.deinit();
            set.init(gpa, settings, &report) catch |err| return refuse(err, &report, defect);
            Set.tellWarnings(&report);
            self.sets = sets[0..count];
        }
        for (listeners, 0..) |*listener, i| {
            const place = config.listenAt(listener.place);
            if (place.tls) |index| self.by_listener[i] = &self.sets[index];
            self.redirects[i] = portFor(config, place.redirect_port orelse continue, listeners);
        }
        return self;
    }

    /// The port that requests are sent to: as configured, or that of the first listener with TLS.
    fn portFor(config: *const Config, asked: u16, listeners: []const Listener) u16 {
        if (asked != 0) return asked;
        for (listeners) |*listener| {
            if (config.listenAt(listener.place).tls != null) return listener.endpoint.port();
        }
        unreachable; // the configuration was checked
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
        gpa.destroy(self);
    }

    /// Starts to look after files. Without a thread for it they are not looked after, and that is
    /// told.
    pub fn start(self: *Shared) void {
        if (self.period() == null) return;
        self.end.reset();
        self.watcher = system.spawn(watch, .{self}) catch |err| {
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
    fn period(self: *const Shared) ?u32 {
        var least: ?u32 = null;
        for (self.sets) |*set| {
            const ms = set.settings.reload_ms;
            if (ms > 0 and set.hasFiles()) least = @min(least orelse ms, ms);
        }
        return least;
    }

    fn watch(self: *Shared) void {
        _ = log.setThreadLevel(self.level);
        const ms = self.period().?;
        while (true) {
            self.end.timedWait(@as(u64, ms) * std.time.ns_per_ms) catch {
                for (self.sets) |*set| if (set.settings.reload_ms > 0) set.follow();
                continue;
            };
            return;
        }
    }

    /// Any thread: reads all certificates anew, or takes `settings`, of as many sets, in their
    /// place. After an error those that were there are served on.
    pub fn reload(self: *Shared, settings: ?[]const Settings, defect: *Defect) Error!void {
        for (self.sets, 0..) |*set, i| {
            var report: Report = .{ .gpa = self.gpa };
            defer report.deinit();
            const done = if (settings) |all| set.replace(&all[i], &report) else set.reload(&report);
            done catch |err| return refuse(err, &report, defect);
            Set.tellWarnings(&report);
        }
    }
};
