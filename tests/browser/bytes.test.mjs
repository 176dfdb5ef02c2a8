// What goes over the wire, in bytes with the heads of answers: the sign-in page, the first view of a mailbox, compose, a delivery.
import { address, assert, Imap, freshUser, password, send, test } from './harness.mjs';
import { folder, row, text } from './mail-steps.mjs';
import { Wire } from './wire.mjs';

const WORDS = 'harbour cargo manifest berth crane pilot tide anchor ballast chart deck engine freight gangway hatch inlet keel lantern mast notice order quay rope sail tonnage upper vessel watch yard zone'.split(' ');

/** The same every time, and no row like another: `seed` is the number of the message. */
function prose(seed, words) {
  let state = (seed * 2_654_435_761) >>> 0;
  return Array.from({ length: words }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return `${WORDS[(state >>> 8) % WORDS.length]}${(state >>> 20) % 97}`;
  }).join(' ');
}

const message = (number) =>
  text(`Number ${number}: ${prose(number, 6)}`, prose(number + 1000, 120), {
    From: `"${prose(number + 2000, 2)}" <writer${number}@example.org>`,
    Date: new Date(Date.UTC(2026, 0, 1, 0, number)).toUTCString(),
    'Message-ID': `<${number}.${prose(number, 1)}@example.org>`,
  });

async function filled(user, messages) {
  const imap = await Imap.open(user);
  for (let number = 1; number <= messages; number += 1) await imap.append('INBOX', message(number));
  imap.close();
}

/** Fails when more came than may: says what was asked for, and the bytes of each answer. */
function within(what, { kib, requests }, limit) {
  assert.ok(kib <= limit, `${what}: ${kib.toFixed(1)} KiB of ${limit}\n${requests.join('\n')}`);
  assert.ok(kib > 0.2, `${what}: nothing was counted`);
  console.log(`${what}: ${kib.toFixed(1)} KiB of ${limit}, ${requests.filter((one) => one[0] !== ' ').length} requests`);
}

async function signInAtPage(page, user) {
  await page.goto('/');
  await page.locator('input[autocomplete=username]').fill(address(user));
  await page.locator('input[type=password]').fill(password(user));
}

/** The tree says so many of the inbox: the push that tells of the count may come after the one that tells of the message. */
const unread = (page, messages) => folder(page, 'Inbox').locator(`.folder-count[data-count="${messages}"]`).waitFor();

test('the sign-in page, the first view of a mailbox, and compose stay within their bytes', async ({ page }) => {
  const user = freshUser();
  await filled(user, 150);
  const wire = await Wire.of(page);
  await signInAtPage(page, user);
  const signIn = await wire.taken();
  within('sign-in page', signIn, 15);
  await page.locator('input[type=password]').press('Enter');
  await row(page, 'Number 150:').waitFor();
  // Also for somebody who opens it with nothing in the cache: with the files of the sign-in page.
  const view = await wire.taken();
  within('first view of the mailbox', { kib: signIn.kib + view.kib, requests: view.requests }, 80);
  await page.getByRole('button', { name: 'New message' }).first().click();
  await page.locator('.compose .editor').waitFor();
  within('compose', await wire.taken(), 35);
});

test('a delivery costs its own row and the counts, in the list, in conversations and elsewhere', async ({ page }) => {
  const user = freshUser();
  await filled(user, 150);
  const wire = await Wire.of(page);
  await signInAtPage(page, user);
  await page.locator('input[type=password]').press('Enter');
  await row(page, 'Number 150:').waitFor();
  await unread(page, 150);
  await wire.taken();
  for (const number of [151, 152, 153]) {
    await send(user, message(number));
    await row(page, `Number ${number}:`).waitFor();
    await unread(page, number);
    within(`delivery ${number}`, await wire.taken(), 4);
  }
  // Flags that another program sets are two words of a message.
  const imap = await Imap.open(user);
  await imap.command('SELECT INBOX');
  await imap.command('STORE 153 +FLAGS (\\Flagged)');
  await page.locator('.list-grid .row.flagged', { hasText: 'Number 153:' }).waitFor();
  within('a flag', await wire.taken(), 4);
  await imap.command('STORE 152 +FLAGS (\\Deleted)');
  await imap.command('EXPUNGE');
  imap.close();
  await row(page, 'Number 152:').waitFor({ state: 'detached' });
  await unread(page, 152);
  within('an expunged message', await wire.taken(), 4);
});
