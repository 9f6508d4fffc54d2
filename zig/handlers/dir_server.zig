//! Serves the files below a directory: GET and HEAD, index files, validators and conditions, one
//! byte range. Small files come from a cache in memory, large ones go by sendfile(2) and are kept
//! open.

const std = @import("std");
const Allocator = std.mem.Allocator;
const clock = @import("../core/clock.zig");
const FileHandle = @import("../core/file_handle.zig").FileHandle;
const system = @import("../core/system.zig");
const date = @import("../http/date.zig");
const field_lines = @import("../http/field_lines.zig");
const FieldLines = field_lines.FieldLines;
const fields = @import("../http/fields.zig");
const mime = @import("../http/mime.zig");
const problem = @import("../http/problem.zig");
const status = @import("../http/status.zig");
const uri = @import("../http/uri.zig");
const Request = @import("../http/request.zig").Request;
const Response = @import("../http/response.zig").Response;
const HeaderError = @import("../http/response.zig").HeaderError;
const cache_file = @import("dir_server_cache.zig");
const conditions = @import("dir_server_conditions.zig");
const open_files_file = @import("dir_server_open_files.zig");
const reading = @import("dir_server_reading.zig");
const root_file = @import("dir_server_root.zig");
const Cache = cache_file.Cache;
const Entry = cache_file.Entry;
const Kept = open_files_file.Kept;
const OpenFiles = open_files_file.OpenFiles;
const Opened = root_file.Opened;
const Top = @import("dir_server_top.zig").Top;

/// Files up to this size are kept in the cache, bytes.
pub const cached_file_bytes_max = 64 * 1024;
/// A path longer than this, as the request has it, is served, but nothing is kept for it, bytes.
const kept_key_bytes_max = open_files_file.key_bytes_max;
/// Room for the field lines that describe a file.
const LineBuffer = field_lines.LineBuffer(
    open_files_file.lines_bytes_max,
    open_files_file.line_count_max,
);
/// A file that changed less than this ago may change again without its times telling: it is not
/// cached yet. Kernel clocks tick every 1–10 ms.
const settle_ns_default = 50 * std.time.ns_per_ms;
/// The same where times are kept in whole seconds (some network and removable file systems).
const settle_coarse_ns = 2 * std.time.ns_per_s;

/// Modification times up to this are no times, seconds since 1970.
const reproducible_s_max = 1;

