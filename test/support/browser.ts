import { spawn } from 'node:child_process';
import { accessSync, constants, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { vi } from 'vitest';

const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--remote-debugging-port=0',
];

/** A browser that speaks the Chrome DevTools Protocol: the one of CADENZA_BROWSER, or one that is on the PATH. */
export function findBrowser(env: NodeJS.ProcessEnv = process.env): string | undefined {
  if (env['CADENZA_BROWSER']) return env['CADENZA_BROWSER'];
  const names = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
  const folders = (env['PATH'] ?? '').split(delimiter);
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable);
}

/** One page in a headless browser of its own. */
export class BrowserPage {
  /** What the page threw, and what the browser refused it. */
  readonly problems: string[] = [];
  private readonly socket: WebSocket;
  private readonly waiting = new Map<number, (message: Message) => void>();
  private lastId = 0;
  private session = '';

  private constructor(socket: WebSocket) {
    this.socket = socket;
    socket.addEventListener('message', ({ data }) => this.hear(JSON.parse(String(data)) as Message));
  }

  /** Starts a browser with one empty page. It ends with `close`. */
  static async open(program: string): Promise<BrowserPage & AsyncDisposable> {
    const profile = mkdtempSync(join(tmpdir(), 'cadenza-browser-'));
    const child = spawn(program, [...flags, `--user-data-dir=${profile}`, 'about:blank'], {
      stdio: 'ignore',
    });
    const ended = once(child, 'close');
    const portFile = join(profile, 'DevToolsActivePort');
    const address = await vi.waitFor(() => readAddress(portFile), { timeout: 30_000, interval: 20 });
    const socket = new WebSocket(address);
    await once(socket, 'open');
    const page = new BrowserPage(socket);
    await page.attach();
    return Object.assign(page, {
      [Symbol.asyncDispose]: async () => {
        socket.close();
        child.kill('SIGKILL');
        await ended;
        rmSync(profile, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
      },
    });
  }

  /** Goes to an address, with a window of this size. */
  async goTo(url: string, { width = 1200, height = 800 } = {}): Promise<void> {
    await this.size(width, height);
    await this.send('Page.navigate', { url });
    await this.until('document.readyState === "complete"');
  }

  async size(width: number, height: number): Promise<void> {
    await this.send('Emulation.setDeviceMetricsOverride', {
      width,
      height,
      deviceScaleFactor: 1,
      mobile: false,
    });
  }

  async scheme(value: 'light' | 'dark'): Promise<void> {
    await this.send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value }] });
  }

  /** The value of an expression in the page. */
  async read<T>(expression: string): Promise<T> {
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
    return (result as { value: T }).value;
  }

  /** Waits until an expression is true in the page; fails with what the page shows. */
  async until(expression: string): Promise<void> {
    await vi.waitFor(
      async () => {
        if (await this.read<boolean>(`Boolean(${expression})`)) return;
        throw new Error(
          `${expression} is not so. The page:\n${await this.read<string>('document.body.innerText')}`,
        );
      },
      { timeout: 30_000, interval: 30 },
    );
  }

  /** Clicks where the element is, as a mouse does. */
  async click(selector: string): Promise<void> {
    const at = `document.querySelector(${JSON.stringify(selector)})`;
    await this.until(`${at} && !${at}.disabled && ${at}.checkVisibility()`);
    const { x, y } = await this.read<{ x: number; y: number }>(
      `(() => { const e = ${at}; e.scrollIntoView({ block: 'center' }); const r = e.getBoundingClientRect(); return { x: r.x + r.width / 2, y: r.y + r.height / 2 }; })()`,
    );
    for (const type of ['mousePressed', 'mouseReleased'])
      await this.send('Input.dispatchMouseEvent', { type, x, y, button: 'left', clickCount: 1 });
  }

  /** Types into the element, as a keyboard does. */
  async type(selector: string, text: string): Promise<void> {
    await this.click(selector);
    await this.send('Input.insertText', { text });
  }

  async screenshot(): Promise<Buffer> {
    const { data } = await this.send('Page.captureScreenshot', { format: 'png' });
    return Buffer.from(data as string, 'base64');
  }

  private async attach(): Promise<void> {
    const { targetInfos } = await this.send('Target.getTargets', {});
    const target = (targetInfos as { type: string; targetId: string }[]).find(({ type }) => type === 'page');
    const { sessionId } = await this.send('Target.attachToTarget', {
      targetId: target?.targetId,
      flatten: true,
    });
    this.session = sessionId as string;
    for (const domain of ['Page', 'Runtime', 'Log']) await this.send(`${domain}.enable`, {});
  }

  private async send(method: string, params: object): Promise<Record<string, unknown>> {
    const id = ++this.lastId;
    const answer = new Promise<Message>((resolve) => this.waiting.set(id, resolve));
    const session = this.session === '' ? {} : { sessionId: this.session };
    this.socket.send(JSON.stringify({ id, method, params, ...session }));
    const { result = {}, error } = await answer;
    if (error) throw new Error(`${method}: ${error.message}`);
    return result;
  }

  private hear(message: Message): void {
    if (message.id !== undefined) {
      this.waiting.get(message.id)?.(message);
      this.waiting.delete(message.id);
    } else if (message.method === 'Runtime.exceptionThrown' || message.method === 'Log.entryAdded') {
      this.problems.push(JSON.stringify(message.params));
    }
  }
}

interface Message {
  id?: number;
  method?: string;
  params?: unknown;
  result?: Record<string, unknown>;
  error?: { message: string };
}

function readAddress(file: string): string {
  if (!existsSync(file)) throw new Error('the browser does not listen');
  const [port, path] = readFileSync(file, 'utf8').split('\n');
  if (!port || !path) throw new Error('the browser does not listen yet');
  return `ws://127.0.0.1:${port}${path}`;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
