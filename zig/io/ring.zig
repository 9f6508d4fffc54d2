//! An io_uring (io_uring(7)): its two queues, and a ring of buffers that the kernel receives into.
//! What is here knows no sockets. A ring belongs to one thread, the one that calls `enable`; it may
//! be made on another.

const std = @import("std");
const assert = std.debug.assert;
const linux = std.os.linux;
const posix = std.posix;
const memory = @import("../core/memory.zig");
const system = @import("../core/system.zig");

pub const Submission = linux.io_uring_sqe;
pub const Completion = linux.io_uring_cqe;

/// The ring's work runs when its thread asks for completions, and never interrupts it: without that
/// a ring is slower than epoll. Linux 6.1 and later.
const setup_flags = linux.IORING_SETUP_SINGLE_ISSUER | linux.IORING_SETUP_DEFER_TASKRUN |
    linux.IORING_SETUP_COOP_TASKRUN | linux.IORING_SETUP_TASKRUN_FLAG |
    linux.IORING_SETUP_SUBMIT_ALL | linux.IORING_SETUP_CQSIZE | linux.IORING_SETUP_R_DISABLED;
const features = linux.IORING_FEAT_SINGLE_MMAP | linux.IORING_FEAT_NODROP |
    linux.IORING_FEAT_EXT_ARG | linux.IORING_FEAT_CQE_SKIP;

const page_bytes = std.heap.page_size_min;