/// A static directory. Made once, then used by any number of threads at the same time.
pub const DirServer = struct {
    top: Top,
    index: []const []const u8,
    cache: ?Cache,
    /// Null: every request opens its file.
    open_files: ?OpenFiles,
    cache_ms: u32,
    dotfiles: bool,
    redirect: bool,
    max_age_s: ?u32,
    /// Replaceable, so that tests need not wait.
    now_ms: *const fn () u64 = clock.monotonicMs,
    settle_ns: i128 = settle_ns_default,
    /// What of a file's version its tag tells. Replaceable, so that runs of a simulation are alike.
    told: *const fn (root_file.Version) root_file.Version = asItIs,

    pub const Options = struct {
        /// The directory. When another comes to stand at this path (it is built anew, or a link in
        /// the path is changed), that one is served, `cache_ms` later at most. While there is none,
        /// requests are answered with 503.
        root: []const u8,
        /// Names that are looked for, in order, where a path names a directory. None: 404.
        index: []const []const u8 = &.{"index.html"},
        /// Keep the contents of small files (up to 64 KiB) in memory.
        cache: bool = true,
        /// How long a kept content is served before the file is looked at again, milliseconds, and
        /// the path of one that is kept open. 0: looked at for every request.
        cache_ms: u32 = 1000,
        /// Memory for kept contents, bytes; at least 256 KiB. Pages become resident when first
        /// used.
        cache_bytes: usize = 16 * 1024 * 1024,
        /// Files above 64 KiB that are kept open to be sent again, at most, up to 4096: of a low
        /// limit of descriptors a sixteenth. One that is not asked for in ten seconds is closed. 0,
        /// or with a `cache_ms` of 0: each is opened when it is asked for.
        open_files: u32 = 64,
        /// Serve files and directories whose name begins with a dot. "/.well-known/" (RFC 8615) is
        /// always served.
        dotfiles: bool = false,
        /// Send "Cache-Control: max-age=N", seconds. null: no Cache-Control.
        max_age_s: ?u32 = null,
        /// Answer the path of a directory without its last slash by 301 to the one with it, so that
        /// relative links work. false: by the index file itself.
        redirect: bool = true,
    };

    pub const InitError = system.Error || Allocator.Error || error{
        /// An index name that is empty, too long, "." or "..", or has a '/' or NUL in it.
        InvalidIndexName,
        /// `cache_bytes` below 256 KiB, or above 64 GiB.
        InvalidCacheBytes,
        /// `open_files` above 4096.
        InvalidOpenFiles,
    };

    /// Opens the directory and takes all memory that the server will use; the options may be gone
    /// afterwards.
    pub fn init(gpa: Allocator, options: Options) InitError!DirServer {
        const cache_bytes = options.cache_bytes;
        if (options.cache and (cache_bytes < Cache.bytes_min or cache_bytes > Cache.bytes_max)) {
            return error.InvalidCacheBytes;
        }
        if (options.open_files > open_files_file.count_max) return error.InvalidOpenFiles;
        for (options.index) |name| try checkIndexName(name);
        var top = try Top.init(gpa, options.root);
        errdefer top.deinit(gpa);
        const index = try dupeAll(gpa, options.index);
        errdefer freeAll(gpa, index);
        var cache: ?Cache = if (options.cache) try Cache.init(gpa, cache_bytes) else null;
        errdefer if (cache) |*made| made.deinit(gpa);
        const keeps_open = options.open_files > 0 and options.cache_ms > 0;
        return .{
            .top = top,
            .index = index,
            .cache = cache,
            .open_files = if (keeps_open) try OpenFiles.init(gpa, options.open_files) else null,
            .cache_ms = options.cache_ms,
            .dotfiles = options.dotfiles,
            .redirect = options.redirect,
            .max_age_s = options.max_age_s,
        };
    }

    /// No response that `handle` filled in may be unsent.
    pub fn deinit(self: *DirServer, gpa: Allocator) void {
        if (self.open_files) |*open_files| open_files.deinit(gpa);
        if (self.cache) |*cache| cache.deinit(gpa);
        freeAll(gpa, self.index);
        self.top.deinit(gpa);
        self.* = undefined;
    }

    /// Memory taken at `init`, bytes.
    pub fn memoryBytes(self: *const DirServer) usize {
        const contents = if (self.cache) |*cache| cache.memoryBytes() else 0;
        const handles = if (self.open_files) |*open_files| open_files.memoryBytes() else 0;
        return contents + handles;
    }

    /// Answers `req` with the file that `path` names: the request's path, canonical as it is, or
    /// what of it follows the mount point, from a "/" on; "" where the request stops at the mount
    /// point without its slash. Fills `res` with 200, 206, 301, 304, 400, 403, 404, 405, 412, 416,
    /// 500 or 503; fields that are in it already stay. The content may be borrowed until this
    /// thread, or the worker that it runs, calls `handle` again. Allocates nothing.
    pub fn handle(self: *DirServer, req: *const Request, res: *Response, path: []const u8) void {
        const exchange: Exchange = .{ .server = self, .req = req, .res = res, .path = path };
        exchange.answer() catch |err| switch (err) {
            error.BadPath => exchange.refuse(.invalid_path),
            error.AccessDenied => exchange.refuse(.access_denied),
            error.NotFound => exchange.refuse(.not_found),
            error.Unavailable, error.Changed, error.NoRoot => exchange.refuse(.service_unavailable),
            error.Unreadable => exchange.refuse(.file_unreadable),
            error.OutOfBuffers => exchange.refuse(.out_of_buffers),
            // Other fields have filled the head; what is left says no more than that.
            error.HeadTooLarge, error.InvalidField, error.FramingField => {
                res.clearFields();
                exchange.refuse(.internal_error);
            },
        };
    }
};

