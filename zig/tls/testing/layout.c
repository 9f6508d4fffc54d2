/* How the structs of picotls lie in memory, for testing/layout.zig. */
#include <stddef.h>
#include <stdint.h>
#include "picotls.h"
#include "picotls/openssl.h"

#define SIZE(type) {#type, "", sizeof(type)}
#define FIELD(type, field) {#type, #field, offsetof(type, field)}

struct layout {
    const char *type;
    const char *field;
    size_t value;
};

const struct layout gyrfalcon_tls_layout[] = {
    SIZE(ptls_iovec_t),
    SIZE(ptls_buffer_t),
    FIELD(ptls_buffer_t, is_allocated),
    SIZE(ptls_aead_context_t),
    FIELD(ptls_aead_context_t, do_encrypt_v),
    FIELD(ptls_aead_context_t, do_decrypt),
    SIZE(ptls_aead_algorithm_t),
    FIELD(ptls_aead_algorithm_t, tag_size),
    FIELD(ptls_aead_algorithm_t, context_size),
    SIZE(ptls_hash_algorithm_t),
    FIELD(ptls_hash_algorithm_t, digest_size),
    SIZE(ptls_cipher_suite_t),
    FIELD(ptls_cipher_suite_t, hash),
    SIZE(ptls_key_exchange_algorithm_t),
    FIELD(ptls_key_exchange_algorithm_t, name),
    SIZE(ptls_message_emitter_t),
    FIELD(ptls_message_emitter_t, commit_message),
    SIZE(ptls_client_hello_psk_identity_t),
    SIZE(ptls_on_client_hello_parameters_t),
    FIELD(ptls_on_client_hello_parameters_t, raw_message),
    FIELD(ptls_on_client_hello_parameters_t, negotiated_protocols),
    FIELD(ptls_on_client_hello_parameters_t, signature_algorithms),
    SIZE(ptls_context_t),
    FIELD(ptls_context_t, certificates),
    FIELD(ptls_context_t, on_client_hello),
    FIELD(ptls_context_t, ticket_lifetime),
    FIELD(ptls_context_t, max_buffer_size),
    FIELD(ptls_context_t, encrypt_ticket),
    FIELD(ptls_context_t, update_traffic_key),
    FIELD(ptls_context_t, on_extension),
    FIELD(ptls_context_t, tls12_cipher_suites),
    FIELD(ptls_context_t, client_ca_names),
    SIZE(ptls_handshake_properties_t),
    FIELD(ptls_handshake_properties_t, client.session_ticket),
    FIELD(ptls_handshake_properties_t, client.early_data_acceptance),
    FIELD(ptls_handshake_properties_t, additional_extensions),
    SIZE(ptls_openssl_signature_scheme_t),
    SIZE(ptls_openssl_sign_certificate_t),
    FIELD(ptls_openssl_sign_certificate_t, schemes),
    SIZE(ptls_openssl_verify_certificate_t),
    FIELD(ptls_openssl_verify_certificate_t, override_callback),
    {NULL, NULL, 0},
};

/* The bits of ptls_context_t's flags, in one number: bits have no offsets. */
unsigned gyrfalcon_tls_flags(unsigned which)
{
    ptls_context_t ctx = {0};
    size_t at = offsetof(ptls_context_t, hkdf_label_prefix__obsolete) + sizeof(void *);
    unsigned bits;
    switch (which) {
    case 0:
        ctx.require_dhe_on_psk = 1;
        break;
    case 1:
        ctx.require_client_authentication = 1;
        break;
    case 2:
        ctx.server_cipher_preference = 1;
        break;
    default:
        ctx.server_cipher_chacha_priority = 1;
        break;
    }
    memcpy(&bits, (const char *)&ctx + at, sizeof(bits));
    return bits;
}
