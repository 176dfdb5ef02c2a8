// Journeys through folders and the message list: what is done in the page is so on the other side, and what others do is seen in the page.
import { assert, address, axe, deliver, freshUser, Imap, lastUser, password, send, test, world } from './harness.mjs';
import { count, flags, folder, heading, imapSays, names, openFolder, openFolders, openMail, row, said, text, undo } from './mail-steps.mjs';

const SIGN_IN_ERRORS = /status of 401/; // the browser notes that /auth/session says nobody is signed in

test('signing in with the keyboard: a wrong password is said, the right one opens the inbox', { looks: ['desktop light ltr', 'phone dark rtl'], allowErrors: SIGN_IN_ERRORS }, async ({ page }) => {
  const user = freshUser();
  await deliver(user, text('Welcome aboard'));
  await page.goto(world.url);
  await page.getByLabel('User name').waitFor();
  await page.keyboard.type(address(user));
  await page.keyboard.press('Tab');
  await page.keyboard.type('not the password');
  await page.keyboard.press('Enter');
  await page.getByRole('alert').filter({ hasText: 'is not right' }).waitFor();
  await page.keyboard.type(password(user)); // the field is selected: it is typed over
  await page.keyboard.press('Enter');
  await row(page, 'Welcome aboard').waitFor();
  assert.equal(await page.title(), '(1) Inbox – Mailboat');
});

test('new mail comes on screen by itself, with its counts', { looks: 'desktop light ltr' }, async ({ page }) => {
  const user = freshUser();
  await openMail(page, user);
  await page.getByText('All quiet').waitFor();
  await send(user, text('Just arrived'));
  await row(page, 'Just arrived').waitFor();
  await openFolders(page);
  await folder(page, 'Inbox, 1 unread message').waitFor();
  await page.waitForFunction(() => document.title.startsWith('(1)'));
});

test('a flag that another client sets is seen', { looks: 'phone dark rtl' }, async ({ page }) => {
  const user = freshUser();
  await deliver(user, text('Watched'));
  await openMail(page, user);
  await row(page, 'Watched').waitFor();
  const imap = await Imap.open(user);
  await imap.command('SELECT INBOX');
  await imap.command('STORE 1 +FLAGS (\\Flagged \\Seen)');
  await page.locator('.row.flagged:not(.unread)', { hasText: 'Watched' }).waitFor();
});

test('a long list: the last row and the first are one key away, few elements show it', { looks: 'desktop dark rtl', timeout: 120_000 }, async ({ page }) => {
  const user = freshUser();
  await deliver(user, ...Array.from({ length: 260 }, (_, at) => text(`Number ${at} of 260`)));
  await openMail(page, user);
  await row(page, 'Number 259').waitFor();
  assert.equal(await page.locator('.list-grid').getAttribute('aria-rowcount'), '260');
  await page.keyboard.press('End');
  await row(page, 'Number 0 of').waitFor();
  assert.equal(await row(page, 'Number 0 of').getAttribute('aria-rowindex'), '260');
  assert.ok((await page.locator('.list-grid .row').count()) < 60);
  await page.keyboard.press('Home');
  await row(page, 'Number 259').waitFor();
  await page.keyboard.press('PageDown');
  assert.notEqual(await page.locator('.row.cursor').getAttribute('aria-rowindex'), '1');
});

test('a star and unread, by keys, are flags on the other side', { looks: 'phone light ltr' }, async ({ page }) => {
  const user = freshUser();
  await deliver(user, text('Flag me'));
  await openMail(page, user);
  await row(page, 'Flag me').waitFor();
  await page.keyboard.press('s');
  await imapSays(user, flags('INBOX'), ['\\Flagged']);
  await page.keyboard.press('Shift+U');
  await imapSays(user, flags('INBOX'), ['\\Flagged', '\\Seen']);
  await page.keyboard.press('Shift+U');
  await page.keyboard.press('s');
  await imapSays(user, flags('INBOX'), []);
});

