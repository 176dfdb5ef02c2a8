// The harness itself: that what it counts can be counted, and that what it sets is set.
import { readFileSync } from 'node:fs';
import { assert, assertNoSidewaysScroll, axe, deliver, freshUser, html, Imap, LOOKS, multipart, test } from './harness.mjs';
import { journeys, listed } from './journeys.mjs';

/** Runs that each look has at least, of the sixty and more. */
const LEAST = 7;

test('a connection to another host is counted, by name, by address and over TLS', { allowConnections: true, allowErrors: /./ }, async ({ page, tracker }) => {
  for (const url of ['http://tracker.test/a.png', 'http://192.0.2.1/b.png', 'http://[2001:db8::1]:8080/c.png', 'https://tracker.test/d.png']) {
    tracker.reset();
    await page.setContent(`<img src="${url}">`);
    await page.waitForFunction(() => document.images[0].complete);
    await tracker.reached();
    const wanted = url.startsWith('https') ? 'TLS' : `GET ${new URL(url).pathname} HTTP/1.1`;
    assert.ok(tracker.requests.includes(wanted), `${url}: ${tracker.requests}`);
  }
});

test('each test has cookies and storage of its own', async ({ context }) => {
  assert.deepEqual(await context.cookies(), []);
});

test('theme, locale and size are the ones asked for', { theme: 'dark', locale: 'ar', viewport: 'phone' }, async ({ page }) => {
  await page.setContent('<p>x');
  const seen = await page.evaluate(() => [matchMedia('(prefers-color-scheme: dark)').matches, navigator.language, innerWidth]);
  assert.deepEqual(seen, [true, 'ar', 360]);
});

test('axe and the sideways scroll find what is wrong', async ({ page }) => {
  await page.setContent('<!doctype html><html lang="en"><title>t</title><main><h1>t</h1><p>text</p></main>');
  await axe(page);
  await assertNoSidewaysScroll(page);
  await page.setContent('<!doctype html><html><title>t</title><main><h1>t</h1><button></button><p style="width: 3000px">x');
  await assert.rejects(axe(page), /button-name/);
  const framed = (inside) => page.setContent(`<!doctype html><html lang="en"><title>t</title><main><h1>t</h1><iframe title="f" sandbox="allow-same-origin" srcdoc="${inside}"></iframe></main>`);
  await framed('<p>text</p>');
  await axe(page);
  await framed('<p>text</p><button></button>');
  await assert.rejects(axe(page), /button-name/, 'what is in a frame that runs no script is not seen');
  await page.setContent('<!doctype html><html><title>t</title><main><h1>t</h1><p style="width: 3000px">x');
  await assert.rejects(assertNoSidewaysScroll(page));
});

test('mail arrives as it was sent, with its EMAILID', async () => {
  const user = freshUser();
  const ids = await deliver(user, html('one', '.<p>caf\u00e9'), multipart('two', [{ type: 'text/plain', body: 'a' }, { type: 'image/png', body: Buffer.from([1, 2]), name: 'b.png' }]));
  assert.equal(new Set(ids).size, 2);
  const imap = await Imap.open(user);
  await imap.command('EXAMINE INBOX');
  assert.match((await imap.command('FETCH 1 (BODY[TEXT])')).join('\n'), /\.<p>caf\u00e9/);
  assert.match((await imap.command('FETCH 2 (BODYSTRUCTURE)')).join('\n'), /"image" "png".*"b\.png"/i);
  imap.close();
});

test('every look is that of several journeys, and the list of them is right', async () => {
  const runs = journeys().flatMap(({ looks }) => looks);
  for (const look of LOOKS) {
    const times = runs.filter((one) => one === look).length;
    assert.ok(times >= LEAST, `${look}: ${times} journeys`);
  }
  assert.ok(journeys().length >= 60, `${journeys().length} journeys`);
  assert.equal(readFileSync(new URL('JOURNEYS.md', import.meta.url), 'utf8'), listed(), 'run node journeys.mjs');
});

test('a look is the size, the theme and the direction of the page', { looks: ['phone dark rtl', 'desktop light ltr'], allowErrors: /status of 401/ }, async ({ page, test: { name } }) => {
  await page.goto('/');
  await page.getByLabel('User name').waitFor(); // in English, in either direction
  const looks = await page.evaluate(() => [innerWidth < 600 ? 'phone' : 'desktop', matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light', getComputedStyle(document.body).direction].join(' '));
  assert.ok(name.endsWith(`(${looks})`), `${name}: ${looks}`);
});
