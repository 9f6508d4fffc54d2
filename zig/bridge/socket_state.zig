//! What the bridge keeps of WebSockets: of each, and of a lane's.

const abi = @import("abi.zig");
const Chain = @import("../core/chain.zig").Chain;
const Id = @import("../core/slots.zig").Id;
const list = @import("../core/list.zig");
const Request = @import("../http/request.zig").Request;
const handshake = @import("../websocket/handshake.zig");
const frames = @import("../websocket/frames.zig");
const permessage_deflate = @import("../websocket/permessage_deflate.zig");
const Manner = @import("../server/websocket/socket.zig").Manner;
const utf8 = @import("../websocket/utf8.zig");
const errors = @import("../websocket/errors.zig");

/// What a request is that asks for a WebSocket: found out when it comes, as its head is gone when
/// JS answers.
pub const Asked = struct {
    /// It asks for one at all.
    asks: bool = false,
    /// It came ahead of the TLS handshake's end.
    is_early: bool = false,
    /// Its page is that of another host: JS may allow that.
    is_foreign: bool = false,
    /// What is wrong with it.
    refusal: ?handshake.Refusal = null,
    /// What was made of its offers of compression.
    deflate: ?permessage_deflate.Agreement = null,

    /// Of a request that asks. `deflate`: what is agreed on with those that offer it.
    pub fn of(req: *const Request, deflate: ?permessage_deflate.Policy) Asked {
        var self: Asked = .{ .asks = true };
        if (req.tls) |security| self.is_early = security.is_early;
        const policy: handshake.Policy = .{ .origins = .any, .deflate = deflate };
        switch (handshake.read(req, .upgrade, &policy)) {
            .refused => |refusal| self.refusal = refusal,
            .offer => |offer| {
                self.deflate = offer.deflate;
                const own = handshake.read(req, .upgrade, &.{ .origins = .same });
                self.is_foreign = own == .refused;
            },
        }
        return self;
    }
};

/// The bridge's part of a socket.
pub const SocketState = struct {
    /// JS has it, or is to be told of it; it is among its lane's.
    is_live: bool = false,
    /// What is still to be told.
    open_owed: bool = false,
    close_owed: bool = false,
    /// It is not read: JS has granted nothing more, or the ring has no room.
    is_held: bool = false,
    lane: u16 = 0,
    /// What it is to be closed with when the turn ends.
    closing: ?errors.Code = null,
    /// The exchange that it was.
    exchange: Id = .none,
    /// Bytes of messages that may be told.
    credit: u32 = 0,
    /// What JS has sent that is not known to have left for the peer, bytes.
    outstanding: u64 = 0,
    /// What has left, and JS was not told, bytes.
    owed: u32 = 0,
    /// The message that JS is sending, of which parts are still to come.
    sending: ?Sending = null,
    link: list.Link(SocketState) = .{},

    pub const Sending = struct {
        manner: Manner,
        total: u32,
        len: u32 = 0,
        text: utf8.Validator = .{},
    };

    fn linkOf(self: *SocketState) *list.Link(SocketState) {
        return &self.link;
    }
};

/// A message that is published in parts.
pub const Publication = struct {
    id: Id,
    manner: Manner,
    topic: [abi.topic_bytes_max]u8,
    topic_len: u8,
    total: u32,
    len: u32 = 0,
    /// One block, which holds all of it. Null: there was no memory, and nobody will have it.
    room: ?[]u8,
};

/// Of a lane.
pub const LaneSockets = struct {
    list: list.List(SocketState, SocketState.linkOf) = .{},
    publication: ?Publication = null,
    /// What holds it.
    block: Chain = .{},
};