pub const Ring = struct {
    fd: posix.fd_t,
    /// Both queues; the entries to be submitted lie in `entries`.
    queues: []align(page_bytes) u8,
    entries: []align(page_bytes) Submission,
    submission_head: *u32,
    submission_tail: *u32,
    submission_flags: *u32,
    completion_head: *u32,
    completion_tail: *u32,
    completions: []Completion,
    /// Counts completions that the kernel had no memory for.
    dropped: *u32,
    dropped_known: u32 = 0,
    /// Entries written and not published yet lie between the published tail and this one.
    tail: u32 = 0,
    is_enabled: bool = false,

    pub const Sizes = struct {
        /// Powers of two.
        submissions: u32,
        completions: u32,
    };

    pub fn init(sizes: Sizes) system.Error!Ring {
        var params = std.mem.zeroes(linux.io_uring_params);
        params.flags = setup_flags;
        params.cq_entries = sizes.completions;
        const fd: posix.fd_t = @intCast(try system.check(
            linux.io_uring_setup(sizes.submissions, &params),
        ));
        errdefer system.close(fd);
        if (params.features & features != features) return error.InvalidArgument; // an old kernel
        const array_end = params.sq_off.array + params.sq_entries * @sizeOf(u32);
        const completions_end = params.cq_off.cqes + params.cq_entries * @sizeOf(Completion);
        const queues = try map(fd, @max(array_end, completions_end), linux.IORING_OFF_SQ_RING);
        errdefer system.unmapMemory(queues) catch {};
        const entries_bytes = params.sq_entries * @sizeOf(Submission);
        const entries = try map(fd, entries_bytes, linux.IORING_OFF_SQES);
        // Entries are submitted in the order in which they lie there.
        const array = at(u32, queues, params.sq_off.array);
        for (0..params.sq_entries) |i| array[i] = @intCast(i);
        const completions = at(Completion, queues, params.cq_off.cqes);
        const first: [*]align(page_bytes) Submission = @ptrCast(entries);
        return .{
            .fd = fd,
            .queues = queues,
            .entries = first[0..params.sq_entries],
            .submission_head = &at(u32, queues, params.sq_off.head)[0],
            .submission_tail = &at(u32, queues, params.sq_off.tail)[0],
            .submission_flags = &at(u32, queues, params.sq_off.flags)[0],
            .completion_head = &at(u32, queues, params.cq_off.head)[0],
            .completion_tail = &at(u32, queues, params.cq_off.tail)[0],
            .completions = completions[0..params.cq_entries],
            .dropped = &at(u32, queues, params.cq_off.overflow)[0],
        };
    }

    /// What the kernel shares with this process, bytes.
    pub fn memoryBytes(self: *const Ring) usize {
        return self.queues.len + self.entries.len * @sizeOf(Submission);
    }

    fn map(fd: posix.fd_t, bytes: usize, offset: u64) system.Error![]align(page_bytes) u8 {
        const prot = linux.PROT.READ | linux.PROT.WRITE;
        const flags: linux.MAP = .{ .TYPE = .SHARED, .POPULATE = true };
        const rc = linux.mmap(null, bytes, prot, flags, fd, @intCast(offset));
        const address = try system.check(rc);
        return @as([*]align(page_bytes) u8, @ptrFromInt(address))[0..bytes];
    }

    fn at(comptime T: type, bytes: []align(page_bytes) u8, offset: u32) [*]T {
        return @alignCast(@ptrCast(bytes.ptr + offset));
    }

    /// Operations that are under way are cancelled by the kernel, in its own time.
    pub fn deinit(self: *Ring) void {
        const entries: [*]align(page_bytes) u8 = @ptrCast(self.entries.ptr);
        system.unmapMemory(entries[0 .. self.entries.len * @sizeOf(Submission)]) catch {};
        system.unmapMemory(self.queues) catch {};
        system.close(self.fd);
        self.* = undefined;
    }

    /// The calling thread is the ring's from here on.
    pub fn enable(self: *Ring) system.Error!void {
        assert(!self.is_enabled);
        try self.register(.REGISTER_ENABLE_RINGS, null, 0);
        self.is_enabled = true;
    }

    /// The kernel writes to this eventfd from here on when there is something to `enter` for.
    pub fn notify(self: *const Ring, event_fd: posix.fd_t) system.Error!void {
        try self.register(.REGISTER_EVENTFD, &event_fd, 1);
    }

    fn register(
        self: *const Ring,
        what: linux.IORING_REGISTER,
        argument: ?*const anyopaque,
        count: u32,
    ) system.Error!void {
        _ = try system.check(linux.io_uring_register(self.fd, what, argument, count));
    }

    /// An entry to be filled in, all zero; it is submitted with the next `enter`. Null: there is no
    /// room before that.
    pub fn next(self: *Ring) ?*Submission {
        const head = @atomicLoad(u32, self.submission_head, .acquire);
        if (self.tail -% head == self.entries.len) return null;
        const entry = &self.entries[self.tail & (self.entries.len - 1)];
        entry.* = std.mem.zeroes(Submission);
        self.tail +%= 1;
        return entry;
    }

    /// Entries that the kernel has not taken yet and that `user_data` names do nothing, and nobody
    /// hears of them.
    pub fn withdraw(self: *Ring, user_data: u64) void {
        var index = @atomicLoad(u32, self.submission_head, .acquire);
        while (index != self.tail) : (index +%= 1) {
            const entry = &self.entries[index & (self.entries.len - 1)];
            if (entry.user_data != user_data) continue;
            entry.* = std.mem.zeroes(Submission);
            entry.opcode = .NOP;
            entry.flags = linux.IOSQE_CQE_SKIP_SUCCESS;
        }
    }

    /// Whether there are entries that the kernel has not taken.
    pub fn hasSubmissions(self: *const Ring) bool {
        return self.tail != @atomicLoad(u32, self.submission_head, .acquire);
    }

    /// Submits what there is. Completions come with the next `enter`.
    pub fn submit(self: *Ring) system.Error!void {
        try self.call(0, 0, null);
    }

    /// Submits what there is, and waits for a completion, `timeout_ms` at most: -1 for ever, 0 not
    /// at all. Completions that are there already end the wait.
    pub fn enter(self: *Ring, timeout_ms: i32) system.Error!void {
        const time: linux.kernel_timespec = .{
            .sec = @divFloor(@max(timeout_ms, 0), 1000),
            .nsec = @as(i64, @mod(@max(timeout_ms, 0), 1000)) * std.time.ns_per_ms,
        };
        const argument: linux.io_uring_getevents_arg = .{
            .sigmask = 0,
            .sigmask_sz = linux.NSIG / 8,
            .pad = 0,
            .ts = if (timeout_ms > 0) @intFromPtr(&time) else 0,
        };
        const flags = linux.IORING_ENTER_GETEVENTS | linux.IORING_ENTER_EXT_ARG;
        try self.call(@intFromBool(timeout_ms != 0), flags, &argument);
    }

    fn call(
        self: *Ring,
        completions_min: u32,
        flags: u32,
        argument: ?*const linux.io_uring_getevents_arg,
    ) system.Error!void {
        @atomicStore(u32, self.submission_tail, self.tail, .release);
        const head = @atomicLoad(u32, self.submission_head, .acquire);
        const rc = linux.syscall6(
            .io_uring_enter,
            @intCast(self.fd),
            self.tail -% head,
            completions_min,
            flags,
            @intFromPtr(argument),
            if (argument == null) 0 else @sizeOf(linux.io_uring_getevents_arg),
        );
        switch (linux.E.init(rc)) {
            // The time is over, a signal came, or completions that nobody has taken fill the queue:
            // nothing is lost. What is (EBADR), `hasDropped` tells.
            .SUCCESS, .TIME, .INTR, .BUSY, .BADR => {},
            else => |errno| return system.errorOf(errno),
        }
    }

    /// True when completions were lost since the last time this was asked: nobody knows whose.
    pub fn hasDropped(self: *Ring) bool {
        const dropped = @atomicLoad(u32, self.dropped, .monotonic);
        if (dropped == self.dropped_known) return false;
        self.dropped_known = dropped;
        return true;
    }

    /// Takes back all that is under way, and waits for its end, a second at most. What completes by
    /// that waits to be taken.
    pub fn cancelAll(self: *Ring) system.Error!void {
        const argument: linux.io_uring_sync_cancel_reg = .{
            .addr = 0,
            .fd = -1,
            .flags = linux.IORING_ASYNC_CANCEL_ANY | linux.IORING_ASYNC_CANCEL_ALL,
            .timeout = .{ .sec = 1, .nsec = 0 },
            .pad = @splat(0),
        };
        self.register(.REGISTER_SYNC_CANCEL, &argument, 1) catch |err| switch (err) {
            error.FileNotFound => {}, // there was nothing
            else => return err,
        };
    }

    /// Whether another `enter` would bring more completions at once.
    pub fn hasWork(self: *const Ring) bool {
        return @atomicLoad(u32, self.submission_flags, .acquire) & linux.IORING_SQ_TASKRUN != 0;
    }

    /// Completions that wait to be taken.
    pub fn waiting(self: *const Ring) u32 {
        return @atomicLoad(u32, self.completion_tail, .acquire) -% self.completion_head.*;
    }

    /// The completion `index` places behind the first that waits.
    pub fn peek(self: *const Ring, index: u32) Completion {
        assert(index < self.waiting());
        return self.completions[(self.completion_head.* +% index) & (self.completions.len - 1)];
    }

    /// Takes the first completion that waits.
    pub fn take(self: *Ring) ?Completion {
        if (self.waiting() == 0) return null;
        const completion = self.peek(0);
        @atomicStore(u32, self.completion_head, self.completion_head.* +% 1, .release);
        return completion;
    }
};

