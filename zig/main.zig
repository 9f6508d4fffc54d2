//! The executable: a web server of its own, for static files.
//!
//!     gyrfalcon serve ./public --port 8080

const builtin = @import("builtin");
const std = @import("std");
const system = @import("core/system.zig");
const Defect = @import("core/defect.zig").Defect;
const gyrfalcon = @import("gyrfalcon.zig");
const health = @import("io/health.zig");
const server_engine = @import("server/engine.zig");
const signals = if (builtin.os.tag == .windows)
    @import("server/signals_windows.zig")
else
    @import("server/signals.zig");

/// std sets both with a call whose refusal it holds for impossible: `catchFaults` does it instead.
pub const std_options: std.Options = .{
    .enable_segfault_handler = false,
    .keep_sigpipe = true,
};

const stdout = system.standard_output;
const stderr = system.standard_error;

const usage =
    \\Usage: gyrfalcon serve <directory> [options]
    \\       gyrfalcon healthcheck <url> [--timeout S] [--unix PATH]
    \\
    \\Serves the files below a directory; or asks a server at a URL of http, by a unix socket if
    \\need be, whether it answers with a status below 400 within so many seconds (default 5).
    \\
    \\  --port N        port to listen on, 0 for any (default 3000)
    \\  --host H        name or address to listen on (default: every interface)
    \\  --unix PATH     listen at a unix socket instead; @NAME is an abstract one
    \\  --unix-mode M   rights of that socket, octal (default: what the umask leaves)
    \\  --fd N          listen at a socket that this process was started with
    \\  --tls-cert F    certificate, PEM: HTTP goes over TLS; needs --tls-key
    \\  --tls-key F     its private key, PEM
    \\  --tls-self-signed   for development: a certificate of your own authority's
    \\  --https-port N  port for https; requests to --port are sent there
    \\  --reuse-port    other processes may listen there too; take a unix socket over
    \\  --workers N     worker threads (default: one per CPU that it may use)
    \\  --pin           pin each worker to a CPU
    \\  --dotfiles      serve names that begin with a dot
    \\  --cache-bytes N memory for the contents of small files (default 16777216)
    \\  --cache-ms N    how long one is served without a look at its file (default 1000)
    \\  --open-files N  larger files that are kept open, 0 to 4096 (default 64)
    \\  --no-cache      keep no contents in memory
    \\  --max-age S     send Cache-Control: max-age=S
    \\  --log L         how much to tell: silent, error, warn, info, debug (default info)
    \\  --quiet         tell errors alone: --log error
    \\  --help          show this
    \\  --version       show the version
    \\
    \\Sockets that a service manager hands over (LISTEN_FDS) are listened at without any of these.
    \\
;

const version = "0.1.0";
/// Whether this executable has OpenSSL and picotls in it.
const has_tls = @import("build_options").tls;

const Site = struct {
    gpa: std.mem.Allocator,
    dir: gyrfalcon.DirServer,
    config: *const gyrfalcon.Config,
    /// Whether the URL is told on standard output.
    tells: bool,

    pub const Tls = if (has_tls) gyrfalcon.Tls else void;

    pub fn init() error{NeedsDirectory}!Site {
        return error.NeedsDirectory; // made by `initWith`
    }

    pub fn deinit(self: *Site) void {
        self.dir.deinit(self.gpa);
    }

    pub fn onListening(self: *Site, listeners: []const gyrfalcon.Listener) void {
        if (!self.tells) return;
        var buffer: [gyrfalcon.Endpoint.text_bytes_max]u8 = undefined;
        for (listeners) |*listener| {
            const is_secured = self.config.listenAt(listener.place).tls != null;
            const scheme: gyrfalcon.Endpoint.Scheme = if (is_secured) .https else .http;
            const url = listener.endpoint.urlOf(scheme, &buffer);
            say(stdout, "Listening on {s}\n", .{url});
        }
    }

    pub fn handleRequest(self: *Site, req: *gyrfalcon.Request, res: *gyrfalcon.Response) void {
        self.dir.handle(req, res, req.path);
    }
};

