export const folder: string;
export function list(): { items: object[]; count: number };
export function user(id: string, query: URLSearchParams): object;
export function count(body: AsyncIterable<Uint8Array> | null): Promise<string>;
export function plain(body: BodyInit): Response;
export function events(): Response;
export function publish(message: string): string;
