//! What picotls.zig says of memory is what C says of it.

const std = @import("std");
const testing = std.testing;
const picotls = @import("../picotls.zig");

const Layout = extern struct { type: ?[*:0]const u8, field: [*:0]const u8, value: usize };

extern const gyrfalcon_tls_layout: [256]Layout;
extern fn gyrfalcon_tls_flags(which: c_uint) c_uint;

const Ours = struct { []const u8, []const u8, usize };

fn size(comptime name: []const u8, comptime T: type) Ours {
    return .{ name, "", @sizeOf(T) };
}

fn field(
    comptime name: []const u8,
    comptime T: type,
    comptime theirs: []const u8,
    comptime ours: []const u8,
) Ours {
    return .{ name, theirs, @offsetOf(T, ours) };
}

const layouts = [_]Ours{
    size("ptls_iovec_t", picotls.Iovec),
    size("ptls_buffer_t", picotls.Buffer),
    field("ptls_buffer_t", picotls.Buffer, "is_allocated", "is_allocated"),
    size("ptls_aead_context_t", picotls.Aead),
    field("ptls_aead_context_t", picotls.Aead, "do_encrypt_v", "do_encrypt_v"),
    field("ptls_aead_context_t", picotls.Aead, "do_decrypt", "do_decrypt"),
    size("ptls_aead_algorithm_t", picotls.AeadAlgorithm),
    field("ptls_aead_algorithm_t", picotls.AeadAlgorithm, "tag_size", "tag_size"),
    field("ptls_aead_algorithm_t", picotls.AeadAlgorithm, "context_size", "context_size"),
    size("ptls_hash_algorithm_t", picotls.HashAlgorithm),
    field("ptls_hash_algorithm_t", picotls.HashAlgorithm, "digest_size", "digest_size"),
    size("ptls_cipher_suite_t", picotls.CipherSuite),
    field("ptls_cipher_suite_t", picotls.CipherSuite, "hash", "hash"),
    size("ptls_key_exchange_algorithm_t", picotls.KeyExchange),
    field("ptls_key_exchange_algorithm_t", picotls.KeyExchange, "name", "name"),
    size("ptls_message_emitter_t", picotls.MessageEmitter),
    field("ptls_message_emitter_t", picotls.MessageEmitter, "commit_message", "commit_message"),
    size("ptls_client_hello_psk_identity_t", picotls.PskIdentity),
    size("ptls_on_client_hello_parameters_t", picotls.ClientHello),
    helloField("raw_message"),
    helloField("negotiated_protocols"),
    helloField("signature_algorithms"),
    size("ptls_context_t", picotls.Context),
    contextField("certificates"),
    contextField("on_client_hello"),
    contextField("ticket_lifetime"),
    contextField("max_buffer_size"),
    contextField("encrypt_ticket"),
    contextField("update_traffic_key"),
    contextField("on_extension"),
    contextField("tls12_cipher_suites"),
    contextField("client_ca_names"),
    size("ptls_handshake_properties_t", picotls.ClientProperties),
    propertiesField("client.session_ticket", "session_ticket"),
    propertiesField("client.early_data_acceptance", "early_data_acceptance"),
    propertiesField("additional_extensions", "additional_extensions"),
    size("ptls_openssl_signature_scheme_t", picotls.SignatureScheme),
    size("ptls_openssl_sign_certificate_t", picotls.Signer),
    field("ptls_openssl_sign_certificate_t", picotls.Signer, "schemes", "schemes"),
    size("ptls_openssl_verify_certificate_t", picotls.Verifier),
    field(
        "ptls_openssl_verify_certificate_t",
        picotls.Verifier,
        "override_callback",
        "override_callback",
    ),
};

fn contextField(comptime name: []const u8) Ours {
    return field("ptls_context_t", picotls.Context, name, name);
}

fn helloField(comptime name: []const u8) Ours {
    return field("ptls_on_client_hello_parameters_t", picotls.ClientHello, name, name);
}

fn propertiesField(comptime theirs: []const u8, comptime ours: []const u8) Ours {
    return field("ptls_handshake_properties_t", picotls.ClientProperties, theirs, ours);
}

test "the structs of picotls lie in memory as they are declared" {
    var count: usize = 0;
    while (gyrfalcon_tls_layout[count].type) |name| : (count += 1) {
        const theirs = &gyrfalcon_tls_layout[count];
        try testing.expect(count < layouts.len);
        errdefer std.debug.print("{s}.{s}\n", .{ name, theirs.field });
        try testing.expectEqualStrings(layouts[count][0], std.mem.span(name));
        try testing.expectEqualStrings(layouts[count][1], std.mem.span(theirs.field));
        try testing.expectEqual(theirs.value, layouts[count][2]);
    }
    try testing.expectEqual(layouts.len, count);
    for ([_]picotls.Flags{
        .{ .require_dhe_on_psk = true },
        .{ .require_client_authentication = true },
        .{ .server_cipher_preference = true },
        .{ .server_cipher_chacha_priority = true },
    }, 0..) |flags, which| {
        const ours: c_uint = @bitCast(flags);
        try testing.expectEqual(gyrfalcon_tls_flags(@intCast(which)), ours);
    }
}
