//! The certificates of a server, and what else its TLS connections share: made when it starts, and
//! made anew while it runs, when their files have changed or somebody asks. Connections that are
//! there keep what they were opened with.

const builtin = @import("builtin");
const std = @import("std");
const assert = std.debug.assert;
const Allocator = std.mem.Allocator;
const limits = @import("../../core/limits.zig");
const log = @import("../../core/log.zig");
const system = @import("../../core/system.zig");
const tls = @import("../../tls/filter.zig");
const Context = tls.Context;
pub const Report = tls.Report;
const Settings = @import("settings.zig").Settings;

/// What connections that are opened at a time have in common.
pub const Bundle = struct {
    gpa: Allocator,
    context: *Context,
    /// The field line of HSTS, with its CRLF; "" for none.
    hsts_line: []const u8,
    users: std.atomic.Value(u32) = .init(1),

    pub fn release(self: *Bundle) void {
        if (self.users.fetchSub(1, .acq_rel) > 1) return;
        self.context.destroy();
        self.gpa.free(self.hsts_line);
        self.gpa.destroy(self);
    }
};

/// One set of certificates, of one or more listeners. Any thread may call.
pub const Set = struct {
    gpa: Allocator,
    /// Of the settings.
    arena: std.heap.ArenaAllocator,
    settings: Settings,
    /// Of tickets: they outlive a reload.
    secrets: std.BoundedArray([32]u8, limits.tls_ticket_secrets_max) = .{},
    key_log: ?system.File = null,
    /// Held while something is loaded, which takes a while.
    loading: std.Thread.Mutex = .{},
    /// Held for an instant.
    swapping: std.Thread.Mutex = .{},
    current: *Bundle = undefined,
    /// Of the files, when they were last loaded or found wanting.
    seen: u64 = 0,

    pub const Error = @import("../../tls/context.zig").Error;

    /// `self` stays where it is. After an error `report` says in words what is wrong.
    pub fn init(
        self: *Set,
        gpa: Allocator,
        settings: *const Settings,
        report: *Report,
    ) Error!void {
        assert(settings.validate() == null);
        self.* = .{ .gpa = gpa, .arena = .init(gpa), .settings = undefined };
        errdefer self.arena.deinit();
        self.settings = try settings.clone(self.arena.allocator());
        self.takeSecrets();
        errdefer self.forgetSecrets();
        if (settings.key_log.len > 0) self.key_log = try openKeyLog(settings.key_log, report);
        errdefer if (self.key_log) |file| system.close(file);
        self.seen = self.fingerprint();
        self.current = try self.load(report);
    }

    /// No connection is left.
    pub fn deinit(self: *Set) void {
        self.current.release();
        if (self.key_log) |file| system.close(file);
        self.forgetSecrets();
        self.arena.deinit();
        self.* = undefined;
    }

    fn takeSecrets(self: *Set) void {
        for (self.settings.ticket_secrets) |text|
            self.secrets.appendAssumeCapacity(Settings.secretOf(text).?);
        if (self.secrets.len > 0) return;
        self.secrets.len = 1;
        std.crypto.random.bytes(&self.secrets.buffer[0]);
    }

    fn forgetSecrets(self: *Set) void {
        std.crypto.secureZero(u8, std.mem.asBytes(&self.secrets.buffer));
    }

    fn openKeyLog(path: []const u8, report: *Report) Error!system.File {
        if (builtin.os.tag == .windows) return report.fail(error.Unreadable, "keys cannot be " ++
            "logged to {s}: that is not there on Windows", .{path});
        const flags: std.posix.O = .{
            .ACCMODE = .WRONLY,
            .CREAT = true,
            .APPEND = true,
            .CLOEXEC = true,
        };
        return system.open(path, flags, 0o600) catch |err| report.fail(
            error.Unreadable,
            "keys cannot be logged to {s} ({s}): check the path, and who may write there",
            .{ path, @errorName(err) },
        );
    }

    /// What a connection that is being opened uses; it calls `release`.
    pub fn acquire(self: *Set) *Bundle {
        self.swapping.lock();
        defer self.swapping.unlock();
        _ = self.current.users.fetchAdd(1, .monotonic);
        return self.current;
    }

    /// Loads everything anew. After an error what was there is served on.
    pub fn reload(self: *Set, report: *Report) Error!void {
        self.loading.lock();
        defer self.loading.unlock();
        try self.reloadLocked(report);
    }

    fn reloadLocked(self: *Set, report: *Report) Error!void {
        self.seen = self.fingerprint(); // before: what changes meanwhile is loaded later
        self.swap(try self.load(report));
    }

    fn swap(self: *Set, fresh: *Bundle) void {
        self.swapping.lock();
        const old = self.current;
        self.current = fresh;
        self.swapping.unlock();
        old.release();
    }

    /// Other settings from now on. Those of tickets and of the key log stay as they are.
    pub fn replace(self: *Set, settings: *const Settings, report: *Report) Error!void {
        assert(settings.validate() == null);
        self.loading.lock();
        defer self.loading.unlock();
        var arena: std.heap.ArenaAllocator = .init(self.gpa);
        errdefer arena.deinit();
        const fresh = try settings.clone(arena.allocator());
        const old = .{ .settings = self.settings, .seen = self.seen };
        self.settings = fresh;
        errdefer {
            self.settings = old.settings;
            self.seen = old.seen;
        }
        try self.reloadLocked(report);
        self.arena.deinit();
        self.arena = arena;
    }

    /// Loads the files anew that have changed, and says so.
    pub fn follow(self: *Set) void {
        self.loading.lock();
        defer self.loading.unlock();
        const now = self.fingerprint();
        if (now == self.seen) return;
        self.seen = now;
        var report: Report = .{ .gpa = self.gpa };
        defer report.deinit();
        const name = nameOf(self.settings.certificates[0].certificate);
        if (self.load(&report)) |fresh| {
            self.swap(fresh);
            log.info("certificates have been read anew: {s} and what belongs to it", .{name});
            tellWarnings(&report);
        } else |err| {
            // A key may have been written, and its certificate not yet: then they change again.
            const why = if (report.message.len > 0) report.message else @errorName(err);
            log.warn("certificates have changed and are not taken: {s}", .{why});
        }
    }

    pub fn tellWarnings(report: *const Report) void {
        for (report.warnings.items) |text| log.warn("{s}", .{text});
    }

    fn nameOf(source: Settings.Source) []const u8 {
        return switch (source) {
            .file => |path| path,
            .text => "(text)",
        };
    }

    /// Whether there are files to look at.
    pub fn hasFiles(self: *const Set) bool {
        for (self.settings.certificates) |*identity| {
            if (identity.certificate == .file or identity.key == .file) return true;
            if (identity.staple) |staple| if (staple == .file) return true;
        }
        if (self.settings.client_authorities) |source| return source == .file;
        return false;
    }

    /// A number that changes when a file does.
    fn fingerprint(self: *const Set) u64 {
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

    fn load(self: *Set, report: *Report) Error!*Bundle {
        const bundle = try self.gpa.create(Bundle);
        errdefer self.gpa.destroy(bundle);
        const hsts = self.settings.hsts;
        const line = if (hsts.len == 0)
            try self.gpa.dupe(u8, "")
        else
            try std.fmt.allocPrint(self.gpa, "Strict-Transport-Security: {s}\r\n", .{hsts});
        errdefer self.gpa.free(line);
        bundle.* = .{
            .gpa = self.gpa,
            .context = try self.createContext(report),
            .hsts_line = line,
        };
        return bundle;
    }

    fn createContext(self: *Set, report: *Report) Error!*Context {
        const settings = &self.settings;
        const count = settings.certificates.len;
        const identities = try self.gpa.alloc(Context.Settings.Identity, count);
        defer self.gpa.free(identities);
        for (settings.certificates, identities, 0..) |*from, *to, i| {
            to.* = .{
                .certificate = sourceOf(from.certificate, "cert", i),
                .key = sourceOf(from.key, "key", i),
                .staple = if (from.staple) |staple| sourceOf(staple, "ocsp", i) else null,
                .names = from.names,
            };
        }
        return Context.create(self.gpa, .{
            .certificates = identities,
            .version_min = switch (settings.version_min) {
                .tls12 => .tls12,
                .tls13 => .tls13,
            },
            .strict_names = settings.strict_names,
            .tickets = if (settings.tickets) .{
                .secrets = self.secrets.constSlice(),
                .lifetime_s = settings.ticket_lifetime_s,
            } else null,
            .early_bytes_max = if (settings.tickets) settings.early_data_bytes_max else 0,
            .clients = if (settings.client_authorities) |authorities| .{
                .authorities = sourceOf(authorities, "ca", 0),
                .require = settings.client_certificates == .require,
            } else null,
            .key_log = self.key_log,
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
