//! What one simulated run is like, all of it decided by the seed: the server's limits, the faults
//! of the network, and what else goes wrong.

const std = @import("std");
const limits = @import("../core/limits.zig");
const Config = @import("../server/config.zig").Config;
const Faults = @import("../io/simulated_network.zig").Faults;
const Set = @import("veil.zig").Set;

pub const Options = struct {
    seed: u64,
    /// Handlers in JavaScript, played by a stub; else a handler in Zig.
    bridge: bool,
    /// Nothing happens that may cost a well-behaved client its answer: it has to get all of them.
    calm: bool,
    config: Config,
    faults: Faults,
    clients: u32,
    /// Clients that are there at a time, about.
    crowd: u32,
    js_threads: u32,
    js_dies: bool,
    /// Virtual ms after the start at which the server is told to stop; null: after the last client.
    drain_after_ms: ?u64,
    drain_grace_ms: u64,
    /// Another server takes the place of this one when it stops.
    hand_over_ms: u32,
    /// All stands still for seconds now and then, as when a machine is suspended.
    stalls: bool,
    wall_jumps: bool,
    /// So many of ten clients speak HTTP/2.
    http2_tenths: u8 = 0,
    /// So many of ten have a connection of HTTP/1 become a WebSocket, or some of their streams.
    socket_tenths: u8 = 0,
    /// Some publish to all of them.
    publishes: bool = false,
    /// What is published has so many bytes at most.
    publication_bytes_max: u32 = 300,
    /// JavaScript is told of pings and pongs.
    tells_controls: bool = false,
    /// Connections are secured, by what stands in TLS's place, with handshakes such as these.
    secured: bool = false,
    handshakes: Set = .{},

    pub fn of(seed: u64) Options {
        var prng = std.Random.DefaultPrng.init(seed *% 0x9e37_79b9_7f4a_7c15 +% 1);
        const random = prng.random();
        const calm = random.uintLessThan(u8, 3) == 0;
        var self: Options = .{
            .seed = seed,
            .bridge = random.boolean(),
            .calm = calm,
            .config = configOf(random, calm),
            .faults = faultsOf(random, calm),
            .clients = random.intRangeAtMost(u32, 20, 120),
            .crowd = random.intRangeAtMost(u32, 1, 24),
            .js_threads = random.intRangeAtMost(u32, 1, 2),
            .js_dies = false,
            .drain_after_ms = null,
            .drain_grace_ms = random.intRangeAtMost(u64, 1, 5_000),
            .hand_over_ms = if (random.boolean()) random.intRangeAtMost(u32, 1, 500) else 0,
            .stalls = false,
            .wall_jumps = random.boolean(),
        };
        if (random.uintLessThan(u8, 3) != 0) {
            self.http2_tenths = random.intRangeAtMost(u8, 1, 10);
            if (random.boolean()) self.config.http2_streams_max = random.intRangeAtMost(u32, 1, 20);
            if (random.boolean()) self.config.http2_pushes_max = random.intRangeAtMost(u16, 1, 20);
        }
        self.secure();
        self.openSockets();
        self.publishLong();
        self.compress();
        self.dropLittle();
        if (calm) return self;
        self.js_dies = random.uintLessThan(u8, 3) == 0;
        self.stalls = random.uintLessThan(u8, 4) == 0;
        if (random.uintLessThan(u8, 3) == 0) {
            self.drain_after_ms = random.intRangeAtMost(u64, 1, 20_000);
        }
        return self;
    }

    /// One seed in four. What else is decided is as it would be without.
    fn secure(self: *Options) void {
        self.secured = self.seed % 4 == 3;
        if (!self.secured) return;
        var prng = std.Random.DefaultPrng.init(self.seed);
        const random = prng.random();
        if (random.boolean()) self.handshakes.welcome_bytes_max = 6_000;
        if (random.boolean())
            self.handshakes.cost_us_max = random.uintAtMost(u32, 2 * limits.filter_turn_us);
        if (self.calm) return;
        self.handshakes.no_memory = random.uintLessThan(u16, 100);
        if (random.boolean())
            self.config.tls_handshakes_max = random.intRangeAtMost(u32, 1, 16);
    }

    /// Two seeds in three, and as in `secure`.
    fn openSockets(self: *Options) void {
        var prng = std.Random.DefaultPrng.init(self.seed +% 0x5bd1_e995);
        const random = prng.random();
        const config = &self.config;
        config.websocket_subscriptions_max = 4096;
        if (random.uintLessThan(u8, 3) == 0) return;
        self.socket_tenths = random.intRangeAtMost(u8, 1, 10);
        self.publishes = random.boolean();
        self.tells_controls = random.boolean();
        config.websocket_message_bytes_max = random.intRangeAtMost(u32, 200, 30_000);
        if (random.boolean())
            config.websocket_frame_bytes_max = random.intRangeAtMost(u32, 60, 3_000);
        config.websocket_idle_timeout_ms = random.intRangeAtMost(u32, 6_000, 15_000);
        config.websocket_ping_after_ms = random.uintAtMost(u32, 5_000);
        config.websocket_close_timeout_ms = random.intRangeAtMost(u32, 1_000, 4_000);
        if (self.calm) return;
        if (random.boolean())
            config.websocket_unsent_bytes_max = random.intRangeAtMost(u32, 100, 60_000);
        if (random.boolean()) config.websocket_overflow = .close;
        if (random.boolean()) config.websocket_subscriptions_max = random.uintAtMost(u32, 20);
    }

    /// In half of the seeds that are not calm little is read behind a connection's end, or nothing;
    /// and as in `secure`.
    fn dropLittle(self: *Options) void {
        var prng = std.Random.DefaultPrng.init(self.seed +% 0x1f83_d9ab);
        const random = prng.random();
        if (self.calm or random.boolean()) return;
        self.config.drop_bytes_max = random.uintAtMost(u32, 5_000);
    }

    /// In one seed of three messages are published that take several frames and records: all get
    /// them, so that longer ones would be most of a run. As in `secure`.
    fn publishLong(self: *Options) void {
        if (self.seed % 3 == 2) self.publication_bytes_max = 3_000;
    }

    /// One seed in two compresses messages of those who offer it, by what stands in DEFLATE's
    /// place; and as in `secure`.
    fn compress(self: *Options) void {
        var prng = std.Random.DefaultPrng.init(self.seed +% 0x3c6e_f372);
        const random = prng.random();
        if (random.boolean()) return;
        const config = &self.config;
        config.websocket_deflate = true;
        config.websocket_deflate_bytes_min = random.uintAtMost(u32, 200);
        config.websocket_deflate_server_context_takeover = random.boolean();
        config.websocket_deflate_client_context_takeover = random.boolean();
        config.websocket_deflate_server_window_bits = random.intRangeAtMost(u8, 8, 15);
        config.websocket_deflate_client_window_bits = random.intRangeAtMost(u8, 8, 15);
        // Of their own a few have what compresses.
        config.websocket_deflate_memory_bytes = limits.websocket_deflate_memory_bytes_min;
    }

    fn configOf(random: std.Random, calm: bool) Config {
        const scarce = !calm and random.boolean();
        const deep = random.boolean();
        var config: Config = .{
            .workers = random.intRangeAtMost(u32, 1, 2),
            .connections_max = if (scarce) random.intRangeAtMost(u32, 2, 12) else 64,
            .receive_buffer_bytes = if (random.boolean()) 4096 else 65536,
            .buffer_memory_bytes = @as(u64, if (scarce) 1 else 32) << 20,
            .output_high_water_bytes = if (random.boolean()) 16 * 1024 else 256 * 1024,
            .pipeline_depth_max = if (deep) 64 else random.intRangeAtMost(u16, 1, 6),
            .turn_bytes_max = if (random.boolean())
                random.intRangeAtMost(u32, 4096, 20_000)
            else
                512 * 1024,
            .turn_requests_max = if (random.boolean())
                random.intRangeAtMost(u16, 1, 4)
            else
                64,
            .exchanges_spare = if (scarce and random.boolean())
                random.uintAtMost(u32, 8)
            else
                1024,
            .header_timeout_ms = random.intRangeAtMost(u32, 2_000, 4_000),
            .body_timeout_ms = random.intRangeAtMost(u32, 2_000, 4_000),
            .idle_timeout_ms = random.intRangeAtMost(u32, 500, 4_000),
            .write_timeout_ms = random.intRangeAtMost(u32, 2_000, 4_000),
            .half_close_timeout_ms = random.intRangeAtMost(u32, 500, 4_000),
            .target_bytes_max = 600,
            .head_bytes_max = if (random.boolean()) 2048 else 16 * 1024,
            .header_count_max = 24,
            .body_bytes_max = 1 << 20,
            .body_buffered_bytes_max = 512 * 1024,
            .body_rate_min = if (random.uintLessThan(u8, 4) == 0) 0 else 240,
            .write_rate_min = if (random.uintLessThan(u8, 4) == 0) 0 else 240,
            .rate_grace_ms = random.intRangeAtMost(u32, 1_000, 5_000),
        };
        if (random.boolean()) {
            config.connection_memory_bytes_max =
                config.body_buffered_bytes_max + config.output_high_water_bytes + (2 << 20);
        }
        return config;
    }

    fn faultsOf(random: std.Random, calm: bool) Faults {
        const harsh = random.uintLessThan(u8, 4) != 0;
        const small: u32 = if (random.uintLessThan(u8, 3) == 0) 16 else 3000;
        var faults: Faults = .{
            // Few bytes at a time and far away would be too slow for every timeout.
            .delay_ms_max = if (random.boolean())
                random.uintAtMost(u32, if (small == 16) 3 else 60)
            else
                0,
            .buffer_bytes_min = small,
            .buffer_bytes_max = random.intRangeAtMost(u32, small, 40_000),
            .events_max = if (random.boolean()) random.intRangeAtMost(u32, 1, 8) else 256,
            .reset_discards = random.boolean(),
        };
        if (harsh) {
            faults.short_recv = random.uintLessThan(u16, 600);
            faults.short_send = random.uintLessThan(u16, 600);
            faults.refused_send = random.uintLessThan(u16, 200);
            faults.spurious_event = random.uintLessThan(u16, 100);
            faults.held_event = random.uintLessThan(u16, 300);
            faults.late_event = random.uintLessThan(u16, 300);
            faults.slow_close = random.uintLessThan(u16, 500);
            faults.late_recv = random.uintAtMost(u16, 2) * 500;
            // A readiness backend takes none, one of completions all.
            faults.takes_output = random.uintAtMost(u16, 2) * 500;
            faults.accept_interrupted = random.uintLessThan(u16, 300);
        }
        if (calm) return faults;
        faults.accept_aborted = random.uintLessThan(u16, 60);
        faults.accept_exhausted = random.uintLessThan(u16, 100);
        faults.listener_breaks = random.uintLessThan(u16, 20);
        faults.open_refused = random.uintLessThan(u16, 30);
        faults.backlog_max = random.intRangeAtMost(u32, 1, 64);
        if (random.boolean()) faults.descriptors_max = random.intRangeAtMost(u32, 3, 16);
        return faults;
    }
};

test "every seed gives a configuration that the server takes" {
    for (0..500) |seed| {
        const options = Options.of(seed);
        try std.testing.expectEqual(null, options.config.validate());
    }
}
