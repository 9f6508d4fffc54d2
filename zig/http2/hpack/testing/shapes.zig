//! Heads as browsers, clients of APIs and servers send them, and random ones, for tests and
//! benches.

const std = @import("std");
const field_lines = @import("../../../http/field_lines.zig");
const FieldLines = field_lines.FieldLines;

const browser_usual = "sec-ch-ua: \"Not/A)Brand\";v=\"8\", \"Chromium\";v=\"126\"\r\n" ++
    "sec-ch-ua-mobile: ?0\r\n" ++
    "sec-ch-ua-platform: \"Linux\"\r\n";
const browser_agent = "user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, " ++
    "like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n";
const browser_cookie = "cookie: session=7f3c9a1e5b2d4860a1b2c3d4e5f60718; theme=dark; " ++
    "consent=1\r\n";
const browser_end = "accept-encoding: gzip, deflate, br, zstd\r\n" ++
    "accept-language: en-GB,en-US;q=0.9,en;q=0.8\r\n" ++ browser_cookie;

fn pseudo(comptime method: []const u8, comptime path: []const u8) []const u8 {
    return ":method: " ++ method ++ "\r\n:authority: www.example.com\r\n:scheme: https\r\n" ++
        ":path: " ++ path ++ "\r\n";
}

fn browserResource(
    comptime path: []const u8,
    comptime accept: []const u8,
    comptime dest: []const u8,
    comptime priority: []const u8,
) []const u8 {
    return pseudo("GET", path) ++ browser_usual ++ browser_agent ++ "accept: " ++ accept ++
        "\r\nsec-fetch-site: same-origin\r\nsec-fetch-mode: no-cors\r\nsec-fetch-dest: " ++ dest ++
        "\r\nreferer: https://www.example.com/products/42?ref=home&page=2\r\n" ++ browser_end ++
        "priority: " ++ priority ++ "\r\n";
}

/// A page, what it shows, and the next page.
pub const browser_requests: []const []const u8 = &.{
    browser_page,
    browserResource("/assets/app.4f2a1c.css", "text/css,*/*;q=0.1", "style", "u=0"),
    browserResource("/assets/app.9b3e7d.js", "*/*", "script", "u=1"),
    browserResource("/assets/logo.svg", browser_image, "image", "u=2, i"),
    browserResource("/images/2024/header-large.webp", browser_image, "image", "u=2, i"),
    browserResource("/images/2024/product-42.webp", browser_image, "image", "u=2, i"),
    pseudo("GET", "/products/43?ref=related") ++ browser_page[first_pseudo_bytes..],
};
const first_pseudo_bytes = pseudo("GET", "/products/42?ref=home&page=2").len;
const browser_image = "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8";
pub const browser_page = pseudo("GET", "/products/42?ref=home&page=2") ++ browser_usual ++
    "upgrade-insecure-requests: 1\r\n" ++ browser_agent ++
    "accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp," ++
    "*/*;q=0.8\r\nsec-fetch-site: same-origin\r\nsec-fetch-mode: navigate\r\n" ++
    "sec-fetch-user: ?1\r\nsec-fetch-dest: document\r\n" ++ browser_end ++ "priority: u=0, i\r\n";

fn apiRequest(comptime method: []const u8, comptime path: []const u8) []const u8 {
    return pseudo(method, path) ++ "accept: application/json\r\n" ++
        "content-type: application/json; charset=utf-8\r\n" ++
        "user-agent: example-client/4.12.0 (linux; x64) node/22.4.0\r\n" ++
        "x-client-version: 4.12.0-build.8841\r\nx-tenant: north-west-1-production\r\n" ++
        "accept-encoding: gzip, br\r\naccept-language: en-GB\r\n" ++
        "x-feature-flags: checkout-v2,new-search,fast-lane,prefetch-on-hover\r\n" ++
        "origin: https://www.example.com\r\nreferer: https://www.example.com/dashboard\r\n" ++
        "cache-control: no-cache\r\npragma: no-cache\r\n";
}

