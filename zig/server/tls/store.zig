//! The certificates of a server, and what else its TLS connections share: made when it starts, and
//! made anew while it runs, when their files have changed or somebody asks. Connections that are
//! there keep what they were opened with.

const builtin = @import("builtin");
const std = @import("std");
const assert = std.debug.assert;
const Allocator = std.mem.Allocator;
const clock = @import("../../core/clock.zig");
const limits = @import("../../core/limits.zig");
const kernel_tls = @import("../../io/kernel_tls.zig");
const log = @import("../../core/log.zig");
const system = @import("../../core/system.zig");
const tls = @import("../../tls/filter.zig");
const Context = tls.Context;
pub const Report = tls.Report;
const development = @import("development.zig");
const Settings = @import("settings.zig").Settings;

/// What connections that are opened at a time have in common.
pub const Bundle = struct {
    gpa: Allocator,
    context: *Context,
    /// The field line of HSTS, with its CRLF; "" for none.
    hsts_line: []const u8,
    /// Open for as long as a connection may write to it.
    key_log: ?system.File,
    /// The system may seal what is sent.
    offloads: bool,
    /// When its certificate is to be replaced, s since 1970; null: by its user.
    renew_at_s: ?i64 = null,
    users: std.atomic.Value(u32) = .init(1),

    pub fn release(self: *Bundle) void {
        if (self.users.fetchSub(1, .acq_rel) > 1) return;
        self.context.destroy();
        if (self.key_log) |file| system.close(file);
        self.gpa.free(self.hsts_line);
        self.gpa.destroy(self);
    }
};

/// One set of certificates, of one or more listeners. Any thread may call `acquire`; for the rest
/// somebody sees to it that one does at a time.
pub const Set = struct {
    gpa: Allocator,
    plan: Plan,
    /// Held for an instant.
    swapping: std.Thread.Mutex = .{},
    current: *Bundle,
    /// Of the files, when they were last loaded or found wanting.
    seen: u64,

    pub const Error = @import("../../tls/context.zig").Error;

    /// `self` stays where it is. After an error `report` says in words what is wrong.
    pub fn init(
        self: *Set,
        gpa: Allocator,
        settings: *const Settings,
        report: *Report,
    ) Error!void {
        var plan = try Plan.init(gpa, settings, null, report);
        errdefer plan.deinit();
        const seen = plan.fingerprint();
        const bundle = try plan.load(gpa, report);
        self.* = .{ .gpa = gpa, .plan = plan, .current = bundle, .seen = seen };
    }

    /// No connection is left.
    pub fn deinit(self: *Set) void {
        self.current.release();
        self.plan.deinit();
        self.* = undefined;
    }

    /// What a connection that is being opened uses; it calls `release`.
    pub fn acquire(self: *Set) *Bundle {
        self.swapping.lock();
        defer self.swapping.unlock();
        _ = self.current.users.fetchAdd(1, .monotonic);
        return self.current;
    }

    /// What a set may come to be: `take` it, or `deinit`.
    pub const Next = struct {
        bundle: *Bundle,
        seen: u64,
        /// Null: that of before.
        plan: ?Plan,

        pub fn deinit(self: *Next) void {
            self.bundle.release();
            if (self.plan) |*plan| plan.deinit();
            self.* = undefined;
        }
    };

    /// Loads everything anew, by other settings where there are some. The set stays as it is.
    pub fn prepare(self: *const Set, settings: ?*const Settings, report: *Report) Error!Next {
        var plan = if (settings) |given|
            try Plan.init(self.gpa, given, &self.plan, report)
        else
            null;
        errdefer if (plan) |*other| other.deinit();
        const by = if (plan) |*other| other else &self.plan;
        const seen = by.fingerprint(); // before: what changes meanwhile is loaded later
        return .{ .bundle = try by.load(self.gpa, report), .seen = seen, .plan = plan };
    }

    pub fn take(self: *Set, next: Next) void {
        self.seen = next.seen;
        if (next.plan) |plan| {
            self.plan.deinit();
            self.plan = plan;
        }
        self.swapping.lock();
        const old = self.current;
        self.current = next.bundle;
        self.swapping.unlock();
        old.release();
    }

    /// Loads the files anew that have changed, and says so.
    pub fn follow(self: *Set) void {
        if (self.plan.settings.reload_ms == 0) return;
        const now = self.plan.fingerprint();
        const is_due = self.isDue();
        if (now == self.seen and !is_due) return;
        self.seen = now;
        var report: Report = .{ .gpa = self.gpa };
        defer report.deinit();
        if (self.prepare(null, &report)) |next| {
            self.take(next);
            if (is_due)
                log.info("the certificate for development was near its end: there is another", .{})
            else
                log.info("certificates have been read anew: {s} and what belongs to it", .{
                    self.plan.label(),
                });
            tellWarnings(&report);
        } else |err| {
            // A key may have been written, and its certificate not yet: then they change again.
            const why = if (report.message.len > 0) report.message else @errorName(err);
            if (is_due)
                log.warn("the certificate for development is near its end, and there is no " ++
                    "other: {s}; that is tried again in an hour", .{why})
            else
                log.warn("certificates have changed and are not taken: {s}", .{why});
        }
    }

    /// Whether a certificate for development is near its end. If it is not replaced now, that is
    /// tried again after a while.
    fn isDue(self: *Set) bool {
        const at_s = self.current.renew_at_s orelse return false;
        const now_s = clock.realtimeSeconds();
        if (now_s < at_s) return false;
        self.current.renew_at_s = now_s + std.time.s_per_hour;
        return true;
    }

    pub fn tellWarnings(report: *const Report) void {
        for (report.warnings.items) |text| log.warn("{s}", .{text});
    }

    /// How often its files are to be looked at, ms; null: never.
    pub fn period(self: *const Set) ?u32 {
        const ms = self.plan.settings.reload_ms;
        const has_news = self.plan.hasFiles() or self.plan.settings.self_signed;
        return if (ms > 0 and has_news) ms else null;
    }
};

