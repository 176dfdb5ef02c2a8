// What others do to a mailbox while it is open: rows come, go and change by what the server says of changes, and no window is read again.
import { assert, compose, Imap, freshUser, send, test } from './harness.mjs';
import { folder, openFolders, openMail, row, text } from './mail-steps.mjs';

const subjectsShown = (page) => page.locator('.list-grid .row:not([hidden]):not(.loading)').evaluateAll((rows) => rows.toSorted((a, b) => a.getAttribute('aria-rowindex') - b.getAttribute('aria-rowindex')).map((one) => one.querySelector('.subject').textContent.trim().split(' · ')[0]));

/** Waits until the list says exactly this. */
async function shows(page, wanted) {
  const until = Date.now() + 15_000;
  let last;
  do {
    last = await subjectsShown(page);
    if (JSON.stringify(last) === JSON.stringify(wanted)) return;
    await page.waitForTimeout(50);
  } while (Date.now() < until);
  assert.deepEqual(last, wanted);
}

/** The methods that the page calls from now on. */
function methods(page) {
  const called = [];
  page.on('request', (request) => {
    if (request.url().endsWith('/jmap/api')) called.push(...request.postDataJSON().methodCalls.map(([name]) => name));
  });
  return called;
}

const dated = (subject, minute, fields = {}) => text(subject, 'Nothing more.', { Date: `Thu, 01 Jan 2026 10:${String(minute).padStart(2, '0')}:00 +0000`, 'Message-ID': `<${subject.replaceAll(' ', '-')}@example.org>`, ...fields });

async function inbox(user) {
  const imap = await Imap.open(user);
  await imap.command('SELECT INBOX');
  return imap;
}

/** Puts these into the INBOX one after the other: they arrive in this order, which a queue does not promise. */
async function filled(user, ...messages) {
  const imap = await Imap.open(user);
  for (const message of messages) await imap.append('INBOX', message);
  imap.close();
}

/** UIDs in the mailbox that is selected, of messages with this in their subject. */
async function uidOf(imap, subject) {
  const said = (await imap.command(`UID SEARCH SUBJECT "${subject}"`)).find((line) => line.startsWith('* SEARCH'));
  const uids = said.split(' ').slice(2);
  assert.equal(uids.length, 1, `${subject}: ${said}`);
  return uids[0];
}

test('rows stay right by changes alone: delivered, expunged, flagged, moved away and back', { looks: 'phone dark rtl' }, async ({ page }) => {
  const user = freshUser();
  await filled(user, ...['One', 'Two', 'Three', 'Four'].map((subject, at) => dated(subject, at)));
  await openMail(page, user);
  await shows(page, ['Four', 'Three', 'Two', 'One']);
  const called = methods(page);
  const imap = await inbox(user);
  await send(user, dated('Five', 5));
  await shows(page, ['Five', 'Four', 'Three', 'Two', 'One']);
  await imap.command(`UID STORE ${await uidOf(imap, 'Three')} +FLAGS (\\Deleted)`);
  await imap.command('EXPUNGE');
  await shows(page, ['Five', 'Four', 'Two', 'One']);
  await imap.command(`UID STORE ${await uidOf(imap, 'Two')} +FLAGS (\\Seen)`);
  await page.locator('.list-grid .row:not(.unread):not([hidden])', { hasText: 'Two' }).waitFor();
  await imap.command('CREATE Elsewhere');
  await imap.command(`UID MOVE ${await uidOf(imap, 'Four')} Elsewhere`);
  await shows(page, ['Five', 'Two', 'One']);
  await openFolders(page);
  await folder(page, 'Elsewhere').waitFor();
  await imap.command('SELECT Elsewhere');
  await imap.command('MOVE 1 INBOX');
  // By arrival, as it is sorted: the moved message keeps its date of arrival.
  await shows(page, ['Five', 'Four', 'Two', 'One']);
  imap.close();
  assert.ok(called.includes('Email/queryChanges'));
  assert.ok(!called.includes('Email/query'), `the window was read again: ${called}`);
  assert.ok(!called.some((name, at) => name === 'Mailbox/get' && !called.slice(0, at).includes('Mailbox/changes')), `${called}`);
});

