//! Media types by file extension (RFC 9110 §8.3), found by a hash without collisions that is made
//! at comptime.
const std = @import("std");

/// The type of what has no known extension.
pub const default = "application/octet-stream";

/// The media type for the extension of `path`'s last segment, compared without regard to case; text
/// types say that they are UTF-8. Static memory. A name that begins with its only dot has no
/// extension.
pub fn byPath(path: []const u8) []const u8 {
    const name = path[if (std.mem.lastIndexOfScalar(u8, path, '/')) |slash| slash + 1 else 0..];
    const dot = std.mem.lastIndexOfScalar(u8, name, '.') orelse return default;
    return if (dot == 0) default else byExtension(name[dot + 1 ..]);
}

/// The media type for `extension`, given without its dot.
pub fn byExtension(extension: []const u8) []const u8 {
    const key = pack(extension) orelse return default;
    const entry = table.slots[slotOf(key, table.multiplier)];
    return if (entry < keys.len and keys[entry] == key) types[entry][1] else default;
}

/// The lower-case extension as a number; null for one that no entry can have.
fn pack(extension: []const u8) ?u64 {
    if (extension.len == 0 or extension.len > 8) return null;
    var key: u64 = 0;
    for (extension) |c| {
        if (c == 0) return null; // would vanish at the front
        key = key << 8 | std.ascii.toLower(c);
    }
    return key;
}

const slot_bits = 11;
const Table = struct { multiplier: u64, slots: [1 << slot_bits]u8 };

fn slotOf(key: u64, multiplier: u64) usize {
    return @intCast(key *% multiplier >> 64 - slot_bits);
}

const keys: [types.len]u64 = blk: {
    @setEvalBranchQuota(100_000);
    var packed_keys: [types.len]u64 = undefined;
    for (types, &packed_keys) |entry, *key| key.* = pack(entry[0]).?;
    break :blk packed_keys;
};

const table: Table = blk: {
    @setEvalBranchQuota(10_000_000);
    const empty = std.math.maxInt(u8);
    std.debug.assert(types.len < empty);
    var multiplier: u64 = 0x9e37_79b9_7f4a_7c15;
    search: while (true) : (multiplier +%= 0xd1b5_4a32_d192_ed02) {
        var slots = [_]u8{empty} ** (1 << slot_bits);
        for (keys, 0..) |key, i| {
            const slot = &slots[slotOf(key, multiplier)];
            if (slot.* != empty) continue :search;
            slot.* = i;
        }
        break :blk .{ .multiplier = multiplier, .slots = slots };
    }
};

