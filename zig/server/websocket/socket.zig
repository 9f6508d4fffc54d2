//! A WebSocket as programs have it: a name that any thread may keep, and by which the worker that
//! owns the connection is reached. What is said to a connection that has ended is said to nobody.

const std = @import("std");
const limits = @import("../../core/limits.zig");
const Id = @import("../../core/slots.zig").Id;
const errors = @import("../../websocket/errors.zig");
const frames = @import("../../websocket/frames.zig");
const utf8 = @import("../../websocket/utf8.zig");
const Post = @import("posts.zig").Post;
const Posts = @import("posts.zig").Posts;

/// A WebSocket. It may be copied, kept, and used by any thread until the server's `deinit`; from
/// one thread to one socket, things arrive in the order in which they were sent.
pub const Socket = struct {
    id: Id,
    /// What `Response.upgrade` was given.
    user: u64,
    mailbox: *Mailbox,

    pub const Kind = frames.Kind;

    /// A message, whole.
    pub const Message = struct {
        kind: Kind,
        /// Text is UTF-8. Valid until the function returns that was called with it.
        bytes: []const u8,
    };

    /// A part of a message, as it came: the messages of a connection come one behind the other.
    pub const Frame = struct {
        kind: Kind,
        /// Text is UTF-8 when all parts are put together. Valid until the function returns that was
        /// called with it.
        bytes: []const u8,
        /// The message begins with it.
        begins: bool,
        /// The message ends with it.
        ends: bool,
    };

    /// How a connection has ended.
    pub const End = struct {
        /// Of the peer's Close; 1005 where it had none; 1006 where no Close has come; what the peer
        /// was told where this end has given it up.
        code: u16,
        /// Of the peer's Close; UTF-8. Valid until the function returns that was called with it.
        reason: []const u8,
        /// Both ends have said so.
        is_clean: bool,
    };

    /// What became of something that was to be sent.
    pub const Status = enum {
        /// It has left, or leaves with what else this turn brings.
        sent,
        /// It waits for the peer to take what was sent before. `handleWSDrain` tells when it has.
        waits,
        /// It is on its way to the connection's worker, which has the last word.
        posted,
        /// It is not sent, as too much waits: for the peer (`websocket_unsent_bytes_max`), or for
        /// the worker.
        dropped,
        /// It is not sent, as it must not be: text that is not UTF-8, a ping of more than 125
        /// bytes, a code that no Close may have (RFC 6455 §7.4), a topic without a name.
        invalid,
        /// It is not sent: the connection has ended, or is about to.
        closed,
    };

    /// Sends a text, which has to be UTF-8. The bytes are the caller's again when this returns.
    pub fn sendText(self: Socket, text: []const u8) Status {
        return self.send(.text, text);
    }

    pub fn sendBinary(self: Socket, bytes: []const u8) Status {
        return self.send(.binary, bytes);
    }

    /// Sends a message, in several frames where it is long.
    pub fn send(self: Socket, kind: Kind, bytes: []const u8) Status {
        return self.sendAs(.{ .kind = kind }, bytes);
    }

    /// The same, of a message that is not compressed, whatever `websocket_deflate` says: one that
    /// holds a secret, or bytes that are compressed already.
    pub fn sendPlain(self: Socket, kind: Kind, bytes: []const u8) Status {
        return self.sendAs(.{ .kind = kind, .may_compress = false }, bytes);
    }

    fn sendAs(self: Socket, manner: Manner, bytes: []const u8) Status {
        if (manner.kind == .text and !utf8.isValid(bytes)) return .invalid;
        return self.mailbox.say(self.id, .{ .message = manner }, "", bytes);
    }

    /// Asks whether the peer is there, with at most 125 bytes. The engine asks by itself after
    /// `websocket_ping_after_ms` of silence.
    pub fn ping(self: Socket, payload: []const u8) Status {
        if (payload.len > frames.control_bytes_max) return .invalid;
        return self.mailbox.say(self.id, .ping, "", payload);
    }

    /// Closes behind what was sent, with a code (1000, or from 3000 to 4999, mostly) and a reason,
    /// of which 123 bytes at most are sent. The peer has `websocket_close_timeout_ms` to answer.
    pub fn close(self: Socket, code: u16, reason: []const u8) Status {
        const its: errors.Code = @enumFromInt(code);
        if (!its.maySend() or !utf8.isValid(reason)) return .invalid;
        // More than is sent of it: that is cut between two characters when the Close is written.
        const part = reason[0..@min(reason.len, 2 * frames.reason_bytes_max)];
        return self.mailbox.say(self.id, .{ .close = code }, "", part);
    }

    /// Ends the connection without a word.
    pub fn terminate(self: Socket) Status {
        return self.mailbox.say(self.id, .terminate, "", "");
    }

    /// It is sent what is published under this topic from now on: a name of 1 to 128 bytes. Dropped
    /// where there is no room for another subscription (`websocket_subscriptions_max`), or it has
    /// 1024.
    pub fn subscribe(self: Socket, topic: []const u8) Status {
        if (!isTopic(topic)) return .invalid;
        return self.mailbox.say(self.id, .subscribe, topic, "");
    }

    pub fn unsubscribe(self: Socket, topic: []const u8) Status {
        if (!isTopic(topic)) return .invalid;
        return self.mailbox.say(self.id, .unsubscribe, topic, "");
    }

    /// Sends a message to all sockets that have subscribed to the topic, of every worker, but to
    /// this one. Those that do not take what they are sent miss it, which is not told. Dropped: a
    /// worker at least had no room for it.
    pub fn publish(self: Socket, topic: []const u8, kind: Kind, bytes: []const u8) Status {
        return self.mailbox.publish(self.id, topic, .{ .kind = kind }, bytes);
    }

    /// The same, of a message that is compressed for none of them.
    pub fn publishPlain(self: Socket, topic: []const u8, kind: Kind, bytes: []const u8) Status {
        return self.mailbox.publish(
            self.id,
            topic,
            .{ .kind = kind, .may_compress = false },
            bytes,
        );
    }

    /// Whether it is the same connection.
    pub fn eql(self: Socket, other: Socket) bool {
        return self.id == other.id and self.mailbox == other.mailbox;
    }
};

