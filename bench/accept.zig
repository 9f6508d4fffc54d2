//! How connections come to workers, three ways, with nothing else around them: what
//! bench/accept.mjs measures. Each answers requests with a constant; it closes where that is asked.
//!
//!     accept <way> <workers> <batch> [pin]
//!
//! `acceptor`: one thread accepts and hands sockets out in turn, by a queue and an eventfd each.
//! `shared`: every worker waits on one listener (EPOLLEXCLUSIVE) and accepts for itself.
//! `listeners`: every worker has a listener of its own on the port (SO_REUSEPORT).
//!
//! `batch` is how many sockets are accepted in one go. Prints its port; on the end of its standard
//! input, how many connections each worker got, as JSON.

const std = @import("std");
const linux = std.os.linux;
const posix = std.posix;

const Way = enum { acceptor, shared, listeners };

const workers_max = 64;
const queue_length = 1024;
const response = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nhi\n";
const response_close = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\nhi\n";

/// One producer, one consumer.
const Queue = struct {
    slots: [queue_length]i32 = undefined,
    head: std.atomic.Value(u32) align(64) = .init(0),
    tail: std.atomic.Value(u32) align(64) = .init(0),

    fn push(self: *Queue, fd: i32) bool {
        const tail = self.tail.load(.monotonic);
        if (tail -% self.head.load(.acquire) == queue_length) return false;
        self.slots[tail % queue_length] = fd;
        self.tail.store(tail +% 1, .release);
        return true;
    }

    fn pop(self: *Queue) ?i32 {
        const head = self.head.load(.monotonic);
        if (head == self.tail.load(.acquire)) return null;
        const fd = self.slots[head % queue_length];
        self.head.store(head +% 1, .release);
        return fd;
    }
};

const Worker = struct {
    epoll: i32,
    bell: i32,
    listener: i32,
    batch: u32,
    asleep: std.atomic.Value(u32) align(64) = .init(0),
    connections: u64 align(64) = 0,
    queue: Queue = .{},

    const listener_mark = std.math.maxInt(u64);
    const bell_mark = listener_mark - 1;

    fn init(self: *Worker, listener: i32, batch: u32, exclusive: bool) !void {
        self.* = .{
            .epoll = try posix.epoll_create1(linux.EPOLL.CLOEXEC),
            .bell = try posix.eventfd(0, linux.EFD.NONBLOCK | linux.EFD.CLOEXEC),
            .listener = listener,
            .batch = batch,
        };
        try add(self.epoll, self.bell, linux.EPOLL.IN | linux.EPOLL.ET, bell_mark);
        const flags: u32 = if (exclusive) linux.EPOLL.EXCLUSIVE else 0;
        if (listener != -1) try add(self.epoll, listener, linux.EPOLL.IN | flags, listener_mark);
    }

    fn run(self: *Worker) void {
        var events: [256]linux.epoll_event = undefined;
        while (true) {
            self.asleep.store(1, .seq_cst);
            const timeout: i32 = if (self.takeQueued()) 0 else -1;
            const count = posix.epoll_wait(self.epoll, &events, timeout);
            self.asleep.store(0, .seq_cst);
            for (events[0..count]) |event| switch (event.data.u64) {
                listener_mark => self.accept(),
                bell_mark => {},
                else => |fd| self.serve(@intCast(fd)),
            };
            _ = self.takeQueued();
        }
    }

    fn takeQueued(self: *Worker) bool {
        var any = false;
        while (self.queue.pop()) |fd| : (any = true) self.open(fd);
        return any;
    }

    fn accept(self: *Worker) void {
        for (0..self.batch) |_| self.open(acceptOne(self.listener) orelse return);
    }

    fn open(self: *Worker, fd: i32) void {
        self.connections += 1;
        add(self.epoll, fd, linux.EPOLL.IN, @intCast(fd)) catch posix.close(fd);
    }

    fn serve(_: *Worker, fd: i32) void {
        var buffer: [4096]u8 = undefined;
        const n = posix.recv(fd, &buffer, 0) catch 0;
        if (n == 0) return posix.close(fd);
        const closes = std.mem.indexOf(u8, buffer[0..n], "onnection: close") != null;
        const answer = if (closes) response_close else response;
        _ = posix.send(fd, answer, linux.MSG.NOSIGNAL) catch {};
        if (closes) posix.close(fd);
    }
};

