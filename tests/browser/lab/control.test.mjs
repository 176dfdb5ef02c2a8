// The lab's negative control: with neither cleaning nor policy nor frame each message and each attachment does the harm that it is
// marked with, one by one. What does not would prove nothing when it is harmless behind the defences (lab.test.mjs, application.test.mjs).
import { assert, freshUser, signIn, test } from '../harness.mjs';
import { attachments } from './attachments.mjs';
import { head, show, showPage, told } from './host.mjs';
import { messages } from './messages.mjs';

/** Frames that are shown at once. */
const AT_ONCE = 15;
/** How long one alone is waited for, in ms. */
const ALONE_MS = 4_000;
/** Classes that come as HTML: each must have messages that do harm. */
const CLASSES = ['W1', 'W2', 'W3', 'W4', 'W5', 'W6', 'W16', 'W19'];

const bare = { timeout: 200_000, allowErrors: /./, allowConnections: true };
const HTML = { 'Content-Type': 'text/html; charset=utf-8' };
const nameOf = ({ number, kind, name, type }) => `${number} ${kind ?? 'W7'} ${name || type}`;

/** Waits until a number was told to the tracker; whether it was. */
async function tells(tracker, number) {
  for (const until = Date.now() + ALONE_MS; Date.now() < until; ) {
    if (told(tracker).has(String(number))) return true;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return false;
}

/** A user is signed in: what runs has something to steal. Nothing of it goes into the application itself. */
async function ready(page) {
  await signIn(page, freshUser(), '/robots.txt');
}

test('each message that does harm when it is shown does it', bare, async ({ page, tracker }) => {
  await ready(page);
  const expected = messages.filter(({ harm }) => harm === 'shown');
  for (let at = 0; at < expected.length; at += AT_ONCE) {
    await show(page, expected.slice(at, at + AT_ONCE).map(({ html: body }) => ({ body, fields: HTML })), { bare: true });
  }
  const together = told(tracker);
  const harmless = [];
  // One that goes elsewhere with the whole page takes the others with it: these are shown alone.
  for (const one of expected.filter(({ number }) => !together.has(String(number)))) {
    await show(page, [{ body: one.html, fields: HTML }], { bare: true });
    if (!(await tells(tracker, one.number))) harmless.push(nameOf(one));
  }
  console.log(`# without defences ${expected.length - harmless.length} of ${expected.length} messages do harm by being shown`);
  assert.deepEqual(harmless, [], 'these prove nothing');
});

test('each message that does harm when it is clicked does it', bare, async ({ page, tracker }) => {
  await ready(page);
  const harmless = [];
  for (const one of messages.filter(({ harm }) => harm === 'clicked')) {
    await show(page, [{ body: one.html, fields: HTML }], { bare: true });
    await page.frames()[1].locator('#go').click({ force: true });
    if (!(await tells(tracker, one.number))) harmless.push(nameOf(one));
  }
  assert.deepEqual(harmless, [], 'these prove nothing');
});

test('each message that does harm when it is written and read again does it (W3)', bare, async ({ page, tracker }) => {
  await ready(page);
  const harmless = [];
  for (const one of messages.filter(({ harm }) => harm === 'reread')) {
    await show(page, [{ body: one.html, fields: HTML }], { bare: true });
    assert.ok(!told(tracker).has(String(one.number)), `${nameOf(one)} does harm at the first reading`);
    await page.frames()[1].evaluate(() => {
      document.body.innerHTML = document.body.innerHTML;
      document.body.innerHTML = document.body.innerHTML;
    });
    if (!(await tells(tracker, one.number))) harmless.push(nameOf(one));
  }
  assert.deepEqual(harmless, [], 'these prove nothing');
});

const CHANGES = {
  covers: async (page, before) => !(await head(page)).equals(before),
  grows: (page) => page.evaluate(() => document.documentElement.scrollHeight > 100_000),
  clobbers: (page) => page.evaluate(() => typeof document.cookie !== 'string' || !(document.body instanceof HTMLBodyElement)),
};

test('each message that covers, clobbers or blows up does so to a page that has it in its own markup (W6)', bare, async ({ page }) => {
  await ready(page);
  await showPage(page, '');
  const before = await head(page);
  for (const [harm, changed] of Object.entries(CHANGES)) {
    const of = messages.filter((one) => one.harm === harm);
    assert.ok(of.length > 0, harm);
    for (const one of of) {
      await showPage(page, one.html);
      assert.ok(await changed(page, before), `${nameOf(one)} ${harm} nothing`);
    }
    await showPage(page, '<p>harmless</p>');
    assert.ok(!(await changed(page, before)), `a harmless page ${harm}`);
  }
});

test('each class has a message that does harm; what does none says why', async () => {
  for (const kind of CLASSES) assert.ok(messages.some((one) => one.kind === kind && one.harm !== null), kind);
  assert.deepEqual([...new Set(messages.map(({ kind }) => kind))].filter((kind) => !CLASSES.includes(kind)), []);
  for (const one of [...messages, ...attachments].filter(({ harm }) => harm === null)) assert.ok(one.why?.length > 10, nameOf(one));
});

/**
 * What hosts have sent attachments as: what they say they are, nothing (so that the browser looks), what they are called, and
 * what a link to them asks for.
 */
const BY_ENDING = { html: 'text/html', svg: 'image/svg+xml', xht: 'application/xhtml+xml', xml: 'text/xml' };
const SENT_AS = {
  'its own type': ({ type }) => ({ 'Content-Type': type.replace(/\s+/g, ' ') }),
  'no type': () => ({}),
  'the type of its name': ({ name }) => ({ 'Content-Type': BY_ENDING[/\.(\w+)$/.exec(name ?? '')?.[1]] ?? 'application/octet-stream' }),
  'a page': () => HTML,
};

test('each attachment that is marked so runs when a host believes its type, its content or its name (W7)', bare, async ({ page, tracker }) => {
  await ready(page);
  const loaders = (list) => {
    const tags = list.map((_, at) => `<script src="/lab/frame/${at}"></script><script type=module src="/lab/frame/${at}"></script><link rel=stylesheet href="/lab/frame/${at}">`);
    return { body: `<!doctype html>${tags.join('')}<p>x`, fields: HTML };
  };
  let left = attachments.filter(({ harm }) => harm !== null);
  for (const fields of Object.values(SENT_AS)) {
    for (let at = 0; at < left.length; at += AT_ONCE) {
      const batch = left.slice(at, at + AT_ONCE);
      await show(page, [...batch.map((one) => ({ body: one.body, fields: fields(one) })), loaders(batch)], { bare: true });
    }
    left = left.filter(({ number }) => !told(tracker).has(`a${number}`));
  }
  console.log(`# without defences ${attachments.filter(({ number }) => told(tracker).has(`a${number}`)).length} of ${attachments.length} attachments run`);
  assert.deepEqual(left.map(nameOf), [], 'these prove nothing');
});