/// What a message is sent as.
pub const Manner = struct {
    kind: Socket.Kind,
    /// Where the connection has compression.
    may_compress: bool = true,
};

/// What is said to a socket, beside its bytes.
pub const Word = union(enum) {
    message: Manner,
    ping,
    pong,
    close: u16,
    terminate,
    subscribe,
    unsubscribe,
    /// To all who have subscribed; the one who is named is left out.
    publish: Manner,
};

fn isTopic(name: []const u8) bool {
    return name.len > 0 and name.len <= limits.websocket_topic_bytes_max;
}

/// What is posted to a worker, on its way.
pub const Lane = struct {
    posts: Posts,
    /// What the worker has taken of them, and not said yet.
    taken: Posts.Iterator = .{},
    /// One of them that is published, and has not reached all of its subscribers.
    publishing: ?Post = null,

    pub fn init(bytes: u32) error{OutOfMemory}!Lane {
        return .{ .posts = try Posts.init(bytes, limits.websocket_posts_kept_bytes) };
    }

    pub fn deinit(self: *Lane) void {
        self.posts.deinit();
        self.* = undefined;
    }

    /// The worker: the next that is to be said, or to be said on. Null: there is none now.
    pub fn next(self: *Lane) ?Post {
        return self.publishing orelse self.taken.next();
    }

    /// The worker, once a turn.
    pub fn refill(self: *Lane) void {
        if (self.publishing == null and self.taken.isEmpty()) self.taken = self.posts.take();
    }

    /// Everything has been said.
    pub fn isEmpty(self: *const Lane) bool {
        return self.publishing == null and self.taken.isEmpty() and self.posts.isEmpty();
    }

    /// The worker can say something.
    fn hasWork(self: *const Lane) bool {
        if (self.publishing != null) return true;
        return if (self.taken.isEmpty()) !self.posts.isEmpty() else self.taken.hasNext();
    }
};

