//! A simulated client, of either version of HTTP or of WebSocket, as the scheduler sees it.

const std = @import("std");
const Allocator = std.mem.Allocator;
const Network = @import("../io/simulated_network.zig").Network;
const Agreement = @import("../websocket/permessage_deflate.zig").Agreement;
const client_file = @import("client.zig");
const Client = client_file.Client;
const Manner = client_file.Manner;
const Http2Client = @import("http2_client.zig").Http2Client;
const Plan = @import("plan.zig").Plan;
const http2_script = @import("http2_script.zig");
const Stream = @import("http2_stream.zig").Stream;
const Line = @import("line.zig").Line;
const Options = @import("options.zig").Options;
const script_file = @import("script.zig");
const Script = script_file.Script;
const talk_file = @import("talk.zig");
const Talk = talk_file.Talk;
const websocket_client = @import("websocket_client.zig");
const WebSocketClient = websocket_client.WebSocketClient;

pub const Visitor = union(enum) {
    /// All are large: a switch over a value would copy it.
    http1: *Client,
    http2: *Http2Client,
    websocket: *WebSocketClient,

    /// Client number `id`, with memory of `arena`.
    pub fn make(
        arena: Allocator,
        random: std.Random,
        options: *const Options,
        network: *Network,
        id: u32,
    ) !Visitor {
        const speaks_http2 = options.http2_tenths > 0 and
            random.uintLessThan(u8, 10) < options.http2_tenths;
        if (speaks_http2)
            return .{ .http2 = try makeHttp2(arena, random, options, network, id) };
        const has_socket = options.socket_tenths > 0 and
            random.uintLessThan(u8, 10) < options.socket_tenths;
        return if (has_socket)
            .{ .websocket = try makeWebSocket(arena, random, options, network, id) }
        else
            .{ .http1 = try makeHttp1(arena, random, options, network, id) };
    }

    fn makeHttp1(
        arena: Allocator,
        random: std.Random,
        options: *const Options,
        network: *Network,
        id: u32,
    ) !*Client {
        const nature: script_file.Nature = switch (random.uintLessThan(u8, 10)) {
            0, 1 => .malformed,
            2 => .mutated,
            else => .good,
        };
        const script = try script_file.make(arena, random, options, id, nature);
        var manner = Manner.of(random);
        if (random.uintLessThan(u8, 5) == 0) manner.giveUp(random, script.bytes.len);
        if (script.endsInSilence()) manner.facingSilence(random);
        const line = makeLine(random, options, network, false);
        const client = try arena.create(Client);
        client.* = .{
            .id = id,
            .network = network,
            .options = options,
            .manner = manner,
            .script = script,
            .line = line,
            .strict = options.calm and isStrict(nature, manner, script) and !lies(&line),
            .start_at = 0,
            .random = random,
        };
        return client;
    }

    /// Of those that are secured one in sixteen sends a record that is not its turn.
    fn makeLine(
        random: std.Random,
        options: *const Options,
        network: *Network,
        is_http2: bool,
    ) Line {
        var line: Line = .{ .network = network, .random = random };
        if (!options.secured) return line;
        line.wire = .{ .is_http2 = is_http2 };
        if (random.uintLessThan(u8, 16) == 0)
            line.wire.?.lies_at = random.uintLessThan(u32, 20);
        return line;
    }

    fn lies(line: *const Line) bool {
        return if (line.wire) |*wire| wire.lies_at != null else false;
    }

    /// Whether a client can expect all its answers of a server that is well.
    fn isStrict(nature: script_file.Nature, manner: Manner, script: Script) bool {
        if (nature == .mutated or manner.giving_up != .not or manner.creeps) return false;
        if (manner.read_pause_ms == 0) return true;
        // Who reads slowly what is followed by a reset may lose it (RFC 9112 §9.6), and is
        // idle in the server's eyes once the rest is in the kernel's buffers.
        for (script.requests) |request| if (request.expects_continue) return false;
        return nature == .good and !manner.rude and !manner.lockstep;
    }

    fn makeWebSocket(
        arena: Allocator,
        random: std.Random,
        options: *const Options,
        network: *Network,
        id: u32,
    ) !*WebSocketClient {
        var manner = Manner.of(random);
        if (random.uintLessThan(u8, 4) == 0) manner.giveUp(random, 2_000);
        const asking = websocket_client.Asking.of(random);
        const line = makeLine(random, options, network, false);
        const client = try arena.create(WebSocketClient);
        const strict = options.calm and manner.giving_up == .not and !manner.creeps and
            manner.read_pause_ms == 0 and manner.send_pause_ms == 0 and !lies(&line);
        var key: [16]u8 = undefined;
        random.bytes(&key);
        client.* = .{
            .id = id,
            .network = network,
            .options = options,
            .manner = manner,
            .asking = asking,
            .is_hasty = asking == .rightly and random.uintLessThan(u8, 4) == 0,
            .talk = makeTalk(arena, random, options, id << 8, strict),
            .key = undefined,
            .line = line,
            .strict = strict,
            .start_at = 0,
            .random = random,
        };
        // Its bytes are few at a time, and each takes some steps.
        if (manner.send_bytes_max <= 50 or manner.send_pause_ms > 0 or manner.read_pause_ms > 0)
            client.talk.ways.bound(talk_file.Ways.volume_slow);
        _ = std.base64.standard.Encoder.encode(&client.key, &key);
        try client.prepare();
        return client;
    }

    fn makeTalk(
        arena: Allocator,
        random: std.Random,
        options: *const Options,
        who: u32,
        strict: bool,
    ) Talk {
        const most = options.config.websocket_message_bytes_max;
        var ways = talk_file.Ways.of(random, most, options.publishes);
        ways.publication_max = options.publication_bytes_max;
        return .{
            .arena = arena,
            .random = random,
            .who = who,
            .ways = ways,
            .message_bytes_max = most,
            .strict = strict,
            .is_published = options.publishes,
            .offer = offerOf(random, options),
        };
    }

    /// What compression one offers; null: none.
    fn offerOf(random: std.Random, options: *const Options) ?Agreement {
        if (!options.config.websocket_deflate or random.uintLessThan(u8, 4) == 0) return null;
        return .{
            .server_no_context_takeover = random.boolean(),
            .client_no_context_takeover = random.boolean(),
            .server_window_bits = if (random.boolean()) 15 else random.intRangeAtMost(u4, 8, 15),
            .client_window_bits = if (random.boolean()) 15 else random.intRangeAtMost(u4, 8, 15),
        };
    }

    fn makeHttp2(
        arena: Allocator,
        random: std.Random,
        options: *const Options,
        network: *Network,
        id: u32,
    ) !*Http2Client {
        const spoils = random.uintLessThan(u8, 8) == 0;
        const odd = random.uintLessThan(u8, 3) == 0;
        const asks = try http2_script.make(arena, random, options, odd, spoils);
        const room = try arena.alloc(Stream, asks.len * (1 + Plan.pushes_max));
        const streams = room[0..asks.len];
        const ways = http2_script.Ways.of(random, spoils);
        for (streams, asks, 1..) |*stream, *ask, number| {
            stream.* = .{ .ask = ask };
            if (ask.expected != .socket) continue;
            const who = id << 8 | @as(u32, @intCast(number));
            const talk = try arena.create(Talk);
            talk.* = makeTalk(arena, random, options, who, ask.cancels == .not);
            // There are many on a connection.
            const is_slow = asks.len > 10 or ways.stream_target < 3_000;
            talk.ways.bound(if (is_slow) talk_file.Ways.volume_slow else 10_000);
            stream.talk = talk;
            if (talk.offer) |*offer| ask.fields = try withOffer(arena, ask.fields, offer);
        }
        var manner = Manner.of(random);
        if (random.uintLessThan(u8, 5) == 0) manner.giveUp(random, 100 * asks.len);
        // Otherwise it would be there for ever, and nobody to blame.
        for (asks) |*ask| if (ask.isSilent()) switch (manner.giving_up) {
            .stall, .stop_reading => manner.giving_up = .not,
            .not, .reset, .close => {},
        };
        const line = makeLine(random, options, network, true);
        const client = try arena.create(Http2Client);
        client.* = .{
            .arena = arena,
            .id = id,
            .network = network,
            .options = options,
            .manner = manner,
            .ways = ways,
            .streams = streams,
            .line = line,
            .stream_room = room,
            .asked = asks.len,
            .strict = options.calm and !spoils and ways.areOpen() and manner.giving_up == .not and
                !manner.creeps and manner.read_pause_ms == 0 and manner.send_pause_ms == 0 and
                !lies(&line),
            .start_at = 0,
            .random = random,
        };
        try client.prepare();
        return client;
    }

    fn withOffer(
        arena: Allocator,
        fields: []const http2_script.Field,
        offer: *const Agreement,
    ) ![]const http2_script.Field {
        const text = try arena.create([Agreement.text_bytes_max]u8);
        const own: http2_script.Field = .{
            .name = "sec-websocket-extensions",
            .value = offer.write(text),
        };
        return std.mem.concat(arena, http2_script.Field, &.{ fields, &.{own} });
    }

    pub fn setStart(self: *Visitor, at_ms: u64) void {
        switch (self.*) {
            .http1 => |client| client.start_at = at_ms,
            .http2 => |client| client.start_at = at_ms,
            .websocket => |client| client.start_at = at_ms,
        }
    }

    pub fn phase(self: *const Visitor) Client.Phase {
        return switch (self.*) {
            .http1 => |client| client.phase,
            .http2 => |client| client.phase,
            .websocket => |client| client.phase,
        };
    }

    pub fn responses(self: *const Visitor) u32 {
        return switch (self.*) {
            .http1 => |client| client.responses,
            .http2 => |client| client.responses,
            .websocket => |client| client.responses,
        };
    }

    pub fn wakesAt(self: *Visitor) u64 {
        return switch (self.*) {
            .http1 => |client| client.wakesAt(),
            .http2 => |client| client.wakesAt(),
            .websocket => |client| client.wakesAt(),
        };
    }

    pub fn step(self: *Visitor) !void {
        switch (self.*) {
            .http1 => |client| client.step(),
            .http2 => |client| try client.step(),
            .websocket => |client| try client.step(),
        }
    }

    pub fn checkLiveness(self: *Visitor) void {
        switch (self.*) {
            .http1 => |client| client.checkLiveness(),
            .http2 => |client| client.checkLiveness(),
            .websocket => |client| client.checkLiveness(),
        }
    }

    pub fn forgive(self: *Visitor, stall_ms: u64) void {
        switch (self.*) {
            .http1 => |client| client.forgive(stall_ms),
            .http2 => |client| client.forgive(stall_ms),
            .websocket => |client| client.forgive(stall_ms),
        }
    }

    pub fn fail(self: *const Visitor, comptime fmt: []const u8, args: anytype) noreturn {
        switch (self.*) {
            .http1 => |client| client.fail(fmt, args),
            .http2 => |client| client.fail(fmt, args),
            .websocket => |client| client.fail(fmt, args),
        }
    }
};
