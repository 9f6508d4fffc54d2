/** Of the platform's Request, and of Gyrfalcon's, what the workloads ask of it. */
interface Asked {
  readonly url: string;
  readonly body: AsyncIterable<Uint8Array> | null;
  arrayBuffer(): Promise<ArrayBuffer>;
  text(): Promise<string>;
}

type Handler<R = Asked> = (request: R) => Response | Promise<Response>;

export const routes: {
  '/users/:id': Handler<Asked & { params: { id: string } }>;
} & Record<'/json' | '/query' | '/echo' | '/upload' | '/events' | '/publish', Handler>;