test('deleting: into the trash, back by undo, and for good after a question', { looks: ['desktop light ltr', 'phone dark rtl'] }, async ({ page }) => {
  const user = freshUser();
  await deliver(user, text('Unwanted'), text('Kept'));
  await openMail(page, user);
  await row(page, 'Unwanted').click();
  await page.getByRole('heading', { name: 'Unwanted' }).waitFor();
  await page.keyboard.press('#');
  await said(page, 'Message moved to the trash.');
  await row(page, 'Unwanted').waitFor({ state: 'detached' });
  await undo(page);
  await row(page, 'Unwanted').waitFor();
  await imapSays(user, count('INBOX'), 2);
  await row(page, 'Unwanted').click();
  await page.keyboard.press('#');
  await imapSays(user, count('INBOX'), 1);
  await openFolder(page, 'Trash');
  await heading(page, 'Trash').waitFor();
  await row(page, 'Unwanted').waitFor();
  await page.keyboard.press('g');
  await page.keyboard.press('l');
  await page.keyboard.press('#');
  await page.getByRole('dialog').getByRole('button', { name: 'Delete for good' }).click();
  await page.getByText('The trash is empty').waitFor();
  await imapSays(user, count('Trash'), 0);
});

test('a range by keyboard, moved to a folder that is found by typing', { looks: ['desktop light ltr', 'phone dark rtl'] }, async ({ page }) => {
  const user = freshUser();
  const imap = await Imap.open(user);
  await imap.command('CREATE Harbour');
  await deliver(user, text('One'), text('Two'), text('Three'), text('Four'));
  await openMail(page, user);
  await row(page, 'Four').waitFor();
  await page.keyboard.press('x');
  await page.keyboard.press('Shift+ArrowDown');
  await page.keyboard.press('Shift+ArrowDown');
  await heading(page, '3 selected').waitFor();
  await page.keyboard.press('v');
  await page.getByRole('combobox').fill('harb');
  await page.keyboard.press('Enter');
  await said(page, '3 messages moved to “Harbour”.');
  await imapSays(user, count('Harbour'), 3);
  await undo(page);
  await imapSays(user, count('INBOX'), 4);
});

test('a range by pointer, dragged onto a folder', { looks: 'desktop light rtl' }, async ({ page }) => {
  const user = freshUser();
  const imap = await Imap.open(user);
  await imap.command('CREATE Harbour');
  await deliver(user, text('One'), text('Two'), text('Three'));
  await openMail(page, user);
  await row(page, 'Three').click({ modifiers: ['Control'] });
  await row(page, 'One').click({ modifiers: ['Shift'] });
  await heading(page, '3 selected').waitFor();
  await row(page, 'Two').dragTo(folder(page, 'Harbour'));
  await said(page, '3 messages moved');
  await imapSays(user, count('Harbour'), 3);
});

test('all of a folder: marked as read in one go', { looks: 'phone dark ltr' }, async ({ page }) => {
  const user = freshUser();
  await deliver(user, ...Array.from({ length: 12 }, (_, at) => text(`Number ${at}`)));
  await openMail(page, user);
  await row(page, 'Number 11').waitFor();
  await page.keyboard.press('Control+a');
  await heading(page, '12 selected').waitFor();
  await page.getByRole('button', { name: 'Mark as read' }).click();
  await page.locator('.row.unread').first().waitFor({ state: 'detached' });
  await imapSays(user, async (session) => Number(/UNSEEN (\d+)/.exec((await session.command('STATUS INBOX (UNSEEN)')).join(' '))?.[1]), 0);
});

test('junk and not junk', { looks: 'desktop dark ltr' }, async ({ page }) => {
  const user = freshUser();
  await deliver(user, text('Buy now'));
  await openMail(page, user);
  await row(page, 'Buy now').waitFor();
  await page.keyboard.press('!');
  await said(page, 'marked as junk');
  await imapSays(user, count('Junk'), 1);
  await page.keyboard.press('g');
  await page.keyboard.press('j');
  await heading(page, 'Junk').waitFor();
  await row(page, 'Buy now').waitFor();
  await page.keyboard.press('!');
  await said(page, 'moved to the inbox');
  await imapSays(user, count('INBOX'), 1);
});

