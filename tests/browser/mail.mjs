// Mail into the suite by real SMTP, and a look at what arrived by IMAP. One line of an answer at a time, nothing clever.
import { createConnection } from 'node:net';
import { once } from 'node:events';
import { address, password, world } from './world.mjs';

const PATIENCE_MS = 60_000;

/** A connection that is spoken to line by line. */
class Wire {
  #lines = [];
  #waiting = [];
  #rest = Buffer.alloc(0);

  static async open(port) {
    const wire = new Wire();
    wire.socket = createConnection(port, world.address);
    wire.socket.setTimeout(PATIENCE_MS, () => wire.socket.destroy(new Error(`port ${port} says nothing`)));
    wire.socket.on('data', (bytes) => wire.#take(bytes));
    wire.socket.on('error', (error) => wire.#end(error));
    wire.socket.on('close', () => wire.#end(new Error(`port ${port} closed the connection`)));
    await once(wire.socket, 'connect');
    return wire;
  }

  #take(bytes) {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    for (let end; (end = this.#rest.indexOf('\r\n')) >= 0; this.#rest = this.#rest.subarray(end + 2)) {
      this.#lines.push(this.#rest.subarray(0, end).toString('utf8'));
      this.#waiting.shift()?.resolve();
    }
  }

  #end(error) {
    this.error ??= error;
    for (const one of this.#waiting.splice(0)) one.reject(this.error);
  }

  async line() {
    while (this.#lines.length === 0) {
      if (this.error) throw this.error;
      await new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
    }
    return this.#lines.shift();
  }

  write(bytes) {
    this.socket.write(bytes);
  }

  close() {
    this.socket.end();
  }
}

/** A message as bytes: header fields of an object (or a list of pairs, for repeated ones), then the body. */
export function compose(fields, body = '') {
  const pairs = Array.isArray(fields) ? fields : Object.entries(fields);
  const head = Buffer.from(pairs.map(([name, value]) => `${name}: ${value}\r\n`).join('') + '\r\n', 'utf8');
  return Buffer.concat([head, Buffer.isBuffer(body) ? body : Buffer.from(body, 'utf8')]);
}

/** A message of one part of HTML. */
export function html(subject, body, fields = {}) {
  return compose(
    {
      From: '"A stranger" <stranger@example.org>',
      Subject: subject,
      'MIME-Version': '1.0',
      'Content-Type': 'text/html; charset=utf-8',
      'Content-Transfer-Encoding': '8bit',
      ...fields,
    },
    body,
  );
}

/** A message of several parts; each is {type, body, name?, disposition?, id?}. A body is carried as base64. */
export function multipart(subject, parts, { subtype = 'mixed', fields = {} } = {}) {
  const boundary = '=_parts';
  const blocks = parts.map(({ type, body, name, disposition, id, heads = [] }) => {
    const lines = [
      `Content-Type: ${type}`,
      'Content-Transfer-Encoding: base64',
      ...(id ? [`Content-ID: <${id}>`] : []),
      ...(disposition || name ? [`Content-Disposition: ${disposition ?? 'attachment'}${name ? `; filename="${name}"` : ''}`] : []),
      ...heads,
    ];
    const encoded = Buffer.from(body).toString('base64').replace(/.{76}/g, '$&\r\n');
    return `--${boundary}\r\n${lines.join('\r\n')}\r\n\r\n${encoded}\r\n`;
  });
  return compose(
    {
      From: '"A stranger" <stranger@example.org>',
      Subject: subject,
      'MIME-Version': '1.0',
      'Content-Type': `multipart/${subtype}; boundary="${boundary}"`,
      ...fields,
    },
    `${blocks.join('')}--${boundary}--\r\n`,
  );
}

/** Sends messages from outside to a user by port 25; each is bytes. Returns when all were answered with 250. */
export async function send(user, ...messages) {
  await sendAs('stranger@example.org', user, ...messages);
}

/** The same with a return path of one's own. */
export async function sendAs(from, user, ...messages) {
  const wire = await Wire.open(world.smtp);
  const say = async (line, wanted) => {
    if (line !== null) wire.write(`${line}\r\n`);
    let reply;
    do reply = await wire.line();
    while (reply[3] === '-');
    if (!reply.startsWith(wanted)) throw new Error(`SMTP: ${line} was answered with ${reply}`);
  };
  await say(null, '220');
  await say('EHLO client.example.org', '250');
  for (const message of messages) {
    await say(`MAIL FROM:<${from}> BODY=8BITMIME`, '250');
    await say(`RCPT TO:<${address(user)}>`, '250');
    await say('DATA', '354');
    wire.write(stuffed(message));
    await say('.', '250');
  }
  await say('QUIT', '221');
  wire.close();
}

/** Line ends of CR LF, dots doubled, an end of line at the end. */
function stuffed(message) {
  const text = Buffer.from(message).toString('latin1').replace(/\r?\n/g, '\r\n').replace(/^\./gm, '..');
  return Buffer.from(text.endsWith('\r\n') ? text : `${text}\r\n`, 'latin1');
}

/** An IMAP session of a user: `command` gives the lines before the tagged one, and fails unless that says OK. */
export class Imap {
  static async open(user, secret = password(user)) {
    const imap = new Imap();
    imap.wire = await Wire.open(world.imap);
    await imap.wire.line();
    await imap.command(`LOGIN ${user} ${secret}`);
    return imap;
  }

  async command(text) {
    this.wire.write(`t ${text}\r\n`);
    const said = [];
    for (;;) {
      const line = await this.wire.line();
      if (line.startsWith('t OK')) return said;
      if (line.startsWith('t ')) throw new Error(`IMAP: ${text} was answered with ${line}`);
      said.push(line);
    }
  }

  /** Puts a message into a mailbox, with `flags` such as `(\\Draft)`. */
  async append(mailbox, message, flags = '') {
    const bytes = stuffed(message).toString('latin1').replace(/^\.\./gm, '.');
    await this.command(`APPEND "${mailbox}" ${flags}${flags && ' '}{${bytes.length}+}\r\n${bytes}`);
  }

  close() {
    this.wire.close();
  }
}

/**
 * Sends messages and waits until they are in the INBOX. Gives the EMAILID of each of these, the first first: this is what
 * JMAP and the addresses of the web mail call the message.
 */
export async function deliver(user, ...messages) {
  const imap = await Imap.open(user);
  const next = async () => Number(/UIDNEXT (\d+)/.exec((await imap.command('STATUS INBOX (UIDNEXT)')).join(' '))[1]);
  const from = await next();
  await send(user, ...messages);
  const giveUp = Date.now() + PATIENCE_MS;
  while ((await next()) < from + messages.length) {
    if (Date.now() > giveUp) throw new Error(`not delivered to ${user}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await imap.command('EXAMINE INBOX');
  const said = await imap.command(`UID FETCH ${from}:${from + messages.length - 1} (EMAILID)`);
  imap.close();
  return said.flatMap((line) => /EMAILID \(([^)]+)\)/.exec(line)?.[1] ?? []);
}
