// driver.mjs PART: what scripts/bench_webmail.py has measured in the browser. PART: screens, arrivals, pages. BENCH_TASK says with what.
// Prints `NAME VALUE`; at `begin NAME` and `end NAME` it waits for a line, while the CPU time of the servers is read.
import { createInterface } from 'node:readline';
import { launch, Measured } from './browser.mjs';
import { openPages } from './pages.mjs';
import { numberOf, PRODUCTS } from './products.mjs';
import { Smtp } from './smtp.mjs';

const task = JSON.parse(process.env.BENCH_TASK);
const product = PRODUCTS[task.product];
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const say = (name, value) => console.log(`${name} ${value}`);
async function tell(word, name) {
  console.log(`${word} ${name}`);
  await answers.next();
}
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const sorted = (values) => values.toSorted((a, b) => a - b);
const median = (values) => sorted(values)[Math.floor(values.length / 2)];
const percentile95 = (values) => sorted(values)[Math.min(values.length - 1, Math.ceil(values.length * 0.95) - 1)];

/** The n-th of the rows that are jumped to: never twice the same window, far from each other. */
const rowOf = (n) => 1 + ((Math.floor((task.messages * 77_777) / 100_000) - 1 + n * Math.floor(task.messages * 0.3137)) % (task.messages - 200));
/** A word that a few messages have, none of them on the first screen; and the newest of those. */
function wordOf(n) {
  const word = (task.words * 0.3 + n * 7) % Math.floor(task.words * 0.9) | 0;
  const newest = task.messages - ((task.messages - word + task.words) % task.words);
  return { word: `cargo${String(word).padStart(4, '0')}`, newest: `Number ${String(newest).padStart(6, '0')}` };
}

async function signIn(one) {
  const { page } = one;
  await page.goto(task.url);
  await page.locator(product.user).fill('u0');
  await page.locator(product.password).fill('pw-u0');
  await one.quiet();
  const before = one.taken();
  await page.locator(product.password).press('Enter');
  return before;
}

/** Survives the navigation that a sign-in or a click may be. */
async function inPage(page, name, argument) {
  for (;;) {
    try {
      return await page.evaluate(([method, value]) => globalThis.bench[method](value), [name, argument]);
    } catch (error) {
      if (!/context was destroyed|navigation/i.test(error.message)) throw error;
    }
  }
}

class Figures {
  #values = new Map();
  add(name, value) {
    if (!this.#values.has(name)) this.#values.set(name, []);
    this.#values.get(name).push(value);
  }
  wire(name, { kib, requests }) {
    this.add(`${name}_kib_net`, kib);
    this.add(`${name}_requests`, requests);
  }
  print(tails = []) {
    for (const [name, values] of this.#values) say(name, median(values));
    for (const name of tails) say(`${name}_p95_ms`, percentile95(this.#values.get(`${name}_ms`)));
  }
}

async function screens(browser) {
  const figures = new Figures();
  const newest = numberOf(1, task.messages);
  await rounds(browser, figures, 'mailbox', async (one) => {
    figures.wire('signin', await signIn(one));
    figures.add('mailbox_ms', await inPage(one.page, 'when', newest));
    await one.quiet();
    figures.wire('mailbox', one.taken());
  });
  let jumps = 0;
  await rounds(browser, figures, 'jump', async (one, round) => {
    for (let n = 0; n < task.jumps; n += 1) {
      const row = n === 0 ? rowOf(0) : rowOf(round * task.jumps + n);
      const ms = await inPage(one.page, 'when', numberOf(await product.jump(one.page, row), task.messages));
      if (n === 0) figures.add('jump_first_ms', ms);
      figures.add('jump_ms', ms);
      await one.quiet();
      figures.wire('jump', one.taken());
      jumps += 1;
    }
  });
  let searches = 0;
  await rounds(browser, figures, 'search', async (one, round) => {
    for (let n = 0; n < task.searches; n += 1) {
      const { word, newest: found } = wordOf(round * task.searches + n);
      await product.search(one.page, word);
      figures.add('search_ms', await inPage(one.page, 'when', found));
      await one.quiet();
      searches += 1;
    }
    one.taken();
  });
  await rounds(browser, figures, 'compose', async (one) => {
    await product.compose(one.page);
    figures.add('compose_ms', await inPage(one.page, 'shown', product.editor));
    await one.quiet();
    figures.wire('compose', one.taken());
    // In the same browser, with its cache: a blank page between, and the address again.
    await one.page.goto('about:blank');
    one.taken();
    await one.page.goto(task.url);
    figures.add('again_ms', await inPage(one.page, 'sinceOrigin', newest));
    await one.quiet();
    figures.wire('again', one.taken());
  });
  figures.print(['jump', 'search']);
  say('jump_times', jumps);
  say('search_times', searches);
}

const contexts = [];
/** Does `body` in each context, all of it between `begin` and `end`; the first time they are made. */
async function rounds(browser, figures, name, body) {
  await tell('begin', `${name}_all`);
  for (let round = 0; round < task.rounds; round += 1) {
    contexts[round] ??= await Measured.open(browser, product);
    await contexts[round].page.bringToFront();
    await body(contexts[round], round);
  }
  await tell('end', `${name}_all`);
}

async function arrivals(browser) {
  const figures = new Figures();
  const one = await Measured.open(browser, product);
  await signIn(one);
  await inPage(one.page, 'when', ''); // any row
  await one.quiet();
  one.taken();
  const smtp = await Smtp.open(task.smtp);
  const deliver = async (subject) => smtp.deliver('u0', subject);
  if (product.check) await checks(one, deliver, figures);
  else await pushed(one, deliver, figures);
  smtp.close();
}

async function pushed(one, deliver, figures) {
  await tell('begin', 'arrival_all');
  for (let n = 0; n < task.deliveries; n += 1) {
    const subject = `Arrival ${n} of ${task.product}`;
    const [at, seen] = await Promise.all([deliver(subject), one.page.evaluate((text) => globalThis.bench.epochWhen(text), subject)]);
    figures.add('arrival_ms', seen - at);
    await pause(50 + (n * 37) % 200);
  }
  await tell('end', 'arrival_all');
  await one.quiet();
  say('arrival_kib_net', one.taken().kib / task.deliveries);
  figures.print(['arrival']);
}

/** Roundcube asks from time to time: what a check costs, and one that comes by itself. */
async function checks(one, deliver, figures) {
  const check = async (subject) => {
    const begun = await product.check(one.page);
    if (subject) figures.add('check_ms', await inPage(one.page, 'when', subject));
    await one.quiet();
    return begun;
  };
  await tell('begin', 'idle_check_all');
  for (let n = 0; n < task.checks; n += 1) await check();
  await tell('end', 'idle_check_all');
  one.taken();
  const totals = [];
  for (let n = 0; n < task.checks; n += 1) {
    await deliver(`Arrival ${n} of ${task.product}`);
    await pause(500);
    await check(`Arrival ${n} of ${task.product}`);
    totals.push(one.taken().kib);
  }
  say('check_kib_net', median(totals));
  const subject = `Arrival by itself of ${task.product}`;
  const [at, seen] = await Promise.all([deliver(subject), one.page.evaluate((text) => globalThis.bench.epochWhen(text), subject)]);
  say('default_ms', seen - at);
  figures.print();
}

if (process.argv[2] === 'pages') {
  await openPages(task, tell);
} else {
  const browser = await launch(task.modules);
  try {
    await { screens, arrivals }[process.argv[2]](browser);
  } finally {
    await browser.close();
  }
}
process.exit(0);
