//! Tests of DirServer: tags, dates, conditions and ranges.

const std = @import("std");
const testing = std.testing;
const Method = @import("../http/method.zig").Method;
const date = @import("../http/date.zig");
const fixture = @import("dir_server_fixture.zig");
const Line = fixture.Line;
const test_ms = &fixture.test_ms;
const Site = fixture.Site;

test "a client that has the content is answered 304 with validators only" {
    inline for (.{ true, false }) |cache| {
        var site = try Site.init(.{ .cache = cache, .max_age_s = 60 });
        defer site.deinit();
        try site.setModified("public/style.css", 784_111_777);
        var tag_buffer: [64]u8 = undefined;
        const tag = blk: {
            var first = try site.ask(.GET, "/style.css", &.{});
            defer first.drop();
            try first.expectHeader("Cache-Control", "max-age=60");
            const text = first.header("ETag").?;
            @memcpy(tag_buffer[0..text.len], text);
            break :blk tag_buffer[0..text.len];
        };
        for ([_]Line{
            .{ "If-None-Match", tag },
            .{ "If-None-Match", "*" },
            .{ "If-Modified-Since", "Fri, 31 Dec 9999 23:59:59 GMT" },
        }) |line| {
            for ([_]Method{ .GET, .HEAD }) |method| {
                var reply = try site.ask(method, "/style.css", &.{line});
                defer reply.drop();
                try testing.expectEqual(304, reply.res.status);
                try reply.expectHeader("ETag", tag);
                try reply.expectHeader("Cache-Control", "max-age=60");
                try testing.expect(reply.header("Content-Type") == null);
                try reply.expectBody("");
            }
        }
        var other = try site.ask(.GET, "/style.css", &.{.{ "If-None-Match", "\"x\"" }});
        defer other.drop();
        try testing.expectEqual(200, other.res.status);
        var failed = try site.ask(.GET, "/style.css", &.{.{ "If-Match", "\"x\"" }});
        defer failed.drop();
        try testing.expectEqual(412, failed.res.status);
    }
}

test "one byte range is sent as a part, from the cache and from a file" {
    inline for (.{ true, false }) |cache| {
        var site = try Site.init(.{ .cache = cache });
        defer site.deinit();
        const Case = struct { []const u8, []const u8, []const u8 };
        for ([_]Case{
            .{ "bytes=0-0", "bytes 0-0/10", "0" },
            .{ "bytes=2-4", "bytes 2-4/10", "234" },
            .{ "bytes=7-", "bytes 7-9/10", "789" },
            .{ "bytes=-2", "bytes 8-9/10", "89" },
            .{ "bytes=5-100", "bytes 5-9/10", "56789" },
        }) |case| {
            var reply = try site.ask(.GET, "/digits.txt", &.{.{ "Range", case[0] }});
            defer reply.drop();
            try testing.expectEqual(206, reply.res.status);
            try reply.expectHeader("Content-Range", case[1]);
            try reply.expectHeader("Content-Type", "text/plain; charset=utf-8");
            try reply.expectBody(case[2]);
        }
        var outside = try site.ask(.GET, "/digits.txt", &.{.{ "Range", "bytes=10-" }});
        defer outside.drop();
        try testing.expectEqual(416, outside.res.status);
        try outside.expectHeader("Content-Range", "bytes */10");
        var several = try site.ask(.GET, "/digits.txt", &.{.{ "Range", "bytes=0-1,4-5" }});
        defer several.drop();
        try testing.expectEqual(200, several.res.status);
        try several.expectBody("0123456789");
        var stale = try site.ask(.GET, "/digits.txt", &.{
            .{ "Range", "bytes=0-1" }, .{ "If-Range", "\"other\"" },
        });
        defer stale.drop();
        try testing.expectEqual(200, stale.res.status);
    }
}

test "a range of an empty file is the whole of it, with 200" {
    inline for (.{ true, false }) |cache| {
        var site = try Site.init(.{ .cache = cache });
        defer site.deinit();
        for ([_][]const u8{ "bytes=0-", "bytes=0-0", "bytes=-5" }) |value| {
            var reply = try site.ask(.GET, "/empty.txt", &.{.{ "Range", value }});
            defer reply.drop();
            try testing.expectEqual(200, reply.res.status);
            try testing.expect(reply.header("Content-Range") == null);
            try reply.expectBody("");
        }
    }
}

test "conditions are ignored where the answer would be no success without them" {
    var site = try Site.init(.{});
    defer site.deinit();
    const conditions = [_]Line{
        .{ "If-Match", "\"x\"" },
        .{ "If-None-Match", "*" },
        .{ "If-Modified-Since", "Fri, 31 Dec 9999 23:59:59 GMT" },
        .{ "If-Unmodified-Since", "Thu, 01 Jan 1970 00:00:00 GMT" },
    };
    const Case = struct { Method, []const u8, u16 };
    for ([_]Case{
        .{ .GET, "/nothing", 404 },
        .{ .HEAD, "/nothing", 404 },
        .{ .GET, "/sub", 301 },
        .{ .POST, "/style.css", 405 },
        .{ .OPTIONS, "/style.css", 405 },
    }) |case| {
        for (conditions) |line| {
            var reply = try site.ask(case[0], case[1], &.{line});
            defer reply.drop();
            try testing.expectEqual(case[2], reply.res.status);
        }
    }
}