pub const api_requests: []const []const u8 = &.{
    apiRequest("GET", "/api/v2/users/18231/orders?limit=50"),
    apiRequest("GET", "/api/v2/users/18231/orders?limit=50&after=9f31c2"),
    apiRequest("POST", "/api/v2/orders"),
    apiRequest("GET", "/api/v2/orders/5521873"),
    apiRequest("PUT", "/api/v2/orders/5521873/items/2"),
    apiRequest("GET", "/api/v2/orders/5521873"),
};

fn apiResponse(
    comptime second: []const u8,
    comptime length: []const u8,
    comptime id: []const u8,
) []const u8 {
    return ":status: 200\r\ndate: Sun, 06 Nov 1994 08:49:" ++ second ++ " GMT\r\n" ++
        "server: gyrfalcon\r\ncontent-type: application/json; charset=utf-8\r\n" ++
        "content-length: " ++ length ++ "\r\ncache-control: private, no-cache, no-store\r\n" ++
        "vary: Accept-Encoding, Origin\r\nx-request-id: " ++ id ++ "\r\n" ++
        "access-control-allow-origin: https://www.example.com\r\n" ++
        "access-control-allow-credentials: true\r\nx-content-type-options: nosniff\r\n" ++
        "strict-transport-security: max-age=63072000; includeSubDomains; preload\r\n";
}

pub const api_responses: []const []const u8 = &.{
    apiResponse("37", "8123", "5f0c9f0a6d"), apiResponse("37", "7741", "77ab10ce93"),
    apiResponse("37", "112", "0b11d2fe41"),  apiResponse("38", "903", "a3390c66d8"),
    apiResponse("38", "87", "e810b4c4aa"),   apiResponse("38", "903", "1d95b1a7f2"),
};

fn fileResponse(
    comptime kind: []const u8,
    comptime length: []const u8,
    comptime tag: []const u8,
) []const u8 {
    return ":status: 200\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nserver: gyrfalcon\r\n" ++
        "content-type: " ++ kind ++ "\r\ncontent-length: " ++ length ++ "\r\n" ++
        "last-modified: Tue, 01 Nov 1994 10:00:00 GMT\r\netag: \"" ++ tag ++ "\"\r\n" ++
        "accept-ranges: bytes\r\ncache-control: public, max-age=31536000, immutable\r\n" ++
        "x-content-type-options: nosniff\r\ncross-origin-resource-policy: same-origin\r\n";
}

pub const file_responses: []const []const u8 = &.{
    fileResponse("text/html; charset=utf-8", "6150", "1806-17a5bc"),
    fileResponse("text/css; charset=utf-8", "20211", "4ef3-17a5bc"),
    fileResponse("text/javascript; charset=utf-8", "88120", "15838-17a5bc"),
    fileResponse("image/webp", "48210", "bc52-17a5bc"),
    fileResponse("image/webp", "120877", "1d82d-17a5bc"),
    fileResponse("image/webp", "9120", "23a0-17a5bc"),
    fileResponse("image/svg+xml", "1290", "50a-17a5bc"),
    fileResponse("font/woff2", "31822", "7c4e-17a5bc"),
};

pub const Memory = field_lines.LineBuffer(8 * 1024, 40);

const some_names = [_][]const u8{
    "Content-Type", "cookie", "Set-Cookie",            "X-Request-Id", "a",             "vary",
    "Date",         ":path",  ":status",               ":method",      "authorization", "x-token",
    "etag",         "TE",     "x-long-" ++ "n" ** 130, "age",          "accept",
};

/// Any fields, some of which recur.
pub fn random(source: std.Random, memory: *Memory) FieldLines {
    var list = memory.list();
    for (0..source.uintAtMost(usize, 12)) |_| {
        const name = some_names[source.uintLessThan(usize, some_names.len)];
        var value: [600]u8 = undefined;
        const len = source.uintLessThan(usize, if (source.uintLessThan(u8, 8) == 0) 600 else 24);
        const few = source.boolean();
        for (value[0..len]) |*byte| {
            byte.* = if (few) 'a' + @as(u8, @intCast(len % 2)) else source.int(u8);
            if (byte.* < 0x20 or byte.* == 0x7f) byte.* = '_';
        }
        list.append(name, value[0..len]) catch break;
    }
    return .{ .text = list.text[0..list.bytes], .lengths = list.lengths[0..list.count] };
}
