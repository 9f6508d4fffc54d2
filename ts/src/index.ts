/**
 * Gyrfalcon's public interface.
 *
 * @example
 * ```ts
 * import { serve } from 'gyrfalcon';
 *
 * const server = serve({ port: 3000, fetch: () => new Response('Hello') });
 * console.log(server.url.href);
 * ```
 */
import './core/node_checked.ts';

export type { SocketAddress } from './bridge/address.ts';
export type { ExecutionContext } from './bridge/background.ts';
export type {
  HandlerMessage,
  RequestMessage,
  ResponseFinishMessage,
  ResponseStartMessage,
  SocketCloseMessage,
  SocketMessage,
} from './bridge/diagnostics.ts';
export type { ProtocolError } from './bridge/protocol_error.ts';
export type { PushInit } from './bridge/push.ts';
export type { TrailersInit } from './bridge/trailers.ts';
export type {
  PerMessageDeflateOptions,
  ServerWebSocket,
  UpgradeOptions,
  WebSocketBinaryType,
  WebSocketCompressor,
  WebSocketData,
  WebSocketHandler,
  WebSocketOrigins,
} from './bridge/websocket.ts';
export type { Broker, BrokerHost, BrokerLink, BrokerOptions } from './broker/broker.ts';
export type {
  ExplainedAnswer,
  ExplainedConstant,
  ExplainedCrossing,
  ExplainedFiles,
  ExplainedHandler,
  ExplainedRoute,
  ExplainedTarget,
  Explanation,
} from './cli/explanation.ts';
export { ERROR_CODES, type ErrorCode, GyrfalconError } from './core/errors.ts';
export type { LogLevel } from './core/log.ts';
export { installGlobals } from './fetch/globals.ts';
export { Headers } from './fetch/headers.ts';
export {
  type FormOptions,
  type MultipartLimits,
  type MultipartMessage,
  multipart,
  type Part,
} from './fetch/multipart.ts';
export { MultipartError } from './fetch/multipart_error.ts';
export { type HttpVersion, Request, type RequestRuntime } from './fetch/request.ts';
export { Response } from './fetch/response.ts';
export type { TlsInfo } from './fetch/tls_info.ts';
export { defineApp } from './server/define_app.ts';
export { type DirOptions, type DirRoute, dir } from './server/dir.ts';
export {
  type InheritedPlace,
  inheritedSockets,
  type ListenPlace,
  type PlaceSecurity,
  type TcpPlace,
  type UnixPlace,
} from './server/listen.ts';
export type { ListenInfo, ServeOptions } from './server/options.ts';
export { serve } from './server/serve.ts';
export type {
  Handler,
  HandlerAnswer,
  ReloadOptions,
  RouteMethod,
  RouteParams,
  Routes,
  RouteTarget,
  RouteValue,
  Server,
} from './server/server.ts';
export type {
  HstsOptions,
  TlsCertificate,
  TlsOption,
  TlsOptions,
  TlsSource,
} from './server/tls.ts';
