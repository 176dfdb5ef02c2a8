// As many open pages as the task says, without a browser: each has a session, has read its mailbox, and keeps what a page keeps:
// the connection of its requests and its event stream.
import { Agent, request } from 'node:http';

const MAIL = ['urn:ietf:params:jmap:core', 'urn:ietf:params:jmap:mail'];
const ROWS = ['id', 'threadId', 'mailboxIds', 'keywords', 'size', 'receivedAt', 'from', 'to', 'subject', 'preview', 'hasAttachment'];

class Page {
  constructor(url, user) {
    Object.assign(this, { url, user, agent: new Agent({ keepAlive: true, maxSockets: 1 }), cookie: '' });
  }

  ask(method, path, { body, token, keep } = {}) {
    const text = body && JSON.stringify(body);
    const headers = { Cookie: this.cookie, Origin: this.url, 'Sec-Fetch-Site': 'same-origin', ...(text ? { 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) } : {}), ...(token ? { 'X-Mailboat-Token': token } : {}) };
    return new Promise((resolve, reject) => {
      const one = request(`${this.url}${path}`, { method, headers, agent: keep ? false : this.agent }, (response) => {
        if (response.statusCode !== 200) return reject(new Error(`${path}: ${response.statusCode}`));
        if (keep) return resolve(response.resume());
        const pieces = [];
        response.on('data', (piece) => pieces.push(piece));
        response.on('end', () => resolve({ response, said: JSON.parse(Buffer.concat(pieces).toString()) }));
      });
      one.on('error', reject);
      one.end(text);
    });
  }

  async open() {
    const { response, said } = await this.ask('POST', '/auth/sign-in', { body: { user: this.user, password: `pw-${this.user}` } });
    this.cookie = response.headers['set-cookie'].map((one) => one.split(';')[0]).join('; ');
    const { said: session } = await this.ask('GET', '/jmap/session');
    const accountId = session.primaryAccounts[MAIL[1]];
    const call = (methodCalls) => this.ask('POST', new URL(session.apiUrl, this.url).pathname, { token: said.token, body: { using: MAIL, methodCalls } });
    const { said: mailboxes } = await call([['Mailbox/get', { accountId, ids: null }, '0']]);
    const inbox = mailboxes.methodResponses[0][1].list.find(({ role }) => role === 'inbox').id;
    await call([
      ['Email/query', { accountId, filter: { inMailbox: inbox }, sort: [{ property: 'receivedAt', isAscending: false }], collapseThreads: true, position: 0, limit: 100, calculateTotal: true }, '0'],
      ['Email/get', { accountId, '#ids': { resultOf: '0', name: 'Email/query', path: '/ids' }, properties: ROWS }, '1'],
    ]);
    const stream = session.eventSourceUrl.replace('{types}', 'Email,Mailbox').replace('{closeafter}', 'no').replace('{ping}', '60');
    await this.ask('GET', new URL(stream, this.url).href.slice(this.url.length), { keep: true });
  }
}

/** Opens one page for each user first: what the process keeps anyway is none of the pages'. */
export async function openPages(task, tell) {
  const open = async (from, to) => {
    let next = from;
    await Promise.all(Array.from({ length: 4 }, async () => {
      while (next < to) {
        const n = next++;
        await new Page(task.url, `u${n % task.users}`).open();
      }
    }));
  };
  await open(0, 8);
  await tell('begin', 'page_all');
  await open(8, 8 + task.pages);
  await new Promise((resolve) => setTimeout(resolve, 1000));
  await tell('end', 'page_all');
}
