//! The compiled form of a pattern table and its construction. `router.zig` reads it.
//!
//! The patterns form a trie of segments in flat arrays. Literal children are found in one hash
//! table keyed by (parent, segment); patterns without parameters are, besides, in a table keyed by
//! the whole path. Construction writes into arrays of a size known beforehand, so that it runs at
//! comptime too.

const std = @import("std");
const Method = @import("../http/method.zig").Method;
const method_set = @import("method_set.zig");
const MethodSet = method_set.MethodSet;
const pattern_syntax = @import("pattern.zig");

/// Index that stands for "no such thing".
pub const none = std.math.maxInt(u32);

pub const root = 0;

/// One row of the pattern table.
pub const Entry = struct {
    pattern: []const u8,
    /// null: every method, those without a name of their own included.
    method: ?Method,
    /// The caller's number for what to run; several entries may share one.
    target: u32,
};

pub const Error = pattern_syntax.Error || error{
    /// Two entries of one shape ("/a/:x" and "/a/:y" are one) and one method.
    RouteDuplicate,
    /// `Method.other` as an entry's method: such methods are matched by entries for every method
    /// only.
    MethodUnsupported,
};

/// Which entry an error of construction is about.
pub const Defect = struct {
    entry: usize = 0,
    /// With `RouteDuplicate`: the earlier entry.
    other: ?usize = null,
};

pub const Node = struct {
    parent: u32 = none,
    /// The segment's text for a literal node, in `Tables.text`.
    label_off: u32 = 0,
    label_len: u16 = 0,
    kind: enum(u8) { root, literal, param } = .root,
    /// Child node for a parameter segment, or `none`.
    param: u32 = none,
    /// Leaf for paths that end here, or `none`.
    leaf: u32 = none,
    /// Leaf of this node's wildcard child, or `none`.
    wildcard: u32 = none,
};

/// What is registered for one pattern shape.
pub const Leaf = struct {
    methods: MethodSet = .empty,
    /// An entry without a method is there.
    any: bool = false,
    /// By method number; the last is for `any`.
    targets: [any_slot + 1]u32 = @splat(none),

    const any_slot = method_set.method_count;

    /// Target for `method`: its own, else GET's for HEAD, else that for every method.
    pub fn find(self: *const Leaf, method: Method) ?u32 {
        if (self.methods.contains(method)) return self.targets[@intFromEnum(method)];
        if (method == .HEAD and self.methods.contains(.GET)) {
            return self.targets[@intFromEnum(Method.GET)];
        }
        return if (self.any) self.targets[any_slot] else null;
    }

    /// The methods that `find` knows.
    pub fn allowed(self: *const Leaf) MethodSet {
        var set = self.methods;
        if (set.contains(.GET)) set.insert(.HEAD);
        return set;
    }
};

/// Slot of the table of literal children.
pub const Edge = struct { tag: u32 = 0, node: u32 = none };

/// Slot of the table of patterns without parameters.
pub const Static = struct { tag: u32 = 0, leaf: u32 = none, text_off: u32 = 0, text_len: u32 = 0 };

/// The compiled arrays. Not changed after `build`; read by any number of threads.
pub const Tables = struct {
    nodes: []const Node,
    leaves: []const Leaf,
    edges: []const Edge,
    statics: []const Static,
    text: []const u8,

    pub fn label(self: *const Tables, node: *const Node) []const u8 {
        return self.text[node.label_off..][0..node.label_len];
    }

    /// Literal child of `parent` for `segment`, or null.
    pub fn child(self: *const Tables, parent: u32, segment: []const u8) ?u32 {
        const key = edgeKey(parent, segment);
        const mask = self.edges.len - 1;
        var at: usize = @intCast(key & mask);
        while (self.edges[at].node != none) : (at = (at + 1) & mask) {
            const edge = self.edges[at];
            if (edge.tag != key >> 32) continue;
            const node = &self.nodes[edge.node];
            if (node.parent != parent) continue;
            if (std.mem.eql(u8, self.label(node), segment)) return edge.node;
        }
        return null;
    }

    /// Leaf of the pattern without parameters that is `path`, or null.
    pub fn static(self: *const Tables, path: []const u8) ?u32 {
        const key = hash(path);
        const mask = self.statics.len - 1;
        var at: usize = @intCast(key & mask);
        while (self.statics[at].leaf != none) : (at = (at + 1) & mask) {
            const slot = self.statics[at];
            if (slot.tag != key >> 32) continue;
            const text = self.text[slot.text_off..][0..slot.text_len];
            if (std.mem.eql(u8, text, path)) return slot.leaf;
        }
        return null;
    }
};

