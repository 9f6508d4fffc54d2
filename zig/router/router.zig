//! Finds what answers a request: a table of patterns, compiled once, matched without allocation.
//!
//! Per segment a literal goes before a parameter and a parameter before a wildcard; where the
//! better one leads nowhere, or has no entry for the method, the next is tried. Patterns and paths
//! are compared in their canonical form (http/uri.zig), byte for byte: "/a/" is not "/a". HEAD is
//! answered by GET's entry where it has none of its own.

const std = @import("std");
const Allocator = std.mem.Allocator;
const Method = @import("../http/method.zig").Method;
const pattern_syntax = @import("pattern.zig");
const tables = @import("tables.zig");

pub const MethodSet = @import("method_set.zig").MethodSet;
pub const Defect = tables.Defect;
pub const PatternError = pattern_syntax.Error;
pub const ParamNames = pattern_syntax.ParamNames;
pub const paramNames = pattern_syntax.paramNames;
pub const params_max = pattern_syntax.params_max;
pub const path_bytes_max = pattern_syntax.path_bytes_max;

/// A part of the matched path.
pub const Span = struct {
    off: u16,
    len: u16,

    pub fn of(self: Span, path: []const u8) []const u8 {
        return path[self.off..][0..self.len];
    }
};

/// Where the parameters of the matched pattern lie in the path, in the pattern's order; not
/// percent-decoded. The wildcard's is the last. Its span begins behind the slash, and is empty at
/// the end of the path when the path stops before the wildcard, with its slash or without.
pub const Params = struct {
    items: [params_max]Span = undefined,
    len: u8 = 0,

    pub fn slice(self: *const Params) []const Span {
        return self.items[0..self.len];
    }

    /// Text of parameter number `index`, a slice of `path`.
    pub fn get(self: *const Params, index: usize, path: []const u8) []const u8 {
        return self.slice()[index].of(path);
    }

    fn push(self: *Params, off: usize, len: usize) void {
        self.items[self.len] = .{ .off = @intCast(off), .len = @intCast(len) };
        self.len += 1;
    }
};

/// Outcome of a look-up.
pub const Match = union(enum) {
    /// Target of the entry.
    found: u32,
    /// Patterns match the path, none for the method; these are the methods they have. Answer 405
    /// with Allow.
    method_not_allowed: MethodSet,
    none,
};

/// A compiled pattern table. Immutable: any number of threads may match at once.
pub const Router = struct {
    tables: tables.Tables,

    pub const Entry = tables.Entry;
    pub const Error = tables.Error;

    /// Compiles `entries`, which are not referred to afterwards.
    pub fn init(gpa: Allocator, entries: []const Entry) (Error || Allocator.Error)!Router {
        var defect: Defect = .{};
        return initReporting(gpa, entries, &defect);
    }

    /// As `init`; on an `Error`, `defect` tells which entry it is about.
    pub fn initReporting(
        gpa: Allocator,
        entries: []const Entry,
        defect: *Defect,
    ) (Error || Allocator.Error)!Router {
        const sizes = tables.Sizes.of(entries);
        const nodes = try gpa.alloc(tables.Node, sizes.nodes);
        errdefer gpa.free(nodes);
        const leaves = try gpa.alloc(tables.Leaf, sizes.leaves);
        errdefer gpa.free(leaves);
        const edges = try gpa.alloc(tables.Edge, sizes.edges);
        errdefer gpa.free(edges);
        const statics = try gpa.alloc(tables.Static, sizes.statics);
        errdefer gpa.free(statics);
        const text = try gpa.alloc(u8, sizes.text);
        errdefer gpa.free(text);
        const storage: tables.Storage = .{
            .nodes = nodes,
            .leaves = leaves,
            .edges = edges,
            .statics = statics,
            .text = text,
        };
        try tables.build(storage, entries, defect);
        return .{ .tables = storage.tables() };
    }

    /// Frees what `init` allocated. Not for a router of `comptimeInit`.
    pub fn deinit(self: *Router, gpa: Allocator) void {
        gpa.free(self.tables.nodes);
        gpa.free(self.tables.leaves);
        gpa.free(self.tables.edges);
        gpa.free(self.tables.statics);
        gpa.free(self.tables.text);
        self.* = undefined;
    }

    /// Compiles a table that is known at comptime; a bad pattern is a compile error.
    pub fn comptimeInit(comptime entries: []const Entry) Router {
        const compiled = comptime blk: {
            const sizes = tables.Sizes.of(entries);
            @setEvalBranchQuota(10_000 + 2_000 * @as(u32, sizes.text + sizes.edges));
            var fixed: tables.FixedStorage(sizes) = undefined;
            var defect: Defect = .{};
            tables.build(fixed.storage(), entries, &defect) catch |err| @compileError(
                "route \"" ++ entries[defect.entry].pattern ++ "\": " ++ explain(err),
            );
            break :blk fixed;
        };
        return .{ .tables = compiled.tables() };
    }

    /// Looks up `path`, the canonical path of a request, without query. Fills `params` when found,
    /// with offsets into `path`. Time is bounded by the size of the table and the length of the
    /// path.
    pub fn match(self: *const Router, method: Method, path: []const u8, params: *Params) Match {
        params.len = 0;
        if (path.len == 0 or path[0] != '/' or path.len > path_bytes_max) return .none;
        if (self.tables.static(path)) |leaf| {
            if (self.tables.leaves[leaf].find(method)) |target| return .{ .found = target };
        }
        var walk: Walk = .{
            .tables = &self.tables,
            .method = method,
            .path = path,
            .params = params,
        };
        if (walk.run()) |target| return .{ .found = target };
        params.len = 0;
        if (walk.matched) return .{ .method_not_allowed = walk.allowed };
        return .none;
    }
};

