// What every browser test is written on: one chromium for the run, a fresh context for each test. See README.md.
import { after, before, test as nodeTest } from 'node:test';
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Tracker } from './tracker.mjs';
import { address, password, requireInstalled, world } from './world.mjs';

export { assert };
export { address, password, world } from './world.mjs';
export { Imap, compose, deliver, html, multipart, send, sendAs } from './mail.mjs';

const { chromium } = requireInstalled('playwright-core');
const AXE = readFileSync(requireInstalled.resolve('axe-core/axe.min.js'), 'utf8');

/** How long a test may take, and one step of it. */
const TEST_MS = 45_000;
const STEP_MS = 15_000;

/** Titles of the tests that are run. */
const WANTED = new RegExp(process.env.MAILBOAT_BROWSER_TITLES ?? '');

/** Sizes of windows, in CSS pixels. */
export const VIEWPORTS = {
  desktop: { width: 1280, height: 800 },
  phone: { width: 360, height: 640 },
  wide: { width: 1920, height: 1080 },
};

let browser;
/** Everybody else's host (tracker.mjs): `tracker.connections` must be 0 unless a test wants a connection. */
export let tracker;

before(async () => {
  tracker = await Tracker.start();
  browser = await chromium.launch({
    executablePath: process.env.MAILBOAT_CHROMIUM ?? '/usr/bin/chromium',
    args: [
      '--no-sandbox', // the tests run as root; what is tested are policies above the process sandbox
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-dev-shm-usage',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      `--host-resolver-rules=${rules()}`,
      // Otherwise the browser holds back requests to what it takes for the local network, and hides what a payload can do.
      `--ip-address-space-overrides=127.0.0.1:${tracker.port}=public`,
    ],
  });
});

/**
 * Names below .test and the addresses for documents (RFC 5737, RFC 3849) are the tracker; no other is known: what the browser
 * asks for itself is not counted, and a page that names a host of the Internet logs an error, which fails its test.
 */
function rules() {
  const theirs = ['*.test', '192.0.2.*', '198.51.100.*', '203.0.113.*', '2001:db8:*'];
  const mapped = theirs.map((pattern) => `MAP ${pattern} 127.0.0.1:${tracker.port}`);
  return [`EXCLUDE ${world.address}`, ...mapped, 'MAP * ~NOTFOUND'].join(',');
}

after(async () => {
  await browser?.close();
  tracker?.stop();
});

const users = world.users.slice(0, -1);
/** The last of them belongs to whoever says so: tests/tests/webmail.rs leaves it room for 30,000 bytes where that is wanted. */
export const lastUser = world.users.at(-1);

/** A user whom no other test has, with an empty mailbox. */
export function freshUser() {
  const user = users.shift();
  assert.ok(user, 'no user is left: raise USERS in tests/tests/webmail.rs');
  return user;
}

/** The eight looks of a journey: each of these, in words, as `phone dark rtl`. */
export const LOOKS = ['desktop', 'phone'].flatMap((viewport) => ['light', 'dark'].flatMap((theme) => ['ltr', 'rtl'].map((direction) => `${viewport} ${theme} ${direction}`)));

/** English words in either direction: `ar-XB` is the web mail's own pseudo-locale (web/src/i18n.ts). */
const LOCALES = { ltr: 'en', rtl: 'ar-XB' };

/** The options of a look. */
function lookOf(words) {
  assert.ok(LOOKS.includes(words), `no look is called ${words}`);
  const [viewport, theme, direction] = words.split(' ');
  return { viewport, theme, locale: LOCALES[direction] };
}

/**
 * A test in a fresh browser context.
 *
 * Options: `looks` (what it looks like, one of LOOKS or a list of them: the test runs once in each), or its parts: `viewport` (a key of VIEWPORTS, or {width, height}), `theme` ('light', 'dark'), `locale` (a BCP 47 tag, for
 * Accept-Language and navigator.language; 'ar' is right-to-left), `touch` (a touch screen), `reducedMotion` ('reduce'),
 * `forcedColors` ('active'), `allowConnections` (without it the test fails when anything connects to another host),
 * `timeout` (ms).
 * The body gets {page, context, tracker, test}; what the page throws or logs as an error fails the test, unless
 * `allowErrors` is set (a regular expression of what may be logged).
 */
export function test(title, options, body) {
  if (typeof options === 'function') return test(title, {}, options);
  const { looks, ...others } = options;
  for (const look of [looks ?? []].flat()) test(`${title} (${look})`, { ...others, ...lookOf(look) }, body);
  if (looks || !WANTED.test(title)) return;
  nodeTest(title, { timeout: options.timeout ?? TEST_MS }, async (t) => {
    tracker.reset();
    const context = await browser.newContext(contextOptions(options));
    context.setDefaultTimeout(STEP_MS);
    const errors = watchErrors(context, options.allowErrors);
    const page = await context.newPage();
    try {
      await body({ page, context, tracker, test: t });
      assert.deepEqual(errors, [], 'the page had errors');
      if (!options.allowConnections) {
        assert.equal(tracker.connections, 0, `another host was reached: ${tracker.requests.join(', ')}`);
      }
    } catch (error) {
      await keepScreenshots(context, title);
      throw error;
    } finally {
      await context.close();
    }
  });
}