/// Fills in an entry that sends `bytes` from where they lie once the socket has room, as many as go
/// then. It completes twice: with what was sent, and when the kernel needs the bytes no more.
pub fn fillSendInPlace(entry: *Submission, bytes: []const u8) void {
    entry.opcode = .SEND_ZC;
    entry.addr = @intFromPtr(bytes.ptr);
    entry.len = @intCast(@min(bytes.len, std.math.maxInt(i32)));
    entry.rw_flags = linux.MSG.NOSIGNAL;
    entry.ioprio = linux.IORING_RECVSEND_POLL_FIRST | linux.IORING_SEND_ZC_REPORT_USAGE;
}

/// Whether this kernel sends memory from where it is, and tells whether it did.
pub fn canSendInPlace() bool {
    var kernel = Ring.init(.{ .submissions = 4, .completions = 8 }) catch return false;
    defer kernel.deinit();
    kernel.enable() catch return false;
    const entry = kernel.next().?; // of an empty ring
    fillSendInPlace(entry, "x");
    entry.fd = -1;
    kernel.enter(1000) catch return false;
    const completion = kernel.take() orelse return false;
    // What it knows not it refuses before it looks at the descriptor.
    return completion.res == -@as(i32, @intFromEnum(linux.E.BADF));
}

/// Buffers that the kernel takes from as bytes come in: a connection that is idle has none.
pub const Buffers = struct {
    ring: []align(memory.page_bytes) linux.io_uring_buf,
    bytes: []align(memory.page_bytes) u8,
    each: u32,
    tail: u16 = 0,

    pub const group = 0;
    /// What lies between two buffers: without it the beginnings of all of them, which are what most
    /// receives fill, would share a few sets of the processor's caches.
    const gap_bytes = 5 * std.atomic.cache_line;

    /// `count`: a power of two, 32768 at most.
    pub fn init(ring: *const Ring, count: u16, each: u32) !Buffers {
        const entries = try memory.reserve(linux.io_uring_buf, count);
        errdefer memory.release(linux.io_uring_buf, entries);
        const bytes = try memory.reserve(u8, @as(usize, count) * (each + gap_bytes));
        errdefer memory.release(u8, bytes);
        var self: Buffers = .{ .ring = entries, .bytes = bytes, .each = each };
        try ring.register(.REGISTER_PBUF_RING, &self.registration(), 1);
        self.putAll();
        return self;
    }

    fn registration(self: *const Buffers) linux.io_uring_buf_reg {
        return .{
            .ring_addr = @intFromPtr(self.ring.ptr),
            .ring_entries = @intCast(self.ring.len),
            .bgid = group,
            .pad = 0,
            .resv = .{ 0, 0, 0 },
        };
    }

    /// All buffers are the kernel's again, whoever had them. Nothing receives meanwhile.
    pub fn startOver(self: *Buffers, ring: *const Ring) system.Error!void {
        try ring.register(.UNREGISTER_PBUF_RING, &self.registration(), 1);
        self.tail = 0;
        @memset(std.mem.sliceAsBytes(self.ring), 0);
        try ring.register(.REGISTER_PBUF_RING, &self.registration(), 1);
        self.putAll();
    }

    fn putAll(self: *Buffers) void {
        for (0..self.ring.len) |i| self.add(@intCast(i));
        self.publish();
    }

    pub fn memoryBytes(self: *const Buffers) usize {
        return self.bytes.len + std.mem.sliceAsBytes(self.ring).len;
    }

    /// After the ring's: the kernel uses them no more.
    pub fn deinit(self: *Buffers) void {
        memory.release(u8, self.bytes);
        memory.release(linux.io_uring_buf, self.ring);
        self.* = undefined;
    }

    pub fn get(self: *const Buffers, index: u16) []u8 {
        return self.bytes[@as(usize, index) * (self.each + gap_bytes) ..][0..self.each];
    }

    /// Gives a buffer to the kernel.
    pub fn put(self: *Buffers, index: u16) void {
        self.add(index);
        self.publish();
    }

    fn add(self: *Buffers, index: u16) void {
        const entry = &self.ring[self.tail & (self.ring.len - 1)];
        // The last field of the first entry is the ring's tail.
        entry.addr = @intFromPtr(self.get(index).ptr);
        entry.len = self.each;
        entry.bid = index;
        self.tail +%= 1;
    }

    fn publish(self: *Buffers) void {
        const head: *linux.io_uring_buf_ring = @ptrCast(self.ring.ptr);
        @atomicStore(u16, &head.tail, self.tail, .release);
    }
};