fn checkIndexName(name: []const u8) error{InvalidIndexName}!void {
    const bad = name.len == 0 or name.len > 255 or std.mem.indexOfAny(u8, name, "/\x00") != null or
        std.mem.eql(u8, name, ".") or std.mem.eql(u8, name, "..");
    if (bad) return error.InvalidIndexName;
}

fn dupeAll(gpa: Allocator, names: []const []const u8) Allocator.Error![]const []const u8 {
    const copies = try gpa.alloc([]const u8, names.len);
    var done: usize = 0;
    errdefer {
        for (copies[0..done]) |copy| gpa.free(copy);
        gpa.free(copies);
    }
    while (done < names.len) : (done += 1) copies[done] = try gpa.dupe(u8, names[done]);
    return copies;
}

fn freeAll(gpa: Allocator, names: []const []const u8) void {
    for (names) |name| gpa.free(name);
    gpa.free(names);
}

/// A file, as a response needs it.
const Representation = struct {
    /// Of a 200 or 206; the first `validator_count` go with a 304 too.
    lines: FieldLines,
    validator_count: u8,
    validators: conditions.Validators,
};

const Error = root_file.OpenError || HeaderError ||
    error{ BadPath, Changed, NoRoot, OutOfBuffers };

/// Times that a file which changes under the look at it is looked at.
const attempts_max = 8;

