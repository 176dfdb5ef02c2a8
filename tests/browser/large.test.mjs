// A mailbox as large as they come (tests/tests/webmail.rs fills it): any row is one request away, and what is on screen is right.
import { assert, Imap, test } from './harness.mjs';
import { count, heading, openMail, row } from './mail-steps.mjs';

const USER = 'large';
/** After so long nothing more is asked for. */
const QUIET_MS = 500;
const MESSAGES = await count('INBOX')(await Imap.open(USER));
const subjectOf = (number) => `Number ${String(number).padStart(6, '0')}`;
/** Row 1 is the newest. */
const subjectAt = (index) => subjectOf(MESSAGES - index + 1);

/** Scrolls so that a row is the first to be seen, as the scroll bar does. */
const scrollTo = (page, index) =>
  page.locator('.list-grid').evaluate((grid, at) => {
    grid.scrollTop = (at - 1) * parseFloat(getComputedStyle(grid).getPropertyValue('--row'));
  }, index);

/** The rows on screen, by number, with their subjects. */
async function rowsAreRight(page) {
  const shown = await page.evaluate(() => {
    const { top, bottom } = document.querySelector('.list-grid').getBoundingClientRect();
    return [...document.querySelectorAll('.list-grid .row:not([hidden])')]
      .filter((one) => one.getBoundingClientRect().bottom > top && one.getBoundingClientRect().top < bottom)
      .map((one) => [Number(one.getAttribute('aria-rowindex')), one.querySelector('.subject').textContent]);
  });
  assert.ok(shown.length > 5, `${shown.length} rows`);
  for (const [index, subject] of shown) assert.ok(subject.startsWith(subjectAt(index)), `row ${index}: ${subject}`);
}

/** Counts requests to the API: `taken()` waits until none is under way any more, and gives how many there were since the last time. */
function requests(page) {
  let made = 0;
  let last = Date.now();
  const open = new Set();
  const isApi = (one) => one.url().endsWith('/jmap/api');
  page.on('request', (one) => {
    if (!isApi(one)) return;
    made += 1;
    last = Date.now();
    open.add(one);
  });
  for (const end of ['requestfinished', 'requestfailed']) page.on(end, (one) => open.delete(one) && (last = Date.now()));
  return async () => {
    while (open.size > 0 || Date.now() - last < QUIET_MS) await page.waitForTimeout(20);
    const before = made;
    made = 0;
    return before;
  };
}

test('scrolled to the end, into the middle and back: few requests, every row right', async ({ page }) => {
  const taken = requests(page);
  await openMail(page, USER);
  await row(page, subjectAt(1)).waitFor();
  assert.equal(await page.locator('.list-grid').getAttribute('aria-rowcount'), String(MESSAGES));
  await rowsAreRight(page);
  const opening = await taken();
  assert.ok(opening <= 5, `${opening} requests for the first rows`); // mailboxes, preferences, rows, the rows after them, quota
  for (const index of [MESSAGES, Math.floor(MESSAGES * 0.77777), 1500]) {
    await scrollTo(page, index);
    await row(page, subjectAt(index)).waitFor();
    await rowsAreRight(page);
    const made = await taken();
    assert.ok(made <= 4, `${made} requests for row ${index}`); // the windows on screen, two at most, and one on either side
  }
  // Dragged over the whole list: what is scrolled past is not read.
  for (let step = 1; step <= 40; step += 1) await scrollTo(page, Math.floor((MESSAGES * step) / 41));
  await scrollTo(page, Math.floor(MESSAGES / 3));
  await row(page, subjectAt(Math.floor(MESSAGES / 3))).waitFor();
  await rowsAreRight(page);
  assert.ok((await page.locator('.list-grid .row').count()) < 60);
  await page.keyboard.press('Home');
  await row(page, subjectAt(1)).waitFor();
  await rowsAreRight(page);
});

test('a range over rows that were never on screen is all of it', async ({ page }) => {
  await openMail(page, USER);
  await row(page, subjectAt(3)).click({ modifiers: ['Control'] });
  await scrollTo(page, 1200);
  await row(page, subjectAt(1202)).click({ modifiers: ['Shift'] });
  await heading(page, '1,200 selected').waitFor();
  await page.getByRole('button', { name: 'Mark as read' }).click();
  await page.locator('.row.unread:not([hidden])', { hasText: subjectAt(1202) }).waitFor({ state: 'detached' });
  const imap = await Imap.open(USER);
  await imap.command('SELECT INBOX');
  const seen = async () => {
    const line = (await imap.command('UID SEARCH SEEN')).find((one) => one.startsWith('* SEARCH')) ?? '';
    return (line.match(/\d+/g) ?? []).map(Number);
  };
  const until = Date.now() + 30_000;
  let numbers = await seen();
  while (numbers.length < 1200 && Date.now() < until) {
    await page.waitForTimeout(200);
    numbers = await seen();
  }
  assert.equal(numbers.length, 1200);
  assert.deepEqual([numbers[0], numbers.at(-1)], [MESSAGES - 1201, MESSAGES - 2]);
});

test('a search of a subject finds each of its messages, wherever they are', async ({ page }) => {
  await openMail(page, USER);
  await row(page, subjectAt(1)).waitFor();
  const taken = requests(page);
  await page.keyboard.press('/');
  await page.keyboard.type('subject:cargo077');
  await page.keyboard.press('Enter');
  await heading(page, 'Search: subject:cargo077').waitFor();
  const newest = MESSAGES - ((MESSAGES - 77) % 100);
  await row(page, subjectOf(newest)).waitFor();
  assert.equal(await page.locator('.list-grid').getAttribute('aria-rowcount'), String(Math.floor((MESSAGES - 77) / 100) + 1));
  const made = await taken();
  assert.ok(made <= 2, `${made} requests, and not only the rows and those after them`);
  const imap = await Imap.open(USER);
  assert.equal(await count('INBOX')(imap), MESSAGES);
});
