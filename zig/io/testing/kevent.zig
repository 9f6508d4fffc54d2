//! kqueue(2) on Linux, for tests of the kqueue backend: kqueue() and kevent() as FreeBSD's manual
//! page has them, over epoll, eventfd and timerfd. kevent_test.zig holds it to that page. What the
//! backend does not ask for is left out: filters for files, processes and signals, EV_DISPATCH,
//! NOTE_LOWAT, and all units of time but milliseconds.
//!
//! One epoll descriptor holds what is read of, and timers; another what is written to; a third,
//! which is waited for, holds these two and an eventfd that users' events ring. Edges are epoll's
//! (EPOLLET). epoll tells that something may have happened: whether it has, and how much, is asked
//! of the descriptor when the event is handed out, as the system asks its filters.

const std = @import("std");
const assert = std.debug.assert;
const linux = std.os.linux;
const posix = std.posix;
const system = @import("../../core/system.zig");
const types = @import("../kevent.zig");
const Filter = types.Filter;
const Flags = types.Flags;
const Kevent = types.Kevent;

/// Descriptors beyond this are no queues.
const descriptors_max = 1 << 16;

/// Events of one call, of each of two kinds.
const batch_max = 1024;

/// The queues of this process, by their descriptor.
var queues: [descriptors_max]std.atomic.Value(?*Queue) = @splat(.init(null));

pub fn kqueue() system.Error!system.File {
    const heap = std.heap.c_allocator;
    const queue = heap.create(Queue) catch return error.SystemResources;
    errdefer heap.destroy(queue);
    queue.* = try Queue.init();
    queues[@intCast(queue.outer)].store(queue, .release);
    return queue.outer;
}

pub fn close(kq: system.File) void {
    const queue = queues[@intCast(kq)].swap(null, .acq_rel).?;
    queue.deinit();
    std.heap.c_allocator.destroy(queue);
}

/// `fd` is about to be closed. The system knows that by itself; epoll may go on with what another
/// descriptor keeps open.
pub fn forget(kq: system.File, fd: system.File) void {
    const queue = queues[@intCast(kq)].load(.acquire).?;
    queue.mutex.lock();
    defer queue.mutex.unlock();
    for ([_]Filter{ .read, .write }) |filter| queue.remove(.of(@intCast(fd), filter)) catch {};
}

pub fn kevent(
    kq: system.File,
    changes: []const Kevent,
    events: []Kevent,
    timeout: ?*const posix.timespec,
) system.Error!usize {
    if (kq < 0 or kq >= descriptors_max) return error.BadDescriptor;
    const queue = queues[@intCast(kq)].load(.acquire) orelse return error.BadDescriptor;
    const told = try queue.apply(changes, events);
    // Errors and receipts are told at once, and alone.
    if (told > 0 or events.len == 0) return told;
    return queue.wait(events, timeout);
}

/// What a queue was asked for: a knote, as the systems call it.
const Note = struct {
    flags: Flags,
    udata: u64,
    is_enabled: bool = true,
    /// Users' events: somebody has rung.
    is_rung: bool = false,
    /// Timers: what epoll watches for them.
    timer: system.File = system.no_file,
};

/// Names a note, here and in epoll.
const Key = packed struct(u64) {
    ident: u32,
    filter: Filter,
    _: u16 = 0,

    fn of(ident: usize, filter: Filter) Key {
        return .{ .ident = @intCast(ident), .filter = filter };
    }
};