const Arguments = struct {
    directory: []const u8 = "",
    config: gyrfalcon.Config = .{},
    /// Whether --host or --port was given.
    names_tcp: bool = false,
    unix: ?[]const u8 = null,
    unix_mode: ?u16 = null,
    fd: ?u31 = null,
    tls_cert: ?[]const u8 = null,
    tls_key: ?[]const u8 = null,
    tls_self_signed: bool = false,
    https_port: ?u16 = null,
    dotfiles: bool = false,
    max_age_s: ?u32 = null,
    cache: bool = true,
    cache_bytes: usize = 16 * 1024 * 1024,
    cache_ms: u32 = 1000,
    open_files: u32 = 64,
};

/// A fault prints a stack trace, and a write to a pipe that nobody reads ends nothing. Where a
/// sandbox refuses that, the signals keep the system's own effects.
fn catchFaults() void {
    signals.ignorePipe() catch return;
    if (std.debug.default_enable_segfault_handler) std.debug.attachSegfaultHandler();
}

pub fn main() !u8 {
    catchFaults();
    const gpa = std.heap.c_allocator;
    const args = try std.process.argsAlloc(gpa);
    defer std.process.argsFree(gpa, args);
    for (args[1..]) |arg| {
        if (std.mem.eql(u8, arg, "--help")) {
            say(stdout, usage, .{});
            return 0;
        }
        if (std.mem.eql(u8, arg, "--version")) {
            say(stdout, version ++ (if (has_tls) " with TLS\n" else " without TLS\n"), .{});
            return 0;
        }
    }
    if (args.len > 1 and std.mem.eql(u8, args[1], "healthcheck")) return healthcheck.run(args[2..]);
    var arguments = parse(args[1..]) orelse return 2;
    var places: Places = .{};
    arguments.config.listen = placesOf(&arguments, &places) orelse return 2;
    var security: Security = .{};
    if (!security.apply(&arguments)) return 2;
    const dir = gyrfalcon.DirServer.init(gpa, .{
        .root = arguments.directory,
        .dotfiles = arguments.dotfiles,
        .max_age_s = arguments.max_age_s,
        .cache = arguments.cache,
        .cache_bytes = arguments.cache_bytes,
        .cache_ms = arguments.cache_ms,
        .open_files = arguments.open_files,
    }) catch |err| {
        complain("cannot serve {s}: {s}", .{ arguments.directory, @errorName(err) });
        return 1;
    };
    const tells = @intFromEnum(arguments.config.log) >= @intFromEnum(gyrfalcon.log.Level.info);
    var site: Site = .{ .gpa = gpa, .dir = dir, .config = &arguments.config, .tells = tells };
    var server: gyrfalcon.Server(Site) = undefined;
    server.initWith(gpa, arguments.config, site) catch |err| {
        site.deinit();
        tell(err);
        return 1;
    };
    defer server.deinit();
    server.run() catch |err| {
        tell(err);
        return 1;
    };
    return 0;
}

