// The hostile-mail lab: every message of messages.mjs and every attachment of attachments.mjs, sent by SMTP and opened in the
// browser. Nothing runs, nothing connects, nothing leaves its frame. Each defence is also taken away in turn: with both gone the
// same messages must do their harm, or this lab would prove nothing; with one gone the other holds alone.
import { address, assert, axe, deliver, freshUser, html, Imap, multipart, signIn, test, world } from '../harness.mjs';
import { attachments } from './attachments.mjs';
import { assertHostIsWhole, head, lookInside, SANDBOX, show, tree } from './host.mjs';
import { bombs, messages } from './messages.mjs';

/** Frames that are shown at once. */
const AT_ONCE = 15;
/** Messages that must do harm when nothing is done about them. */
const LEAKS_MIN = 30;

const hostile = { timeout: 120_000, allowErrors: /./ };

function mailOf({ number, name, html: body }, fields = {}) {
  const encoded = Buffer.from(body, 'utf8').toString('base64').replace(/.{76}/g, '$&\r\n');
  return html(`${number} ${name}`, encoded, { 'Content-Transfer-Encoding': 'base64', ...fields });
}

function inBatches(list) {
  return Array.from({ length: Math.ceil(list.length / AT_ONCE) }, (_, at) => list.slice(at * AT_ONCE, (at + 1) * AT_ONCE));
}

/** Signs in and delivers; gives the address of each message's frame. */
async function opened(page, user, mails) {
  const ids = await deliver(user, ...mails);
  assert.equal(ids.length, mails.length);
  await signIn(page, user, '/robots.txt');
  return ids.map((id) => `${world.url}/message/${user}/${id}`);
}

