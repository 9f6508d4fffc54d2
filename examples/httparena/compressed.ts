/** JSON, compressed for those who take it so. Gyrfalcon has no compression of responses yet: node:zlib has. */
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import type { Request } from 'gyrfalcon';

/** The default, 11, is for what is compressed once and sent often. */
const brotli = { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } };

const codings: Readonly<Record<string, (text: string) => Uint8Array>> = {
  br: (text) => brotliCompressSync(text, brotli),
  gzip: (text) => gzipSync(text),
};

/** The coding that a client likes best, of those that there are; null where it takes none (RFC 9110 §12.5.3). */
export function codingFor(acceptEncoding: string | null): string | null {
  const weights = new Map<string, number>();
  for (const part of (acceptEncoding ?? '').split(',')) {
    const [name = '', ...parameters] = part.split(';').map((text) => text.trim().toLowerCase());
    const weight = parameters.find((text) => text.startsWith('q='));
    weights.set(name, weight === undefined ? 1 : Number(weight.slice(2)));
  }
  let best: string | null = null;
  let most = 0;
  for (const name of Object.keys(codings)) {
    const weight = weights.get(name) ?? weights.get('*') ?? 0;
    if (weight <= most) continue;
    best = name;
    most = weight;
  }
  return best;
}

export function compressed(request: Request, value: unknown): Response {
  const coding = codingFor(request.headers.get('accept-encoding'));
  if (coding === null) return Response.json(value, { headers: { vary: 'accept-encoding' } });
  const body = codings[coding]?.(JSON.stringify(value));
  return new Response(body, {
    headers: {
      'content-type': 'application/json',
      'content-encoding': coding,
      vary: 'accept-encoding',
    },
  });
}