/// Paths and segments are short. Patterns are the author's own, so that nobody can choose them to
/// fall together; what a client asks for is compared with what is there.
fn hash(bytes: []const u8) u64 {
    var mixed: u64 = bytes.len;
    var rest = bytes;
    while (rest.len > 8) : (rest = rest[8..]) mixed = mix(mixed ^ wordAt(rest, 0));
    const last = if (bytes.len >= 8)
        wordAt(bytes, bytes.len - 8)
    else if (bytes.len >= 4)
        @as(u64, std.mem.readInt(u32, bytes[0..4], .little)) << 32 |
            std.mem.readInt(u32, bytes[bytes.len - 4 ..][0..4], .little)
    else if (bytes.len > 0)
        @as(u64, bytes[0]) << 16 | @as(u64, bytes[bytes.len / 2]) << 8 | bytes[bytes.len - 1]
    else
        0;
    return mix(mixed ^ last);
}

inline fn wordAt(bytes: []const u8, at: usize) u64 {
    return std.mem.readInt(u64, bytes[at..][0..8], .little);
}

inline fn mix(word: u64) u64 {
    const product = std.math.mulWide(u64, word ^ 0x2127_599b_f432_5c37, 0x9e37_79b9_7f4a_7c15);
    return @as(u64, @truncate(product)) ^ @as(u64, @truncate(product >> 64));
}

fn edgeKey(parent: u32, segment: []const u8) u64 {
    return hash(segment) ^ (@as(u64, parent) *% 0x9e37_79b9_7f4a_7c15);
}

/// How long the arrays for a table of entries have to be.
pub const Sizes = struct {
    nodes: usize,
    leaves: usize,
    /// A power of two, twice the nodes at least, so that probing ends.
    edges: usize,
    statics: usize,
    text: usize,

    pub fn of(entries: []const Entry) Sizes {
        var slashes: usize = 0;
        var text: usize = 0;
        for (entries) |entry| {
            slashes += std.mem.count(u8, entry.pattern, "/");
            text += entry.pattern.len;
        }
        return .{
            .nodes = slashes + 1,
            .leaves = entries.len,
            .edges = hashTableSize(slashes + 1),
            .statics = hashTableSize(entries.len),
            .text = text,
        };
    }

    fn hashTableSize(count: usize) usize {
        const used: usize = @max(count, 1);
        return std.math.ceilPowerOfTwoAssert(usize, used * 2);
    }
};

/// The arrays that `build` fills, of the lengths of `Sizes`.
pub const Storage = struct {
    nodes: []Node,
    leaves: []Leaf,
    edges: []Edge,
    statics: []Static,
    text: []u8,

    pub fn tables(self: Storage) Tables {
        return .{
            .nodes = self.nodes,
            .leaves = self.leaves,
            .edges = self.edges,
            .statics = self.statics,
            .text = self.text,
        };
    }
};

/// The arrays with a length known at comptime.
pub fn FixedStorage(comptime sizes: Sizes) type {
    return struct {
        nodes: [sizes.nodes]Node,
        leaves: [sizes.leaves]Leaf,
        edges: [sizes.edges]Edge,
        statics: [sizes.statics]Static,
        text: [sizes.text]u8,

        pub fn storage(self: *@This()) Storage {
            return .{
                .nodes = &self.nodes,
                .leaves = &self.leaves,
                .edges = &self.edges,
                .statics = &self.statics,
                .text = &self.text,
            };
        }

        pub fn tables(self: *const @This()) Tables {
            return .{
                .nodes = &self.nodes,
                .leaves = &self.leaves,
                .edges = &self.edges,
                .statics = &self.statics,
                .text = &self.text,
            };
        }
    };
}

/// Compiles `entries` into `storage`. On an error `defect` tells which entry it is about.
pub fn build(storage: Storage, entries: []const Entry, defect: *Defect) Error!void {
    @memset(storage.nodes, .{});
    @memset(storage.leaves, .{});
    @memset(storage.edges, .{});
    @memset(storage.statics, .{});
    var builder: Builder = .{ .storage = storage };
    for (entries, 0..) |entry, i| {
        defect.* = .{ .entry = i };
        try builder.add(entry, @intCast(i), defect);
    }
    builder.finish(entries);
}

