//! Sessions that are resumed, and data ahead of a handshake.

const std = @import("std");
const testing = std.testing;
const filters = @import("filter.zig");
const Alert = filters.Alert;
const Context = filters.Context;
const Secret = @import("context.zig").Secret;
const limits = @import("../core/limits.zig");
const links = @import("testing/link.zig");
const record = @import("record.zig");

var now_ms: u64 = 0;

fn clock() u64 {
    return now_ms;
}

/// The clock of tests stands where that of clients does.
fn startClock() void {
    now_ms = @intCast(std.time.milliTimestamp());
}

const first: Secret = @splat(1);
const second: Secret = @splat(2);

/// A ticket that a client got; to be freed.
fn ticketOf(context: *const Context, name: []const u8, protocols: []const []const u8) ![]u8 {
    var link = try links.withPicotls(context, .{ .server_name = name, .protocols = protocols });
    defer link.deinit();
    try link.run();
    if (link.client.tickets.items.len == 0) return error.NoTicket;
    return testing.allocator.dupe(u8, link.client.tickets.items[0]);
}

fn expectResumed(
    context: *const Context,
    name: []const u8,
    ticket: []const u8,
    resumed: bool,
) !void {
    var link = try links.withPicotls(context, .{ .server_name = name, .ticket = ticket });
    defer link.deinit();
    try link.run();
    try testing.expectEqual(resumed, link.client.isResumed());
    try testing.expectEqual(resumed, link.server.filter.is_resumed);
    try link.client.send("hello");
    try link.run();
    try testing.expectEqualStrings("hello", link.server.text.items);
}

fn siteWith(tickets: Context.Settings.TicketOptions) !links.Site {
    return links.site(.{ .tickets = tickets, .clock = &clock });
}

test "a session is resumed by processes with its secret, after a restart too, and by no other" {
    startClock();
    const site = try siteWith(.{ .secrets = &.{first} });
    defer site.deinit();
    const again = try siteWith(.{ .secrets = &.{first} });
    defer again.deinit();
    const rotated = try siteWith(.{ .secrets = &.{ second, first } });
    defer rotated.deinit();
    const stranger = try siteWith(.{ .secrets = &.{second} });
    defer stranger.deinit();
    const own = try siteWith(.{});
    defer own.deinit();
    const ticket = try ticketOf(site.context, "localhost", &.{});
    defer testing.allocator.free(ticket);
    try expectResumed(site.context, "localhost", ticket, true);
    try expectResumed(again.context, "localhost", ticket, true);
    try expectResumed(rotated.context, "localhost", ticket, true);
    try expectResumed(stranger.context, "localhost", ticket, false);
    try expectResumed(own.context, "localhost", ticket, false);
    try expectResumed(site.context, "", ticket, false); // it was for a name
    // What was sealed with the new secret is not opened with the old one alone.
    const newer = try ticketOf(rotated.context, "localhost", &.{});
    defer testing.allocator.free(newer);
    try expectResumed(rotated.context, "localhost", newer, true);
    try expectResumed(stranger.context, "localhost", newer, true);
    try expectResumed(site.context, "localhost", newer, false);
}

test "a session is resumed until its ticket has expired" {
    startClock();
    const site = try siteWith(.{ .lifetime_s = 100 });
    defer site.deinit();
    const ticket = try ticketOf(site.context, "localhost", &.{});
    defer testing.allocator.free(ticket);
    now_ms += 99_000;
    try expectResumed(site.context, "localhost", ticket, true);
    now_ms += 2_000;
    try expectResumed(site.context, "localhost", ticket, false);
    now_ms += 1_000_000;
    try expectResumed(site.context, "localhost", ticket, false);
}

test "without tickets none is sent, and none is taken" {
    startClock();
    const without = try links.site(.{ .tickets = null });
    defer without.deinit();
    try testing.expectError(error.NoTicket, ticketOf(without.context, "localhost", &.{}));
    const with = try siteWith(.{});
    defer with.deinit();
    const ticket = try ticketOf(with.context, "localhost", &.{});
    defer testing.allocator.free(ticket);
    try expectResumed(without.context, "localhost", ticket, false);
}

test "OpenSSL resumes its sessions" {
    const site = try links.site(.{});
    defer site.deinit();
    var link = try links.withOpenssl(site.context, .{ .server_name = "localhost" });
    defer link.deinit();
    try link.run();
    try testing.expect(!link.client.isResumed());
    var later = try links.withOpenssl(site.context, .{
        .server_name = "localhost",
        .session = link.client.takeSession(),
    });
    defer later.deinit();
    try later.run();
    try testing.expect(later.client.isResumed() and later.server.filter.is_resumed);
}

// Data ahead.

const early = "GET / HTTP/1.1\r\n\r\n";

fn earlySite() !links.Site {
    return links.site(.{
        .early_bytes_max = 1000,
        .tickets = .{ .secrets = &.{first} },
        .protocols = &.{ "h2", "http/1.1" },
    });
}

/// A client that resumes by `ticket`, and sends `text` ahead.
fn resuming(site: links.Site, ticket: []const u8, text: []const u8) !links.PicotlsLink {
    return links.withPicotls(site.context, .{
        .server_name = "localhost",
        .ticket = ticket,
        .early = text,
    });
}

