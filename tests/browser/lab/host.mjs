// A page of the web mail's own origin with frames in it, as the reading view has them, and what is looked at in them.
import { assert, world } from '../harness.mjs';

/** The attribute of the reading view's frame. */
export const SANDBOX = 'allow-same-origin allow-popups allow-popups-to-escape-sandbox';
/** How long a payload has to do harm, in ms, after everything has loaded. */
const HARM_MS = 700;

/**
 * Shows pages in frames of one page and waits until they have loaded and had time to do harm. `frames`: addresses on the own
 * origin, or {name, body, fields} of responses made here. `sandbox`: the attribute, or null for none.
 */
export async function show(page, frames, { sandbox = SANDBOX } = {}) {
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
  const attribute = sandbox === null ? '' : ` sandbox="${sandbox}"`;
  const host = `<!doctype html><title>host</title><style>header{position:fixed;inset:0 0 auto 0;height:40px;background:#246;color:#fff}
    main{margin-top:50px;display:flex;flex-wrap:wrap}iframe{width:300px;height:150px;border:1px solid}</style>
    <header>The web mail</header><main>${addresses.map((address) => `<iframe${attribute} src="${address}"></iframe>`).join('')}</main>`;
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

/** A frame's document as text: each node with its depth, its name, its attributes in order. */
export function tree(frame, within) {
  return frame.evaluate((selector) => {
    const lines = [];
    const walk = (node, depth) => {
      if (node.nodeType === Node.TEXT_NODE) lines.push(`${depth} "${node.data}"`);
      else if (node.nodeType === Node.ELEMENT_NODE) {
        const attributes = [...node.attributes].map(({ name, value }) => `${name}=${JSON.stringify(value)}`);
        lines.push(`${depth} ${node.localName} ${attributes.join(' ')}`);
        for (const child of node.childNodes) walk(child, depth + 1);
      } else lines.push(`${depth} a node of type ${node.nodeType}`);
    };
    walk(document.querySelector(selector), 0);
    return lines;
  }, within);
}