const Queue = struct {
    mutex: std.Thread.Mutex = .{},
    /// Guarded by `mutex`.
    notes: std.AutoHashMapUnmanaged(Key, Note) = .{},
    outer: system.File,
    readers: system.File,
    writers: system.File,
    /// Rung when a user's event is; never read.
    bell: system.File,

    fn init() system.Error!Queue {
        const outer = try system.epollCreate();
        errdefer system.close(outer);
        if (outer >= descriptors_max) return error.ProcessFdQuotaExceeded;
        const readers = try system.epollCreate();
        errdefer system.close(readers);
        const writers = try system.epollCreate();
        errdefer system.close(writers);
        const bell = try system.eventDescriptor(linux.EFD.CLOEXEC | linux.EFD.NONBLOCK);
        errdefer system.close(bell);
        for ([_]system.File{ readers, writers, bell }) |fd| {
            const edges: u32 = if (fd == bell) linux.EPOLL.ET else 0;
            try control(outer, linux.EPOLL.CTL_ADD, fd, linux.EPOLL.IN | edges, 0);
        }
        return .{ .outer = outer, .readers = readers, .writers = writers, .bell = bell };
    }

    fn deinit(self: *Queue) void {
        var notes = self.notes.valueIterator();
        while (notes.next()) |note| if (note.timer != system.no_file) system.close(note.timer);
        self.notes.deinit(std.heap.c_allocator);
        for ([_]system.File{ self.bell, self.writers, self.readers, self.outer }) |fd|
            system.close(fd);
        self.* = undefined;
    }

    /// Returns how many errors and receipts are in `events`.
    fn apply(self: *Queue, changes: []const Kevent, events: []Kevent) system.Error!usize {
        self.mutex.lock();
        defer self.mutex.unlock();
        var told: usize = 0;
        for (changes) |*change| {
            const errno: linux.E = if (self.register(change)) |_| .SUCCESS else |err| errnoOf(err);
            if (errno == .SUCCESS and !change.flags.receipt) continue;
            if (told == events.len) {
                if (errno == .SUCCESS) continue;
                return system.errorOf(errno);
            }
            events[told] = change.*;
            events[told].flags = .{ .err = true };
            events[told].data = @intFromEnum(errno);
            told += 1;
        }
        return told;
    }

    fn errnoOf(err: system.Error) linux.E {
        return switch (err) {
            error.BadDescriptor => .BADF,
            error.FileNotFound => .NOENT,
            error.InvalidArgument => .INVAL,
            error.NoSpaceLeft, error.SystemResources => .NOMEM,
            else => .IO,
        };
    }

    fn register(self: *Queue, change: *const Kevent) system.Error!void {
        switch (change.filter) {
            .read, .write, .timer, .user => {},
            else => return error.InvalidArgument,
        }
        const key = Key.of(change.ident, change.filter);
        if (change.flags.delete) return self.remove(key);
        const found = self.notes.getPtr(key);
        if (found == null and !change.flags.add) return error.FileNotFound;
        const note = found orelse try self.create(key, change);
        if (change.flags.add) {
            note.udata = change.udata;
            note.is_enabled = true;
        }
        if (change.flags.enable) note.is_enabled = true;
        if (change.flags.disable) note.is_enabled = false;
        if (key.filter == .user) {
            if (change.fflags & types.note_trigger != 0) note.is_rung = true;
            // As FreeBSD does it, whose page does not say so.
            if (change.flags.clear) note.is_rung = false;
            if (note.is_rung and note.is_enabled) self.ring();
            return;
        }
        errdefer _ = self.notes.remove(key);
        try self.watch(key, note);
    }

    fn create(self: *Queue, key: Key, change: *const Kevent) system.Error!*Note {
        var note: Note = .{ .flags = change.flags, .udata = change.udata };
        if (key.filter == .timer) note.timer = try timerOf(change);
        self.notes.put(std.heap.c_allocator, key, note) catch {
            if (note.timer != system.no_file) system.close(note.timer);
            return error.SystemResources;
        };
        return self.notes.getPtr(key).?;
    }

    fn remove(self: *Queue, key: Key) system.Error!void {
        const entry = self.notes.fetchRemove(key) orelse return error.FileNotFound;
        if (key.filter == .user) return;
        const timer = entry.value.timer;
        if (timer != system.no_file) return system.close(timer);
        // Of one that is disabled there is nothing to take back.
        control(self.epollOf(key), linux.EPOLL.CTL_DEL, @intCast(key.ident), 0, 0) catch {};
    }

    fn epollOf(self: *const Queue, key: Key) system.File {
        return if (key.filter == .write) self.writers else self.readers;
    }

    /// Has epoll watch for `note`, or not. What is there already is told again.
    fn watch(self: *Queue, key: Key, note: *const Note) system.Error!void {
        const epoll = self.epollOf(key);
        const is_timer = key.filter == .timer;
        const fd: system.File = if (is_timer) note.timer else @intCast(key.ident);
        if (!note.is_enabled) {
            return control(epoll, linux.EPOLL.CTL_DEL, fd, 0, 0) catch |err|
                if (err != error.FileNotFound) err;
        }
        const wanted: u32 = if (key.filter == .write)
            linux.EPOLL.OUT
        else
            linux.EPOLL.IN | linux.EPOLL.RDHUP;
        const events = wanted | if (note.flags.clear and !is_timer) linux.EPOLL.ET else @as(u32, 0);
        const data: u64 = @bitCast(key);
        control(epoll, linux.EPOLL.CTL_MOD, fd, events, data) catch |err| {
            if (err != error.FileNotFound) return err;
            try control(epoll, linux.EPOLL.CTL_ADD, fd, events, data);
        };
    }

    fn ring(self: *const Queue) void {
        _ = system.write(self.bell, std.mem.asBytes(&@as(u64, 1))) catch unreachable;
    }

    fn wait(
        self: *Queue,
        events: []Kevent,
        timeout: ?*const posix.timespec,
    ) system.Error!usize {
        const until: ?i128 = if (timeout) |it|
            std.time.nanoTimestamp() + @as(i128, it.sec) * std.time.ns_per_s + it.nsec
        else
            null;
        while (true) {
            const count = try self.take(events);
            if (count > 0) return count;
            const left_ns = if (until) |end| end - std.time.nanoTimestamp() else 0;
            if (until != null and left_ns <= 0) return 0;
            const left_ms: i32 = if (until == null)
                -1
            else
                @intCast(@divTrunc(left_ns + std.time.ns_per_ms - 1, std.time.ns_per_ms));
            var ready: [1]linux.epoll_event = undefined;
            _ = try system.check(linux.epoll_pwait(self.outer, &ready, 1, left_ms, null));
        }
    }

    /// What there is to tell now.
    fn take(self: *Queue, events: []Kevent) system.Error!usize {
        self.mutex.lock();
        defer self.mutex.unlock();
        var count = self.takeRung(events);
        for ([_]system.File{ self.readers, self.writers }) |epoll| {
            var ready: [batch_max]linux.epoll_event = undefined;
            const most: u32 = @intCast(@min(ready.len, events.len - count));
            if (most == 0) break;
            const got = try system.check(linux.epoll_pwait(epoll, &ready, most, 0, null));
            for (ready[0..got]) |*one| {
                events[count] = self.look(@bitCast(one.data.u64)) orelse continue;
                count += 1;
            }
        }
        return count;
    }

    fn takeRung(self: *Queue, events: []Kevent) usize {
        var count: usize = 0;
        var notes = self.notes.iterator();
        while (notes.next()) |entry| {
            const note = entry.value_ptr;
            if (!note.is_rung or !note.is_enabled) continue;
            if (count == events.len) break;
            events[count] = self.eventOf(entry.key_ptr.*, note);
            count += 1;
            if (note.flags.clear or note.flags.oneshot) note.is_rung = false;
            if (note.flags.oneshot) note.is_enabled = false;
        }
        // Those that are told once are gone; not while the table is walked.
        for (events[0..count]) |*event| {
            if (event.flags.oneshot) self.remove(.of(event.ident, .user)) catch {};
        }
        return count;
    }

    fn eventOf(_: *const Queue, key: Key, note: *const Note) Kevent {
        var flags = note.flags;
        flags.add = false;
        flags.enable = false;
        flags.disable = false;
        flags.receipt = false;
        return .{ .ident = key.ident, .filter = key.filter, .flags = flags, .udata = note.udata };
    }

    /// The event of a note that may have one; null when there is nothing after all.
    fn look(self: *Queue, key: Key) ?Kevent {
        const note = self.notes.getPtr(key) orelse return null;
        if (!note.is_enabled) return null;
        var event = self.eventOf(key, note);
        switch (key.filter) {
            .timer => event.data = expirations(note.timer) orelse return null,
            .read => if (!lookForInput(&event)) return null,
            .write => if (!lookForRoom(&event)) return null,
            else => unreachable, // epoll does not watch for it
        }
        if (note.flags.oneshot) self.remove(key) catch {};
        return event;
    }
};

