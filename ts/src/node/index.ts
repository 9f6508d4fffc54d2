/**
 * Programs that were written for node:http, on Gyrfalcon: `import { nodeHandler } from 'gyrfalcon/node'`.
 */
import '../core/node_checked.ts';

export {
  type NodeApp,
  type NodeHandler,
  type NodeHandlerOptions,
  type NodeListener,
  nodeHandler,
} from './handler.ts';
