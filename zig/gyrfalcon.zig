//! Gyrfalcon: an HTTP server engine, specialised at comptime for its handler.
//!
//!     const gyrfalcon = @import("gyrfalcon");
//!     var server: gyrfalcon.Server(MyHandler) = undefined;
//!     try server.init(gpa, .{ .port = 8080 });
//!     defer server.deinit();
//!     try server.run();

pub const Address = @import("core/address.zig").Address;
/// Where a server listens.
pub const Endpoint = @import("core/endpoint.zig").Endpoint;
pub const Config = @import("server/config.zig").Config;
/// Where an entry of `Config.listen` is.
pub const Place = @import("net/listeners.zig").Place;
/// A socket that a server listens on.
pub const Listener = @import("net/listeners.zig").Listener;
/// The `Deflate` of a handler whose WebSockets are compressed.
pub const Deflate = @import("websocket/deflate.zig");
pub const DirServer = @import("handlers/dir_server.zig").DirServer;
pub const FieldLines = @import("http/field_lines.zig").FieldLines;
pub const Method = @import("http/method.zig").Method;
pub const ProtocolError = problem.ProtocolError;
/// What `Response.push` takes.
pub const Push = @import("http/push.zig").Push;
pub const Request = @import("http/request.zig").Request;
pub const Response = @import("http/response.zig").Response;
pub const Router = @import("router/router.zig").Router;
/// What is known of the TLS connection that a request came over.
pub const Security = @import("http/security.zig").Security;
pub const Server = @import("server/server.zig").Server;
pub const ServerError = @import("server/server.zig").Error;
/// The `Tls` of a handler that is reached over TLS.
pub const Tls = @import("server/tls.zig").Tls;
/// An entry of `Config.tls`.
pub const TlsSettings = @import("server/tls/settings.zig").Settings;
/// How `Response.upgrade` is told what to agree to.
pub const Upgrade = @import("http/upgrade.zig").Upgrade;
pub const Version = @import("http/request.zig").Version;
/// A WebSocket, by which any thread reaches it.
pub const WebSocket = @import("server/websocket/socket.zig").Socket;
pub const date = @import("http/date.zig");
/// HTTP/1 without I/O: bytes in, requests out, and back.
pub const http1 = struct {
    pub const chunked = @import("http1/chunked.zig");
    pub const decoder = @import("http1/decoder.zig");
    pub const encoder = @import("http1/encoder.zig");
};
/// HTTP/2 without I/O.
pub const http2 = struct {
    pub const account = @import("http2/account.zig");
    pub const connection = @import("http2/connection.zig");
    pub const errors = @import("http2/errors.zig");
    pub const frame_decoder = @import("http2/frame_decoder.zig");
    pub const frames = @import("http2/frames.zig");
    pub const hpack = struct {
        pub const decoder = @import("http2/hpack/decoder.zig");
        pub const encoder = @import("http2/hpack/encoder.zig");
        pub const huffman = @import("http2/hpack/huffman.zig");
        pub const table = @import("http2/hpack/table.zig");
    };
    pub const priority = @import("http2/priority.zig");
    pub const request = @import("http2/request.zig");
    pub const response = @import("http2/response.zig");
    pub const scheduler = @import("http2/scheduler.zig");
    pub const stream_map = @import("http2/stream_map.zig");
    pub const streams = @import("http2/streams.zig");
    pub const windows = @import("http2/windows.zig");
};
/// Sockets that a service manager started this process with.
pub const inherited = @import("io/inherited.zig");
/// Values as JSON: what `Response.json` writes with.
pub const json = @import("http/json.zig");
pub const log = @import("core/log.zig");
pub const mime = @import("http/mime.zig");
pub const problem = @import("http/problem.zig");
pub const uri = @import("http/uri.zig");
/// WebSocket without I/O.
pub const websocket = struct {
    pub const client_handshake = @import("websocket/client_handshake.zig");
    pub const connection = @import("websocket/connection.zig");
    pub const errors = @import("websocket/errors.zig");
    pub const extensions = @import("websocket/extensions.zig");
    pub const frame_decoder = @import("websocket/frame_decoder.zig");
    pub const frames = @import("websocket/frames.zig");
    pub const handshake = @import("websocket/handshake.zig");
    pub const mask = @import("websocket/mask.zig");
    pub const permessage_deflate = @import("websocket/permessage_deflate.zig");
    pub const utf8 = @import("websocket/utf8.zig");
};

