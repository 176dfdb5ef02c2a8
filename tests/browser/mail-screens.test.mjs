// Each screen by axe-core, in both themes and both directions, on a desktop and a phone; nothing is cut off or scrolls sideways.
import { assert, assertNoSidewaysScroll, axe, deliver, freshUser, html, Imap, multipart, test, world } from './harness.mjs';
import { openMail, text } from './mail-steps.mjs';

const reader = freshUser();
let filled;

/** One mailbox for all of these: they only look. */
async function fill() {
  filled ??= (async () => {
    const imap = await Imap.open(reader);
    await imap.command('CREATE Projects');
    await imap.command('CREATE Projects/Harbour');
    await deliver(
      reader,
      text('A subject that goes on and on, because whoever wrote it put the whole of the message into it, and then some more'),
      html('Newsletter', '<h1 style="color:#0b6585">Season</h1><p>Text</p><img src="http://tracker.test/a.png">'),
      multipart('With files', [{ type: 'text/plain', body: 'See.', disposition: 'inline' }, { type: 'text/plain', body: 'x', name: 'a very long name of a file that does not end, of the Association of Friends of the Harbour.txt' }]),
      text('جدول المدّ والجزر', 'مرحبًا', { From: 'ليلى حدّاد <layla@example.org>' }),
    );
    await imap.command('SELECT INBOX');
    await imap.command('STORE 2 +FLAGS (\\Flagged \\Seen)');
  })();
  return filled;
}

const LOOKS = [
  { viewport: 'desktop', theme: 'light', locale: 'en' },
  { viewport: 'desktop', theme: 'dark', locale: 'ar' },
  { viewport: 'phone', theme: 'dark', locale: 'en' },
  { viewport: 'phone', theme: 'light', locale: 'ar' },
];

for (const look of LOOKS) {
  const name = `${look.viewport}, ${look.theme}, ${look.locale}`;

  test(`the sign-in page (${name})`, { ...look, allowErrors: /status of 401/ }, async ({ page }) => {
    await page.goto(world.url);
    await page.locator('input[name=user]').waitFor();
    await axe(page);
    await assertNoSidewaysScroll(page);
  });

  test(`inbox, selection and menus (${name})`, look, async ({ page }) => {
    await fill();
    await openMail(page, reader);
    await page.locator('.row:not(.loading)[aria-rowindex="4"]').waitFor();
    await axe(page);
    await assertNoSidewaysScroll(page);
    await page.keyboard.press('x');
    await page.locator('.selecting').waitFor();
    await axe(page);
    await page.keyboard.press('Escape');
    await page.locator('.account').click();
    await page.getByRole('menu').waitFor();
    await axe(page);
  });

  test(`a message with attachments (${name})`, look, async ({ page }) => {
    await fill();
    await openMail(page, reader);
    await page.locator('.row:not([hidden])', { hasText: 'With files' }).click();
    await page.locator('.attachments').waitFor();
    await axe(page);
    await assertNoSidewaysScroll(page);
    const cut = await page.evaluate(() => [...document.querySelectorAll('.reading-bar .button')].filter((one) => one.getClientRects().length > 0 && (one.getBoundingClientRect().right > innerWidth || one.getBoundingClientRect().left < 0)).length);
    assert.equal(cut, 0, 'buttons outside of the window');
  });

  test(`dialogs, an empty folder and nothing found (${name})`, look, async ({ page }) => {
    await fill();
    await openMail(page, reader);
    await page.locator('.row:not(.loading):not([hidden])').first().waitFor();
    await page.keyboard.press('?');
    await page.locator('dialog[open]').waitFor();
    await axe(page);
    await page.keyboard.press('Escape');
    await page.locator('dialog[open]').waitFor({ state: 'hidden' });
    // The key counts when the page has the focus back from the dialog that has just closed.
    const list = page.locator('dialog[open] [role=listbox]');
    for (let time = 0; time < 5 && !(await list.isVisible()); time++) {
      await page.keyboard.press('v');
      await list.waitFor({ timeout: 3000 }).catch(() => undefined);
    }
    await list.waitFor();
    await axe(page);
    await page.keyboard.press('Escape');
    await page.locator('dialog[open]').waitFor({ state: 'hidden' });
    await page.goto(`${world.url}/#/s/zzzzzz`);
    await page.locator('.empty').first().waitFor();
    await axe(page);
    await assertNoSidewaysScroll(page);
  });
}

test('the pseudo-locale: every word of the screen is out of a catalogue', async ({ page }) => {
  await fill();
  await page.addInitScript(() => localStorage.setItem('mailboat-preferences', '{"language":"en-XA"}'));
  await openMail(page, reader);
  await page.locator('.row:not(.loading):not([hidden])').first().waitFor();
  const plain = await page.evaluate(() => {
    const shown = [...document.querySelectorAll('.top-bar, .side .button, .list-head, .folder-name, .reading-pane')].flatMap((one) => {
      const words = [];
      const walker = document.createTreeWalker(one, NodeFilter.SHOW_TEXT);
      while (walker.nextNode()) words.push(walker.currentNode.data.trim());
      return words;
    });
    const ours = new Set(['Mailboat', '/', 'Projects', 'Harbour']);
    return shown.filter((word) => /[a-z]{2}/i.test(word) && !/^\[.*\]$/.test(word) && !ours.has(word) && !/^[a-z]+:[a-z]*$/.test(word)); // operators are typed as they are
  });
  assert.deepEqual(plain, []);
});

test('at 400 % (a window of 320 pixels) nothing scrolls sideways and all can be reached', { viewport: { width: 320, height: 256 } }, async ({ page }) => {
  await fill();
  await openMail(page, reader);
  await page.locator('.row:not(.loading):not([hidden])').first().waitFor();
  await assertNoSidewaysScroll(page);
  await page.locator('.row:not(.loading):not([hidden])').first().click();
  await page.locator('.message.open').waitFor();
  await assertNoSidewaysScroll(page);
  await page.locator('.reading-bar .back').click();
  await page.locator('.drawer-button').click();
  await page.getByRole('tree').waitFor();
  await page.locator('.side .compose-button').waitFor();
});

test('targets are 24 pixels or more, by both densities', async ({ page }) => {
  await fill();
  for (const density of ['comfortable', 'compact']) {
    await page.addInitScript((value) => localStorage.setItem('mailboat-preferences', JSON.stringify({ density: value })), density);
    await openMail(page, reader);
    await page.locator('.row:not([hidden])', { hasText: 'With files' }).click();
    await page.locator('.attachments').waitFor();
    const small = await page.evaluate(() =>
      [...document.querySelectorAll('button, a[href], [role=treeitem], .row, .star, .check')]
        .filter((one) => one.getClientRects().length > 0 && !one.closest('.skip'))
        .filter((one) => {
          const { width, height } = one.getBoundingClientRect();
          return width < 24 || height < 24;
        })
        .map((one) => one.outerHTML.slice(0, 120)),
    );
    assert.deepEqual(small, [], density);
  }
});