/// What the options of TLS come to. It stays where it is.
const Security = struct {
    identity: [1]gyrfalcon.TlsSettings.Identity = undefined,
    settings: [1]gyrfalcon.TlsSettings = undefined,
    listen: [gyrfalcon.inherited.sockets_max]gyrfalcon.Config.Listen = undefined,

    /// False after a complaint.
    fn apply(self: *Security, arguments: *Arguments) bool {
        const config = &arguments.config;
        if ((arguments.tls_cert == null) != (arguments.tls_key == null)) {
            complain("--tls-cert and --tls-key go together", .{});
            return false;
        }
        if (arguments.tls_self_signed and arguments.tls_cert != null) {
            complain("--tls-self-signed stands in the place of --tls-cert and --tls-key", .{});
            return false;
        }
        if (arguments.tls_cert) |certificate| {
            self.identity[0] = .{
                .certificate = .{ .file = certificate },
                .key = .{ .file = arguments.tls_key.? },
            };
            self.settings[0] = .{ .certificates = &self.identity };
        } else if (arguments.tls_self_signed) {
            self.settings[0] = .{ .self_signed = true };
        } else {
            if (arguments.https_port == null) return true;
            complain("--https-port needs --tls-cert and --tls-key, or --tls-self-signed", .{});
            return false;
        }
        config.tls = &self.settings;
        const https_port = arguments.https_port orelse {
            for (config.listen, self.listen[0..config.listen.len]) |one, *secured| {
                secured.* = one;
                secured.tls = 0;
            }
            config.listen = self.listen[0..config.listen.len];
            return true;
        };
        if (config.listen.len > 0) {
            complain("--https-port goes with --host and --port", .{});
            return false;
        }
        const hostname = config.hostname;
        self.listen[0..2].* = .{
            .{ .place = .{ .tcp = .{ .hostname = hostname, .port = https_port } }, .tls = 0 },
            .{
                .place = .{ .tcp = .{ .hostname = hostname, .port = config.port } },
                .redirect_port = 0,
            },
        };
        config.listen = self.listen[0..2];
        return true;
    }
};

const Places = std.BoundedArray(gyrfalcon.Config.Listen, gyrfalcon.inherited.sockets_max);

/// Where to listen if that is not `config.hostname` and `config.port`. Null after a complaint.
fn placesOf(arguments: *const Arguments, places: *Places) ?[]const gyrfalcon.Config.Listen {
    const inherited = gyrfalcon.inherited.take() catch |err| {
        complain("LISTEN_FDS cannot be used: {s}", .{@errorName(err)});
        return null;
    };
    const given = [_]bool{
        arguments.names_tcp,
        arguments.unix != null,
        arguments.fd != null,
        inherited.len > 0,
    };
    if (std.mem.count(bool, &given, &.{true}) > 1) {
        complain("one of --host and --port, --unix, --fd and LISTEN_FDS says where to listen", .{});
        return null;
    }
    if (arguments.unix_mode != null and arguments.unix == null) {
        complain("--unix-mode goes with --unix", .{});
        return null;
    }
    if (arguments.unix) |path| {
        const unix: gyrfalcon.Place.Unix = .{ .path = path, .mode = arguments.unix_mode };
        places.appendAssumeCapacity(.{ .place = .{ .unix = unix } });
    }
    if (arguments.fd) |fd| places.appendAssumeCapacity(.{ .place = .{ .fd = fd } });
    for (inherited.slice()) |fd|
        places.appendAssumeCapacity(.{ .place = .{ .fd = @intCast(system.numberOf(fd)) } });
    return places.constSlice();
}

/// Null after a complaint.
fn parse(args: []const [:0]const u8) ?Arguments {
    var out: Arguments = .{};
    if (args.len == 0 or !std.mem.eql(u8, args[0], "serve")) {
        say(stderr, usage, .{});
        return null;
    }
    var i: usize = 1;
    while (i < args.len) : (i += 1) {
        const arg = args[i];
        if (!std.mem.startsWith(u8, arg, "-")) {
            if (out.directory.len > 0) {
                return refuse("one directory is served, got a second: {s}", arg);
            }
            out.directory = arg;
        } else if (std.mem.eql(u8, arg, "--pin")) {
            out.config.pin = true;
        } else if (std.mem.eql(u8, arg, "--reuse-port")) {
            out.config.reuse_port = true;
        } else if (std.mem.eql(u8, arg, "--tls-self-signed")) {
            out.tls_self_signed = true;
        } else if (std.mem.eql(u8, arg, "--dotfiles")) {
            out.dotfiles = true;
        } else if (std.mem.eql(u8, arg, "--no-cache")) {
            out.cache = false;
        } else if (std.mem.eql(u8, arg, "--quiet")) {
            out.config.log = .@"error";
        } else {
            i += 1;
            if (i == args.len) {
                return refuse("{s} needs a value, or is no option (see --help)", arg);
            }
            if (!setOption(&out, arg, args[i])) return null;
        }
    }
    if (out.directory.len == 0) return refuse("which directory? {s}", usage);
    return out;
}

