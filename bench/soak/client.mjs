// A client on a bare socket that does what browsers do not: half a request, no reading, an end at
// any point.
import { connect } from 'node:net';

const noBytes = Buffer.alloc(0);

/** What a scenario waits for did not come in time, or is not what was asked for. */
export class Failure extends Error {}

export class Connection {
  #chunks = [];
  #length = 0;
  #ended = false;
  #changed = () => {};
  #deadline;

  static open(port, ms) {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host: '127.0.0.1', noDelay: true });
      socket.once('connect', () => resolve(new Connection(socket, ms)));
      socket.once('error', reject);
    });
  }

  constructor(socket, ms) {
    this.socket = socket;
    this.#deadline = setTimeout(() => {
      this.timedOut = true;
      socket.destroy();
    }, ms);
    const ended = () => {
      this.#ended = true;
      this.#changed();
    };
    socket.on('data', (bytes) => {
      this.#chunks.push(bytes);
      this.#length += bytes.length;
      this.#changed();
    });
    socket.on('end', ended);
    socket.on('close', ended);
    socket.on('error', () => {});
  }

  /** Sends bytes; resolves when the kernel has them, or the connection is over. */
  send(bytes) {
    return new Promise((resolve) => {
      if (this.socket.destroyed) resolve();
      else this.socket.write(bytes, 'latin1', () => resolve());
    });
  }

  /** Reads no more until `resume`. */
  pause() {
    this.socket.pause();
  }

  resume() {
    this.socket.resume();
  }

  /** One final response; interim ones are passed over. */
  async response() {
    for (;;) {
      const head = await this.#until('\r\n\r\n');
      const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(head)?.[1]);
      if (!(status >= 100))
        throw new Failure(`no status line: ${JSON.stringify(head.slice(0, 80))}`);
      if (status >= 200) return { status, head, ...(await this.#body(status, head)) };
    }
  }

  /** Waits for the server to close. */
  async closed() {
    while (!this.#ended) {
      this.#take(this.#length);
      await this.#more('the end of the connection');
    }
    if (this.timedOut) throw new Failure('the server did not close');
  }

  /** Ends the connection: in order, or with a reset. */
  end(reset = false) {
    clearTimeout(this.#deadline);
    if (reset) this.socket.resetAndDestroy();
    else this.socket.destroy();
  }

  async #body(status, head) {
    if (status === 204 || status === 304) return { length: 0, trailers: '' };
    if (/\r\ntransfer-encoding: chunked\r\n/i.test(head)) return this.#chunked();
    const length = Number(/\r\ncontent-length: (\d+)\r\n/i.exec(head)?.[1]);
    if (!(length >= 0)) throw new Failure('a body without framing');
    const body = await this.#exactly(length);
    return { length, body, trailers: '' };
  }

  async #chunked() {
    let length = 0;
    let body = noBytes;
    for (;;) {
      const size = Number.parseInt(await this.#until('\r\n'), 16);
      if (!(size >= 0)) throw new Failure('no chunk size');
      if (size === 0) break;
      const bytes = await this.#exactly(size);
      if (length < 1024) body = Buffer.concat([body, bytes]);
      length += size;
      if ((await this.#until('\r\n')) !== '\r\n') throw new Failure('a chunk without its end');
    }
    let trailers = '';
    for (;;) {
      const line = await this.#until('\r\n');
      if (line === '\r\n') return { length, body, trailers };
      trailers += line;
    }
  }

  async #until(mark) {
    for (;;) {
      const bytes = this.#joined();
      const end = bytes.indexOf(mark);
      if (end >= 0) return this.#take(end + mark.length).toString('latin1');
      await this.#more('a line');
    }
  }

  async #exactly(length) {
    while (this.#length < length) await this.#more(`${length} bytes`);
    return this.#take(length);
  }

  #joined() {
    if (this.#chunks.length !== 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0];
  }

  #take(length) {
    const bytes = this.#joined();
    this.#chunks = [bytes.subarray(length)];
    this.#length -= length;
    return bytes.subarray(0, length);
  }

  #more(what) {
    if (this.#ended)
      throw new Failure(`${this.timedOut ? 'no time left' : 'the end'} before ${what}`);
    return new Promise((resolve) => {
      this.#changed = resolve;
    });
  }
}
