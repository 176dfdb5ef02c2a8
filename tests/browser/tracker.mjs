// Everybody else's host. The browser is told that every name and address but the suite's is this listener (--host-resolver-rules),
// so that whatever a message makes the browser ask for, over whatever scheme and port, ends here and is counted: the
// connections as they are accepted, not only the requests, since a connection alone says that the mail was opened.
import { createServer } from 'node:net';
import { once } from 'node:events';

const PIXEL = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');

export class Tracker {
  /** Connections accepted since the last `reset`. */
  connections = 0;
  /** Request lines seen since then, or `TLS` for a handshake. */
  requests = [];
  /** The requests whole, with their header fields. */
  heads = [];
  #waiting = [];

  static async start() {
    const tracker = new Tracker();
    tracker.server = createServer((socket) => tracker.#serve(socket));
    tracker.server.listen(0, '127.0.0.1');
    await once(tracker.server, 'listening');
    tracker.port = tracker.server.address().port;
    return tracker;
  }

  #serve(socket) {
    this.connections += 1;
    for (const resolve of this.#waiting.splice(0)) resolve();
    socket.on('error', () => {});
    socket.on('data', (bytes) => {
      const tls = bytes[0] === 0x16;
      const line = tls ? 'TLS' : bytes.toString('latin1').split('\r\n', 1)[0];
      this.requests.push(line);
      this.heads.push(tls ? line : bytes.toString('latin1'));
      if (tls) return socket.destroy();
      socket.end(Buffer.concat([Buffer.from(answerHead(line)), answerBody(line)]));
    });
  }

  /** Resolves with the first connection since the last `reset`. */
  async reached() {
    if (this.connections === 0) await new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** Forgets what was counted. */
  reset() {
    this.connections = 0;
    this.requests = [];
    this.heads = [];
  }

  stop() {
    this.server.close();
  }
}

/** What the tracker answers with, by the ending of the path: a payload of another origin may only work with the right type. */
const TYPES = { js: 'text/javascript', css: 'text/css', html: 'text/html', svg: 'image/svg+xml', mjs: 'text/javascript' };
const BODIES = {
  js: "fetch('http://ran.tracker.test/script')",
  mjs: "fetch('http://ran.tracker.test/module')",
  css: '@import url(http://nested.tracker.test/nested); body { background: url(http://nested.tracker.test/background) }',
  html: "<script>fetch('http://ran.tracker.test/frame')</script>",
  svg: '<svg xmlns="http://www.w3.org/2000/svg"><image href="http://nested.tracker.test/svg"/></svg>',
};

function ending(line) {
  return /\.(\w+)(\?\S*)? HTTP/.exec(line)?.[1];
}

function answerBody(line) {
  return BODIES[ending(line)] ? Buffer.from(BODIES[ending(line)]) : PIXEL;
}

function answerHead(line) {
  const type = TYPES[ending(line)] ?? 'image/png';
  return (
    `HTTP/1.1 200 OK\r\nContent-Type: ${type}\r\nContent-Length: ${answerBody(line).length}\r\n` +
    'Access-Control-Allow-Origin: *\r\nSet-Cookie: seen=1\r\nConnection: close\r\n\r\n'
  );
}
