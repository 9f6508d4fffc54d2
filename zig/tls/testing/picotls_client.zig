//! picotls as a client, for tests: records of its own.

const std = @import("std");
const Allocator = std.mem.Allocator;
const Alert = @import("../alert.zig").Alert;
const heap = @import("../heap.zig");
const picotls = @import("../picotls.zig");
const suites = @import("../suites.zig");
const Iovec = picotls.Iovec;

pub const Options = struct {
    server_name: []const u8 = "",
    protocols: []const []const u8 = &.{},
    /// One of a former client's `tickets`.
    ticket: []const u8 = "",
    /// Sent ahead of the handshake.
    early: []const u8 = "",
    /// The one cipher suite that is offered; null for all.
    suite: ?u16 = null,
    /// The one group that a share is sent for; null for the first of the server's.
    group: ?*const picotls.KeyExchange = null,
    wants_staple: bool = false,
};

/// ptls_raw_extension_t. A list ends with `kind` 65535.
const Extension = extern struct { kind: u16, data: Iovec = .{} };

const extension_status_request = 5;
const message_certificate = 11;
/// Of OCSP, no responders or extensions named (RFC 6066 §8).
const status_request = [_]Extension{
    .{ .kind = extension_status_request, .data = .of(&.{ 1, 0, 0, 0, 0 }) },
    .{ .kind = std.math.maxInt(u16) },
};