test "a part and a 304 have the fields that a cache would have had of the whole" {
    var site = try Site.init(.{ .max_age_s = 60 });
    defer site.deinit();
    var whole = try site.ask(.GET, "/digits.txt", &.{});
    var copy: [64]u8 = undefined;
    const tag = try std.fmt.bufPrint(&copy, "{s}", .{whole.header("ETag").?});
    whole.drop();
    for ([_]struct { Line, u16 }{
        .{ .{ "Range", "bytes=0-3" }, 206 },
        .{ .{ "If-None-Match", tag }, 304 },
    }) |case| {
        var reply = try site.ask(.GET, "/digits.txt", &.{case[0]});
        defer reply.drop();
        try testing.expectEqual(case[1], reply.res.status);
        try reply.expectHeader("ETag", tag);
        try reply.expectHeader("Cache-Control", "max-age=60");
        if (case[1] == 304) continue;
        try reply.expectHeader("Content-Type", "text/plain; charset=utf-8");
        try testing.expect(reply.header("Last-Modified") != null);
    }
}

test "Content-Range in a request for a file changes nothing" {
    var site = try Site.init(.{});
    defer site.deinit();
    var reply = try site.ask(.GET, "/digits.txt", &.{.{ "Content-Range", "bytes 0-1/10" }});
    defer reply.drop();
    try testing.expectEqual(200, reply.res.status);
    try reply.expectBody("0123456789");
}

test "a file that changes has another strong tag" {
    var site = try Site.init(.{ .cache_ms = 0 });
    defer site.deinit();
    var tags: [2][64]u8 = undefined;
    var lengths: [2]usize = undefined;
    for (0..2) |i| {
        try site.write("public/style.css", if (i == 0) "body{}" else "BODY{}");
        try site.setModified("public/style.css", 784_111_777 + @as(i64, @intCast(i)));
        var reply = try site.ask(.GET, "/style.css", &.{});
        defer reply.drop();
        lengths[i] = (try std.fmt.bufPrint(&tags[i], "{s}", .{reply.header("ETag").?})).len;
        try testing.expectEqual('"', tags[i][0]); // no W/
    }
    try testing.expect(!std.mem.eql(u8, tags[0][0..lengths[0]], tags[1][0..lengths[1]]));
}

test "a modification time in the future is told as now" {
    var site = try Site.init(.{});
    defer site.deinit();
    const now = std.time.timestamp();
    try site.setModified("public/style.css", now + 100_000);
    var reply = try site.ask(.GET, "/style.css", &.{});
    defer reply.drop();
    const told = date.parse(reply.header("Last-Modified").?).?;
    try testing.expect(told >= now - 1 and told <= now + 60);
}

test "no validator survives new content of the same size and modification time" {
    const Way = enum { in_place, remade };
    inline for (.{ Way.in_place, Way.remade }) |way| {
        var site = try Site.init(.{ .cache_ms = 0 });
        defer site.deinit();
        const path = "public/style.css";
        try site.setModified(path, 784_111_777);
        var copy: [64]u8 = undefined;
        const tag = blk: {
            var reply = try site.ask(.GET, "/style.css", &.{});
            defer reply.drop();
            try reply.expectHeader("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT");
            break :blk try std.fmt.bufPrint(&copy, "{s}", .{reply.header("ETag").?});
        };
        // So that the kernel's clock has ticked: it is the change time alone that tells.
        std.time.sleep(20 * std.time.ns_per_ms);
        if (way == .remade) try site.tmp.dir.deleteFile(path);
        try site.write(path, "BODY{}");
        try site.setModified(path, 784_111_777);
        const date_text = "Sun, 06 Nov 1994 08:49:37 GMT";
        for ([_][]const Line{
            &.{.{ "If-None-Match", tag }},
            &.{.{ "If-Modified-Since", date_text }},
            &.{ .{ "Range", "bytes=0-3" }, .{ "If-Range", tag } },
            &.{ .{ "Range", "bytes=0-3" }, .{ "If-Range", date_text } },
        }) |lines| {
            var reply = try site.ask(.GET, "/style.css", lines);
            defer reply.drop();
            try testing.expectEqual(200, reply.res.status);
            try reply.expectBody("BODY{}");
            try testing.expect(!std.mem.eql(u8, tag, reply.header("ETag").?));
        }
    }
}

test "the modification times of reproducible builds are no dates" {
    inline for (.{ true, false }) |cache| {
        var site = try Site.init(.{ .cache = cache });
        defer site.deinit();
        for ([_]i64{ 0, 1, 2 }) |seconds| {
            try site.setModified("public/style.css", seconds);
            _ = test_ms.fetchAdd(5000, .monotonic);
            const since: Line = .{ "If-Modified-Since", "Fri, 31 Dec 9999 23:59:59 GMT" };
            var reply = try site.ask(.GET, "/style.css", &.{since});
            defer reply.drop();
            const is_date = seconds > 1;
            try testing.expectEqual(is_date, reply.header("Last-Modified") != null);
            try testing.expectEqual(@as(u16, if (is_date) 304 else 200), reply.res.status);
            try testing.expect(reply.header("ETag") != null);
        }
    }
}

test "a file that has just changed has a weak tag that settles into another" {
    var site = try Site.init(.{});
    defer site.deinit();
    site.server.settle_ns = 3600 * std.time.ns_per_s;
    var copy: [64]u8 = undefined;
    const weak = blk: {
        var reply = try site.ask(.GET, "/style.css", &.{});
        defer reply.drop();
        break :blk try std.fmt.bufPrint(&copy, "{s}", .{reply.header("ETag").?});
    };
    try testing.expect(std.mem.startsWith(u8, weak, "W/\""));
    site.server.settle_ns = 0;
    var settled = try site.ask(.GET, "/style.css", &.{.{ "If-None-Match", weak }});
    defer settled.drop();
    try testing.expectEqual(200, settled.res.status);
    try testing.expectEqual('"', settled.header("ETag").?[0]);
}
