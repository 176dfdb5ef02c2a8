// What a page costs on the wire: bytes with the heads of answers, and requests, by the browser's own network log.

const QUIET_MS = 700;
const PATIENCE_MS = 15_000;

export class Wire {
  /** What is asked for, by the browser's id, and has not ended. */
  #open = new Map();
  #streams = new Set();
  #bytes = 0;
  #requests = [];
  #last = 0;

  /** Counts what a page asks for that has asked for nothing yet: of a request that is under way nobody can tell what it is. */
  static async of(page) {
    if (page.url() !== 'about:blank') throw new Error(`the wire of ${page.url()} was busy before it was watched`);
    const wire = new Wire();
    const session = await page.context().newCDPSession(page);
    session.on('Network.requestWillBeSent', (event) => wire.#begins(event));
    // Of a stream, which does not end: what comes is counted as it comes.
    session.on('Network.dataReceived', ({ requestId, encodedDataLength }) => wire.#comes(requestId, encodedDataLength));
    session.on('Network.responseReceived', ({ requestId, response }) => {
      // The page may leave the body of a refusal unread: its end is then never told.
      if (response.status >= 400) wire.#ends(requestId, response.encodedDataLength);
    });
    session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => wire.#ends(requestId, encodedDataLength));
    session.on('Network.loadingFailed', ({ requestId }) => wire.#ends(requestId, 0));
    session.on('Network.requestServedFromCache', ({ requestId }) => wire.#open.delete(requestId));
    await session.send('Network.enable');
    return wire;
  }

  #begins({ requestId, request, type }) {
    if (!/^http/.test(request.url)) return;
    const named = `${request.method} ${new URL(request.url).pathname}`;
    this.#requests.push(named);
    this.#last = Date.now();
    if (type === 'EventSource') this.#streams.add(requestId);
    else this.#open.set(requestId, named);
  }

  #comes(requestId, bytes) {
    if (!this.#streams.has(requestId)) return;
    this.#bytes += bytes;
    this.#last = Date.now();
  }

  #ends(requestId, bytes) {
    if (!this.#open.delete(requestId)) return;
    this.#bytes += bytes;
    this.#requests.push(`  ${bytes}`);
    this.#last = Date.now();
  }

  /**
   * Waits until nothing is under way any more; gives what came since the last time: KiB, and the requests for a report. What the server
   * tells later than that is counted the next time: wait on the page for all that is expected, first.
   */
  async taken() {
    const from = Date.now(); // what was just asked for may not be told yet
    while (this.#open.size > 0 || Date.now() - Math.max(this.#last, from) < QUIET_MS) {
      if (Date.now() - from > PATIENCE_MS) throw new Error(`the wire is not quiet; open: ${[...this.#open.values()].join(', ') || 'nothing'}; asked for:\n${this.#requests.join('\n')}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    const taken = { kib: this.#bytes / 1024, requests: this.#requests };
    this.#bytes = 0;
    this.#requests = [];
    return taken;
  }
}
