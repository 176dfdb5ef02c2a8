// A page that is measured: the clock runs in the page, bytes and requests are those of the browser's own network log.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const QUIET_MS = 700;
const STEP_MS = 90_000;

export async function launch(modules) {
  const { chromium } = createRequire(join(modules, 'here.cjs'))('playwright-core');
  return chromium.launch({
    executablePath: process.env.MAILBOAT_CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-dev-shm-usage', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

/**
 * Runs in every page. `begin` starts the clock (ms of the epoch; it goes on over a navigation), as Enter and a click do; `when(text, rows)`
 * resolves with the time at which a row with that text was painted inside the window.
 */
function watch(rows) {
  const now = () => performance.timeOrigin + performance.now();
  const begin = () => sessionStorage.setItem('bench-begin', String(now()));
  const visible = (element) => {
    const { top, bottom, height } = element.getBoundingClientRect();
    return height > 0 && bottom > 0 && top < innerHeight;
  };
  const painted = (is) =>
    new Promise((resolve) => {
      const look = () => {
        if (!is()) return requestAnimationFrame(look);
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => resolve(now());
        port2.postMessage(0); // comes after this frame was painted
      };
      look();
    });
  globalThis.bench = {
    begin,
    when: async (text) => (await painted(() => [...document.querySelectorAll(rows)].some((one) => one.textContent.includes(text) && visible(one)))) - Number(sessionStorage.getItem('bench-begin')),
    epochWhen: (text) => painted(() => [...document.querySelectorAll(rows)].some((one) => one.textContent.includes(text) && visible(one))),
    shown: async (selector) => (await painted(() => [...document.querySelectorAll(selector)].some(visible))) - Number(sessionStorage.getItem('bench-begin')),
    sinceOrigin: async (text) => (await painted(() => [...document.querySelectorAll(rows)].some((one) => one.textContent.includes(text) && visible(one)))) - performance.timeOrigin,
  };
  addEventListener('keydown', (event) => event.key === 'Enter' && begin(), true);
  addEventListener('click', begin, true);
}

/** A page of a fresh context, with nothing in its cache. */
export class Measured {
  #open = new Set();
  #count = 0;
  #bytes = 0;
  #last = 0;

  static async open(browser, product) {
    const one = new Measured();
    one.context = await browser.newContext({ viewport: { width: 1280, height: 800 }, serviceWorkers: 'block' });
    one.context.setDefaultTimeout(STEP_MS);
    one.page = await one.context.newPage();
    await one.page.addInitScript(watch, product.rows);
    const session = await one.context.newCDPSession(one.page);
    session.on('Network.requestWillBeSent', (event) => one.#begins(event));
    session.on('Network.dataReceived', ({ requestId, encodedDataLength }) => one.#open.has(requestId) || (one.#bytes += encodedDataLength));
    // The page may leave the body of a refusal unread: its end is then never told.
    session.on('Network.responseReceived', ({ requestId, response }) => {
      if (response.fromDiskCache) one.#cached(requestId);
      else if (response.status >= 400) one.#ends(requestId, response.encodedDataLength);
    });
    session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => one.#ends(requestId, encodedDataLength));
    session.on('Network.loadingFailed', ({ requestId }) => one.#ends(requestId, 0));
    session.on('Network.requestServedFromCache', ({ requestId }) => one.#cached(requestId));
    await session.send('Network.enable');
    return one;
  }

  #begins({ requestId, request, type, redirectResponse }) {
    if (!/^http/.test(request.url)) return;
    if (redirectResponse) this.#bytes += redirectResponse.encodedDataLength;
    this.#count += 1;
    this.#last = Date.now();
    if (type !== 'EventSource') this.#open.add(requestId);
  }

  #ends(requestId, bytes) {
    if (!this.#open.delete(requestId)) return;
    this.#bytes += bytes;
    this.#last = Date.now();
  }

  /** What comes out of the browser's cache is no request. */
  #cached(requestId) {
    if (this.#open.delete(requestId)) this.#count -= 1;
  }

  /** Waits until nothing has been under way for a while; what was just asked for may not be told yet. */
  async quiet() {
    const from = Date.now();
    while (this.#open.size > 0 || Date.now() - Math.max(this.#last, from) < QUIET_MS) await new Promise((resolve) => setTimeout(resolve, 20));
  }

  /** What went over the wire since the last call: KiB, heads included, and requests. */
  taken() {
    const taken = { kib: this.#bytes / 1024, requests: this.#count };
    this.#bytes = this.#count = 0;
    return taken;
  }
}