const utf8 = "; charset=utf-8";
const types = [_][2][]const u8{
    .{ "html", "text/html" ++ utf8 },
    .{ "htm", "text/html" ++ utf8 },
    .{ "css", "text/css" ++ utf8 },
    .{ "js", "text/javascript" ++ utf8 },
    .{ "mjs", "text/javascript" ++ utf8 },
    .{ "cjs", "text/javascript" ++ utf8 },
    .{ "txt", "text/plain" ++ utf8 },
    .{ "text", "text/plain" ++ utf8 },
    .{ "log", "text/plain" ++ utf8 },
    .{ "conf", "text/plain" ++ utf8 },
    .{ "ini", "text/plain" ++ utf8 },
    .{ "toml", "application/toml" },
    .{ "md", "text/markdown" ++ utf8 },
    .{ "markdown", "text/markdown" ++ utf8 },
    .{ "csv", "text/csv" ++ utf8 },
    .{ "tsv", "text/tab-separated-values" ++ utf8 },
    .{ "ics", "text/calendar" ++ utf8 },
    .{ "vcf", "text/vcard" ++ utf8 },
    .{ "vtt", "text/vtt" ++ utf8 },
    .{ "xml", "text/xml" ++ utf8 },
    .{ "xsl", "text/xml" ++ utf8 },
    .{ "xslt", "application/xslt+xml" },
    .{ "rss", "application/rss+xml" },
    .{ "atom", "application/atom+xml" },
    .{ "xhtml", "application/xhtml+xml" },
    .{ "yaml", "application/yaml" },
    .{ "yml", "application/yaml" },
    .{ "json", "application/json" },
    .{ "map", "application/json" },
    .{ "jsonld", "application/ld+json" },
    .{ "geojson", "application/geo+json" },
    .{ "ndjson", "application/x-ndjson" },
    .{ "jsonl", "application/x-ndjson" },
    .{ "manifest", "application/manifest+json" },
    .{ "wasm", "application/wasm" },
    .{ "pdf", "application/pdf" },
    .{ "rtf", "application/rtf" },
    .{ "ps", "application/postscript" },
    .{ "eps", "application/postscript" },
    .{ "epub", "application/epub+zip" },
    .{ "doc", "application/msword" },
    .{ "xls", "application/vnd.ms-excel" },
    .{ "ppt", "application/vnd.ms-powerpoint" },
    .{ "docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document" },
    .{ "xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet" },
    .{ "pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation" },
    .{ "odt", "application/vnd.oasis.opendocument.text" },
    .{ "ods", "application/vnd.oasis.opendocument.spreadsheet" },
    .{ "odp", "application/vnd.oasis.opendocument.presentation" },
    .{ "zip", "application/zip" },
    .{ "gz", "application/gzip" },
    .{ "tgz", "application/gzip" },
    .{ "br", "application/x-brotli" },
    .{ "zst", "application/zstd" },
    .{ "bz2", "application/x-bzip2" },
    .{ "xz", "application/x-xz" },
    .{ "tar", "application/x-tar" },
    .{ "7z", "application/x-7z-compressed" },
    .{ "rar", "application/vnd.rar" },
    .{ "jar", "application/java-archive" },
    .{ "apk", "application/vnd.android.package-archive" },
    .{ "deb", "application/vnd.debian.binary-package" },
    .{ "sh", "application/x-sh" },
    .{ "sql", "application/sql" },
    .{ "png", "image/png" },
    .{ "apng", "image/apng" },
    .{ "jpg", "image/jpeg" },
    .{ "jpeg", "image/jpeg" },
    .{ "gif", "image/gif" },
    .{ "webp", "image/webp" },
    .{ "avif", "image/avif" },
    .{ "heic", "image/heic" },
    .{ "jxl", "image/jxl" },
    .{ "svg", "image/svg+xml" },
    .{ "ico", "image/vnd.microsoft.icon" },
    .{ "bmp", "image/bmp" },
    .{ "tif", "image/tiff" },
    .{ "tiff", "image/tiff" },
    .{ "mp3", "audio/mpeg" },
    .{ "m4a", "audio/mp4" },
    .{ "aac", "audio/aac" },
    .{ "oga", "audio/ogg" },
    .{ "ogg", "audio/ogg" },
    .{ "opus", "audio/ogg" },
    .{ "wav", "audio/wav" },
    .{ "flac", "audio/flac" },
    .{ "weba", "audio/webm" },
    .{ "mid", "audio/midi" },
    .{ "midi", "audio/midi" },
    .{ "mp4", "video/mp4" },
    .{ "m4v", "video/mp4" },
    .{ "mpeg", "video/mpeg" },
    .{ "mpg", "video/mpeg" },
    .{ "webm", "video/webm" },
    .{ "ogv", "video/ogg" },
    .{ "mov", "video/quicktime" },
    .{ "avi", "video/x-msvideo" },
    .{ "mkv", "video/matroska" },
    .{ "ts", "video/mp2t" },
    .{ "m3u8", "application/vnd.apple.mpegurl" },
    .{ "mpd", "application/dash+xml" },
    .{ "woff", "font/woff" },
    .{ "woff2", "font/woff2" },
    .{ "ttf", "font/ttf" },
    .{ "otf", "font/otf" },
    .{ "ttc", "font/collection" },
    .{ "eot", "application/vnd.ms-fontobject" },
    .{ "glb", "model/gltf-binary" },
    .{ "gltf", "model/gltf+json" },
    .{ "stl", "model/stl" },
    .{ "obj", "model/obj" },
    .{ "crt", "application/x-x509-ca-cert" },
    .{ "pem", "application/x-pem-file" },
};

test "every known extension finds its type, in any case" {
    for (types) |entry| {
        var path_buffer: [64]u8 = undefined;
        var upper_buffer: [16]u8 = undefined;
        const upper = std.ascii.upperString(&upper_buffer, entry[0]);
        for ([_][]const u8{ entry[0], upper }) |extension| {
            const path = try std.fmt.bufPrint(&path_buffer, "/dir.d/file.x.{s}", .{extension});
            try std.testing.expectEqualStrings(entry[1], byPath(path));
        }
    }
}

test "text types say that they are UTF-8" {
    for (types) |entry| {
        if (!std.mem.startsWith(u8, entry[1], "text/")) continue;
        try std.testing.expect(std.mem.endsWith(u8, entry[1], utf8));
    }
}

test "no extension, an unknown or an overlong one is an octet stream" {
    for ([_][]const u8{
        "",        "/",       "/file",       "/file.",                 "/.html",     "/a.html/file",
        "/f.zzzz", "html",    "/f.html\x00", "/f.manifesto",           "/f.h\x00ml", "/f. html",
        "/f.\x00", "/f.\xff", "/f.\x00html", "/f.aaaaaaaaaaaaaaaaaaa",
    }) |path| try std.testing.expectEqualStrings(default, byPath(path));
    try std.testing.expectEqualStrings(types[0][1], byPath("index.html"));
}