const Builder = struct {
    storage: Storage,
    node_count: u32 = 1,
    leaf_count: u32 = 0,
    text_len: u32 = 0,

    fn add(self: *Builder, entry: Entry, index: u32, defect: *Defect) Error!void {
        const text_off = self.text_len;
        const pattern = try pattern_syntax.canonical(entry.pattern, self.storage.text[text_off..]);
        if (entry.method == .other) return error.MethodUnsupported;
        self.text_len += @intCast(pattern.len);

        var node: u32 = root;
        var static = true;
        var offset: u32 = text_off;
        var segments = pattern_syntax.SegmentIterator.init(pattern);
        const leaf = while (segments.next()) |segment| : (offset += pieceLen(segment)) {
            switch (segment) {
                .literal => |text| node = self.literalChild(node, text, offset + 1),
                .param => {
                    static = false;
                    node = self.paramChild(node);
                },
                .wildcard => {
                    static = false;
                    break self.leafAt(&self.storage.nodes[node].wildcard);
                },
            }
        } else self.leafAt(&self.storage.nodes[node].leaf);
        try self.register(leaf, entry.method, index, defect);
        if (static) self.addStatic(pattern, text_off, leaf);
    }

    /// Length of the segment in the pattern, with the slash before it.
    fn pieceLen(segment: pattern_syntax.Segment) u32 {
        return switch (segment) {
            .literal => |text| 1 + @as(u32, @intCast(text.len)),
            .param => |name| 2 + @as(u32, @intCast(name.len)),
            .wildcard => 2,
        };
    }

    fn literalChild(self: *Builder, parent: u32, text: []const u8, text_off: u32) u32 {
        if (self.storage.tables().child(parent, text)) |found| return found;
        const node = self.newNode(.{
            .parent = parent,
            .kind = .literal,
            .label_off = text_off,
            .label_len = @intCast(text.len),
        });
        const key = edgeKey(parent, text);
        const mask = self.storage.edges.len - 1;
        var at: usize = @intCast(key & mask);
        while (self.storage.edges[at].node != none) at = (at + 1) & mask;
        self.storage.edges[at] = .{ .tag = @intCast(key >> 32), .node = node };
        return node;
    }

    fn paramChild(self: *Builder, parent: u32) u32 {
        const known = self.storage.nodes[parent].param;
        if (known != none) return known;
        const node = self.newNode(.{ .parent = parent, .kind = .param });
        self.storage.nodes[parent].param = node;
        return node;
    }

    fn newNode(self: *Builder, node: Node) u32 {
        self.storage.nodes[self.node_count] = node;
        self.node_count += 1;
        return self.node_count - 1;
    }

    fn leafAt(self: *Builder, place: *u32) u32 {
        if (place.* == none) {
            place.* = self.leaf_count;
            self.leaf_count += 1;
        }
        return place.*;
    }

    /// Notes the entry's index in the leaf; `finish` puts the target in its place.
    fn register(
        self: *Builder,
        leaf: u32,
        method: ?Method,
        index: u32,
        defect: *Defect,
    ) Error!void {
        const row = &self.storage.leaves[leaf];
        const slot = if (method) |m| @intFromEnum(m) else Leaf.any_slot;
        if (row.targets[slot] != none) {
            defect.other = row.targets[slot];
            return error.RouteDuplicate;
        }
        row.targets[slot] = index;
        if (method) |m| row.methods.insert(m) else row.any = true;
    }

    fn addStatic(self: *Builder, path: []const u8, text_off: u32, leaf: u32) void {
        if (self.storage.tables().static(path) != null) return;
        const key = hash(path);
        const mask = self.storage.statics.len - 1;
        var at: usize = @intCast(key & mask);
        while (self.storage.statics[at].leaf != none) at = (at + 1) & mask;
        self.storage.statics[at] = .{
            .tag = @intCast(key >> 32),
            .leaf = leaf,
            .text_off = text_off,
            .text_len = @intCast(path.len),
        };
    }

    fn finish(self: *Builder, entries: []const Entry) void {
        for (self.storage.leaves[0..self.leaf_count]) |*leaf| {
            for (&leaf.targets) |*target| {
                if (target.* != none) target.* = entries[target.*].target;
            }
        }
    }
};
