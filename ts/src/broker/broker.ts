/**
 * Carries what is published to other processes, and what they publish to this one: `gyrfalcon/redis`
 * and `gyrfalcon/nats` have one each. The server frames messages, bounds what waits and counts what is
 * dropped: a broker has to do no more than its client does.
 */
export interface Broker {
  /** What it is called in the log. */
  readonly name: string;
  /** What may wait for it, bytes, from 2 MiB. @default 4 MiB */
  readonly maxWaitingBytes?: number;
  /** For how long, ms: what is older is dropped. @default 10000 */
  readonly maxWaitingTime?: number;
  /**
   * Opens a link, once the server listens. When it throws or rejects, and after `host.lost()`, it is
   * called again, later each time, up to half a minute; never while a link is there.
   */
  open(host: BrokerHost): BrokerLink | Promise<BrokerLink>;
}

/** The server, as a link sees it. Functions may be called at any time, and never throw. */
export interface BrokerHost {
  /** A message has come on a topic that is subscribed to. Its bytes are read before this returns. */
  received(topic: string, message: Uint8Array): void;
  /** Whether messages can be sent, at first and when that changes. False until told otherwise. */
  connected(isConnected: boolean): void;
  /** Something went wrong that the client may recover from: the log has a line. */
  failed(error: unknown): void;
  /** The client has given up: the link is closed, and another is opened. */
  lost(error: unknown): void;
}

/** A connection to the broker. It stays subscribed when the client connects anew. */
export interface BrokerLink {
  /** The longest message that may be sent, bytes. */
  readonly messageBytesMax?: number;
  /**
   * Sends a message; those of one topic arrive in the order of the calls. Resolves when it has left:
   * then the next ones are sent. What rejects is not sent again.
   *
   * @param topic - text that has a UTF-8 form, of 1 to 128 bytes
   */
  publish(topic: string, message: Uint8Array): Promise<unknown>;
  /** May be called again for the same topic, where it has rejected. */
  subscribe(topic: string): Promise<unknown>;
  unsubscribe(topic: string): Promise<unknown>;
  /** Ends what `open` has made, at once. */
  close(): Promise<unknown>;
}

/** Options that brokers have in common. */
export interface BrokerOptions {
  /** What channels, or subjects, begin with. @default 'gyrfalcon' */
  prefix?: string;
  /** What may wait for the broker, bytes, from 2 MiB. @default 4 MiB */
  maxWaitingBytes?: number;
  /** For how long, ms: what is older is dropped. @default 10000 */
  maxWaitingTime?: number;
}