/** The numbers of messages that told the tracker something. */
function told(tracker) {
  return new Set(tracker.requests.map((line) => Number(/ (?:http:\/\/[^/]*)?\/(\d+)\//.exec(line)?.[1] ?? -1)).filter((number) => number >= 0));
}

test('the lab is large enough', async () => {
  assert.ok(messages.length >= 60, `${messages.length} messages`);
  assert.ok(attachments.length >= 60, `${attachments.length} attachments`);
});

test('no message runs, connects, or leaves its frame', hostile, async ({ page, tracker }) => {
  const other = freshUser();
  const mails = messages.map((one) => mailOf(one, { 'Disposition-Notification-To': address(other), 'Return-Receipt-To': address(other) }));
  const frames = await opened(page, freshUser(), mails);
  const dialogs = [];
  page.on('dialog', (dialog) => dialogs.push(dialog.message()));
  const before = await show(page, []).then(() => head(page));
  for (const [at, batch] of inBatches(frames).entries()) {
    await show(page, batch);
    for (const [within, frame] of page.frames().slice(1).entries()) {
      const which = messages[at * AT_ONCE + within];
      const of = `${which.number} ${which.kind} ${which.name}`;
      assert.equal(frame.url(), batch[within], `${of} navigated`);
      assert.deepEqual(await lookInside(frame), [], of);
      // What waits for a click gets one, unless it is an honest link to another host.
      await frame.evaluate(() => {
        for (const one of document.querySelectorAll('a:not([href^=http]), button, [id]:not([href^=http])')) one.click?.();
      });
    }
    await page.waitForTimeout(200);
    assert.ok((await head(page)).equals(before), `one of batch ${at} painted over the page`);
    await assertHostIsWhole(page);
    assert.equal(page.context().pages().length, 1, 'a window was opened');
    assert.equal(tracker.connections, 0, `batch ${at}: ${tracker.requests.join(', ')}`);
  }
  assert.deepEqual(dialogs, []);
  const imap = await Imap.open(other);
  assert.match((await imap.command('STATUS INBOX (MESSAGES)')).join(), /MESSAGES 0/, 'a receipt was sent (W19)');
  imap.close();
});

test('with neither policy nor cleaning the same messages do harm', { ...hostile, allowConnections: true }, async ({ page, tracker }) => {
  const leaked = new Set();
  for (const batch of inBatches(messages)) {
    tracker.reset();
    await signInOnce(page);
    const frames = batch.map((one) => ({ body: one.html, fields: { 'Content-Type': 'text/html; charset=utf-8' } }));
    // One page each: what navigates the top takes the others with it.
    await show(page, frames, { sandbox: null });
    for (const number of told(tracker)) leaked.add(number);
  }
  const expected = messages.filter((one) => one.leaks);
  console.log(`# the lab without defences: ${leaked.size} of ${messages.length} messages reach the tracker`);
  assert.ok(leaked.size >= LEAKS_MIN, `only ${leaked.size} of ${expected.length} leak: the lab cannot fail`);
});

test('the policy alone holds', { ...hostile, allowConnections: true }, async ({ page, tracker }) => {
  const user = freshUser();
  const [frame] = await opened(page, user, [mailOf({ number: 0, name: 'any', html: '<p>x' })]);
  const policy = (await page.request.get(frame)).headers()['content-security-policy'];
  for (const part of ['sandbox', "default-src 'none'", "form-action 'none'", "base-uri 'none'", "frame-ancestors 'self'"]) {
    assert.ok(policy.includes(part), `${part} is not in ${policy}`);
  }
  assert.ok(!policy.includes('allow-scripts') && !policy.includes('allow-top-navigation'), policy);
  for (const batch of inBatches(messages)) {
    await show(page, batch.map((one) => ({ body: one.html, fields: { 'Content-Type': 'text/html; charset=utf-8', 'Content-Security-Policy': policy } })));
    await assertHostIsWhole(page);
  }
  // A frame in a message may open a bare connection before the policy speaks: the cleaning is against that. No request is made.
  assert.deepEqual(tracker.requests, []);
});

test('the cleaning alone holds', hostile, async ({ page, tracker }) => {
  const frames = await opened(page, freshUser(), messages.map((one) => mailOf(one)));
  for (const batch of inBatches(frames)) {
    const bodies = [];
    for (const frame of batch) bodies.push(await (await page.request.get(frame)).text());
    await show(page, bodies.map((body) => ({ body, fields: { 'Content-Type': 'text/html; charset=utf-8' } })), { sandbox: null });
    await assertHostIsWhole(page);
    assert.equal(tracker.connections, 0, tracker.requests.join(', '));
  }
});

test('the browser sees the tree that was written: a second reading changes nothing', hostile, async ({ page }) => {
  const frames = await opened(page, freshUser(), messages.map((one) => mailOf(one)));
  for (const batch of inBatches(frames)) {
    await show(page, batch);
    for (const frame of page.frames().slice(1)) {
      const seen = await tree(frame, 'body');
      const again = await frame.evaluate(() => {
        const twin = new DOMParser().parseFromString(`<!doctype html><html><head></head>${document.body.outerHTML}</html>`, 'text/html');
        return [twin.body.outerHTML, document.body.outerHTML];
      });
      assert.equal(again[0], again[1], frame.url());
      assert.ok(!seen.some((line) => line.includes('a node of type')), seen.join('\n'));
      const source = await (await page.request.get(frame.url())).text();
      assert.ok(source.includes(again[1].replaceAll('\u00a0', '&nbsp;').slice(0, 40)) || seen.length > 0);
    }
  }
});

test('images are shown when they are asked for, and by this host', { ...hostile }, async ({ page }) => {
  const mail = multipart(
    'related',
    [
      { type: 'text/html; charset=utf-8', body: '<img src="cid:a@b" alt="inline"><img src="http://evil.test/x.png" alt="remote"><b>c</b>' },
      { type: 'image/png', body: PIXEL, id: 'a@b', disposition: 'inline' },
    ],
    { subtype: 'related' },
  );
  const [frame] = await opened(page, freshUser(), [mail]);
  await show(page, [frame]);
  const images = () => page.frames()[1].evaluate(() => [...document.images].map((one) => [one.alt, one.naturalWidth, one.getAttribute('src')?.split('/')[1] ?? null]));
  assert.deepEqual(await images(), [['inline', 1, 'jmap'], ['remote', 0, null]]);
  const root = () => page.frames()[1].evaluate(() => ({ ...document.documentElement.dataset }));
  assert.deepEqual(await root(), { images: 'ask', blocked: '1', colours: 'false', cut: 'false' });
  await show(page, [`${frame}?images=1`]);
  assert.deepEqual((await images()).map(([, , from]) => from), ['jmap', 'image']); // asked of the own host, which reaches nobody here
  assert.deepEqual(await root(), { images: 'shown', blocked: '0', colours: 'false', cut: 'false' });
});

test('bombs open in time (W15)', { ...hostile, timeout: 200_000 }, async ({ page }) => {
  const frames = await opened(page, freshUser(), bombs.map(([name, body], number) => mailOf({ number, name, html: body })));
  for (const [number, frame] of frames.entries()) {
    const before = performance.now();
    const response = await page.request.get(frame, { timeout: 40_000 });
    assert.equal(response.status(), 200, bombs[number][0]);
    const size = (await response.body()).length;
    assert.ok(size < 10 << 20, `${bombs[number][0]}: ${size} bytes`);
    assert.ok(performance.now() - before < 30_000, `${bombs[number][0]} took ${performance.now() - before} ms`);
  }
});

test('no attachment runs, whatever it is called and however it is loaded (W7)', hostile, async ({ page, tracker }) => {
  const user = freshUser();
  const mails = inBatches(attachments).map((batch, number) => multipart(`attachments ${number}`, [{ type: 'text/plain', body: 'x' }, ...batch]));
  const ids = await deliver(user, ...mails);
  const session = await signIn(page, user, '/robots.txt');
  const parts = [];
  for (const id of ids) {
    const answer = await jmap(page, session, [['Email/get', { accountId: user, ids: [id], properties: ['attachments'] }, '0']]);
    parts.push(...answer.methodResponses[0][1].list[0].attachments);
  }
  assert.ok(parts.length >= 60, `${parts.length} attachments are listed`);
  const urls = [];
  for (const { blobId, type, name } of parts) {
    const url = `${world.url}/jmap/download/${user}/${blobId}/${encodeURIComponent(name || 'x')}?type=${encodeURIComponent(type)}`;
    const response = await page.request.get(url);
    assert.ok([200, 404].includes(response.status()), `${response.status()} ${url}`); // a name may be no segment of a path
    const fields = response.headers();
    assert.equal(fields['x-content-type-options'], 'nosniff', url);
    assert.match(fields['content-security-policy'], /sandbox/, url);
    assert.ok(!fields['content-security-policy'].includes('allow-'), url);
    assert.equal(fields['set-cookie'], undefined, url);
    assert.ok(!/html|xml|svg|script|css|wasm|manifest|multipart/.test(fields['content-type']), `${fields['content-type']} for ${type}`);
    if (response.status() === 200) {
      assert.match(fields['content-disposition'], /^attachment/, url);
      assert.ok(!/[\u0000-\u001f\u202a-\u202e]/.test(fields['content-disposition']), url);
      urls.push(url);
    }
  }
  assert.ok(urls.length >= 60, `${urls.length} are given`);
  const loaders = urls.map((url) => {
    const to = url.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll("'", '&#39;');
    return `<script src="${to}"></script><script type=module src="${to}"></script><link rel=stylesheet href="${to}"><img src="${to}"><object data="${to}"></object><embed src="${to}">`;
  });
  for (const batch of inBatches(loaders)) {
    await show(page, [{ body: `<!doctype html>${batch.join('')}`, fields: { 'Content-Type': 'text/html' } }, ...urls.splice(0, AT_ONCE)], { sandbox: null });
    await assertHostIsWhole(page);
    assert.equal(tracker.connections, 0, tracker.requests.join(', '));
  }
});

const PIXEL = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');

let signedIn;
/** Somebody is signed in, so that what runs has something to steal. */
async function signInOnce(page) {
  signedIn ??= freshUser();
  await signIn(page, signedIn, '/robots.txt');
}

async function jmap(page, session, methodCalls) {
  const response = await page.request.post(`${world.url}/jmap/api`, {
    data: { using: ['urn:ietf:params:jmap:core', 'urn:ietf:params:jmap:mail'], methodCalls },
    headers: { Origin: world.url, 'Sec-Fetch-Site': 'same-origin', 'X-Mailboat-Token': session.token },
  });
  assert.equal(response.status(), 200, await response.text());
  return response.json();
}
