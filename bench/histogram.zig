//! How often each latency was seen, in microseconds: to the microsecond below 2048, above to a
//! thousandth of the latency.

const std = @import("std");

const exact = 2048;
/// Buckets of each power of two above.
const fine = 1024;
const powers = 53;

counts: [exact + powers * fine]u32 = @splat(0),
total: u64 = 0,
/// The longest.
most: u64 = 0,

const Histogram = @This();

pub fn add(histogram: *Histogram, latency_us: u64) void {
    histogram.counts[bucketOf(latency_us)] += 1;
    histogram.total += 1;
    histogram.most = @max(histogram.most, latency_us);
}

/// The latency below or at which so many thousandths of all are; 0 when there are none.
pub fn percentile(histogram: *const Histogram, thousandths: u64) u64 {
    var below: u64 = 0;
    for (histogram.counts, 0..) |count, bucket| {
        below += count;
        if (count > 0 and below * 1000 >= histogram.total * thousandths)
            return @min(lastOf(bucket), histogram.most);
    }
    return histogram.most;
}

fn bucketOf(latency_us: u64) usize {
    if (latency_us < exact) return @intCast(latency_us);
    const shift: u6 = @intCast(63 - @as(u32, @clz(latency_us)) - 10);
    return @intCast(exact + (@as(u64, shift) - 1) * fine + (latency_us >> shift) - fine);
}

/// The longest latency that a bucket holds.
fn lastOf(bucket: usize) u64 {
    if (bucket < exact) return bucket;
    const shift: u6 = @intCast((bucket - exact) / fine + 1);
    const base: u64 = (bucket - exact) % fine + fine;
    return base << shift | (@as(u64, 1) << shift) - 1;
}

test "every latency falls into a bucket that holds it, to a thousandth" {
    var random = std.Random.DefaultPrng.init(7);
    for (0..10_000) |_| {
        const bits = random.random().uintLessThan(u6, 63);
        const latency_us = random.random().int(u64) >> bits;
        const bucket = bucketOf(latency_us);
        const last = lastOf(bucket);
        try std.testing.expect(last >= latency_us);
        try std.testing.expect(last - latency_us <= latency_us / 1000);
        if (bucket > 0) try std.testing.expect(lastOf(bucket - 1) < latency_us);
    }
    const most = std.math.maxInt(u64);
    try std.testing.expectEqual(most, lastOf(bucketOf(most)));
}

test "percentiles are those of what was added" {
    var histogram: Histogram = .{};
    try std.testing.expectEqual(0, histogram.percentile(990));
    for (1..1001) |latency_us| histogram.add(latency_us);
    try std.testing.expectEqual(500, histogram.percentile(500));
    try std.testing.expectEqual(990, histogram.percentile(990));
    try std.testing.expectEqual(999, histogram.percentile(999));
    histogram.add(5_000_000);
    try std.testing.expectEqual(5_000_000, histogram.most);
    try std.testing.expectEqual(5_000_000, histogram.percentile(1000));
}
