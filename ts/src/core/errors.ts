/** Every code that an error of this package can carry, with what it means. See docs/ERRORS.md. */
export const ERROR_CODES = {
  GYR_OPTION_INVALID: 'An option of serve() has a value that cannot be.',
  GYR_OPTION_UNKNOWN: 'serve() was given an option that does not exist.',
  GYR_NO_HANDLER: 'serve() was given neither routes nor fetch.',
  GYR_ROUTE_PATTERN: 'A route pattern is malformed, or two patterns are the same.',
  GYR_ROUTE_VALUE: 'The value of a route is not a handler, a Response, a method table or dir().',
  GYR_ROUTE_CONSTANT: 'A constant Response of a route has been used, or cannot be sent.',
  GYR_ROUTE_DIRECTORY: 'The directory of a dir() route cannot be served.',
  GYR_NODE_TOO_OLD: 'Node.js is older than what the package is written for.',
  GYR_ENGINE_MISSING: 'The compiled engine is not there for this platform.',
  GYR_ENGINE_MISMATCH: 'The compiled engine and the TypeScript code are of different versions.',
  GYR_ENGINE_DENIED: 'Node.js was started so that the compiled engine may not be loaded.',
  GYR_ENGINE_FAILED: 'The engine could not be created or started.',
  GYR_IO_UNAVAILABLE: 'What was asked of the backend cannot be had; the server goes on without.',
  GYR_MODE_UNAVAILABLE: 'Inline mode was asked for, and cannot be had here.',
  GYR_ADDRESS_IN_USE: 'The port or the path is taken.',
  GYR_ADDRESS_DENIED: 'The port or the path may not be opened by this user.',
  GYR_ADDRESS_INVALID: 'What is to be listened on is no address, name or path that can be.',
  GYR_ADDRESS_FD: 'A descriptor to listen on is no listening socket.',
  GYR_TLS_CERTIFICATE: 'A certificate, a key or what goes with them cannot be used.',
  GYR_TLS_MISSING: 'The engine has no TLS in it.',
  GYR_DEFLATE_MISSING: 'The engine has no compression of WebSocket messages in it.',
  GYR_SERVER_STOPPED: 'The server has been stopped.',
  GYR_LISTENER_FAILED: 'A socket that the server listened on has failed, and is closed.',
  GYR_RELOAD: 'The new route table was refused; the old one stays.',
  GYR_MODULE: 'The module of the worker threads cannot be loaded, or exports no handlers.',
  GYR_THREAD: 'A worker thread could not be started.',
  GYR_RESPONSE_INVALID: 'A handler gave something that cannot be sent as a response.',
  GYR_RESPONSE_HEAD_TOO_LARGE: 'The header fields of a response do not fit maxResponseHeaderBytes.',
  GYR_RESPONSE_FIELD: 'A field of a response has a value that HTTP does not allow.',
  GYR_RESPONSE_BODY: 'The body stream of a response failed or gave what is neither bytes nor text.',
  GYR_RESPONSE_FRAMING: 'A handler framed its response otherwise than its body is.',
  GYR_RESPONSE_TRAILERS: 'The trailers of a response could not be made.',
  GYR_NODE_APP: 'nodeHandler() was given something that is no program for node:http.',
  GYR_NODE_UPGRADE: 'An upgrade was answered by bytes that are no response.',
  GYR_RESPONSE_DESTROYED: 'A node:http program destroyed its response before it was sent.',
  GYR_FIELD_FORBIDDEN:
    'A field was given for trailers, early hints or a pushed request that cannot stand there.',
  GYR_PUSH_INVALID: 'A request was to be pushed that cannot be.',
  GYR_TRAILERS_LATE: 'Trailers were declared after the response had been given.',
  GYR_REQUEST_FOREIGN: 'A method of a server was given a request that did not come to it.',
  GYR_NODE_RESPONSE:
    'A request was answered through Node.js’s response object, which is not there.',
  GYR_UPGRADE_UNCONFIGURED: 'server.upgrade() was called, and serve() was given no websocket.',
  GYR_UPGRADE_LATE: 'server.upgrade() was called for a request that has been answered.',
  GYR_WEBSOCKET_INVALID: 'A WebSocket was to say something that cannot be said.',
  GYR_MULTIPART_INVALID: 'A multipart body is malformed, or is none.',
  GYR_MULTIPART_LIMIT: 'A form is larger than a limit.',
  GYR_BODY_UNREAD: 'The response was sent before the request body had been read to its end.',
} as const;

/** A stable code; what it means is in docs/ERRORS.md. */
export type ErrorCode = keyof typeof ERROR_CODES;

/** An error that the user of the server can do something about. */
export class GyrfalconError extends Error {
  override readonly name = 'GyrfalconError';
  readonly code: ErrorCode;
  /** What would be right, or what to do next; '' when the message says it all. */
  readonly hint: string;

  constructor(code: ErrorCode, message: string, hint = '', options?: ErrorOptions) {
    super(hint === '' ? `${message} [${code}]` : `${message} (${hint}) [${code}]`, options);
    this.code = code;
    this.hint = hint;
  }
}