test('folders: made, nested, renamed and deleted, by keyboard', { looks: 'phone light rtl' }, async ({ page }) => {
  const user = freshUser();
  await openMail(page, user);
  const before = await names(await Imap.open(user));
  await openFolders(page);
  await page.getByRole('button', { name: 'New folder' }).click();
  await page.getByLabel('Name of the folder').fill('Yard');
  await page.keyboard.press('Enter');
  await openFolders(page);
  await folder(page, 'Yard').waitFor();
  await openFolders(page);
  await folder(page, 'Yard').focus();
  await page.keyboard.press('F2');
  await page.getByLabel('Name of the folder').fill('Shipyard');
  await page.keyboard.press('Enter');
  await openFolders(page);
  await folder(page, 'Shipyard').waitFor();
  await openFolders(page);
  await folder(page, 'Shipyard').focus();
  await page.keyboard.press('Shift+F10');
  await page.keyboard.press('Enter');
  await page.getByLabel('Name of the folder').fill('Slip');
  await page.keyboard.press('Enter');
  await openFolders(page);
  await folder(page, 'Slip').waitFor();
  await imapSays(user, names, [...before, 'Shipyard', 'Shipyard/Slip'].sort());
  await openFolders(page);
  await folder(page, 'Slip').focus();
  await page.keyboard.press('Delete');
  await page.getByRole('dialog').getByRole('button', { name: 'Delete folder' }).click();
  await imapSays(user, names, [...before, 'Shipyard'].sort());
});

test('search with operators', { looks: ['desktop light ltr', 'phone dark rtl'] }, async ({ page }) => {
  const user = freshUser();
  await deliver(
    user,
    text('North pier', 'The diver was there.'),
    text('South pier', 'Nobody was there.', { From: '"Jonas Feldmann" <jonas@example.org>' }),
    text('Menu of the week', 'Soup.'),
  );
  await openMail(page, user);
  const finds = async (query, ...subjects) => {
    await page.keyboard.press('/');
    await page.keyboard.type(query);
    await page.keyboard.press('Enter');
    await heading(page, `Search: ${query}`).waitFor();
    for (const subject of subjects) await row(page, subject).waitFor();
    await page.waitForFunction((wanted) => document.querySelectorAll('.list-grid .row:not([hidden])').length === wanted, subjects.length);
  };
  await finds('subject:pier', 'North pier', 'South pier');
  await finds('pier from:jonas', 'South pier');
  await finds('diver', 'North pier');
  await finds('-subject:pier in:inbox', 'Menu of the week');
  await finds('subject:nothing');
  await page.getByText('Nothing found').waitFor();
  await page.goBack();
  await heading(page, 'Search: -subject:pier in:inbox').waitFor();
});

test('sorted by sender, and only what is unread', { looks: 'desktop dark rtl' }, async ({ page }) => {
  const user = freshUser();
  await deliver(user, text('From Z', 'x', { From: 'Zoe <z@example.org>' }), text('From A', 'x', { From: 'Ada <a@example.org>' }), text('From M', 'x', { From: 'Mo <m@example.org>' }));
  await openMail(page, user);
  await row(page, 'From M').waitFor();
  await page.getByRole('button', { name: 'Sort by' }).click();
  await page.getByRole('menuitemradio', { name: 'Sender' }).click();
  await page.locator('.row[aria-rowindex="1"]', { hasText: 'From A' }).waitFor();
  await page.locator('.row[aria-rowindex="3"]', { hasText: 'From Z' }).waitFor();
  await page.keyboard.press('g');
  await page.keyboard.press('l');
  await page.keyboard.press('Home');
  await page.keyboard.press('Shift+U');
  await page.getByRole('button', { name: 'Unread only' }).click();
  await row(page, 'From A').waitFor({ state: 'detached' });
  await row(page, 'From Z').waitFor();
});

test('messages that answer each other are one row, and are read together', { looks: 'phone light ltr' }, async ({ page }) => {
  const user = freshUser();
  await deliver(
    user,
    text('Survey', 'How far are you?', { 'Message-ID': '<one@example.org>' }),
    text('Re: Survey', 'Half way.', { From: '"Jonas Feldmann" <jonas@example.org>', 'Message-ID': '<two@example.org>', 'In-Reply-To': '<one@example.org>', References: '<one@example.org>' }),
    text('Something else'),
  );
  await openMail(page, user);
  await page.locator('.row:not([hidden])', { hasText: 'Survey' }).getByText('2', { exact: true }).waitFor();
  assert.equal(await row(page, 'Survey').count(), 1);
  await row(page, 'Survey').click();
  await page.locator('.message.open').nth(1).waitFor();
  await send(user, text('Re: Survey', 'Done!', { 'Message-ID': '<three@example.org>', 'In-Reply-To': '<two@example.org>', References: '<one@example.org> <two@example.org>' }));
  await page.locator('.message.open').nth(2).waitFor();
});

