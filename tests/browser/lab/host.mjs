// A page of the web mail's own origin with frames in it, as the reading view has them, and what is looked at in them.
import { assert, deliver, freshUser, html, signIn, world } from '../harness.mjs';

/** The number of the message, or of the attachment, that a request line of the tracker's names. */
const TOLD = / (?:http:\/\/[^/]*)?\/(\d+|a\d+)\//;
/** How long a payload has to do harm, in ms, after everything has loaded. */
const HARM_MS = 700;

let known;
/**
 * The reading view's frame, as the application makes it: `attributes` of the iframe but for those that tell which message it is,
 * and the `policy` of the response in it. Looked at once in a run: the lab has no frame of its own making.
 */
export async function readingFrame(page) {
  if (!known) {
    const context = await page.context().browser().newContext({ baseURL: world.url }); // the page keeps its own sign-in
    known = await lookAtFrame(await context.newPage());
    await context.close();
  }
  return known;
}

async function lookAtFrame(page) {
  const user = freshUser();
  const [id] = await deliver(user, html('Harmless', '<p>Nothing more.'));
  await signIn(page, user, '/robots.txt');
  const response = page.waitForResponse((one) => new URL(one.url()).pathname.startsWith('/message/'));
  await openInApplication(page, 'Harmless');
  const policy = (await response).headers()['content-security-policy'];
  const frame = page.locator('iframe.message-frame');
  assert.equal(new URL(await frame.getAttribute('src'), world.url).pathname, `/message/${user}/${id}`);
  const attributes = await frame.evaluate((element) => Object.fromEntries([...element.attributes].map(({ name, value }) => [name, value])));
  for (const name of ['src', 'title', 'class', 'style']) delete attributes[name];
  return { attributes, policy };
}

/** The list, then a message of this subject in the reading view; resolves when its frame is loaded. The user has signed in. */
export async function openInApplication(page, subject, { timeout = 30_000 } = {}) {
  await page.goto(`${world.url}/`);
  await page.locator('.list-grid .row:not(.loading):not([hidden])', { hasText: subject }).first().click({ timeout });
  await loaded(page, timeout);
}

/** Waits for the frame of the message that is open, and gives it. The view sets its height when it has loaded. */
export async function loaded(page, timeout = 30_000) {
  await page.locator('iframe.message-frame[style*=height]').first().waitFor({ timeout, state: 'attached' });
  return page.frames().find((frame) => frame.url().includes('/message/'));
}

/** The numbers of what told the tracker something. */
export function told(tracker) {
  return new Set(tracker.requests.flatMap((line) => TOLD.exec(line)?.[1] ?? []));
}

/**
 * Shows pages in frames of one page and waits until they have loaded and had time to do harm. `frames`: addresses on the own
 * origin, or {body, fields} of responses made here. The frames have the attributes of the reading view's, or with `bare` none.
 */
export async function show(page, frames, { bare = false } = {}) {
  const { attributes } = bare ? { attributes: {} } : await readingFrame(page);
  const addresses = [];
  for (const [number, frame] of frames.entries()) {
    if (typeof frame === 'string') {
      addresses.push(frame);
      continue;
    }
    const address = `${world.url}/lab/frame/${number}`;
    await page.route(address, (route) => route.fulfill({ status: 200, headers: frame.fields, body: frame.body }));
    addresses.push(address);
  }
  const attribute = Object.entries(attributes).map(([name, value]) => ` ${name}="${value}"`).join('');
  await showPage(page, addresses.map((address) => `<iframe${attribute} src="${address}"></iframe>`).join(''));
}

/** Shows markup in the page itself, where a web mail without frames would have it. */
export async function showPage(page, markup) {
  const host = `<!doctype html><title>host</title><style>header{position:fixed;inset:0 0 auto 0;height:40px;background:#246;color:#fff}
    main{margin-top:50px;display:flex;flex-wrap:wrap}iframe{width:300px;height:150px;border:1px solid}</style>
    <header>The web mail</header><main>${markup}</main>`;
  const at = `${world.url}/lab/host`;
  await page.unroute(at);
  await page.route(at, (route) => route.fulfill({ status: 200, headers: { 'Content-Type': 'text/html; charset=utf-8' }, body: host }));
  await page.goto(at, { waitUntil: 'commit' });
  await page.waitForLoadState('load').catch(() => {}); // what is open to all may navigate away
  await page.waitForTimeout(HARM_MS);
}

/** The picture of the page's own head, which nothing in a frame may change. */
export function head(page) {
  return page.screenshot({ clip: { x: 0, y: 0, width: 1280, height: 40 } });
}

/** That the page around the frames is as it was: same address, nothing set, no frame in a frame. */
export async function assertHostIsWhole(page) {
  assert.equal(page.url(), `${world.url}/lab/host`);
  assert.deepEqual(await page.evaluate(() => [document.title, window.name, document.querySelector('header').textContent, window.length]), [
    'host',
    '',
    'The web mail',
    await page.locator('iframe').count(),
  ]);
}

/**
 * What stands in a frame's document that a message may not have: elements, handlers, addresses. Empty when all is well.
 */
export function lookInside(frame) {
  return frame.evaluate(() => {
    const wrong = [];
    const allowed = new Set(
      ('HTML HEAD META TITLE STYLE BODY A ABBR ACRONYM ADDRESS ARTICLE ASIDE B BDI BDO BIG BLOCKQUOTE BR CAPTION CENTER CITE CODE COL COLGROUP ' +
        'DD DEL DFN DIR DIV DL DT EM FIGCAPTION FIGURE FONT FOOTER H1 H2 H3 H4 H5 H6 HEADER HR I IMG INS KBD LI MAIN MARK MENU NAV OL P PRE Q RP ' +
        'RT RUBY S SAMP SEARCH SECTION SMALL SPAN STRIKE STRONG SUB SUP TABLE TBODY TD TFOOT TH THEAD TIME TR TT U UL VAR WBR HGROUP').split(' '),
    );
    for (const element of document.querySelectorAll('*')) {
      if (!allowed.has(element.tagName)) wrong.push(element.tagName);
      if (element.namespaceURI !== 'http://www.w3.org/1999/xhtml') wrong.push(element.namespaceURI);
      for (const { name, value } of element.attributes) {
        if (name.startsWith('on') || ['srcset', 'srcdoc', 'action', 'ping', 'formaction'].includes(name)) wrong.push(`${name}=${value}`);
        if (name === 'id' && !value.startsWith('m-')) wrong.push(`id=${value}`);
      }
      if (element.tagName === 'A' && element.hasAttribute('href')) {
        const to = element.getAttribute('href');
        if (!/^(https?:|mailto:|#m-)/.test(to)) wrong.push(`href=${to}`);
        if (!to.startsWith('#') && (element.target !== '_blank' || !element.relList.contains('noopener'))) wrong.push(`open to ${to}`);
      }
      if (element.tagName === 'IMG' && element.hasAttribute('src') && !/^(\/|data:image\/(png|gif|jpeg|webp|avif|bmp);)/.test(element.getAttribute('src'))) {
        wrong.push(`src=${element.getAttribute('src')}`);
      }
      const style = getComputedStyle(element);
      if (style.position !== 'static' || style.zIndex !== 'auto' || style.transform !== 'none') wrong.push(`${element.tagName}: ${style.position} ${style.zIndex}`);
    }
    return wrong;
  });
}

