//! Gyrfalcon: an HTTP server engine, specialised at comptime for its handler.
//!
//!     const gyrfalcon = @import("gyrfalcon");
//!     var server: gyrfalcon.Server(MyHandler) = undefined;
//!     try server.init(gpa, .{ .port = 8080 });
//!     defer server.deinit();
//!     try server.run();

pub const Address = @import("core/address.zig").Address;
pub const Config = @import("server/config.zig").Config;
pub const DirServer = @import("handlers/dir_server.zig").DirServer;
pub const Method = @import("http/method.zig").Method;
pub const Request = @import("http/request.zig").Request;
pub const Response = @import("http/response.zig").Response;
pub const Router = @import("router/router.zig").Router;
pub const Server = @import("server/server.zig").Server;
pub const Version = @import("http/request.zig").Version;
pub const date = @import("http/date.zig");
pub const log = @import("core/log.zig");
pub const mime = @import("http/mime.zig");
pub const uri = @import("http/uri.zig");