test {
    _ = @import("core/address.zig");
    _ = @import("core/buddy.zig");
    _ = @import("core/cgroup.zig");
    _ = @import("core/chain.zig");
    _ = @import("core/clock.zig");
    _ = @import("core/cpus.zig");
    _ = @import("core/endpoint.zig");
    _ = @import("core/file_handle.zig");
    _ = @import("core/frozen_allocator.zig");
    _ = @import("core/limits.zig");
    _ = @import("core/list.zig");
    _ = @import("core/log.zig");
    _ = @import("core/memory.zig");
    _ = @import("core/rate.zig");
    _ = @import("core/shares.zig");
    _ = @import("core/slots.zig");
    _ = @import("core/spsc.zig");
    _ = @import("core/system.zig");
    _ = @import("core/wheel.zig");
    _ = @import("core/worker_token.zig");
    _ = @import("io/choose.zig");
    _ = @import("io/epoll.zig");
    _ = @import("io/kqueue.zig");
    _ = @import("io/testing/kevent_test.zig");
    _ = @import("io/backend_storm_test.zig");
    _ = @import("io/backend_test.zig");
    _ = @import("io/ring.zig");
    _ = @import("io/uring.zig");
    _ = @import("io/uring_lack.zig");
    _ = @import("io/uring_test.zig");
    _ = @import("io/health.zig");
    _ = @import("io/hostname.zig");
    _ = @import("io/inherited.zig");
    _ = @import("io/socket.zig");
    _ = @import("io/unix_socket.zig");
    _ = @import("model/litmus_test.zig");
    _ = @import("model/wake_test.zig");
    _ = @import("net/acceptor_test.zig");
    _ = @import("net/address_table.zig");
    _ = @import("net/filtering_test.zig");
    _ = @import("net/listeners.zig");
    _ = @import("net/batch.zig");
    _ = @import("net/port.zig");
    _ = @import("net/relay_test.zig");
    _ = @import("net/worker_test.zig");
    _ = @import("net/write_queue.zig");
    _ = @import("http/accept.zig");
    _ = @import("http/authority.zig");
    _ = @import("http/chars.zig");
    _ = @import("http/content_length.zig");
    _ = @import("http/date.zig");
    _ = @import("http/etag.zig");
    _ = @import("http/field_lines.zig");
    _ = @import("http/fields.zig");
    _ = @import("http/json.zig");
    _ = @import("http/method.zig");
    _ = @import("http/mime.zig");
    _ = @import("http/problem.zig");
    _ = @import("http/push.zig");
    _ = @import("http/range.zig");
    _ = @import("http/request.zig");
    _ = @import("http/response.zig");
    _ = @import("http/status.zig");
    _ = @import("http/trailers.zig");
    _ = @import("http/uri.zig");
    _ = @import("http1/chunked.zig");
    _ = @import("http1/decoder.zig");
    _ = @import("http1/encoder.zig");
    _ = @import("http2/tests.zig");
    _ = @import("router/router.zig");
    _ = @import("handlers/dir_server.zig");
    _ = @import("bridge/tests.zig");
    _ = @import("server/date_clock.zig");
    _ = @import("server/http1/bodies.zig");
    _ = @import("server/pause.zig");
    _ = @import("server/request_body.zig");
    _ = @import("server/write_pace.zig");
    _ = @import("server/config.zig");
    _ = @import("server/admission.zig");
    _ = @import("server/descriptors.zig");
    _ = @import("server/messages_test.zig");
    _ = @import("server/secured.zig");
    _ = @import("server/server.zig");
    _ = @import("server/tls/handshakes.zig");
    _ = @import("server/tls/plain_page.zig");
    _ = @import("server/tls/settings.zig");
    _ = @import("server/loan.zig");
    if (@import("builtin").os.tag == .linux) {
        _ = @import("server/driven_test.zig");
        _ = @import("server/lending_test.zig");
    }
    _ = @import("server/driver_test.zig");
    _ = @import("server/exchange_pool.zig");
    _ = @import("server/half_close_test.zig");
    _ = @import("server/limits_test.zig");
    _ = @import("server/problems_test.zig");
    _ = @import("server/server_test.zig");
    _ = @import("server/timing_test.zig");
    _ = @import("server/websocket/posts.zig");
    _ = @import("server/websocket/shares_test.zig");
    _ = @import("server/websocket/sockets_test.zig");
    _ = @import("server/websocket/topics.zig");
    _ = @import("server/websocket/upgrades.zig");
    _ = @import("sim/run.zig");
    _ = @import("websocket/tests.zig");
}