/// What bundles of a set are made by, again and again.
const Plan = struct {
    arena: std.heap.ArenaAllocator,
    settings: Settings,
    secrets: std.BoundedArray([32]u8, limits.tls_ticket_secrets_max) = .{},
    /// Of the authority for development, where that is asked for.
    authority: ?development.Paths = null,

    const Error = Set.Error;

    /// Without secrets for tickets, `before` passes on its own: tickets outlive a reload.
    fn init(
        gpa: Allocator,
        settings: *const Settings,
        before: ?*const Plan,
        report: *Report,
    ) Error!Plan {
        assert(settings.validate() == null);
        var arena: std.heap.ArenaAllocator = .init(gpa);
        errdefer arena.deinit();
        const own = arena.allocator();
        var self: Plan = .{ .arena = undefined, .settings = try settings.clone(own) };
        const known = if (before) |other| other.authority else null;
        if (settings.self_signed) self.authority = if (known) |paths|
            try paths.clone(own)
        else
            try .find(own, report);
        self.arena = arena;
        for (settings.ticket_secrets) |text|
            self.secrets.appendAssumeCapacity(Settings.secretOf(text).?);
        if (self.secrets.len == 0) if (before) |other| {
            self.secrets = other.secrets;
        } else {
            std.crypto.random.bytes(self.secrets.addOneAssumeCapacity());
        };
        return self;
    }

    fn deinit(self: *Plan) void {
        std.crypto.secureZero(u8, std.mem.asBytes(&self.secrets.buffer));
        self.arena.deinit();
        self.* = undefined;
    }

    /// In words, of which set this is.
    fn label(self: *const Plan) []const u8 {
        if (self.settings.self_signed) return "that for development";
        return switch (self.settings.certificates[0].certificate) {
            .file => |path| path,
            .text => "(text)",
        };
    }

    /// Whether there are files to look at.
    fn hasFiles(self: *const Plan) bool {
        for (self.settings.certificates) |*identity| {
            if (identity.certificate == .file or identity.key == .file) return true;
            if (identity.staple) |staple| if (staple == .file) return true;
        }
        if (self.settings.client_authorities) |source| return source == .file;
        return false;
    }

    /// A number that changes when a file does.
    fn fingerprint(self: *const Plan) u64 {
        var hash: std.hash.Wyhash = .init(0);
        for (self.settings.certificates) |*identity| {
            addFile(&hash, identity.certificate);
            addFile(&hash, identity.key);
            if (identity.staple) |staple| addFile(&hash, staple);
        }
        if (self.settings.client_authorities) |source| addFile(&hash, source);
        return hash.final();
    }

    fn addFile(hash: *std.hash.Wyhash, source: Settings.Source) void {
        const path = switch (source) {
            .file => |path| path,
            .text => return,
        };
        const stat = system.stat(path) catch |err| {
            hash.update(@errorName(err));
            return;
        };
        hash.update(std.mem.asBytes(&stat.size));
        hash.update(std.mem.asBytes(&stat.inode));
        hash.update(std.mem.asBytes(&stat.modified_ns));
        hash.update(std.mem.asBytes(&stat.changed_ns));
    }

    fn load(self: *const Plan, gpa: Allocator, report: *Report) Error!*Bundle {
        const settings = &self.settings;
        const bundle = try gpa.create(Bundle);
        errdefer gpa.destroy(bundle);
        const line = if (settings.hsts.len == 0)
            try gpa.dupe(u8, "")
        else
            try std.fmt.allocPrint(gpa, "Strict-Transport-Security: {s}\r\n", .{settings.hsts});
        errdefer gpa.free(line);
        const path = settings.key_log;
        const key_log = if (path.len > 0) try openKeyLog(path, report) else null;
        errdefer if (key_log) |file| system.close(file);
        const made = if (self.authority) |*paths|
            try development.make(gpa, paths, report)
        else
            null;
        defer if (made) |own| own.deinit(gpa);
        bundle.* = .{
            .gpa = gpa,
            .context = try self.createContext(gpa, made, key_log, report),
            .renew_at_s = if (made) |own| clock.realtimeSeconds() + own.renew_s else null,
            .hsts_line = line,
            .key_log = key_log,
            .offloads = settings.ktls and kernel_tls.support() == .yes,
        };
        return bundle;
    }

    fn openKeyLog(path: []const u8, report: *Report) Error!system.File {
        if (builtin.os.tag == .windows) return report.fail(error.Unreadable, "keys cannot be " ++
            "logged to {s}: that is not there on Windows", .{path});
        const flags: std.posix.O = .{
            .ACCMODE = .WRONLY,
            .CREAT = true,
            .APPEND = true,
            .CLOEXEC = true,
            // A FIFO is refused that nobody reads, and no worker waits for who reads one.
            .NONBLOCK = true,
        };
        return system.open(path, flags, 0o600) catch |err| report.fail(
            error.Unreadable,
            "keys cannot be logged to {s} ({s}): check the path, and who may write there",
            .{ path, @errorName(err) },
        );
    }

    fn createContext(
        self: *const Plan,
        gpa: Allocator,
        made: ?development.Made,
        key_log: ?system.File,
        report: *Report,
    ) Error!*Context {
        const settings = &self.settings;
        const own: [1]Settings.Identity = if (made) |it| .{.{
            .certificate = .{ .text = it.pair.certificate },
            .key = .{ .text = it.pair.key },
        }} else undefined;
        const certificates: []const Settings.Identity =
            if (made == null) settings.certificates else &own;
        const count = certificates.len;
        const identities = try gpa.alloc(Context.Settings.Identity, count);
        defer gpa.free(identities);
        for (certificates, identities, 0..) |*from, *to, i| {
            to.* = .{
                .certificate = sourceOf(from.certificate, "cert", i),
                .key = sourceOf(from.key, "key", i),
                .staple = if (from.staple) |staple| sourceOf(staple, "ocsp", i) else null,
                .names = from.names,
            };
        }
        return Context.create(gpa, .{
            .certificates = identities,
            .version_min = settings.version_min,
            .strict_names = settings.strict_names,
            .protocols = if (settings.http2) &.{ "h2", "http/1.1" } else &.{"http/1.1"},
            .tickets = if (settings.tickets) .{
                .secrets = self.secrets.constSlice(),
                .lifetime_s = settings.ticket_lifetime_s,
            } else null,
            .early_bytes_max = settings.early_data_bytes_max,
            .clients = if (settings.client_authorities) |authorities| .{
                .authorities = sourceOf(authorities, "ca", 0),
                .require = settings.client_certificates == .require,
            } else null,
            .key_log = key_log,
        }, report);
    }

    fn sourceOf(source: Settings.Source, comptime what: []const u8, index: usize) tls.Source {
        const name = if (index == 0) "option " ++ what else "option " ++ what ++ " of another " ++
            "certificate";
        return switch (source) {
            .file => |path| .{ .file = path },
            .text => |text| .{ .text = .{ .name = name, .bytes = text } },
        };
    }
};
