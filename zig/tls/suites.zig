//! Which ciphers and groups a server has, and who computes them: picotls's fused AES-GCM where the
//! processor can, libcrypto for the rest.

const std = @import("std");
const builtin = @import("builtin");
const picotls = @import("picotls.zig");

pub const Suite = picotls.CipherSuite;

/// What AES-GCM is computed with. It is found when the process starts, by asking the processor.
pub const Fused = enum {
    none,
    /// AES-NI and PCLMULQDQ, under AVX2's encoding. picotls has code for VAES too, whose tags are
    /// not libcrypto's for many lengths: `record_test.zig` would hold it to that.
    avx2,
};

/// The groups for key exchange, those that are preferred first. The client's order decides among
/// those for which it has sent a share.
pub const groups = [_]?*const picotls.KeyExchange{
    &picotls.ptls_openssl_x25519mlkem768,
    &picotls.ptls_openssl_x25519,
    &picotls.ptls_openssl_secp256r1,
    &picotls.ptls_openssl_secp384r1,
    null,
};

const Table = struct {
    fused: Fused,
    suites: [3]Suite,
    list: [4]?*const Suite,
};

var table: Table = undefined;
var table_is_made = std.once(make);

fn make() void {
    const fused = probe();
    const aes128, const aes256 = aeadsOf(fused);
    table = .{
        .fused = fused,
        .suites = .{
            .{
                .id = 0x1301,
                .aead = aes128,
                .hash = &picotls.ptls_openssl_sha256,
                .name = "TLS_AES_128_GCM_SHA256",
            },
            .{
                .id = 0x1302,
                .aead = aes256,
                .hash = &picotls.ptls_openssl_sha384,
                .name = "TLS_AES_256_GCM_SHA384",
            },
            .{
                .id = 0x1303,
                .aead = &picotls.ptls_openssl_chacha20poly1305,
                .hash = &picotls.ptls_openssl_sha256,
                .name = "TLS_CHACHA20_POLY1305_SHA256",
            },
        },
        .list = undefined,
    };
    // A client that puts ChaCha20 first has no AES in its processor, and gets it (the context's
    // server_cipher_chacha_priority).
    table.list = .{ &table.suites[0], &table.suites[1], &table.suites[2], null };
}

fn aeadsOf(fused: Fused) [2]*const picotls.AeadAlgorithm {
    if (builtin.cpu.arch == .x86_64 and fused != .none) {
        picotls.ptls_fusion_can_aesni256 = 0;
        return .{ &picotls.ptls_non_temporal_aes128gcm, &picotls.ptls_non_temporal_aes256gcm };
    }
    return .{ &picotls.ptls_openssl_aes128gcm, &picotls.ptls_openssl_aes256gcm };
}

/// The cipher suites, those that the server prefers first; ends with null. Lives as long as the
/// process.
pub fn all() [*]const ?*const Suite {
    table_is_made.call();
    return &table.list;
}

/// One of `all()` by its number.
pub fn find(id: u16) ?*const Suite {
    table_is_made.call();
    for (&table.suites) |*suite| if (suite.id == id) return suite;
    return null;
}

/// Those of TLS 1.2, which libssl computes: of them number and name are told.
const old = [_]Suite{
    ofOld(0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"),
    ofOld(0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
    ofOld(0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"),
    ofOld(0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"),
    ofOld(0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"),
    ofOld(0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"),
};

fn ofOld(id: u16, name: [*:0]const u8) Suite {
    const is_longer = id == 0xc02c or id == 0xc030;
    return .{
        .id = id,
        .aead = switch (id) {
            0xcca8, 0xcca9 => &picotls.ptls_openssl_chacha20poly1305,
            0xc02c, 0xc030 => &picotls.ptls_openssl_aes256gcm,
            else => &picotls.ptls_openssl_aes128gcm,
        },
        .hash = if (is_longer) &picotls.ptls_openssl_sha384 else &picotls.ptls_openssl_sha256,
        .name = name,
    };
}

/// A suite of TLS 1.2 by its number.
pub fn findOld(id: u16) ?*const Suite {
    for (&old) |*suite| if (suite.id == id) return suite;
    return null;
}

/// What opens records of a suite. The fused code reads what it has already written over when a
/// record is opened where it lies.
pub fn opening(suite: *const Suite) *const picotls.AeadAlgorithm {
    return switch (suite.id) {
        0x1301 => &picotls.ptls_openssl_aes128gcm,
        0x1302 => &picotls.ptls_openssl_aes256gcm,
        else => suite.aead,
    };
}

pub fn fusedHere() Fused {
    table_is_made.call();
    return table.fused;
}

fn probe() Fused {
    if (builtin.cpu.arch != .x86_64) return .none;
    if (cpuid(0, 0).eax < 7) return .none;
    const one = cpuid(1, 0);
    const has_aes = has(one.ecx, 25) and has(one.ecx, 1);
    const has_avx = has(one.ecx, 27) and has(one.ecx, 28) and isAvxSaved();
    const seven = cpuid(7, 0);
    if (!has_aes or !has_avx or !has(seven.ebx, 5)) return .none;
    return .avx2;
}

fn has(register: u32, bit: u5) bool {
    return register & (@as(u32, 1) << bit) != 0;
}

const Cpuid = struct { eax: u32, ebx: u32, ecx: u32, edx: u32 };

fn cpuid(leaf: u32, subleaf: u32) Cpuid {
    var eax: u32 = undefined;
    var ebx: u32 = undefined;
    var ecx: u32 = undefined;
    var edx: u32 = undefined;
    asm volatile ("cpuid"
        : [_] "={eax}" (eax),
          [_] "={ebx}" (ebx),
          [_] "={ecx}" (ecx),
          [_] "={edx}" (edx),
        : [_] "{eax}" (leaf),
          [_] "{ecx}" (subleaf),
    );
    return .{ .eax = eax, .ebx = ebx, .ecx = ecx, .edx = edx };
}

/// Whether the system keeps the registers of AVX when it switches threads (XCR0).
fn isAvxSaved() bool {
    const low = asm volatile ("xgetbv"
        : [_] "={eax}" (-> u32),
        : [_] "{ecx}" (@as(u32, 0)),
        : "edx"
    );
    return low & 6 == 6;
}