/// How a worker's sockets are reached.
pub const Mailbox = struct {
    /// The worker.
    owner: *anyopaque,
    operations: *const Operations,
    /// What the worker's own thread posts. Whatever others do, it has room and its share of turns.
    own: Lane,
    others: Lane,
    /// How many posts there were in `own`, and how many of them have been said: each is named by
    /// the number of those up to it.
    own_posted: u64 = 0,
    own_said: u64 = 0,
    /// Those of all workers, this one among them.
    peers: []const *Mailbox = &.{},

    pub const Operations = struct {
        /// The worker's own thread, in a function of a socket: says it at once, or posts it where
        /// that has to wait.
        say: *const fn (
            owner: *anyopaque,
            id: Id,
            word: Word,
            topic: []const u8,
            bytes: []const u8,
        ) Socket.Status,
        /// Any thread: wakes the worker.
        wake: *const fn (owner: *anyopaque) void,
    };

    /// The worker whose thread this is, while one of its sockets' functions is called: what is said
    /// to its sockets needs no post then. At other times, in the middle of a request say, no
    /// connection may be written to.
    threadlocal var here: ?*Mailbox = null;

    /// The worker whose thread this is, at all times.
    threadlocal var home: ?*Mailbox = null;

    /// This thread is the worker's.
    pub fn settle(self: *Mailbox) void {
        home = self;
    }

    /// As `settle`, for a word with the worker: this thread goes home to what is returned.
    pub fn visit(self: *Mailbox) ?*Mailbox {
        const before = home;
        home = self;
        return before;
    }

    pub fn goHome(before: ?*Mailbox) void {
        home = before;
    }

    /// From now on this thread is in a function of a socket of this worker's. Returns what `leave`
    /// is to be given.
    pub fn enter(self: *Mailbox) ?*Mailbox {
        const before = here;
        here = self;
        return before;
    }

    /// From now on this thread is in a function that may be called in the middle of a send: what it
    /// says is posted. Returns what `leave` is to be given.
    pub fn away() ?*Mailbox {
        const before = here;
        here = null;
        return before;
    }

    pub fn leave(before: ?*Mailbox) void {
        here = before;
    }

    fn say(
        self: *Mailbox,
        id: Id,
        word: Word,
        topic: []const u8,
        bytes: []const u8,
    ) Socket.Status {
        if (here == self) return self.operations.say(self.owner, id, word, topic, bytes);
        return self.post(id, word, topic, bytes);
    }

    /// Any thread: the worker says it in one of its next turns, behind what this thread has posted
    /// before.
    pub fn post(
        self: *Mailbox,
        id: Id,
        word: Word,
        topic: []const u8,
        bytes: []const u8,
    ) Socket.Status {
        const lane = if (home == self) &self.own else &self.others;
        const its: Post = .{ .id = id, .word = word, .topic = topic, .bytes = bytes };
        if (!lane.posts.add(&its)) return .dropped;
        if (lane == &self.own) self.own_posted += 1;
        self.operations.wake(self.owner);
        return .posted;
    }

    /// The worker: whether the post of its own with this number, or one before it, is still to be
    /// said. 0: none.
    pub fn isBehind(self: *const Mailbox, number: u64) bool {
        return number > self.own_said;
    }

    /// Whether the worker can say something that was posted.
    pub fn hasWork(self: *const Mailbox) bool {
        return self.own.hasWork() or self.others.hasWork();
    }

    /// Memory that is set aside, bytes.
    pub fn reservedBytes(self: *const Mailbox) u64 {
        return self.own.posts.bytes.len + self.others.posts.bytes.len;
    }

    /// Any thread: sends a message to all who have subscribed to the topic, but to `except`, which
    /// is a socket of this worker. Dropped: to those of one worker at least.
    pub fn publish(
        self: *Mailbox,
        except: Id,
        topic: []const u8,
        manner: Manner,
        bytes: []const u8,
    ) Socket.Status {
        if (!isTopic(topic)) return .invalid;
        if (manner.kind == .text and !utf8.isValid(bytes)) return .invalid;
        var status: Socket.Status = .sent;
        for (self.peers) |peer| {
            const id = if (peer == self) except else Id.none;
            switch (peer.say(id, .{ .publish = manner }, topic, bytes)) {
                .dropped => status = .dropped,
                .posted => if (status == .sent) {
                    status = .posted;
                },
                else => {},
            }
        }
        return status;
    }
};