/// One call of `handle`.
const Exchange = struct {
    server: *DirServer,
    req: *const Request,
    res: *Response,
    path: []const u8,

    fn answer(self: Exchange) Error!void {
        if (self.req.method != .GET and self.req.method != .HEAD) {
            try self.res.header("Allow", "GET, HEAD");
            return self.refuse(.method_not_allowed);
        }
        if (self.path.len > kept_key_bytes_max) return self.answerFromFile(null);
        const hash = Cache.hashOf(self.path);
        const pin = if (self.server.cache) |*cache| cache.pin() else null;
        if (pin) |mine| {
            if (self.server.cache.?.find(mine, hash, self.path)) |entry| {
                if (self.isFresh(entry)) return self.respondFromEntry(entry);
                return self.answerRevalidated(mine, entry);
            }
        }
        if (self.server.open_files) |*open_files| {
            const now = self.server.now_ms();
            var kept: Kept = undefined;
            if (open_files.find(hash, self.path, now, self.server.cache_ms, &kept)) |age| {
                return self.answerFromKept(pin, hash, &kept, age);
            }
        }
        return self.answerFromFile(pin);
    }

    /// Answers with a file that was kept open, an owner of which this is, if it is still the one.
    fn answerFromKept(
        self: Exchange,
        pin: ?*cache_file.Pin,
        hash: u64,
        kept: *const Kept,
        age: OpenFiles.Age,
    ) Error!void {
        if (!isUnchanged(kept)) {
            self.dropKept(hash, kept);
            return self.answerFromFile(pin);
        }
        if (age == .fresh) return self.respondFromKept(kept);
        var buffer: [root_file.path_bytes_max]u8 = undefined;
        const file = self.locate(&buffer) catch |err| {
            // Without descriptors nothing better is known than what is kept.
            if (err == error.Unavailable) return self.respondFromKept(kept);
            self.dropKept(hash, kept);
            return err;
        };
        if (file) |found| {
            if (found.opened.version.eql(kept.version)) {
                found.opened.close();
                const open_files = &self.server.open_files.?;
                open_files.renew(hash, self.path, kept.handle, found.checked_ms);
                return self.respondFromKept(kept);
            }
        }
        self.dropKept(hash, kept);
        return self.respondOrRetry(file, pin);
    }

    /// It is no longer what is to be sent: neither kept open for others, nor owned here.
    fn dropKept(self: Exchange, hash: u64, kept: *const Kept) void {
        self.server.open_files.?.forget(hash, self.path, kept.handle);
        kept.handle.release();
    }

    /// Whether what is said of the file is so.
    fn isUnchanged(kept: *const Kept) bool {
        if (kept.handle.isDoubted()) return false;
        const version = root_file.Version.read(kept.handle.fd()) catch return false;
        return version.eql(kept.version);
    }

    /// Whether the entry can be served without a look at the file. Of the threads that find it too
    /// old one is told so, and the others go on with it meanwhile.
    fn isFresh(self: Exchange, entry: *Entry) bool {
        if (self.server.cache_ms == 0) return false;
        const now = self.server.now_ms();
        const checked = entry.checked_ms.load(.monotonic);
        if (now -| checked < self.server.cache_ms) return true;
        return entry.checked_ms.cmpxchgStrong(checked, now, .monotonic, .monotonic) != null;
    }

    fn answerRevalidated(self: Exchange, pin: *cache_file.Pin, entry: *Entry) Error!void {
        var buffer: [root_file.path_bytes_max]u8 = undefined;
        const file = self.locate(&buffer) catch |err| {
            // Without descriptors nothing better is known than what is kept.
            if (err == error.Unavailable) return self.respondFromEntry(entry);
            entry.valid.store(false, .release);
            return err;
        };
        if (file) |found| {
            if (found.opened.version.eql(entry.version)) {
                found.opened.close();
                entry.checked_ms.store(found.checked_ms, .monotonic);
                return self.respondFromEntry(entry);
            }
        }
        entry.valid.store(false, .release);
        return self.respondOrRetry(file, pin);
    }

    /// `respond`, and once more with what is there now if the file changed under it.
    fn respondOrRetry(self: Exchange, file: ?Located, pin: ?*cache_file.Pin) Error!void {
        self.respond(file, pin) catch |err| {
            return if (err == error.Changed) self.answerFromFile(pin) else err;
        };
    }

    fn answerFromFile(self: Exchange, pin: ?*cache_file.Pin) Error!void {
        var buffer: [root_file.path_bytes_max]u8 = undefined;
        for (1..attempts_max) |_| {
            return self.respond(try self.locate(&buffer), pin) catch |err| {
                if (err == error.Changed) continue;
                return err;
            };
        }
        return self.respond(try self.locate(&buffer), pin);
    }

    /// A regular file, its path below the root, and when the root was last known to be the one.
    const Located = struct { opened: Opened, path: []const u8, checked_ms: u64 };

    /// Opens what the path names; null for a directory to be redirected to.
    fn locate(self: Exchange, buffer: *[root_file.path_bytes_max]u8) Error!?Located {
        const whole = if (self.path.len == 0) "/" else self.path;
        const decoded = uri.decodePath(whole, buffer) catch |err| return switch (err) {
            error.NoSpaceLeft => error.NotFound,
            // No file has a slash in its name.
            error.AmbiguousSeparator, error.InvalidEncoding => error.BadPath,
        };
        if (!self.server.dotfiles and isHidden(decoded)) return error.NotFound;
        const names_directory = decoded[decoded.len - 1] == '/';
        if (self.path.len == 0 and self.server.redirect) return null;
        const held = try self.server.top.acquire(self.server.now_ms(), self.server.cache_ms);
        defer held.release();
        if (names_directory) return try self.locateIndex(held, buffer, decoded.len);
        const opened = try held.root.openBeneath(decoded[1..]);
        if (opened.kind == .file) {
            return .{ .opened = opened, .path = decoded[1..], .checked_ms = held.checked_ms };
        }
        opened.close();
        if (self.server.redirect) return null;
        if (decoded.len == buffer.len) return error.NotFound;
        buffer[decoded.len] = '/';
        return try self.locateIndex(held, buffer, decoded.len + 1);
    }

    /// Opens the first index file there is in the directory that `buffer[0..len]` names, with its
    /// slashes.
    fn locateIndex(
        self: Exchange,
        held: Top.Held,
        buffer: *[root_file.path_bytes_max]u8,
        len: usize,
    ) Error!Located {
        for (self.server.index) |name| {
            if (len + name.len > buffer.len) continue;
            @memcpy(buffer[len..][0..name.len], name);
            const path = buffer[1 .. len + name.len];
            const opened = held.root.openBeneath(path) catch |err| {
                if (err == error.NotFound) continue;
                return err;
            };
            if (opened.kind == .file) {
                return .{ .opened = opened, .path = path, .checked_ms = held.checked_ms };
            }
            opened.close();
        }
        return error.NotFound;
    }

    /// Answers with `file`, and takes it over. `Changed`: it was not the same all the while, and
    /// the response is as it was.
    fn respond(self: Exchange, file: ?Located, pin: ?*cache_file.Pin) Error!void {
        const found = file orelse return self.redirectToDirectory();
        var buffer: LineBuffer = .{};
        var tag: [Entry.tag_bytes_max]u8 = undefined;
        const representation = self.describe(found, &buffer, &tag);
        if (found.opened.version.size > cached_file_bytes_max) {
            return self.respondFromFile(found, representation);
        }
        defer found.opened.close();
        if (pin) |mine| {
            if (try self.keep(mine, found, representation)) |entry| {
                return self.respondFromEntry(entry);
            }
        }
        return self.respondFromCopy(found.opened, representation);
    }

    /// Reads the file into the cache; null when it is not to be kept, or cannot be now.
    fn keep(
        self: Exchange,
        pin: *cache_file.Pin,
        file: Located,
        representation: Representation,
    ) Error!?*Entry {
        const opened = file.opened;
        if (!self.isSettled(opened.version)) return null;
        const cache = &self.server.cache.?;
        const entry = cache.begin(.{
            .key = @intCast(self.path.len),
            .lines = @intCast(representation.lines.text.len),
            .body = @intCast(opened.version.size),
        }, Cache.hashOf(self.path)) orelse return null;
        errdefer cache.cancel(entry);
        @memcpy(entry.key(), self.path);
        entry.setLines(representation.lines);
        try reading.whole(opened, entry.bodyRoom());
        entry.validator_count = representation.validator_count;
        entry.version = opened.version;
        entry.modified_s = representation.validators.modified_s;
        const tag = representation.validators.tag;
        @memcpy(entry.tag[0..tag.len], tag);
        entry.tag_len = @intCast(tag.len);
        // An entry is no fresher than the root that it was found in.
        entry.checked_ms = .init(file.checked_ms);
        cache.publish(pin, entry);
        return entry;
    }

    fn isSettled(self: Exchange, version: root_file.Version) bool {
        if (self.server.settle_ns == 0) return true;
        const coarse = @rem(version.changed_ns, std.time.ns_per_s) == 0;
        const settle_ns = if (coarse) settle_coarse_ns else self.server.settle_ns;
        return std.time.nanoTimestamp() - version.changed_ns >= settle_ns;
    }

    fn respondFromEntry(self: Exchange, entry: *Entry) Error!void {
        const part = try self.begin(.{
            .lines = entry.lines(),
            .validator_count = entry.validator_count,
            .validators = .{
                .tag = entry.etag(),
                .modified_s = entry.modified_s,
                .changed_s = entry.version.changedSeconds(),
                .is_settled = true, // or it would not be kept
                .size = entry.lengths.body,
            },
        }) orelse return;
        if (self.req.method == .HEAD) {
            self.res.declared_length = part.length;
        } else {
            self.res.send(entry.body()[@intCast(part.offset)..][0..@intCast(part.length)]);
        }
    }

    /// Sends a small file that is not kept from memory of the worker's: no descriptor waits for
    /// slow clients, and what is wrong with the file is known before the head is sent.
    fn respondFromCopy(self: Exchange, opened: Opened, file: Representation) Error!void {
        const start = self.res.lines.mark();
        const part = try self.begin(file) orelse return;
        if (self.req.method == .HEAD) {
            self.res.declared_length = part.length;
            return;
        }
        errdefer self.takeBack(start);
        const size: u32 = @intCast(opened.version.size);
        try reading.whole(opened, try self.res.reserveBody(size + 1));
        self.res.commitBody(@intCast(part.offset), @intCast(part.length));
    }

    /// Sends a large file from its descriptor, and keeps that for the next.
    fn respondFromFile(self: Exchange, file: Located, representation: Representation) Error!void {
        const start = self.res.lines.mark();
        const part = self.beginReadable(file.opened, representation) catch |err| {
            file.opened.close();
            self.takeBack(start);
            return err;
        } orelse return file.opened.close();
        // Closed, when its number is beyond what can be counted.
        const handle = FileHandle.adopt(file.opened.fd) orelse {
            self.takeBack(start);
            return error.Unavailable;
        };
        self.keepOpen(file, handle, representation);
        self.res.sendHandle(handle, part.offset, part.length);
    }

    /// Begins the response with a file that others will read. Null when nothing of it is sent.
    fn beginReadable(self: Exchange, opened: Opened, file: Representation) Error!?Part {
        const part = try self.begin(file) orelse return null;
        if (self.req.method == .HEAD) {
            self.res.declared_length = part.length;
            return null;
        }
        try reading.probe(opened);
        return part;
    }

    fn keepOpen(self: Exchange, file: Located, handle: FileHandle, is: Representation) void {
        const open_files = if (self.server.open_files) |*open_files| open_files else return;
        if (self.path.len > kept_key_bytes_max or !is.validators.is_settled) return;
        var kept: Kept = undefined;
        kept.handle = handle;
        kept.version = file.opened.version;
        kept.modified_s = is.validators.modified_s;
        kept.validator_count = is.validator_count;
        // It is no fresher than the root that it was found in.
        kept.checked_ms = file.checked_ms;
        kept.setLines(is.lines);
        kept.setTag(is.validators.tag);
        open_files.keep(Cache.hashOf(self.path), self.path, self.server.now_ms(), &kept);
    }

    /// Sends a file that was kept open, and takes the handle over.
    fn respondFromKept(self: Exchange, kept: *const Kept) Error!void {
        errdefer kept.handle.release();
        const part = try self.begin(.{
            .lines = kept.lines(),
            .validator_count = kept.validator_count,
            .validators = .{
                .tag = kept.tag(),
                .modified_s = kept.modified_s,
                .changed_s = kept.version.changedSeconds(),
                .is_settled = true, // or it would not be kept
                .size = kept.version.size,
            },
        }) orelse return kept.handle.release();
        if (self.req.method == .HEAD) {
            self.res.declared_length = part.length;
            return kept.handle.release();
        }
        self.res.sendHandle(kept.handle, part.offset, part.length);
    }

    /// Undoes `begin`: another answer follows.
    fn takeBack(self: Exchange, start: field_lines.LineList.Mark) void {
        self.res.dropBody();
        self.res.lines.rewind(start);
        self.res.status = 200;
    }

    /// What of a content is sent.
    const Part = struct { offset: u64, length: u64 };

    /// Sets status and fields. Null when none of the content is due.
    fn begin(self: Exchange, file: Representation) Error!?Part {
        const size = file.validators.size;
        switch (conditions.evaluate(&self.req.fields, self.req.method == .GET, file.validators)) {
            .whole => {
                try self.res.addLines(file.lines);
                self.res.status = 200;
                return .{ .offset = 0, .length = size };
            },
            .part => |range| {
                const content_range = "bytes {d}-{d}/{d}";
                const values = .{ range.first, range.last, size };
                try self.res.headerFmt("Content-Range", content_range, values);
                try self.res.addLines(file.lines);
                self.res.status = 206;
                return .{ .offset = range.first, .length = range.length() };
            },
            .not_modified => {
                try self.res.addLines(file.lines.first(file.validator_count));
                self.res.status = 304;
            },
            .precondition_failed => self.refuse(.precondition_failed),
            .unsatisfiable => {
                try self.res.headerFmt("Content-Range", "bytes */{d}", .{size});
                self.refuse(.range_not_satisfiable);
            },
        }
        return null;
    }

    fn refuse(self: Exchange, code: problem.Code) void {
        problem.write(self.res, problem.formatOf(&self.req.fields), code);
    }

    /// 301 to the request's own path with a slash behind it, the query kept. The path is canonical:
    /// it begins with one slash, so that its first segment is no host.
    fn redirectToDirectory(self: Exchange) Error!void {
        const path = self.req.path;
        const query = self.req.query;
        // Neither can have come from a client; CR and LF reach no head, wherever they are from.
        if (!fields.isFieldValue(path) or !fields.isFieldValue(query)) return error.BadPath;
        const slash = if (path.len == 1) "" else "/"; // a mount point at the root
        const mark = if (query.len > 0) "?" else "";
        try self.res.lines.appendPieces("Location", &.{ path, slash, mark, query });
        self.res.text(301, status.reason(301));
    }

    fn describe(
        self: Exchange,
        file: Located,
        buffer: *LineBuffer,
        tag_buffer: *[Entry.tag_bytes_max]u8,
    ) Representation {
        const version = file.opened.version;
        const is_settled = self.isSettled(version);
        const tag = formatTag(self.server.told(version), is_settled, tag_buffer);
        var lines = buffer.list();
        const modified_s = modifiedOf(version);
        if (modified_s) |seconds| {
            var text: [date.length]u8 = undefined;
            date.format(seconds, &text);
            append(&lines, "Last-Modified", &.{&text});
        }
        append(&lines, "ETag", &.{tag});
        if (self.server.max_age_s) |age| {
            var digits: [10]u8 = undefined;
            const len = std.fmt.formatIntBuf(&digits, age, 10, .lower, .{});
            append(&lines, "Cache-Control", &.{ "max-age=", digits[0..len] });
        }
        const validator_count: u8 = @intCast(lines.count);
        append(&lines, "Content-Type", &.{mime.byPath(file.path)});
        append(&lines, "Accept-Ranges", &.{"bytes"});
        return .{
            .lines = lines.view(),
            .validator_count = validator_count,
            .validators = .{
                .tag = tag,
                .modified_s = modified_s,
                .changed_s = version.changedSeconds(),
                .is_settled = is_settled,
                .size = version.size,
            },
        };
    }
};