fn control(
    epoll: system.File,
    operation: u32,
    fd: system.File,
    events: u32,
    data: u64,
) system.Error!void {
    var event: linux.epoll_event = .{ .events = events, .data = .{ .u64 = data } };
    try system.epollControl(epoll, operation, fd, &event);
}

/// Milliseconds, again and again, unless it is told once.
fn timerOf(change: *const Kevent) system.Error!system.File {
    if (change.data <= 0) return error.InvalidArgument;
    const flags: linux.TFD = .{ .CLOEXEC = true, .NONBLOCK = true };
    const fd: system.File = @intCast(try system.check(linux.timerfd_create(.MONOTONIC, flags)));
    errdefer system.close(fd);
    const span: linux.timespec = .{
        .sec = @intCast(@divTrunc(change.data, std.time.ms_per_s)),
        .nsec = @intCast(@rem(change.data, std.time.ms_per_s) * std.time.ns_per_ms),
    };
    const never: linux.timespec = .{ .sec = 0, .nsec = 0 };
    const times: linux.itimerspec = .{
        .it_value = span,
        .it_interval = if (change.flags.oneshot) never else span,
    };
    _ = try system.check(linux.timerfd_settime(fd, .{}, &times, null));
    return fd;
}

const poll_end: i16 = 0x2000; // POLLRDHUP, which std does not name