pub const Client = struct {
    gpa: Allocator,
    context: picotls.Context,
    properties: picotls.ClientProperties = .{},
    suites: [2]?*const suites.Suite = .{ null, null },
    groups: [5]?*const picotls.KeyExchange = @splat(null),
    protocols: std.BoundedArray(Iovec, 8) = .{},
    save: picotls.SaveTicket = .{ .cb = &saveTicket },
    on_extension: picotls.OnExtension = .{ .cb = &extension },
    tls: *picotls.Tls = undefined,
    /// For the server; `take` empties it.
    out: std.ArrayListUnmanaged(u8) = .{},
    /// From the server.
    text: std.ArrayListUnmanaged(u8) = .{},
    tickets: std.ArrayListUnmanaged([]u8) = .{},
    staple: std.BoundedArray(u8, 64) = .{},
    early_bytes_max: usize = 0,
    alert: ?Alert = null,
    closed: bool = false,

    pub fn create(gpa: Allocator, options: Options) !*Client {
        heap.init();
        const self = try gpa.create(Client);
        self.* = .{ .gpa = gpa, .context = undefined };
        @memcpy(&self.groups, &suites.groups);
        if (options.group) |group| {
            for (&self.groups) |*each| if (each.* == group) {
                each.* = self.groups[0];
            };
            self.groups[0] = group;
        }
        if (options.suite) |id| self.suites[0] = suites.find(id);
        self.context = .{
            .get_time = &picotls.ptls_get_time,
            .key_exchanges = &self.groups,
            .cipher_suites = if (options.suite != null) &self.suites else suites.all(),
            .save_ticket = &self.save,
            .on_extension = &self.on_extension,
            .flags = .{ .require_dhe_on_psk = true, .send_change_cipher_spec = true },
        };
        self.tls = picotls.ptls_client_new(&self.context).?;
        picotls.ptls_get_data_ptr(self.tls).* = self;
        if (options.server_name.len > 0) {
            const name = options.server_name;
            if (picotls.ptls_set_server_name(self.tls, name.ptr, name.len) != 0)
                return error.OutOfMemory;
        }
        for (options.protocols) |protocol| self.protocols.appendAssumeCapacity(.of(protocol));
        self.properties.negotiated_protocols = .{
            .list = &self.protocols.buffer,
            .count = self.protocols.len,
        };
        if (options.wants_staple) self.properties.additional_extensions = &status_request;
        if (options.ticket.len > 0) self.properties.session_ticket = .of(options.ticket);
        if (options.early.len > 0) self.properties.max_early_data_size = &self.early_bytes_max;
        try self.feed("");
        if (options.early.len > 0) {
            if (self.early_bytes_max == 0) return error.TicketHasNoEarlyData;
            try self.send(options.early);
        }
        return self;
    }

    pub fn destroy(self: *Client) void {
        picotls.ptls_free(self.tls);
        self.out.deinit(self.gpa);
        self.text.deinit(self.gpa);
        for (self.tickets.items) |ticket| self.gpa.free(ticket);
        self.tickets.deinit(self.gpa);
        self.gpa.destroy(self);
    }

    pub fn isComplete(self: *Client) bool {
        return picotls.ptls_handshake_is_complete(self.tls) != 0;
    }

    pub fn hasEarlyAccepted(self: *const Client) bool {
        return self.properties.early_data_acceptance == 2;
    }

    pub fn isResumed(self: *Client) bool {
        return picotls.ptls_is_psk_handshake(self.tls) != 0;
    }

    pub fn chosenProtocol(self: *Client) []const u8 {
        return std.mem.span(picotls.ptls_get_negotiated_protocol(self.tls) orelse return "");
    }

    /// Takes bytes of the server's.
    pub fn feed(self: *Client, bytes: []const u8) !void {
        var memory: [1024]u8 = undefined;
        var at: usize = 0;
        while (self.alert == null and !self.closed) {
            var out: picotls.Buffer = .of(&memory);
            defer out.deinit();
            var used = bytes.len - at;
            if (used == 0 and at > 0) return;
            const rest = bytes[at..].ptr;
            if (!self.isComplete()) {
                const ret = picotls.ptls_handshake(
                    self.tls,
                    &out,
                    if (bytes.len == 0) null else rest,
                    &used,
                    &self.properties,
                );
                try self.out.appendSlice(self.gpa, out.bytes());
                try self.note(ret);
            } else {
                const ret = picotls.ptls_receive(self.tls, &out, rest, &used);
                try self.text.appendSlice(self.gpa, out.bytes());
                try self.note(ret);
            }
            at += used;
            if (at == bytes.len) return;
        }
    }

    fn note(self: *Client, ret: c_int) !void {
        if (ret == 0 or ret == picotls.err_in_progress) return;
        if (ret == picotls.peer_alert_min) {
            self.closed = true;
            return;
        }
        if (ret > picotls.peer_alert_min and ret < picotls.internal_min) {
            self.alert = @enumFromInt(@as(u8, @intCast(ret - picotls.peer_alert_min)));
            return;
        }
        std.debug.print("picotls, as a client: {d}\n", .{ret});
        return error.ClientFailed;
    }

    pub fn send(self: *Client, bytes: []const u8) !void {
        var memory: [1024]u8 = undefined;
        var out: picotls.Buffer = .of(&memory);
        defer out.deinit();
        if (picotls.ptls_send(self.tls, &out, bytes.ptr, bytes.len) != 0) return error.ClientFailed;
        try self.out.appendSlice(self.gpa, out.bytes());
    }

    pub fn updateKeys(self: *Client, request: bool) void {
        _ = picotls.ptls_update_key(self.tls, @intFromBool(request));
    }

    pub fn sendAlert(self: *Client, alert: Alert) !void {
        var memory: [256]u8 = undefined;
        var out: picotls.Buffer = .of(&memory);
        defer out.deinit();
        _ = picotls.ptls_send_alert(self.tls, &out, 1, @intFromEnum(alert));
        try self.out.appendSlice(self.gpa, out.bytes());
    }

    fn extension(
        _: *picotls.OnExtension,
        tls: *picotls.Tls,
        message: u8,
        kind: u16,
        data: Iovec,
    ) callconv(.c) c_int {
        if (message != message_certificate or kind != extension_status_request) return 0;
        const self: *Client = @alignCast(@ptrCast(picotls.ptls_get_data_ptr(tls).*.?));
        // A type and a length stand in front.
        self.staple.appendSlice(data.slice()[4..]) catch return picotls.err_no_memory;
        return 0;
    }

    fn saveTicket(
        _: *picotls.SaveTicket,
        tls: *picotls.Tls,
        ticket: Iovec,
        _: *const anyopaque,
    ) callconv(.c) c_int {
        const self: *Client = @alignCast(@ptrCast(picotls.ptls_get_data_ptr(tls).*.?));
        const copy = self.gpa.dupe(u8, ticket.slice()) catch return picotls.err_no_memory;
        self.tickets.append(self.gpa, copy) catch return picotls.err_no_memory;
        return 0;
    }
};
