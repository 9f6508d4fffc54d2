//! What a system is told that seals the records of a connection itself (kTLS): the form is Linux's,
//! who fills it in is TLS, who hands it over is I/O.

const std = @import("std");

/// `struct tls12_crypto_info_…` of <linux/tls.h>: suite, key, nonce, number of the next record. Who
/// has it can read what is sent.
pub const Keys = std.BoundedArray(u8, info_bytes_max);

/// For AES-256-GCM and for ChaCha20-Poly1305; less for AES-128-GCM.
pub const info_bytes_max = 56;

/// What is no data, to be sealed in a record of its own.
pub const Message = struct {
    /// ContentType (RFC 8446 §5.1).
    kind: u8,
    bytes: [2]u8,
};