const testing = std.testing;

/// Null where the system has no ring for us.
fn ringForTest() !Ring {
    return Ring.init(.{ .submissions = 8, .completions = 16 }) catch |err| switch (err) {
        error.PermissionDenied, error.NotSupported, error.InvalidArgument => error.SkipZigTest,
        else => err,
    };
}

test "what is submitted completes, in order of completion, and a wait ends in time" {
    var ring = try ringForTest();
    defer ring.deinit();
    try ring.enable();
    for (0..8) |i| {
        const entry = ring.next().?;
        entry.opcode = .NOP;
        entry.user_data = i;
    }
    try testing.expect(ring.next() == null);
    try ring.enter(1000);
    try testing.expectEqual(8, ring.waiting());
    for (0..8) |i| try testing.expectEqual(i, ring.take().?.user_data);
    try testing.expect(ring.take() == null);
    var timer = try std.time.Timer.start();
    try ring.enter(20);
    try testing.expect(timer.read() >= 20 * std.time.ns_per_ms);
    try ring.enter(0);
    try testing.expectEqual(0, ring.waiting());
}

test "an entry that is withdrawn before it is submitted does nothing" {
    var ring = try ringForTest();
    defer ring.deinit();
    try ring.enable();
    for (0..3) |i| {
        const entry = ring.next().?;
        entry.opcode = .NOP;
        entry.user_data = i + 1;
    }
    ring.withdraw(2);
    try ring.submit();
    try ring.enter(0);
    try testing.expectEqual(2, ring.waiting());
    try testing.expectEqual(1, ring.take().?.user_data);
    try testing.expectEqual(3, ring.take().?.user_data);
}

test "all that is under way is taken back, and buffers that were lost are the kernel's again" {
    var ring = try ringForTest();
    defer ring.deinit();
    var buffers = try Buffers.init(&ring, 2, 64);
    defer buffers.deinit();
    try ring.enable();
    var fds: [2]i32 = undefined;
    const rc = linux.socketpair(linux.AF.UNIX, linux.SOCK.STREAM | linux.SOCK.NONBLOCK, 0, &fds);
    try testing.expectEqual(.SUCCESS, linux.E.init(rc));
    defer for (fds) |fd| system.close(fd);
    for (0..3) |round| {
        const entry = ring.next().?;
        entry.opcode = .RECV;
        entry.fd = fds[0];
        entry.flags = linux.IOSQE_BUFFER_SELECT;
        entry.ioprio = linux.IORING_RECV_MULTISHOT;
        entry.user_data = round;
        for (0..2) |_| _ = try system.write(fds[1], "hello");
        try ring.enter(1000);
        // Both were there each time, and nobody gives them back.
        const completion = ring.take().?;
        try testing.expect(completion.res > 0);
        try ring.cancelAll();
        try ring.enter(0);
        while (ring.take()) |_| {}
        try buffers.startOver(&ring);
    }
    try ring.cancelAll();
    try testing.expect(!ring.hasDropped());
    ring.dropped.* += 1;
    try testing.expect(ring.hasDropped());
    try testing.expect(!ring.hasDropped());
}
