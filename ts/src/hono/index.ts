/** What Hono asks an adapter for: `import { getConnInfo, upgradeWebSocket, websocket } from 'gyrfalcon/hono'`. */
import '../core/node_checked.ts';

export { type ConnInfo, getConnInfo, type HonoContext } from './conninfo.ts';
export { type HonoUpgradeOptions, upgradeWebSocket, websocket } from './websocket.ts';
