//! The executable that writes ts/src/bridge/abi.gen.ts. Its module has all that the ABI is made
//! from.

pub const main = @import("bridge/abi_gen.zig").main;
