/** A headless Chromium, driven over its DevTools protocol. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket } from 'undici';
import { lacks, type Running, start } from './process.ts';
import { until, within } from './wait.ts';

const program = ['chromium', 'chromium-browser', 'google-chrome'].find(
  (name) => lacks(name) === undefined,
);

/** Why there is none; undefined where there is. */
export const noChromium = program === undefined ? 'chromium is not installed' : undefined;

/** It begins slowly beside other tests, ms. */
const startTime = 60_000;

interface Answer {
  id?: number;
  method?: string;
  sessionId?: string;
  params?: Record<string, unknown>;
  result?: Record<string, unknown>;
  error?: { message: string };
}

export class Chromium {
  private readonly running: Running;
  private readonly folder: string;
  private readonly socket: WebSocket;
  private readonly calls = new Map<number, (answer: Answer) => void>();
  private last = 0;
  /** What it has told without being asked. */
  readonly events: Answer[] = [];

  private constructor(running: Running, folder: string, socket: WebSocket) {
    this.running = running;
    this.folder = folder;
    this.socket = socket;
    socket.addEventListener('message', ({ data }) => this.take(JSON.parse(String(data))));
  }

  /** Starts it. Certificates of nobody are fine with it. */
  static async start(): Promise<Chromium> {
    const folder = mkdtempSync(join(tmpdir(), 'gyrfalcon-chromium-'));
    const running = start(program as string, [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--disable-background-networking',
      '--disable-component-update',
      '--no-first-run',
      '--ignore-certificate-errors',
      '--remote-debugging-port=0',
      `--user-data-dir=${folder}`,
      'about:blank',
    ]);
    const url = await until(
      () => /DevTools listening on (ws:\S+)/.exec(running.stderr())?.[1],
      'the DevTools of Chromium',
      startTime,
    );
    const socket = new WebSocket(url);
    const opened = new Promise<void>((resolve, reject) => {
      socket.addEventListener('open', () => resolve());
      socket.addEventListener('error', () => reject(new Error(`${url}: no WebSocket`)));
    });
    await within(opened, 'a connection to Chromium');
    return new Chromium(running, folder, socket);
  }

  /** Calls a method of the protocol. */
  async call(
    method: string,
    params: object = {},
    sessionId?: string,
  ): Promise<Record<string, unknown>> {
    this.last += 1;
    const id = this.last;
    const answered = new Promise<Answer>((resolve) => this.calls.set(id, resolve));
    this.socket.send(JSON.stringify({ id, method, params, sessionId }));
    const { result, error } = await within(answered, method);
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result ?? {};
  }

  private take(answer: Answer): void {
    if (answer.id === undefined) this.events.push(answer);
    else this.calls.get(answer.id)?.(answer);
  }

  /** Opens a page in a tab of its own. */
  async tab(url: string): Promise<Tab> {
    const { targetId } = await this.call('Target.createTarget', { url });
    const { sessionId } = await this.call('Target.attachToTarget', { targetId, flatten: true });
    const tab = new Tab(this, sessionId as string);
    const isThere = `location.href === ${JSON.stringify(url)} && document.readyState === 'complete'`;
    await until(() => tab.evaluate(isThere), `the page ${url}`);
    return tab;
  }

  async end(): Promise<void> {
    this.socket.close();
    this.running.child.kill('SIGKILL');
    await within(this.running.ended, 'the end of Chromium');
    // Its other processes may write yet, for as long as they live.
    const remove = (): boolean => {
      try {
        rmSync(this.folder, { recursive: true, force: true });
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOTEMPTY') throw error;
        return false;
      }
    };
    await until(remove, 'the end of its processes');
  }
}

export class Tab {
  private readonly chromium: Chromium;
  private readonly sessionId: string;

  constructor(chromium: Chromium, sessionId: string) {
    this.chromium = chromium;
    this.sessionId = sessionId;
  }

  call(method: string, params: object = {}): Promise<Record<string, unknown>> {
    return this.chromium.call(method, params, this.sessionId);
  }

  /** The value of an expression, of what it promises. */
  async evaluate(expression: string): Promise<unknown> {
    const options = { expression, awaitPromise: true, returnByValue: true };
    const { result, exceptionDetails } = await this.call('Runtime.evaluate', options);
    if (exceptionDetails !== undefined) throw new Error(JSON.stringify(exceptionDetails));
    return (result as { value?: unknown }).value;
  }

  /** Types into a field, as a person does. */
  async type(selector: string, text: string): Promise<void> {
    await this.evaluate(`document.querySelector(${JSON.stringify(selector)}).focus()`);
    await this.call('Input.insertText', { text });
  }

  async enter(): Promise<void> {
    const key = { key: 'Enter', code: 'Enter', windowsVirtualKeyCode: 13 };
    await this.call('Input.dispatchKeyEvent', { type: 'keyDown', text: '\r', ...key });
    await this.call('Input.dispatchKeyEvent', { type: 'keyUp', ...key });
  }

  /** The text of each element, once the last is `last`. */
  async texts(selector: string, last: string): Promise<string[]> {
    const all = `[...document.querySelectorAll(${JSON.stringify(selector)})].map((one) => one.textContent)`;
    let found: string[] = [];
    const isThere = async (): Promise<boolean> => {
      found = (await this.evaluate(all)) as string[];
      return found.at(-1) === last;
    };
    try {
      await until(isThere, `"${last}"`);
    } catch (error) {
      throw new Error(`${(error as Error).message}: ${JSON.stringify(found)}`);
    }
    return found;
  }
}