/// All that is said of a file is bounded and fits: media types come from a table of our own.
fn append(lines: *field_lines.LineList, name: []const u8, value: []const []const u8) void {
    lines.appendPieces(name, value) catch unreachable;
}

/// What Last-Modified says, seconds since 1970. Null for the times of builds that are to be
/// reproducible, which say the same of every content.
fn modifiedOf(version: root_file.Version) ?i64 {
    const modified_s = version.modifiedSeconds();
    if (modified_s <= reproducible_s_max) return null;
    // A Last-Modified later than Date is not to be sent (RFC 9110 §8.8.2.1).
    return @min(modified_s, clock.realtimeSeconds());
}

fn asItIs(version: root_file.Version) root_file.Version {
    return version;
}

/// A tag of the time of the last change, which a content cannot be put in place without, of size,
/// and of modification time, inode and device, the latter mixed, as they are nobody's business.
/// While a change may follow that the times do not tell it is a weak one, of a text that the strong
/// one which follows does not have.
fn formatTag(
    version: root_file.Version,
    is_settled: bool,
    out: *[Entry.tag_bytes_max]u8,
) []const u8 {
    const changed: u64 = @truncate(@as(u128, @bitCast(version.changed_ns)));
    const mixed: u32 = @truncate(std.hash.Wyhash.hash(
        @truncate(@as(u128, @bitCast(version.modified_ns))),
        std.mem.asBytes(&[_]u64{ version.inode, version.device }),
    ));
    // Of one length for all files of a size.
    const parts = .{ changed, version.size, mixed };
    const strong = "\"{x:0>16}-{x}-{x:0>8}\"";
    const weak = "W/\"{x:0>16}-{x}-{x:0>8}-0\"";
    // 46 bytes at most.
    if (is_settled) return std.fmt.bufPrint(out, strong, parts) catch unreachable;
    return std.fmt.bufPrint(out, weak, parts) catch unreachable;
}

/// Whether a segment of the decoded path begins with a dot, "/.well-known/" at its start aside.
fn isHidden(path: []const u8) bool {
    const well_known = "/.well-known/";
    const exempt = if (std.mem.startsWith(u8, path, well_known)) well_known.len - 1 else 0;
    return std.mem.indexOf(u8, path[exempt..], "/.") != null;
}

test {
    _ = @import("dir_server_test.zig");
    _ = @import("dir_server_faults_test.zig");
    _ = @import("dir_server_fresh_test.zig");
    _ = @import("dir_server_open_files_test.zig");
    _ = @import("dir_server_validators_test.zig");
    _ = @import("windows_names.zig");
    _ = cache_file;
    _ = conditions;
    _ = open_files_file;
    _ = reading;
    _ = root_file;
}