fn setOption(out: *Arguments, name: []const u8, value: []const u8) bool {
    if (std.mem.eql(u8, name, "--host")) {
        out.config.hostname = value;
        out.names_tcp = true;
    } else if (std.mem.eql(u8, name, "--port")) {
        out.config.port = number(u16, name, value) orelse return false;
        out.names_tcp = true;
    } else if (std.mem.eql(u8, name, "--unix")) {
        out.unix = value;
    } else if (std.mem.eql(u8, name, "--unix-mode")) {
        out.unix_mode = std.fmt.parseInt(u9, value, 8) catch {
            complain("{s} takes octal rights from 0 to 777, got {s}", .{ name, value });
            return false;
        };
    } else if (std.mem.eql(u8, name, "--fd")) {
        out.fd = number(u31, name, value) orelse return false;
    } else if (std.mem.eql(u8, name, "--tls-cert")) {
        out.tls_cert = value;
    } else if (std.mem.eql(u8, name, "--tls-key")) {
        out.tls_key = value;
    } else if (std.mem.eql(u8, name, "--https-port")) {
        out.https_port = number(u16, name, value) orelse return false;
    } else if (std.mem.eql(u8, name, "--workers")) {
        out.config.workers = number(u32, name, value) orelse return false;
    } else if (std.mem.eql(u8, name, "--log")) {
        out.config.log = std.meta.stringToEnum(gyrfalcon.log.Level, value) orelse {
            complain("--log takes one of silent, error, warn, info, debug, got {s}", .{value});
            return false;
        };
    } else if (std.mem.eql(u8, name, "--cache-bytes")) {
        out.cache_bytes = number(usize, name, value) orelse return false;
    } else if (std.mem.eql(u8, name, "--cache-ms")) {
        out.cache_ms = number(u32, name, value) orelse return false;
    } else if (std.mem.eql(u8, name, "--open-files")) {
        out.open_files = number(u32, name, value) orelse return false;
    } else if (std.mem.eql(u8, name, "--max-age")) {
        out.max_age_s = number(u32, name, value) orelse return false;
    } else {
        complain("no such option: {s} (see --help)", .{name});
        return false;
    }
    return true;
}

fn number(comptime T: type, name: []const u8, value: []const u8) ?T {
    return std.fmt.parseInt(T, value, 10) catch {
        complain("{s} takes a number from 0 to {d}, got {s}", .{ name, std.math.maxInt(T), value });
        return null;
    };
}

fn refuse(comptime fmt: []const u8, arg: []const u8) ?Arguments {
    complain(fmt, .{arg});
    return null;
}

fn complain(comptime fmt: []const u8, args: anytype) void {
    say(stderr, "gyrfalcon: " ++ fmt ++ "\n", args);
}

/// Cut where the buffer ends. What is closed, or not read by anybody, hears nothing.
fn say(fd: system.File, comptime fmt: []const u8, args: anytype) void {
    var buffer: [4096]u8 = undefined;
    var rest: []const u8 = std.fmt.bufPrint(&buffer, fmt, args) catch &buffer;
    while (rest.len > 0) {
        const n = system.write(fd, rest) catch return;
        rest = rest[n..];
    }
}

