/// The versions of TLS that are spoken, the older ones first.
pub const TlsVersion = enum(u8) {
    tls12,
    tls13,

    /// As the standard calls it.
    pub fn name(self: TlsVersion) []const u8 {
        return switch (self) {
            .tls12 => "TLSv1.2",
            .tls13 => "TLSv1.3",
        };
    }
};
