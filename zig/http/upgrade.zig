//! What a handler says that wants a connection to leave HTTP for WebSocket.

/// Whose pages may connect (RFC 6455 §10.2). A client that sends no Origin is no page.
pub const Origins = union(enum) {
    any,
    /// Those of the host that is asked.
    same,
    /// "https://example.com": with a port where it is not the scheme's.
    list: []const []const u8,
};

/// How a request for a WebSocket is answered. Its lists are read when the handler has returned:
/// they are constants, or kept elsewhere than on the stack.
pub const Upgrade = struct {
    /// Subprotocols that are spoken. The first of the client's that is one of them is agreed on.
    protocols: []const []const u8 = &.{},
    /// Pages of others are answered with 403.
    origins: Origins = .same,
    /// Messages may be compressed (`Config.websocket_deflate`). Not where they hold a secret beside
    /// what somebody else has a say in: their lengths tell of it.
    may_compress: bool = true,
    /// What the socket is to be known by: the handler's own, `WebSocket.user`.
    user: u64 = 0,
};
