// graphql-ws as its documentation has it for the package ws, whose server is given.
import { EventEmitter, on } from 'node:events';
import { GraphQLInt, GraphQLObjectType, GraphQLSchema, GraphQLString } from 'graphql';
import { type Client, createClient } from 'graphql-ws';
import { useServer as serveOn } from 'graphql-ws/use/ws';

const said = new EventEmitter();

const schema = new GraphQLSchema({
  query: new GraphQLObjectType({
    name: 'Query',
    fields: { hello: { type: GraphQLString, resolve: () => 'world' } },
  }),
  subscription: new GraphQLObjectType({
    name: 'Subscription',
    fields: {
      count: {
        type: GraphQLInt,
        args: { to: { type: GraphQLInt } },
        async *subscribe(_root, { to }: { to: number }) {
          for (let count = 1; count <= to; count += 1) yield { count };
        },
      },
      said: {
        type: GraphQLString,
        // An async generator that waits could not be ended.
        subscribe: () => {
          const texts = on(said, 'text');
          const next = async () => {
            const { value, done } = await texts.next();
            return done ? { value: undefined, done } : { value: { said: value[0] }, done: false };
          };
          const end = async () => ({ ...(await texts.return?.()), value: undefined, done: true });
          return { [Symbol.asyncIterator]: () => ({ next, return: end }) } as never;
        },
      },
    },
  }),
});

/** Serves GraphQL on the sockets of a `WebSocketServer`. */
export function start(server: unknown): { dispose(): void | Promise<void> } {
  return serveOn(
    {
      schema,
      onConnect: ({ connectionParams }) => connectionParams?.token !== 'wrong',
    },
    server as Parameters<typeof serveOn>[1],
  );
}

/** Tells all who have subscribed to `said`. */
export const say = (text: string): void => {
  said.emit('text', text);
};

/** How many are subscribed to that. */
export const listeners = (): number => said.listenerCount('text');

export function connect(url: string, webSocketImpl: unknown, token = 'right'): Client {
  return createClient({ url, webSocketImpl, connectionParams: { token }, retryAttempts: 0 });
}
