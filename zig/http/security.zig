//! What is known of the TLS connection that a request came over.

const TlsVersion = @import("../core/tls_version.zig").TlsVersion;

/// Its slices live as long as the connection.
pub const Security = struct {
    version: TlsVersion = .tls13,
    /// The suite's name, as IANA has it: "TLS_AES_128_GCM_SHA256".
    cipher: []const u8 = "",
    /// The protocol that was agreed on (ALPN, RFC 7301); empty where the client named none.
    protocol: []const u8 = "",
    /// The name that the client asked for (SNI, RFC 6066 §3), in lower case; empty when it asked
    /// for none that the server has a certificate for.
    server_name: []const u8 = "",
    /// The client's certificate, DER; empty without. Where certificates are requested and not
    /// required it may be anybody's: `is_authorized` tells.
    certificate: []const u8 = "",
    /// The client's certificate leads to one of the authorities.
    is_authorized: bool = false,
    /// The session was begun on an earlier connection.
    is_resumed: bool = false,
    /// The request came ahead of the handshake's end (0-RTT): it may be the copy of an earlier one
    /// that somebody has recorded (RFC 8470 §3). 425 (Too Early) asks for it again.
    is_early: bool = false,
};
