// What a page costs on the wire: bytes with the heads of answers, and requests, by the browser's own network log.

const QUIET_MS = 700;

export class Wire {
  #open = new Set();
  #bytes = 0;
  #requests = [];
  #last = 0;

  /** Counts from now on. */
  static async of(page) {
    const wire = new Wire();
    const session = await page.context().newCDPSession(page);
    session.on('Network.requestWillBeSent', (event) => wire.#begins(event));
    // Of a stream, which does not end: what comes is counted as it comes.
    session.on('Network.dataReceived', ({ requestId, encodedDataLength }) => wire.#open.has(requestId) || (wire.#bytes += encodedDataLength));
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
    this.#requests.push(`${request.method} ${new URL(request.url).pathname}`);
    this.#last = Date.now();
    if (type !== 'EventSource') this.#open.add(requestId);
  }

  #ends(requestId, bytes) {
    if (!this.#open.delete(requestId)) return;
    this.#bytes += bytes;
    this.#requests.push(`  ${bytes}`);
    this.#last = Date.now();
  }

  /** Waits until nothing is under way any more; gives what came since the last time: KiB, and the requests for a report. */
  async taken() {
    const from = Date.now(); // what was just asked for may not be told yet
    while (this.#open.size > 0 || Date.now() - Math.max(this.#last, from) < QUIET_MS) await new Promise((resolve) => setTimeout(resolve, 20));
    const taken = { kib: this.#bytes / 1024, requests: this.#requests };
    this.#bytes = 0;
    this.#requests = [];
    return taken;
  }
}