test "data ahead is taken, told apart, and answered before the handshake is over" {
    const site = try earlySite();
    defer site.deinit();
    const ticket = try ticketOf(site.context, "localhost", &.{});
    defer testing.allocator.free(ticket);
    var link = try resuming(site, ticket, early);
    defer link.deinit();
    try link.step();
    try testing.expectEqualStrings(early, link.server.early.items);
    try testing.expectEqualStrings("", link.server.text.items);
    try testing.expect(link.server.filter.takesText());
    try link.server.send("an answer");
    try link.run();
    try testing.expect(link.client.hasEarlyAccepted());
    try testing.expectEqualStrings("an answer", link.client.text.items);
    try link.client.send("later");
    try link.run();
    try testing.expectEqualStrings("later", link.server.text.items);
    try testing.expectEqualStrings(early, link.server.early.items);
}

test "data ahead is answered between its end and the handshake's" {
    const site = try earlySite();
    defer site.deinit();
    const ticket = try ticketOf(site.context, "localhost", &.{});
    defer testing.allocator.free(ticket);
    var link = try resuming(site, ticket, early);
    defer link.deinit();
    try link.step();
    // The client's next records: EndOfEarlyData, and what ends the handshake.
    const up = try link.client.out.toOwnedSlice(testing.allocator);
    defer testing.allocator.free(up);
    var rest: []const u8 = up;
    while (link.server.filter.phase == .early) {
        const whole = record.header_bytes + record.lacking(rest[0..record.header_bytes]);
        try link.server.feed(rest[0..whole]);
        rest = rest[whole..];
    }
    try testing.expect(!link.server.filter.isOpen() and rest.len > 0);
    try link.server.send("an answer");
    try link.server.feed(rest);
    try link.run();
    try testing.expect(link.server.filter.isOpen());
    try testing.expectEqualStrings("an answer", link.client.text.items);
}

test "OpenSSL sends data ahead, and what is not taken is passed over" {
    const site = try earlySite();
    defer site.deinit();
    const restarted = try earlySite();
    defer restarted.deinit();
    for ([_]links.Site{ site, restarted }) |serving| {
        var link = try links.withOpenssl(site.context, .{ .server_name = "localhost" });
        defer link.deinit();
        try link.run();
        var later = try links.withOpenssl(serving.context, .{
            .server_name = "localhost",
            .session = link.client.takeSession(),
            .early = early,
        });
        defer later.deinit();
        try later.run();
        const is_taken = serving.context == site.context;
        try testing.expectEqual(is_taken, later.client.hasEarlyAccepted());
        try testing.expectEqualStrings(if (is_taken) early else "", later.server.early.items);
        try testing.expect(later.client.isResumed());
        try later.client.send("later");
        try later.run();
        try testing.expectEqualStrings("later", later.server.text.items);
    }
}

test "data that comes a second time is not taken" {
    const site = try earlySite();
    defer site.deinit();
    const ticket = try ticketOf(site.context, "localhost", &.{});
    defer testing.allocator.free(ticket);
    var link = try resuming(site, ticket, early);
    defer link.deinit();
    const flight = try testing.allocator.dupe(u8, link.client.out.items);
    defer testing.allocator.free(flight);
    try link.run();
    try testing.expectEqualStrings(early, link.server.early.items);
    // A replay of the same bytes, and of the ticket.
    var replayed: links.Server = try .init(testing.allocator, site.context);
    defer replayed.deinit();
    try replayed.feed(flight);
    try testing.expectEqual(null, replayed.filter.failure);
    try testing.expectEqualStrings("", replayed.early.items);
    var again = try resuming(site, ticket, early);
    defer again.deinit();
    try again.run();
    try testing.expectEqualStrings("", again.server.early.items);
    try testing.expect(again.client.isComplete() and !again.client.hasEarlyAccepted());
    try testing.expect(again.client.isResumed());
}

test "data of another protocol than the ticket's is not taken" {
    const site = try earlySite();
    defer site.deinit();
    const ticket = try ticketOf(site.context, "localhost", &.{});
    defer testing.allocator.free(ticket);
    var link = try links.withPicotls(site.context, .{
        .server_name = "localhost",
        .ticket = ticket,
        .early = early,
        .protocols = &.{"http/1.1"},
    });
    defer link.deinit();
    try link.run();
    try testing.expectEqualStrings("", link.server.early.items);
    try testing.expect(link.client.isComplete());
}

test "more data than was allowed ends the connection" {
    const site = try earlySite();
    defer site.deinit();
    const ticket = try ticketOf(site.context, "localhost", &.{});
    defer testing.allocator.free(ticket);
    const text: [1001]u8 = @splat('x');
    var link = try resuming(site, ticket, &text);
    defer link.deinit();
    try link.server.feed(link.client.out.items);
    try testing.expectEqual(Alert.unexpected_message, link.server.filter.failure.?.alert);
    try testing.expectEqualStrings("", link.server.early.items);
}

test "no data ahead is passed over without a bound" {
    const site = try links.site(.{ .tickets = .{ .secrets = &.{first} } });
    defer site.deinit();
    const generous = try earlySite();
    defer generous.deinit();
    const ticket = try ticketOf(generous.context, "localhost", &.{});
    defer testing.allocator.free(ticket);
    var link = try resuming(site, ticket, early);
    defer link.deinit();
    const text: [16_384]u8 = @splat('x');
    for (0..limits.tls_early_skip_bytes / text.len + 1) |_| try link.client.send(&text);
    try link.server.feed(link.client.out.items);
    try testing.expectEqual(Alert.bad_record_mac, link.server.filter.failure.?.alert);
}