/// How often it has gone off since it was asked last.
fn expirations(timer: system.File) ?i64 {
    var count: u64 = 0;
    _ = system.read(timer, std.mem.asBytes(&count)) catch return null;
    return if (count > 0) @intCast(count) else null;
}

fn pollOnce(fd: system.File, events: i16) i16 {
    var fds = [_]posix.pollfd{.{ .fd = fd, .events = events, .revents = 0 }};
    _ = system.check(linux.poll(&fds, 1, 0)) catch return 0;
    return if (fds[0].revents & linux.POLL.NVAL != 0) 0 else fds[0].revents;
}

fn lookForInput(event: *Kevent) bool {
    const fd: system.File = @intCast(event.ident);
    const found = pollOnce(fd, linux.POLL.IN | poll_end);
    if (found == 0) return false;
    event.flags.eof = found & (linux.POLL.HUP | poll_end) != 0;
    event.fflags = faultIn(found);
    event.data = waiting(fd) orelse bytesOf(fd, 0x541b); // FIONREAD
    return true;
}

fn lookForRoom(event: *Kevent) bool {
    const fd: system.File = @intCast(event.ident);
    const found = pollOnce(fd, linux.POLL.OUT);
    if (found == 0) return false;
    event.flags.eof = found & (linux.POLL.HUP | linux.POLL.ERR) != 0;
    event.fflags = faultIn(found);
    const size = system.socketOption(c_int, fd, linux.SOL.SOCKET, linux.SO.SNDBUF) catch 0;
    event.data = @max(0, size - bytesOf(fd, linux.T.IOCOUTQ));
    return true;
}

/// Any fault stands for a reset: to ask the socket for it would take it away.
fn faultIn(found: i16) u32 {
    return if (found & linux.POLL.ERR != 0) @intFromEnum(linux.E.CONNRESET) else 0;
}

/// Connections that wait at a TCP listener; null of anything else.
fn waiting(fd: system.File) ?i64 {
    const listening = 10; // TCP_LISTEN
    const Info = extern struct { state: u8, rest: [23]u8, unacked: u32 };
    comptime assert(@offsetOf(Info, "unacked") == 24);
    const tcp = linux.IPPROTO.TCP;
    const info = system.socketOption(Info, fd, tcp, linux.TCP.INFO) catch return null;
    return if (info.state == listening) info.unacked else null;
}

fn bytesOf(fd: system.File, request: u32) i64 {
    var bytes: c_int = 0;
    _ = system.check(linux.ioctl(fd, request, @intFromPtr(&bytes))) catch return 0;
    return bytes;
}