test('paged mode is a table, as long as the preference says', { looks: 'desktop light rtl' }, async ({ page }) => {
  const user = freshUser();
  await deliver(user, ...Array.from({ length: 23 }, (_, at) => text(`Number ${at}`)));
  await openMail(page, user);
  await page.getByRole('button', { name: 'More for this folder' }).click();
  await page.getByRole('menuitemradio', { name: 'Pages instead of scrolling' }).click();
  await page.getByRole('link', { name: 'Number 22' }).waitFor();
  await page.getByText('1–23 of 23').waitFor();
  await page.getByRole('checkbox', { name: 'Select “Number 21”' }).check();
  await heading(page, '1 selected').waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Subject' }).click();
  await page.locator('tbody tr').first().getByRole('link', { name: 'Number 0' }).waitFor();
  await page.getByRole('link', { name: 'Number 0' }).click();
  await page.getByRole('heading', { name: 'Number 0' }).waitFor();
});

test('what cannot be reached is said, and what can again', { looks: 'phone dark ltr', allowErrors: /ERR_INTERNET_DISCONNECTED/ }, async ({ page, context }) => {
  const user = freshUser();
  await deliver(user, text('Before'));
  await openMail(page, user);
  await row(page, 'Before').waitFor();
  await context.setOffline(true);
  await page.getByText('The server cannot be reached').first().waitFor();
  await context.setOffline(false);
  await said(page, 'Connected again.');
});

test('the session ends while somebody works: the password, and the work goes on', { looks: 'desktop dark ltr', allowErrors: SIGN_IN_ERRORS }, async ({ page, context }) => {
  const user = freshUser();
  await deliver(user, text('Half done'));
  await openMail(page, user);
  await row(page, 'Half done').waitFor();
  await context.clearCookies();
  await page.keyboard.press('s');
  await page.getByText('Your session has ended').waitFor();
  await page.getByLabel('Password', { exact: true }).fill(password(user));
  await page.keyboard.press('Enter');
  await imapSays(user, flags('INBOX'), ['\\Flagged']);
  await page.getByRole('dialog').waitFor({ state: 'detached' });
});

test('the quota meter moves with what is delivered, warns, and says that the mailbox is full', { looks: 'phone light rtl' }, async ({ page }) => {
  const user = lastUser; // has room for 30,000 bytes
  const filler = (subject, bytes) => text(subject, `${'x'.repeat(70)}\r\n`.repeat(bytes / 72));
  await openMail(page, user);
  await openFolders(page);
  const meter = page.getByRole('meter', { name: 'Storage in use' });
  const reaches = (least) => page.waitForFunction((wanted) => Number(document.querySelector('.quota-bar')?.getAttribute('aria-valuenow')) >= wanted, least);
  await meter.waitFor();
  assert.equal(await meter.getAttribute('aria-valuenow'), '0');
  await send(user, filler('A third', 10_000));
  await reaches(33);
  const width = async () => (await meter.locator('i').boundingBox()).width / (await meter.boundingBox()).width;
  assert.ok((await width()) > 0.3 && (await width()) < 0.5, `the bar is ${await width()} of the meter`);
  assert.equal(await page.locator('.quota-warning').count(), 0);
  await send(user, filler('Two thirds and more', 16_000));
  await page.getByText('Your mailbox is nearly full.').waitFor();
  await reaches(85);
  await axe(page);
  // The one that does not fit any more is the last.
  await send(user, filler('Over the brim', 6_000));
  await page.getByText('Your mailbox is full.').waitFor();
  await reaches(100);
  assert.ok((await width()) <= 1);
  await axe(page);
  const imap = await Imap.open(user);
  await imap.command('SELECT INBOX');
  await imap.command('STORE 1:* +FLAGS (\\Deleted)');
  await imap.command('EXPUNGE');
  imap.close();
  await page.waitForFunction(() => document.querySelector('.quota-bar')?.getAttribute('aria-valuenow') === '0');
  await page.locator('.quota-warning').waitFor({ state: 'detached' });
});

test('every shortcut of the sheet is there, and Escape closes it', { looks: 'desktop dark rtl' }, async ({ page }) => {
  const user = freshUser();
  await openMail(page, user);
  await page.keyboard.press('?');
  const sheet = page.getByRole('dialog', { name: 'Keyboard shortcuts' });
  await sheet.getByText('Archive').first().waitFor();
  assert.ok((await sheet.locator('kbd').count()) > 30);
  await page.keyboard.press('Escape');
  await sheet.waitFor({ state: 'detached' });
});
