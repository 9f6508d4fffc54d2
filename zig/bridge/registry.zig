//! The engines of this process by number, and their calls with answers in JSON: what zig/node.zig
//! exports. Any JS thread may call; one call is served at a time.

const builtin = @import("builtin");
const std = @import("std");
const instance_file = @import("instance.zig");
const table_survey = @import("table_survey.zig");
const Defect = instance_file.Defect;

const gpa = std.heap.c_allocator;
const is_windows = builtin.os.tag == .windows;

/// Answers are read by the calling thread before its next call.
threadlocal var answer_buffer: [32 * 1024]u8 = undefined;
/// The last answer of `survey`, which may be longer.
threadlocal var survey_answer: []u8 = &.{};

/// Keeps the library at `path`, which is loaded, in the process for good. Node.js unloads it with
/// the last JS thread that loaded it: that may be a worker thread which is terminated while its
/// engine runs.
pub fn keepLoaded(path: []const u8) void {
    const name = gpa.dupeZ(u8, path) catch return;
    defer gpa.free(name);
    if (is_windows) return keepLoadedOnWindows(name);
    _ = std.c.dlopen(name, .{ .LAZY = true, .NOLOAD = true, .NODELETE = true });
}

fn keepLoadedOnWindows(name: []const u8) void {
    const wide = std.unicode.utf8ToUtf16LeAllocZ(gpa, name) catch return;
    defer gpa.free(wide);
    const pin = 0x1; // GET_MODULE_HANDLE_EX_FLAG_PIN
    var module: ?std.os.windows.HMODULE = null;
    _ = GetModuleHandleExW(pin, wide, &module);
}

extern "kernel32" fn GetModuleHandleExW(
    flags: std.os.windows.DWORD,
    name: [*:0]const u16,
    module: *?std.os.windows.HMODULE,
) callconv(.winapi) std.os.windows.BOOL;

/// What a route table means: see table_survey.zig. Of no engine.
pub fn survey(table_json: []const u8) []const u8 {
    gpa.free(survey_answer);
    survey_answer = &.{};
    var defect: Defect = .{};
    const told = table_survey.write(gpa, table_json, &defect);
    survey_answer = told catch |err| return refusal(err, &defect);
    return survey_answer;
}

/// Those with this kind of security and compression: see server/engine.zig.
pub fn Registry(comptime Security: type, comptime Deflate: type) type {
    return struct {
        pub const Instance = instance_file.Instance(Security, Deflate);

        var mutex: std.Thread.Mutex = .{};
        var instances: std.AutoHashMapUnmanaged(u32, *Instance) = .{};
        var next_id: u32 = 1;

        /// `{"id": n}`, or `{"error": …}`.
        pub fn create(config_json: []const u8) []const u8 {
            mutex.lock();
            defer mutex.unlock();
            var defect: Defect = .{};
            const made = Instance.create(
                gpa,
                config_json,
                &defect,
            ) catch |err| return refusal(err, &defect);
            instances.put(gpa, next_id, made) catch {
                made.destroy();
                return refusal(error.OutOfMemory, &defect);
            };
            const id = next_id;
            next_id += 1;
            return answer(.{ .id = id });
        }

        /// Of an engine whose one worker runs on this JS thread: no other destroys it.
        pub fn find(id: u32) ?*Instance {
            mutex.lock();
            defer mutex.unlock();
            return instances.get(id);
        }

        /// What `Instance.offer` says, on a JS thread that did not make the engine, with the
        /// instance, which may be looked at while the worker is lent.
        pub fn offer(id: u32, thread: u32) ?struct { *Instance, Instance.Offer } {
            mutex.lock();
            defer mutex.unlock();
            const self = instances.get(id) orelse return null;
            return .{ self, self.offer(thread) orelse return null };
        }

        /// What `Instance.info` says.
        pub fn start(id: u32) []const u8 {
            mutex.lock();
            defer mutex.unlock();
            const self = instances.get(id) orelse return unknown();
            var defect: Defect = .{};
            self.start(&defect) catch |err| return refusal(err, &defect);
            return answer(self.info());
        }

        /// What `Instance.listeners` says.
        pub fn listeners(id: u32) []const u8 {
            mutex.lock();
            defer mutex.unlock();
            const self = instances.get(id) orelse return unknown();
            return answer(self.listeners() orelse return unknown());
        }

        /// The shared block, or nothing for an unknown id.
        pub fn memory(id: u32) []u8 {
            mutex.lock();
            defer mutex.unlock();
            const self = instances.get(id) orelse return &.{};
            return self.block.bytes;
        }

        /// `{"fd": n}`, or `{"path": name}` where that is what a thread can open (doorbell.zig).
        pub fn attach(id: u32, thread: u32) []const u8 {
            mutex.lock();
            defer mutex.unlock();
            const self = instances.get(id) orelse return unknown();
            var defect: Defect = .{};
            const reader = self.attach(thread, &defect) catch |err| return refusal(err, &defect);
            return answer(reader);
        }

        /// Wakes a worker by the number in its line of the block. It takes no lock: whoever holds
        /// it may be waiting for that worker.
        pub fn ring(bell: i32) void {
            Instance.ring(bell);
        }

        pub fn detach(id: u32, thread: u32) void {
            mutex.lock();
            defer mutex.unlock();
            const self = instances.get(id) orelse return;
            self.detach(thread);
        }

        /// `{}`
        pub fn reload(id: u32, table_json: []const u8) []const u8 {
            mutex.lock();
            defer mutex.unlock();
            const self = instances.get(id) orelse return unknown();
            var defect: Defect = .{};
            self.reload(table_json, &defect) catch |err| return refusal(err, &defect);
            return answer(.{});
        }

        pub fn requestStop(id: u32, deadline_ms: u32) void {
            mutex.lock();
            defer mutex.unlock();
            const self = instances.get(id) orelse return;
            self.requestStop(deadline_ms);
        }

        pub fn isStopped(id: u32) bool {
            mutex.lock();
            defer mutex.unlock();
            const self = instances.get(id) orelse return true;
            return self.isStopped();
        }

        pub fn destroy(id: u32) void {
            mutex.lock();
            defer mutex.unlock();
            const removed = instances.fetchRemove(id) orelse return;
            removed.value.destroy();
        }

        /// What `Instance.stats` says.
        pub fn stats(id: u32) []const u8 {
            mutex.lock();
            defer mutex.unlock();
            const self = instances.get(id) orelse return unknown();
            return answer(self.stats());
        }
    };
}

fn answer(value: anytype) []const u8 {
    var stream = std.io.fixedBufferStream(&answer_buffer);
    std.json.stringify(
        value,
        .{},
        stream.writer(),
    ) catch unreachable; // answers are far smaller than the buffer
    return stream.getWritten();
}

fn unknown() []const u8 {
    return answer(.{ .@"error" = .{
        .code = "GYR_SERVER_STOPPED",
        .message = "The engine has been destroyed",
        .hint = "",
    } });
}

fn refusal(err: instance_file.Error, defect: *Defect) []const u8 {
    if (err == error.OutOfMemory) {
        const hint = "smaller bufferMemoryBytes, maxConnections, ringBytes or fewer workers";
        defect.set("GYR_ENGINE_FAILED", hint, "There is not enough memory for the pools", .{});
    }
    const told = defect.message();
    const is_text = std.unicode.utf8ValidateSlice(told); // it may have been cut
    const message = if (is_text) told else "The configuration is refused";
    return answer(
        .{ .@"error" = .{ .code = defect.code, .message = message, .hint = defect.hint } },
    );
}
