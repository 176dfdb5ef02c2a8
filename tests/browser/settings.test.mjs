// Settings: each is shown at once, is in the directory, and does what it says.
import { createHmac } from 'node:crypto';
import { assert, assertNoSidewaysScroll, address, axe, deliver, freshUser, html, Imap, password, screenshot, sendAs, signIn, test, world } from './harness.mjs';

async function settings(page, section) {
  await page.evaluate((to) => (location.hash = `#/settings/${to}`), section);
  await page.locator('.settings-page h1').waitFor();
  await page.locator('.settings-page .spinner').waitFor({ state: 'detached' });
}

const saved = (page) => page.locator('.toast', { hasText: /Saved|Gespeichert|حُفظ/ }).last().waitFor();

/** Messages of the mailbox of somebody, once there are so many. */
async function arrived(user, count) {
  const imap = await Imap.open(user);
  try {
    for (let round = 0; round < 150; round++) {
      const lines = await imap.command('EXAMINE INBOX');
      if (Number(/\* (\d+) EXISTS/.exec(lines.join('\n'))?.[1]) >= count) return (await imap.command('FETCH 1:* (BODY.PEEK[])')).join('\n');
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    throw new Error(`${user} has not got ${count} messages`);
  } finally {
    imap.close();
  }
}

test('theme, density and language are kept, and hold after a reload', { looks: 'desktop light ltr' }, async ({ page }) => {
  const user = freshUser();
  await signIn(page, user);
  await settings(page, 'general');
  await page.getByRole('radio', { name: 'Dark' }).check({ force: true });
  await saved(page);
  await page.getByRole('radio', { name: 'Compact' }).check({ force: true });
  await saved(page);
  await page.getByLabel('Language', { exact: true }).selectOption('ar');
  await page.locator('html[dir=rtl][lang=ar]').waitFor();
  await page.getByRole('heading', { name: 'عام' }).waitFor();
  await page.evaluate(() => localStorage.clear());
  await page.reload();
  await page.locator('html[data-theme=dark][data-density=compact]').waitFor();
});

test('the list in pages has as many rows as the directory says', { looks: 'phone dark rtl' }, async ({ page }) => {
  const user = freshUser();
  await deliver(user, ...Array.from({ length: 30 }, (_, at) => html(`Row ${at}`, '<p>x')));
  await signIn(page, user);
  await settings(page, 'general');
  await page.getByRole('radio', { name: 'Pages' }).check({ force: true });
  await saved(page);
  await page.getByLabel('Messages per page').selectOption('25');
  await saved(page);
  const all = page.getByRole('link', { name: 'All settings' }); // on a phone the list of the settings is a page of its own
  if (await all.isVisible()) await all.click();
  await page.getByRole('button', { name: 'Back to mail' }).click();
  await page.locator('tbody tr', { hasText: 'Row 29' }).waitFor();
  await page.waitForFunction(() => document.querySelectorAll('table tbody tr').length === 25);
});

test('signature: written in the settings, under the next message', { looks: 'desktop dark rtl' }, async ({ page }) => {
  const user = freshUser();
  await signIn(page, user);
  await settings(page, 'identities');
  await page.getByLabel('Add the signature to messages').setChecked(true, { force: true });
  await saved(page);
  await page.getByRole('textbox', { name: 'Signature' }).fill('Joe & <i>Co</i>\nBerlin');
  await page.getByRole('button', { name: 'Save', exact: true }).first().click();
  await saved(page);
  await page.reload();
  await settings(page, 'identities');
  assert.equal(await page.getByRole('textbox', { name: 'Signature' }).inputValue(), 'Joe & <i>Co</i>\nBerlin');
  await page.getByRole('button', { name: 'New message' }).first().click();
  assert.match(await page.locator('.editor .signature').innerText(), /Joe & <i>Co<\/i>\nBerlin/);
  assert.equal(await page.locator('.editor .signature i').count(), 0);
});

test('an identity is changed, made and deleted', { looks: 'phone light ltr' }, async ({ page }) => {
  const user = freshUser();
  await signIn(page, user);
  await settings(page, 'identities');
  await page.getByRole('button', { name: 'Add an identity' }).click();
  const dialog = page.locator('dialog');
  await dialog.getByLabel('Name', { exact: true }).fill('Help Desk');
  await dialog.getByLabel('Answers go to').fill('not an address');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await dialog.getByText(/Not an address/).waitFor();
  await dialog.getByLabel('Answers go to').fill('desk@example.org');
  await dialog.getByRole('button', { name: 'Save' }).click();
  await page.locator('.settings-card', { hasText: 'Help Desk' }).waitFor();
  await page.locator('.settings-card', { hasText: 'Help Desk' }).getByRole('button', { name: 'Delete' }).click();
  await dialog.getByRole('button', { name: 'Delete' }).click();
  await page.locator('.settings-card', { hasText: 'Help Desk' }).waitFor({ state: 'detached' });
});

test('the visiting card keeps what its form does not know', { looks: 'desktop light rtl' }, async ({ page }) => {
  const user = freshUser();
  await signIn(page, user);
  await settings(page, 'identities');
  await page.getByText('The card as text (vCard)').first().click();
  const source = page.locator('.settings-details textarea');
  await source.fill('BEGIN:VCARD\nVERSION:3.0\nFN:Joe\nNOTE:stays\nEND:VCARD');
  const save = page.locator('.settings-group').last().getByRole('button', { name: 'Save' });
  await save.click();
  await saved(page);
  await page.getByLabel('Organisation').fill('Harbour; Office');
  await save.click();
  await page.waitForFunction(() => document.querySelector('.settings-details textarea')?.value.includes('ORG:Harbour\\; Office'));
  assert.match(await source.inputValue(), /NOTE:stays/);
});

test('vacation: a reply goes out with the text of the user, and its dates are kept', { looks: 'phone dark ltr' }, async ({ page }) => {
  const [user, sender] = [freshUser(), freshUser()];
  await signIn(page, user);
  await settings(page, 'vacation');
  await page.getByLabel('Reply automatically').setChecked(true, { force: true });
  await page.getByLabel('First day').fill('2020-01-02');
  await page.getByLabel('Last day').fill('2020-01-01');
  await page.getByLabel('Text', { exact: true }).fill('I am on the island.');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('The last day is before the first.').waitFor();
  await page.getByLabel('Last day').fill('2099-12-31');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByText('Replies are going out now.').waitFor();
  await page.reload();
  await settings(page, 'vacation');
  assert.deepEqual([await page.getByLabel('First day').inputValue(), await page.getByLabel('Last day').inputValue()], ['2020-01-02', '2099-12-31']);
  await sendAs(address(sender), user, html('Are you there?', '<p>x', { From: address(sender), To: address(user) }));
  assert.match(await arrived(sender, 1), /I am on the island\./);
});

test('forwarding needs the password, and then works', { looks: 'desktop dark ltr' }, async ({ page }) => {
  const [user, other] = [freshUser(), freshUser()];
  await signIn(page, user);
  await settings(page, 'forwarding');
  await page.getByText('Nothing is forwarded.').waitFor();
  await page.getByLabel('Forward to').fill(address(other));
  await page.getByRole('button', { name: 'Add' }).click();
  const dialog = page.locator('dialog');
  await dialog.getByLabel('Password').fill('wrong');
  await dialog.getByRole('button', { name: 'Confirm' }).click();
  await dialog.getByText('The password is wrong.').waitFor();
  await dialog.getByLabel('Password').fill(password(user));
  await dialog.getByRole('button', { name: 'Confirm' }).click();
  await page.locator('.settings-card', { hasText: address(other) }).waitFor();
  await deliver(user, html('Passed on', '<p>x'));
  assert.match(await arrived(other, 1), /Passed on/);
});

test('the password is changed with the old one, and other sessions end', { looks: 'phone light rtl' }, async ({ page, context }) => {
  const user = freshUser();
  await signIn(page, user);
  await settings(page, 'security');
  const fill = async (old, fresh, again) => {
    await page.getByLabel('Present password').fill(old);
    await page.getByLabel('New password', { exact: true }).fill(fresh);
    await page.getByLabel('New password again').fill(again);
    await page.getByRole('button', { name: 'Change password' }).click();
  };
  await fill(password(user), 'short', 'short');
  await page.getByText('It has to have at least 8 characters.').waitFor();
  await fill(password(user), 'a long new password', 'another new password');
  await page.getByText('That is not the same password.').waitFor();
  await fill('not the old one', 'a long new password', 'a long new password');
  await page.getByText('The password is wrong.').waitFor();
  await fill(password(user), 'a long new password', 'a long new password');
  await page.locator('.toast', { hasText: 'Password changed' }).waitFor();
  const signs = (secret) => context.request.post(`${world.url}/auth/sign-in`, { data: { user: address(user), password: secret }, headers: { Origin: world.url } });
  assert.equal((await signs(password(user))).status(), 401);
  assert.equal((await signs('a long new password')).status(), 200);
});

/** The code of a secret now (RFC 6238). */
function codeOf(secret) {
  const bits = [...secret.replaceAll(' ', '')].map((letter) => 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567'.indexOf(letter).toString(2).padStart(5, '0')).join('');
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(Date.now() / 30_000)));
  const mac = createHmac('sha1', key).update(step).digest();
  return String((mac.readUInt32BE(mac.at(-1) & 15) & 0x7fff_ffff) % 1_000_000).padStart(6, '0');
}