/// `gyrfalcon healthcheck`: 0 when the server answers, 1 when it does not.
const healthcheck = struct {
    const Asked = struct {
        url: []const u8 = "",
        timeout_ms: u31 = health.timeout_ms_default,
        unix: ?[]const u8 = null,
    };

    fn run(args: []const [:0]const u8) u8 {
        const asked = parseAsked(args) orelse return 2;
        const question = health.Question.of(asked.url) catch |err| {
            complain("healthcheck takes a URL as http://127.0.0.1:3000/, got {s}{s}", .{
                asked.url,
                if (err == error.NotHttp) "; what speaks https has --https-port beside it" else "",
            });
            return 2;
        };
        const status = answer(&asked, &question) orelse return 1;
        if (status < 400) return 0;
        complain("{s} answered {d}", .{ asked.url, status });
        return 1;
    }

    fn parseAsked(args: []const [:0]const u8) ?Asked {
        var out: Asked = .{};
        var i: usize = 0;
        while (i < args.len) : (i += 1) {
            const arg = args[i];
            if (!std.mem.startsWith(u8, arg, "-")) {
                if (out.url.len > 0) return refuseAsked("one URL is asked, got a second: {s}", arg);
                out.url = arg;
                continue;
            }
            const is_timeout = std.mem.eql(u8, arg, "--timeout");
            if (!is_timeout and !std.mem.eql(u8, arg, "--unix"))
                return refuseAsked("no such option: {s} (see --help)", arg);
            i += 1;
            if (i == args.len) return refuseAsked("{s} needs a value", arg);
            if (!is_timeout) {
                out.unix = args[i];
                continue;
            }
            const seconds = number(u16, arg, args[i]) orelse return null;
            if (seconds == 0) return refuseAsked("{s} takes a second or more", arg);
            out.timeout_ms = @as(u31, seconds) * 1000;
        }
        if (out.url.len == 0) return refuseAsked("which URL? {s}", usage);
        return out;
    }

    fn refuseAsked(comptime fmt: []const u8, arg: []const u8) ?Asked {
        complain(fmt, .{arg});
        return null;
    }

    /// The status; null after a complaint.
    fn answer(asked: *const Asked, question: *const health.Question) ?u16 {
        if (asked.unix) |path| {
            var unix = gyrfalcon.Endpoint.UnixPath.of(path) orelse {
                complain("{s} is no path of a unix socket: its length", .{path});
                return null;
            };
            const has_abstract = gyrfalcon.Endpoint.UnixPath.has_abstract;
            if (has_abstract and path[0] == '@') unix.buffer[0] = 0;
            return health.ask(&.{.{ .unix = unix }}, question, asked.timeout_ms) catch |err|
                explainAsked(err, asked);
        }
        var defect: Defect = .{};
        const list = question.endpoints(&defect) catch {
            complain("{s}", .{defect.message()});
            return null;
        };
        return health.ask(list.slice(), question, asked.timeout_ms) catch |err|
            explainAsked(err, asked);
    }

    fn explainAsked(err: health.AskError, asked: *const Asked) ?u16 {
        const at = asked.unix orelse asked.url;
        switch (err) {
            error.ConnectionRefused, error.FileNotFound => {
                complain("nothing listens at {s}", .{at});
            },
            error.NoAnswer => complain("{s} closed the connection without an answer", .{at}),
            error.NotHttp => complain("{s} answered something that is no HTTP", .{at}),
            error.TimedOut => complain("{s} did not answer within {d} s", .{
                at, asked.timeout_ms / 1000,
            }),
            else => |other| complain("{s} cannot be asked: {s}", .{ at, @errorName(other) }),
        }
        return null;
    }
};

/// Null for what the engine has told in words already.
fn explain(err: gyrfalcon.ServerError) ?server_engine.Trouble {
    return switch (err) {
        error.InvalidConfig => null,
        error.ListenersLost => .{ .message = "Nothing is listened on any more", .hint = "" },
        error.SignalsRefused => .{
            .message = "SIGINT and SIGTERM cannot be caught",
            .hint = "a sandbox must allow rt_sigaction and eventfd2",
        },
        else => |other| server_engine.Trouble.of(other),
    };
}

fn tell(err: gyrfalcon.ServerError) void {
    const trouble = explain(err) orelse return;
    if (trouble.hint.len == 0) return complain("{s}", .{trouble.message});
    complain("{s} ({s})", .{ trouble.message, trouble.hint });
}
