// The hostile-mail lab: every message of messages.mjs and every attachment of attachments.mjs, sent by SMTP and opened in the
// browser. Nothing runs, nothing connects, nothing leaves its frame. Each defence is also taken away in turn: with one gone the
// other holds alone; that with both gone the same messages do their harm is control.test.mjs. The frames have the attributes that
// the application gives to its own (`readingFrame`); application.test.mjs is the same in the application itself.
import { assert, deliver, freshUser, html, multipart, signIn, test, world } from '../harness.mjs';
import { attachments } from './attachments.mjs';
import { assertHostIsWhole, head, lookInside, readingFrame, show } from './host.mjs';
import { messages } from './messages.mjs';
import { seen, written } from './tree.mjs';

/** Frames that are shown at once. */
const AT_ONCE = 15;

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

test('the lab is large enough', async () => {
  assert.ok(messages.length >= 60, `${messages.length} messages`);
  assert.ok(attachments.length >= 60, `${attachments.length} attachments`);
});

test('no message runs, connects, or leaves its frame', hostile, async ({ page, tracker }) => {
  const frames = await opened(page, freshUser(), messages.map((one) => mailOf(one)));
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
});

test('the policy alone holds', { ...hostile, allowConnections: true }, async ({ page, tracker }) => {
  const { policy } = await readingFrame(page);
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
    await show(page, bodies.map((body) => ({ body, fields: { 'Content-Type': 'text/html; charset=utf-8' } })), { bare: true });
    await assertHostIsWhole(page);
    assert.equal(tracker.connections, 0, tracker.requests.join(', '));
  }
});

test('the browser makes of a message the very tree that was written (W3)', hostile, async ({ page }) => {
  const frames = await opened(page, freshUser(), messages.map((one) => mailOf(one)));
  for (const batch of inBatches(frames)) {
    await show(page, batch);
    for (const [at, frame] of page.frames().slice(1).entries()) {
      const source = await (await page.request.get(batch[at])).text();
      assert.deepEqual(await seen(frame), written(source), `${batch[at]} as ${frame.url()}\n${source}`);
    }
  }
});

test('a tree that the browser mends is told from the one that was written', { ...hostile, allowConnections: true }, async ({ page }) => {
  const plain = (body) => `<!doctype html><html><head></head><body>${body}</body></html>`;
  const fields = { 'Content-Type': 'text/html; charset=utf-8' };
  const agrees = async (body) => {
    await show(page, [{ body, fields }]);
    return JSON.stringify(await seen(page.frames()[1])) === JSON.stringify(written(body));
  };
  assert.ok(await agrees(plain('<p>x &amp; &lt;b&gt;</p><table><tbody><tr><td title="&quot;">y</td></tr></tbody></table><br>')));
  for (const body of ['<p><div>x</div></p>', '<table><b>x</b></table>', '<a href="x"><a href="y">x</a></a>', '<svg><style><img></style></svg>', '<table><tr></tr></table>', '<form><form></form></form>']) {
    const differs = await agrees(plain(body)).then((same) => !same, () => true); // or is no plain text of tags at all
    assert.ok(differs, body);
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
  // What the part says it is, and what whoever makes the link would have it be.
  const asked = parts.flatMap((part) => [part, { ...part, type: 'text/html' }, { ...part, type: 'image/svg+xml' }]);
  for (const { blobId, type, name } of asked) {
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
  assert.ok(urls.length >= 180, `${urls.length} are given`);
  const loaders = urls.map((url) => {
    const to = url.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll("'", '&#39;');
    return `<script src="${to}"></script><script type=module src="${to}"></script><link rel=stylesheet href="${to}"><img src="${to}"><object data="${to}"></object><embed src="${to}">`;
  });
  for (const batch of inBatches(loaders)) {
    await show(page, [{ body: `<!doctype html>${batch.join('')}`, fields: { 'Content-Type': 'text/html' } }, ...urls.splice(0, AT_ONCE)], { bare: true });
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