test('a second factor is set up by its first code, asked for at the sign-in, and turned off again', { looks: 'desktop light ltr', timeout: 150_000 }, async ({ page, context }) => {
  const user = freshUser();
  const elsewhere = await context.browser().newContext({ baseURL: world.url });
  await signIn(page, user);
  await settings(page, 'security');
  await page.getByRole('button', { name: 'Set it up' }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByRole('img', { name: 'The secret as a code to scan' }).waitFor();
  const secret = await dialog.locator('code').textContent();
  assert.match(await dialog.getByRole('link', { name: 'Open it in an app' }).getAttribute('href'), /^otpauth:\/\/totp\/example\.test:/);
  await axe(page);
  await screenshot(page, 'second-factor');
  const give = async (code, secretWord) => {
    await dialog.getByLabel('Code', { exact: true }).fill(code);
    await dialog.getByLabel('Password', { exact: true }).fill(secretWord);
    await dialog.getByRole('button', { name: 'Confirm' }).click();
  };
  await give(codeOf(secret), 'not the password');
  await dialog.getByText('The password is wrong.').waitFor();
  await give('000000', password(user));
  await dialog.getByText('That code is not right').waitFor();
  const used = codeOf(secret);
  await give(used, password(user));
  await page.locator('.toast', { hasText: 'The second factor is on.' }).waitFor();
  const shown = page.getByRole('dialog', { name: 'Recovery codes' });
  const codes = (await shown.locator('code').textContent()).split('\n');
  assert.equal(new Set(codes.filter((code) => /^([a-z2-7]{4}-){3}[a-z2-7]{4}$/.test(code))).size, 10);
  await axe(page);
  await screenshot(page, 'recovery-codes');
  await page.keyboard.press('Escape');
  await page.getByText('It is on.').waitFor();
  await page.getByText('10 recovery codes are left.').waitFor();
  const sign = (more) => elsewhere.request.post(`${world.url}/auth/sign-in`, { data: { user: address(user), password: password(user), ...more }, headers: { Origin: world.url } });
  assert.equal((await (await sign({})).json()).type, 'code-required');
  await page.waitForFunction((before) => Math.floor(Date.now() / 30_000) > before, Math.floor(Date.now() / 30_000), { timeout: 60_000 });
  assert.equal((await sign({ code: codeOf(secret) })).status(), 200);
  // The phone is lost: a recovery code at the sign-in page, and another to make new ones.
  const away = await context.browser().newContext({ baseURL: world.url });
  const lost = await away.newPage();
  await lost.goto('/');
  await lost.getByLabel('User name').fill(user);
  await lost.getByLabel('Password', { exact: true }).fill(password(user));
  await lost.getByRole('button', { name: 'Sign in' }).click();
  await lost.getByRole('button', { name: 'Use a recovery code' }).click();
  await lost.getByLabel('Recovery code').fill(codes[0]);
  await lost.getByRole('button', { name: 'Sign in' }).click();
  await lost.locator('.sign-in-page').waitFor({ state: 'detached' });
  await settings(lost, 'security');
  await lost.getByText('9 recovery codes are left.').waitFor();
  await lost.getByRole('button', { name: 'New recovery codes' }).click();
  await lost.getByLabel('Code', { exact: true }).fill(codes[1]);
  await lost.getByRole('dialog').getByLabel('Password', { exact: true }).fill(password(user));
  await lost.getByRole('button', { name: 'Confirm' }).click();
  const newer = await lost.getByRole('dialog', { name: 'Recovery codes' }).locator('code').textContent();
  assert.ok(!newer.includes(codes[2]));
  await lost.keyboard.press('Escape');
  await lost.getByText('10 recovery codes are left.').waitFor();
  await away.close();
  const imap = await Imap.open(user).then(() => 'open', () => 'refused');
  assert.equal(imap, 'refused', 'the password alone opens a mailbox');
  await page.waitForFunction((before) => Math.floor(Date.now() / 30_000) > before, Math.floor(Date.now() / 30_000), { timeout: 60_000 });
  await page.getByRole('button', { name: 'Turn it off' }).click();
  await give(codeOf(secret), password(user));
  await page.locator('.toast', { hasText: 'The second factor is off.' }).waitFor();
  assert.equal((await sign({})).status(), 200);
  await elsewhere.close();
});

/** Whether a password opens the mailbox by IMAP, once that is what is expected: a daemon may look at the directory a moment later. */
async function opensImap(user, secret, wanted) {
  let opens;
  for (let round = 0; round < 100; round++) {
    opens = await Imap.open(user, secret).then(
      (imap) => imap.close() ?? true,
      () => false,
    );
    if (opens === wanted) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.equal(opens, wanted, 'the password opens the mailbox');
}

test('an app password is made, shown once, opens the mailbox of a mail program, and is taken back', { looks: 'phone dark rtl' }, async ({ page }) => {
  const user = freshUser();
  await signIn(page, user);
  await settings(page, 'security');
  const group = page.locator('.settings-group', { has: page.getByRole('heading', { name: 'App passwords' }) });
  const ask = page.getByRole('dialog', { name: 'Confirm that it is you' });
  await group.getByLabel('For which program or device').fill('Old laptop');
  await page.keyboard.press('Enter');
  await ask.getByLabel('Password', { exact: true }).fill('not the password');
  await page.keyboard.press('Enter');
  await ask.getByText('The password is wrong.').waitFor();
  await ask.getByLabel('Password', { exact: true }).fill(password(user));
  await page.keyboard.press('Enter');
  const made = page.getByRole('dialog', { name: 'Password for Old laptop' });
  const secret = await made.getByLabel('Password for Old laptop').textContent();
  assert.match(secret, /^[a-z0-9-]{16,}$/);
  await axe(page);
  await assertNoSidewaysScroll(page);
  await page.keyboard.press('Escape');
  const card = group.locator('.settings-card', { hasText: 'Old laptop' });
  await card.waitFor();
  await opensImap(user, secret, true);
  // What was shown once is nowhere any more, and opens no web mail: that wants the password itself.
  await page.reload();
  await card.waitFor();
  assert.ok(!(await page.content()).includes(secret), 'the password is still in the page');
  const signs = await page.request.post('/auth/sign-in', { data: { user: address(user), password: secret }, headers: { Origin: world.url } });
  assert.equal(signs.status(), 401);
  await card.getByRole('button', { name: 'Take back' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Take back' }).click();
  await card.waitFor({ state: 'detached' });
  await opensImap(user, secret, false);
  await opensImap(user, password(user), true);
});

test('sessions and activity: another browser is signed out from here, and says so; a refused sign-in is told', { looks: 'desktop dark rtl', allowErrors: /status of 401/ }, async ({ page, context }) => {
  const user = freshUser();
  const other = await context.browser().newContext({ baseURL: world.url });
  const elsewhere = await other.newPage();
  await signIn(elsewhere, user);
  await elsewhere.getByText('All quiet').waitFor();
  await other.request.post('/auth/sign-in', { data: { user: address(user), password: 'a guess' }, headers: { Origin: world.url } });
  await signIn(page, user);
  await settings(page, 'security');
  const group = page.locator('.settings-group', { hasText: 'Where you are signed in' });
  const cards = group.locator('.settings-card');
  await group.getByText('This one').waitFor();
  assert.equal(await cards.count(), 2);
  assert.match(await cards.first().textContent(), /Chrom.*This one/s, 'this one is the first');
  await page.getByRole('cell', { name: 'Signed in' }).first().waitFor();
  await page.getByRole('row', { name: /Refused/ }).waitFor();
  assert.equal(await page.getByRole('cell', { name: 'Sessions ended' }).count(), 0);
  await group.getByRole('button', { name: 'Sign out', exact: true }).click();
  await cards.nth(1).waitFor({ state: 'detached' });
  await page.getByRole('cell', { name: 'Sessions ended' }).waitFor();
  assert.equal((await other.request.get('/auth/sessions')).status(), 401);
  // The page there finds out when it next asks, and what was typed into it is not lost: it asks for the password.
  await elsewhere.keyboard.press('g');
  await elsewhere.keyboard.press('t');
  await elsewhere.getByText('Your session has ended').waitFor();
  await other.close();
});

for (const [name, options] of [
  ['light', {}],
  ['dark', { theme: 'dark' }],
  ['phone', { viewport: 'phone', touch: true }],
  ['right to left', { locale: 'ar', viewport: 'phone', theme: 'dark' }],
]) {
  test(`settings are accessible and fit: ${name}`, { ...options, timeout: 90_000 }, async ({ page }) => {
    const user = freshUser();
    await signIn(page, user);
    for (const section of ['general', 'mail', 'identities', 'vacation', 'forwarding', 'security', 'keyboard']) {
      await settings(page, section);
      await page.waitForFunction(() => document.querySelectorAll('.settings-group').length > 0);
      await axe(page);
      await assertNoSidewaysScroll(page);
      await screenshot(page, `settings-${section}-${name.replaceAll(' ', '-')}`);
    }
  });
}