fn add(epoll: i32, fd: i32, events: u32, mark: u64) !void {
    var event: linux.epoll_event = .{ .events = events, .data = .{ .u64 = mark } };
    try posix.epoll_ctl(epoll, linux.EPOLL.CTL_ADD, fd, &event);
}

fn acceptOne(listener: i32) ?i32 {
    const rc = linux.accept4(listener, null, null, linux.SOCK.NONBLOCK | linux.SOCK.CLOEXEC);
    return if (linux.E.init(rc) == .SUCCESS) @intCast(rc) else null;
}

fn listen(port: u16) !i32 {
    const kind = linux.SOCK.STREAM | linux.SOCK.NONBLOCK | linux.SOCK.CLOEXEC;
    const fd = try posix.socket(linux.AF.INET, kind, 0);
    const on = std.mem.toBytes(@as(c_int, 1));
    try posix.setsockopt(fd, linux.SOL.SOCKET, linux.SO.REUSEPORT, &on);
    try posix.setsockopt(fd, linux.IPPROTO.TCP, linux.TCP.NODELAY, &on);
    const address = std.net.Address.initIp4(.{ 127, 0, 0, 1 }, port);
    try posix.bind(fd, &address.any, address.getOsSockLen());
    try posix.listen(fd, 2048);
    return fd;
}

fn portOf(fd: i32) !u16 {
    var address: std.net.Address = undefined;
    var length: posix.socklen_t = @sizeOf(std.net.Address);
    try posix.getsockname(fd, &address.any, &length);
    return address.getPort();
}

/// Blocks in poll(2) between batches, and wakes those workers that sleep.
fn acceptFor(workers: []Worker, listener: i32, batch: u32) void {
    var next: usize = 0;
    while (true) {
        var waited = [_]posix.pollfd{.{ .fd = listener, .events = linux.POLL.IN, .revents = 0 }};
        _ = posix.poll(&waited, -1) catch continue;
        var touched: std.StaticBitSet(workers_max) = .initEmpty();
        for (0..batch) |_| {
            const fd = acceptOne(listener) orelse break;
            if (!workers[next].queue.push(fd)) posix.close(fd);
            touched.set(next);
            next = (next + 1) % workers.len;
        }
        var each = touched.iterator(.{});
        while (each.next()) |index| {
            if (workers[index].asleep.swap(0, .seq_cst) == 0) continue;
            const one: u64 = 1;
            _ = posix.write(workers[index].bell, std.mem.asBytes(&one)) catch {};
        }
    }
}

fn pinTo(core: usize) void {
    var set: linux.cpu_set_t = @splat(0);
    set[core / @bitSizeOf(usize)] |= @as(usize, 1) << @intCast(core % @bitSizeOf(usize));
    linux.sched_setaffinity(0, &set) catch {};
}

fn runPinned(worker: *Worker, core: ?usize) void {
    if (core) |number| pinTo(number);
    worker.run();
}

var storage: [workers_max]Worker = undefined;

pub fn main() !void {
    var arena = std.heap.ArenaAllocator.init(std.heap.page_allocator);
    const args = try std.process.argsAlloc(arena.allocator());
    if (args.len < 4) return error.Usage;
    const way = std.meta.stringToEnum(Way, args[1]) orelse return error.NoSuchWay;
    const workers = storage[0..try std.fmt.parseInt(usize, args[2], 10)];
    const batch = try std.fmt.parseInt(u32, args[3], 10);
    const first = try listen(0);
    const port = try portOf(first);
    for (workers, 0..) |*worker, i| {
        const own = switch (way) {
            .acceptor => -1,
            .shared => first,
            .listeners => if (i == 0) first else try listen(port),
        };
        try worker.init(own, batch, way == .shared);
    }
    for (workers, 0..) |*worker, i| {
        const core = if (args.len > 4) i % try std.Thread.getCpuCount() else null;
        (try std.Thread.spawn(.{}, runPinned, .{ worker, core })).detach();
    }
    if (way == .acceptor)
        (try std.Thread.spawn(.{}, acceptFor, .{ workers, first, batch })).detach();
    const stdout = std.io.getStdOut().writer();
    try stdout.print("{d}\n", .{port});
    var byte: [1]u8 = undefined;
    while (try posix.read(posix.STDIN_FILENO, &byte) > 0) {}
    var counts: [workers_max]u64 = undefined;
    for (workers, counts[0..workers.len]) |*worker, *count| count.* = worker.connections;
    try std.json.stringify(counts[0..workers.len], .{}, stdout);
    try stdout.writeByte('\n');
}