test('a list that is sorted otherwise has a delivery where it belongs', { looks: 'desktop dark rtl' }, async ({ page }) => {
  const user = freshUser();
  await filled(user, dated('Bravo', 1), dated('Delta', 2), dated('Foxtrot', 3));
  await openMail(page, user);
  await page.getByRole('button', { name: 'Sort by' }).click();
  await page.getByRole('menuitemradio', { name: 'Subject' }).click();
  await shows(page, ['Bravo', 'Delta', 'Foxtrot']);
  const called = methods(page);
  await send(user, dated('Echo', 4), dated('Alpha', 5), dated('Golf', 6));
  await shows(page, ['Alpha', 'Bravo', 'Delta', 'Echo', 'Foxtrot', 'Golf']);
  assert.ok(!called.includes('Email/query'), `the window was read again: ${called}`);
});

test('a list of what is unread loses what another program reads', { looks: 'phone light ltr' }, async ({ page }) => {
  const user = freshUser();
  await filled(user, dated('First', 1), dated('Second', 2), dated('Third', 3));
  await openMail(page, user);
  await page.getByRole('button', { name: 'Unread only' }).click();
  await shows(page, ['Third', 'Second', 'First']);
  const imap = await inbox(user);
  const second = await uidOf(imap, 'Second');
  await imap.command(`UID STORE ${second} +FLAGS (\\Seen)`);
  await shows(page, ['Third', 'First']);
  await imap.command(`UID STORE ${second} -FLAGS (\\Seen)`);
  await shows(page, ['Third', 'Second', 'First']);
  imap.close();
});

test('conversations: an answer brings its conversation up, and its end leaves the one before', { looks: 'desktop light rtl' }, async ({ page }) => {
  const user = freshUser();
  await filled(user, dated('Plans', 1), dated('Other', 2));
  await openMail(page, user);
  await shows(page, ['Other', 'Plans']);
  const called = methods(page);
  const answer = compose({ From: '"Noor Haddad" <noor@example.org>', Subject: 'Re: Plans', Date: 'Thu, 01 Jan 2026 10:03:00 +0000', 'Message-ID': '<answer@example.org>', 'In-Reply-To': '<Plans@example.org>', References: '<Plans@example.org>' }, 'Yes.');
  await send(user, answer);
  await shows(page, ['Re: Plans', 'Other']);
  await page.locator('.list-grid .row', { hasText: 'Re: Plans' }).locator('.count', { hasText: '2' }).waitFor();
  const imap = await inbox(user);
  await imap.command(`UID STORE ${await uidOf(imap, 'Re: Plans')} +FLAGS (\\Deleted)`);
  await imap.command('EXPUNGE');
  await shows(page, ['Other', 'Plans']);
  imap.close();
  assert.ok(!called.includes('Email/query'), `the window was read again: ${called}`);
});

test('in the middle of a long list the rows on screen stay where they are', { looks: 'phone dark ltr' }, async ({ page }) => {
  const user = freshUser();
  const imap = await Imap.open(user);
  for (let number = 0; number < 260; number += 1) await imap.append('INBOX', dated(`Number ${String(number).padStart(3, '0')}`, number % 60));
  await openMail(page, user);
  await row(page, 'Number 259').waitFor();
  await page.locator('.list-grid').evaluate((grid) => (grid.scrollTop = 130 * parseFloat(getComputedStyle(grid).getPropertyValue('--row'))));
  await row(page, 'Number 129').waitFor();
  const top = () => row(page, 'Number 127').evaluate((one) => Math.round(one.getBoundingClientRect().top));
  const before = await top();
  await send(user, dated('Fresh', 1));
  await page.locator('.list-grid[aria-rowcount="261"]').waitFor();
  assert.equal(await top(), before);
  // One goes that was never on screen.
  await imap.command('SELECT INBOX');
  await imap.command('STORE 200 +FLAGS (\\Deleted)');
  await imap.command('EXPUNGE');
  await page.locator('.list-grid[aria-rowcount="260"]').waitFor();
  await row(page, 'Number 127').waitFor();
  assert.equal(await top(), before);
  await page.keyboard.press('Home');
  await row(page, 'Fresh').waitFor();
  await row(page, 'Number 259').waitFor();
  imap.close();
});
