// W8: markup in every field that the web mail shows outside of a message's frame. Each view is opened; none may make an
// element of it.
import { assert, address, deliver, freshUser, Imap, multipart, signIn, test, world } from '../harness.mjs';

/** As a text, and as what it would become. */
const MARKUP = '"><img class=injected src=x: onerror=alert(1)><x-injected>\'';
const encoded = `=?utf-8?b?${Buffer.from(MARKUP).toString('base64')}?=`;
const SECTIONS = ['', 'general', 'mail', 'identities', 'vacation', 'forwarding', 'security', 'keyboard'];

async function jmap(page, session, using, methodCalls) {
  const response = await page.request.post(`${world.url}/jmap/api`, {
    data: { using: ['urn:ietf:params:jmap:core', ...using], methodCalls },
    headers: { Origin: world.url, 'Sec-Fetch-Site': 'same-origin', 'X-Mailboat-Token': session.token },
  });
  return response.json();
}

/** Nothing became an element; gives the text of the page. */
async function assertPlain(page, view) {
  assert.equal(await page.locator('.injected, x-injected').count(), 0, view);
  return page.evaluate(() => document.body.innerText);
}

// Only what would make markup of text is an error here: a dialog, or a text that the browser refused as markup.
test('markup in fields stays text in every view (W8)', { timeout: 120_000, allowErrors: /^(?!dialog|.*Trusted)/ }, async ({ page }) => {
  const user = freshUser();
  const dialogs = [];
  page.on('dialog', (dialog) => dialogs.push(dialog.message()));
  const imap = await Imap.open(user);
  await imap.command(`CREATE "x <img class=injected src=x: onerror=alert(1)>"`);
  const mail = (number) =>
    multipart(
      '',
      [
        { type: 'text/plain', body: MARKUP },
        { type: 'application/x-thing', body: 'x', name: `<img class=injected src=x: onerror=alert(${number})>.bin` },
      ],
      {
        fields: {
          Subject: `${encoded} ${number}`,
          From: `${encoded} <"<img/class=injected/src=x:>"@example.org>`,
          To: `${encoded} <${address(user)}>`,
          Cc: `"<x-injected>" <someone@example.org>`,
          'Reply-To': `${encoded} <other@example.org>`,
          'List-Id': `<<x-injected>.example.org>`,
          'List-Unsubscribe': '<javascript:alert(1)>, <data:text/html,x>',
          'List-Post': '<mailto:"><x-injected>@example.org>',
          'Message-ID': `<"><x-injected>${number}@example.org>`,
          'User-Agent': MARKUP,
        },
      },
    );
  const ids = await deliver(user, mail(1), mail(2), mail(3));
  await imap.command('SELECT INBOX');
  await imap.command('STORE 1 +FLAGS ($x<x-injected>y)').catch(() => {}); // some of it is no keyword
  imap.close();
  const session = await signIn(page, user, '/robots.txt');
  const account = 'urn:x-mailboat:jmap:account';
  await jmap(page, session, [account, 'urn:ietf:params:jmap:submission', 'urn:ietf:params:jmap:vacationresponse'], [
    ['Preferences/set', { accountId: user, update: { singleton: { signature: MARKUP, vCard: MARKUP } } }, 'a'],
    ['VacationResponse/set', { accountId: user, update: { singleton: { subject: MARKUP, textBody: MARKUP } } }, 'b'],
  ]);
  await page.goto(`${world.url}/`);
  await page.locator('.list-grid .row:not(.loading)').nth(2).waitFor();
  assert.ok((await assertPlain(page, 'list')).includes('<x-injected>'), 'the list does not show the subject as it is');
  await page.locator('.list-grid .row:not(.loading)').first().click();
  await page.locator('iframe').first().waitFor();
  const shown = await assertPlain(page, 'message');
  assert.ok(shown.includes('<img class=injected'), 'the message does not show its subject as it is');
  for (const name of ['Details', 'More', 'Reply', 'Forward']) {
    const button = page.getByRole('button', { name, exact: true }).first();
    if (await button.isVisible().catch(() => false)) {
      await button.click();
      await page.waitForTimeout(300);
      await assertPlain(page, name);
      await page.keyboard.press('Escape');
    }
  }
  for (const hash of [`#/s/${encodeURIComponent(MARKUP)}`, `#/m/${encodeURIComponent(MARKUP)}`, `#/m/x/${ids[1]}`, ...SECTIONS.map((name) => `#/settings/${name}`)]) {
    await page.goto(`${world.url}/${hash}`);
    await page.reload();
    await page.waitForTimeout(400);
    await assertPlain(page, hash);
  }
  assert.deepEqual(dialogs, []);
});

test('markup that became elements would be seen, and the application makes none of a text (W8)', { allowErrors: /./ }, async ({ page }) => {
  const user = freshUser();
  await signIn(page, user);
  await page.locator('.list-pane').waitFor();
  // The application lets nobody make markup of a text, a fault of its own included (require-trusted-types-for).
  const refused = await page.evaluate((markup) => {
    try {
      document.body.insertAdjacentHTML('beforeend', markup);
      return false;
    } catch (error) {
      return error instanceof TypeError;
    }
  }, MARKUP);
  assert.ok(refused, 'the application took a text for markup');
  await assertPlain(page, 'the application');
  // Where nothing refuses it, the same look finds it, and it runs.
  const dialogs = [];
  page.on('dialog', (dialog) => dialogs.push(dialog.message()));
  await page.route(`${world.url}/lab/plain`, (route) => route.fulfill({ headers: { 'Content-Type': 'text/html' }, body: '<!doctype html><body>x' }));
  await page.goto(`${world.url}/lab/plain`);
  await page.evaluate((markup) => document.body.insertAdjacentHTML('beforeend', markup), MARKUP);
  await assert.rejects(assertPlain(page, 'a page that guards nothing'));
  for (const until = Date.now() + 10_000; dialogs.length === 0; await new Promise((resolve) => setTimeout(resolve, 20))) assert.ok(Date.now() < until, 'no dialog');
});