/// One sentence for the programmer about an error of `Router.init`.
pub fn explain(err: Router.Error) []const u8 {
    return switch (err) {
        error.RouteDuplicate => "a pattern of this shape is already registered for this method",
        error.MethodUnsupported => "an unregistered method can be had by entries for all methods",
        else => |syntax| pattern_syntax.explain(syntax),
    };
}

/// A depth-first walk of the trie. It needs no stack: how a node was reached is seen from its kind,
/// and the place in the path from the label or the last parameter. As every node has one place,
/// each is visited at most once.
const Walk = struct {
    tables: *const tables.Tables,
    method: Method,
    path: []const u8,
    params: *Params,
    node: u32 = tables.root,
    /// The path is consumed up to here: at a '/' or at its end.
    pos: usize = 0,
    allowed: MethodSet = .empty,
    matched: bool = false,

    fn run(self: *Walk) ?u32 {
        while (true) {
            if (self.descend()) |target| return target;
            while (true) {
                const node = &self.tables.nodes[self.node];
                const kind = node.kind;
                switch (kind) {
                    .root => return null,
                    .literal => self.pos -= @as(usize, node.label_len) + 1,
                    .param => {
                        self.params.len -= 1;
                        self.pos = self.params.items[self.params.len].off - 1;
                    },
                }
                self.node = node.parent;
                if (kind == .literal and self.enterParam(self.segmentEnd())) break;
                if (self.tryWildcard()) |target| return target;
            }
        }
    }

    /// Goes down by the best child of each node. Null where no child fits: the walk stands at the
    /// node that failed.
    fn descend(self: *Walk) ?u32 {
        while (self.pos < self.path.len) {
            const end = self.segmentEnd();
            if (self.tables.child(self.node, self.path[self.pos + 1 .. end])) |node| {
                self.node = node;
                self.pos = end;
            } else if (!self.enterParam(end)) {
                return self.tryWildcard();
            }
        }
        if (self.tryLeaf(self.tables.nodes[self.node].leaf)) |target| return target;
        return self.tryWildcard();
    }

    fn segmentEnd(self: *const Walk) usize {
        var end = self.pos + 1;
        while (end < self.path.len and self.path[end] != '/') end += 1;
        return end;
    }

    fn enterParam(self: *Walk, end: usize) bool {
        const node = self.tables.nodes[self.node].param;
        const start = self.pos + 1;
        if (node == tables.none or end == start) return false;
        self.params.push(start, end - start);
        self.node = node;
        self.pos = end;
        return true;
    }

    fn tryWildcard(self: *Walk) ?u32 {
        const target = self.tryLeaf(self.tables.nodes[self.node].wildcard) orelse return null;
        const start = @min(self.pos + 1, self.path.len);
        self.params.push(start, self.path.len - start);
        return target;
    }

    fn tryLeaf(self: *Walk, index: u32) ?u32 {
        if (index == tables.none) return null;
        const leaf = &self.tables.leaves[index];
        if (leaf.find(self.method)) |target| return target;
        self.matched = true;
        self.allowed.bits |= leaf.allowed().bits;
        return null;
    }
};

test {
    _ = @import("router_test.zig");
    _ = @import("method_set.zig");
    _ = @import("survey.zig");
    _ = pattern_syntax;
    _ = tables;
}