function contextOptions({ viewport = 'desktop', theme = 'light', locale = 'en', touch = false, reducedMotion, forcedColors }) {
  return {
    viewport: VIEWPORTS[viewport] ?? viewport,
    colorScheme: theme,
    locale,
    hasTouch: touch,
    reducedMotion,
    forcedColors,
    serviceWorkers: 'block',
    baseURL: world.url ?? undefined,
  };
}

function watchErrors(context, allowed) {
  const errors = [];
  const note = (text) => allowed?.test(text) || errors.push(text);
  context.on('weberror', (error) => note(`thrown: ${error.error().message}`));
  context.on('console', (message) => message.type() === 'error' && note(`logged: ${message.text()}`));
  context.on('dialog', (dialog) => {
    note(`dialog: ${dialog.message()}`);
    dialog.dismiss().catch(() => {});
  });
  return errors;
}

async function keepScreenshots(context, title) {
  mkdirSync(world.artefacts, { recursive: true });
  const name = title.replace(/[^A-Za-z0-9]+/g, '-').slice(0, 80);
  for (const [number, page] of context.pages().entries()) {
    await page.screenshot({ path: join(world.artefacts, `${name}-${number}.png`), timeout: 5_000 }).catch(() => {});
  }
}

/** A picture of the page, for eyes: target/browser/artefacts/NAME.png. */
export async function screenshot(page, name) {
  mkdirSync(world.artefacts, { recursive: true });
  await page.screenshot({ path: join(world.artefacts, `${name}.png`) });
}

/** Signs in by the API, as the sign-in page does, and opens the application. */
export async function signIn(page, user, path = '/') {
  const response = await page.request.post(`${world.url}/auth/sign-in`, {
    data: { user: address(user), password: password(user) },
    headers: { Origin: world.url, 'Sec-Fetch-Site': 'same-origin' },
  });
  assert.equal(response.status(), 200, `signing in as ${user}: ${await response.text()}`);
  const session = await response.json();
  await page.goto(`${world.url}${path}`);
  return session;
}

/**
 * What a message is made of is its sender's: it names no language and has no title of its own (the frame has), and axe asks for
 * both of each document.
 */
const OF_MESSAGES = { 'html-has-lang': { enabled: false }, 'document-title': { enabled: false } };

/**
 * What axe-core finds of serious and critical kind on the page and in its frames, or in `include` alone; fails when there is any.
 * A message's frame runs no script, and so no axe: what stands in it is looked at as a page of its own, of the frame's size.
 */
export async function axe(page, { include, rules = {} } = {}) {
  const found = await axeOf(page.mainFrame(), include, rules);
  if (!include) {
    for (const frame of page.frames().slice(1)) found.push(...(await axeOfCopy(page, frame, { ...OF_MESSAGES, ...rules })));
  }
  assert.deepEqual(found, []);
}

async function axeOfCopy(page, frame, rules) {
  const source = await frame.content();
  const { width, height } = await frame.evaluate(() => ({ width: innerWidth, height: innerHeight }));
  const copy = await page.context().newPage();
  await copy.setViewportSize({ width: Math.max(width, 100), height: Math.min(Math.max(height, 100), 10_000) });
  await copy.route('**', (route) => route.abort()); // what the frame did not load is not loaded here either
  await copy.setContent(source, { waitUntil: 'domcontentloaded' });
  const behind = await (await frame.frameElement()).evaluate((element) => {
    for (let one = element; one; one = one.parentElement) {
      const { backgroundColor } = getComputedStyle(one);
      if (!/^rgba\(.*, 0\)$/.test(backgroundColor)) return backgroundColor;
    }
    return '';
  });
  await copy.evaluate((colour) => {
    const { style } = document.documentElement;
    if (/^rgba\(.*, 0\)$/.test(getComputedStyle(document.documentElement).backgroundColor)) style.background = colour;
  }, behind);
  const found = await axeOf(copy.mainFrame(), undefined, rules);
  await copy.close();
  return found.map((one) => `in a frame: ${one}`);
}

async function axeOf(frame, include, rules) {
  await frame.evaluate(AXE);
  // What is still fading in has less contrast than it will have. What never ends is not waited for.
  await frame.evaluate(() =>
    Promise.all(
      document
        .getAnimations()
        .filter((one) => one.effect?.getComputedTiming().iterations !== Infinity)
        .map((one) => one.finished.catch(() => undefined)),
    ),
  );
  const found = await frame.evaluate(
    async ([context, options]) => (await globalThis.axe.run(context, options)).violations,
    [include ?? { exclude: [] }, { rules, iframes: false, resultTypes: ['violations'] }],
  );
  const serious = found.filter(({ impact }) => impact === 'serious' || impact === 'critical');
  return serious.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' | ')}`.slice(0, 600));
}

/** Fails when the page can be scrolled sideways. */
export async function assertNoSidewaysScroll(page) {
  const [content, window] = await page.evaluate(() => [
    document.documentElement.scrollWidth,
    document.documentElement.clientWidth,
  ]);
  assert.ok(content <= window, `the page is ${content} pixels wide in a window of ${window}`);
}
