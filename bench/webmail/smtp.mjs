// One SMTP session that stays open, for deliveries one after the other.
import { createConnection } from 'node:net';
import { once } from 'node:events';

export class Smtp {
  static async open(port) {
    const one = new Smtp();
    one.socket = createConnection(port, '127.0.0.1');
    one.socket.setNoDelay(true);
    one.lines = one.#read();
    await once(one.socket, 'connect');
    await one.#answer('2');
    await one.#say('EHLO bench.example.org', '2');
    return one;
  }

  async *#read() {
    let rest = '';
    for await (const bytes of this.socket) {
      rest += bytes.toString('latin1');
      for (let end; (end = rest.indexOf('\r\n')) >= 0; rest = rest.slice(end + 2)) yield rest.slice(0, end);
    }
  }

  async #answer(wanted) {
    for (;;) {
      const { value } = await this.lines.next();
      if (value === undefined || (value[3] !== '-' && value[0] !== wanted)) throw new Error(`SMTP: ${value}`);
      if (value[3] !== '-') return;
    }
  }

  async #say(line, wanted) {
    this.socket.write(`${line}\r\n`);
    await this.#answer(wanted);
  }

  /** Delivers to `user`; gives the time at which the last byte was handed over, ms of the epoch. */
  async deliver(user, subject) {
    await this.#say('MAIL FROM:<bench@example.org>', '2');
    await this.#say(`RCPT TO:<${user}@example.test>`, '2');
    await this.#say('DATA', '3');
    const text = `From: "Bench" <bench@example.org>\r\nTo: ${user}@example.test\r\nSubject: ${subject}\r\nDate: ${new Date().toUTCString().replace('GMT', '+0000')}\r\nMessage-ID: <${Date.now()}.${Math.random()}@example.org>\r\n\r\nHere it is.\r\n.`;
    const at = performance.timeOrigin + performance.now();
    await this.#say(text, '2');
    return at;
  }

  close() {
    this.socket.end('QUIT\r\n');
  }
}
