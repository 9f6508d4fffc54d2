// A client that always does the same: requests one at a time on one connection.
import { once } from 'node:events';
import { connect } from 'node:net';

const answerMs = 60_000;

/**
 * Asks so often for `path`, the next time when the answer is there. All answers have the length of the first.
 * @param {{ port: number, path: string, requests: number }} what
 */
export async function askOneByOne({ port, path, requests }) {
  const socket = connect(port, '127.0.0.1');
  socket.setNoDelay(true);
  socket.setTimeout(answerMs, () => socket.destroy(new Error(`no answer in ${answerMs} ms`)));
  const request = `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`;
  let [answered, got, bytes] = [0, 0, 0];
  socket.on('data', (data) => {
    bytes ||= lengthOf(data);
    if (Number.isNaN(bytes)) {
      const text = data.toString('latin1', 0, 200);
      socket.destroy(new Error(`not an answer to count by: ${text}`));
      return;
    }
    got += data.length;
    if (got < bytes) return;
    if (got > bytes) {
      socket.destroy(new Error(`an answer of ${got} bytes, where the first had ${bytes}`));
      return;
    }
    got = 0;
    answered += 1;
    if (answered < requests) socket.write(request);
    else socket.end();
  });
  socket.once('connect', () => socket.write(request));
  await once(socket, 'close');
  if (answered < requests) throw new Error(`the connection ended after ${answered} answers`);
}

/** Of the whole response that begins with `data`, by its Content-Length; NaN where that is not to be had. */
function lengthOf(data) {
  const text = data.toString('latin1');
  const length = /^HTTP\/1\.1 200 [\s\S]*?\r\ncontent-length: (\d+)\r\n/i.exec(text);
  return text.indexOf('\r\n\r\n') + 4 + Number(length?.[1] ?? Number.NaN);
}
