/** What a case of the table is: bytes that a client sends, and what has to come of them. */

/**
 * Sent as latin1. `{path}` and `{missing}` stand for paths of the kind of handler that is asked, `{encoded}` for the
 * former with every character percent-encoded but its slashes.
 */
export type Text = string;

/** A step between the bytes. */
export type Step =
  | Text
  /** Wait until so many responses have come, interim ones included. */
  | { responses: number }
  /** Wait until the server has read what was sent so far. */
  | 'seen'
  /** Close the sending side. */
  | 'half-close';

/** What one request is answered with. */
export type Served = string | number | undefined;

/** What has to come of it, the same for every kind of handler. */
export interface Expected {
  /**
   * The requests that reach their handlers, in order: for each the body that the handler got, which one that echoes
   * must answer with; or the status that every kind must answer with; or undefined where only the answer counts.
   */
  served?: readonly Served[];
  /** Responses with status 100 before the last of `served`. */
  continues?: number;
  /** What follows is refused by the engine with this status and code, and the connection closes. */
  refused?: readonly [status: number, code: string];
  /** The refusal is of the body: whoever answers without the body may have answered before, and then just closes. */
  inBody?: boolean;
  /** The connection ends behind what was served, without a word. */
  closes?: boolean;
  /**
   * A handler that answers the first request without its body gets the connection closed behind that: the server cannot
   * know where the body ends, or will not wait for it.
   */
  closesEarly?: boolean;
  /** The client leaves within the last request's body: nobody who waits for the body answers it. */
  cut?: boolean;
}

/** One case. Its name is what docs/CONFORMANCE.md refers to. */
export interface Case {
  name: string;
  /** The section, advisory or paper that it comes from. */
  source: string;
  send: Text | readonly Step[];
  expected: Expected;
  /** Methods of the requests that are answered, where one is HEAD: its response has no body. */
  methods?: readonly string[];
  /** Send it in one go only: it is large, or its steps are its point. */
  once?: boolean;
}

/** Cases that share a source. */
export function group(source: string, cases: readonly Omit<Case, 'source'>[]): Case[] {
  return cases.map((one) => ({ ...one, source }));
}

/** A request that is refused before its body matters. */
export const refused = (
  name: string,
  send: Case['send'],
  status: number,
  code: string,
): Omit<Case, 'source'> => ({ name, send, expected: { refused: [status, code] } });

/** A request whose body is refused. */
export const refusedBody = (
  name: string,
  send: Case['send'],
  status: number,
  code: string,
): Omit<Case, 'source'> => ({ name, send, expected: { refused: [status, code], inBody: true } });

/** Requests that are served; the handlers get these bodies. */
export const served = (
  name: string,
  send: Case['send'],
  ...bodies: Served[]
): Omit<Case, 'source'> => ({ name, send, expected: { served: bodies } });

/** The same, and the connection ends behind them. */
export const servedLast = (
  name: string,
  send: Case['send'],
  ...bodies: Served[]
): Omit<Case, 'source'> => ({ name, send, expected: { served: bodies, closes: true } });

/** A POST with these field lines and this behind the empty line. */
export const post = (fields: string, rest = ''): Text =>
  `POST {path} HTTP/1.1\r\nHost: a\r\n${fields}\r\n\r\n${rest}`;

/** A GET with these field lines. */
export const get = (...fields: string[]): Text =>
  `GET {path} HTTP/1.1\r\nHost: a\r\n${fields.map((line) => `${line}\r\n`).join('')}\r\n`;

/** A chunked POST with these bytes for its body. */
export const chunked = (body: string): Text => post('Transfer-Encoding: chunked', body);
