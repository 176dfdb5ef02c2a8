// Journeys through the reading pane.
import { readFile } from 'node:fs/promises';
import { assert, deliver, freshUser, html, multipart, test } from './harness.mjs';
import { flags, imapSays, openMail, row, text } from './mail-steps.mjs';

const frame = (page) => page.frameLocator('.message-frame').last();

test('a message is read by keyboard alone, and is read on the other side', async ({ page }) => {
  const user = freshUser();
  await deliver(user, text('Read me', 'The text of the message.'));
  await openMail(page, user);
  await row(page, 'Read me').waitFor();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Read me' }).waitFor();
  await frame(page).getByText('The text of the message.').waitFor();
  await imapSays(user, flags('INBOX'), ['\\Seen']);
  await page.keyboard.press('Escape');
  await page.getByText('No message open').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement?.className), 'list-grid');
});

test('the frame is as high as its message, on a phone too', { viewport: 'phone' }, async ({ page }) => {
  const user = freshUser();
  await deliver(user, html('Long', Array.from({ length: 80 }, (_, at) => `<p>Paragraph ${at}</p>`).join('')));
  await openMail(page, user);
  await row(page, 'Long').click();
  await frame(page).getByText('Paragraph 79').waitFor();
  await page.waitForFunction(() => document.querySelector('.message-frame').clientHeight > 1500);
  const [inner, outer] = await page.evaluate(() => {
    const element = document.querySelector('.message-frame');
    return [element.contentDocument.documentElement.scrollHeight, element.clientHeight];
  });
  assert.ok(inner <= outer + 1, `${inner} in ${outer}`);
  await page.goBack();
  await row(page, 'Long').waitFor();
});

test('images of other hosts are not loaded, and the bar says so', async ({ page }) => {
  const user = freshUser();
  await deliver(user, html('Newsletter', '<p>Look:</p><img src="http://tracker.test/pixel.png" width="40" height="40">'));
  await openMail(page, user);
  await row(page, 'Newsletter').click();
  await frame(page).getByText('Look:').waitFor();
  await page.getByText('Images from the internet are not shown').waitFor();
});

test('a link tells where it leads, and that it misleads', async ({ page }) => {
  const user = freshUser();
  await deliver(user, html('Account', '<p><a href="https://evil.example/steal">https://bank.example/login</a> and <a href="https://bank.example/help">help</a></p>'));
  await openMail(page, user);
  await row(page, 'Account').click();
  await frame(page).getByText('help').hover();
  await page.locator('.link-target', { hasText: 'https://bank.example/help' }).waitFor();
  await frame(page).getByText('https://bank.example/login').hover();
  await page.locator('.link-target.misleading', { hasText: 'https://evil.example/steal' }).waitFor();
});

test('attachments: looked at, downloaded, and all together', async ({ page }) => {
  const user = freshUser();
  await deliver(
    user,
    multipart('Files', [
      { type: 'text/plain; charset=utf-8', body: 'See the files.', disposition: 'inline' },
      { type: 'text/plain; charset=utf-8', body: 'depth;4.2\n', name: 'depths.txt' },
      { type: 'application/pdf', body: '%PDF-1.4 not much', name: 'plan.pdf' },
    ]),
  );
  await openMail(page, user);
  await row(page, 'Files').click();
  await page.getByText('2 attachments').waitFor();
  await page.getByRole('button', { name: 'depths.txt' }).click();
  await page.getByRole('dialog').getByText('depth;4.2').waitFor();
  await page.keyboard.press('Escape');
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download “plan.pdf”' }).click()]);
  assert.equal(file.suggestedFilename(), 'plan.pdf');
  assert.equal(await readFile(await file.path(), 'utf8'), '%PDF-1.4 not much');
  const [all] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download all' }).click()]);
  assert.equal(all.suggestedFilename(), 'Files.zip');
  const archive = await readFile(await all.path());
  assert.equal(archive.readUInt32LE(0), 0x04034b50);
  for (const one of ['depths.txt', 'depth;4.2', 'plan.pdf', '%PDF-1.4 not much']) assert.ok(archive.includes(one), one);
});

test('source and details', async ({ page }) => {
  const user = freshUser();
  await deliver(user, text('Inside', 'Body.', { 'X-Colour': 'green', Cc: 'Ben <ben@example.org>' }));
  await openMail(page, user);
  await row(page, 'Inside').click();
  await page.getByRole('button', { name: 'Recipients and details' }).click();
  await page.getByText('Ben <ben@example.org>').waitFor();
  await page.getByRole('article').getByRole('button', { name: 'More' }).click();
  await page.getByRole('menuitem', { name: 'Show source' }).click();
  await page.getByRole('dialog').getByText('X-Colour:').waitFor();
  await page.keyboard.press('Escape');
});

test('from message to message with j and k, and the list follows', async ({ page }) => {
  const user = freshUser();
  await deliver(user, text('First'), text('Second'), text('Third'));
  await openMail(page, user);
  await row(page, 'Third').waitFor();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Third' }).waitFor();
  await page.keyboard.press('j');
  await page.getByRole('heading', { name: 'Second' }).waitFor();
  await page.keyboard.press('j');
  await page.getByRole('heading', { name: 'First' }).waitFor();
  await page.keyboard.press('k');
  await page.getByRole('heading', { name: 'Second' }).waitFor();
  assert.equal(await page.locator('.row.cursor').getAttribute('aria-rowindex'), '2');
});

test('an attached message opens as a message, and so does one attached to it', async ({ page }) => {
  const user = freshUser();
  // A message inside is carried as it is: no transfer encoding (RFC 2046 section 5.2.1).
  const around = (subject, part, inside) => {
    const parts = [part, `Content-Type: message/rfc822\r\n\r\n${Buffer.from(inside).toString('latin1')}`];
    const border = `=_${subject.replaceAll(' ', '')}`;
    const body = `${parts.map((one) => `--${border}\r\n${one}\r\n`).join('')}--${border}--\r\n`;
    return text(subject, body, { 'Content-Type': `multipart/mixed; boundary="${border}"` });
  };
  const page_ = '<p>The middle words.</p><script>document.title = "run"</script><img src="http://tracker.test/m.png">';
  const middle = around('Middle one', `Content-Type: text/html\r\n\r\n${page_}`, text('Innermost', 'The innermost words.'));
  await deliver(user, around('Outer one', 'Content-Type: text/plain\r\n\r\nThe outer words.', middle));
  await openMail(page, user);
  await row(page, 'Outer one').click();
  await frame(page).getByText('The outer words.').waitFor();
  await page.locator('.attachments .file-main').click();
  const first = page.locator('dialog.embedded-message').first();
  await first.getByRole('heading', { name: 'Middle one' }).waitFor();
  await first.frameLocator('.message-frame').getByText('The middle words.').waitFor();
  await first.getByText('Images from the internet are not shown').waitFor();
  assert.notEqual(await page.title(), 'run');
  await first.locator('.attachments .file-main').click();
  const second = page.locator('dialog.embedded-message').nth(1);
  await second.getByRole('heading', { name: 'Innermost' }).waitFor();
  await second.frameLocator('.message-frame').getByText('The innermost words.').waitFor();
  await page.keyboard.press('Escape');
  await second.waitFor({ state: 'detached' });
  await page.keyboard.press('Escape');
  await first.waitFor({ state: 'detached' });
});

test('flowed text flows, fixed text keeps its lines', async ({ page }) => {
  const user = freshUser();
  const body = 'one \r\ntwo \r\nthree\r\n> quoted \r\n> goes on\r\n';
  await deliver(user, text('Flowed', body, { 'Content-Type': 'text/plain; charset=utf-8; format=flowed' }), text('Fixed', body));
  await openMail(page, user);
  await row(page, 'Flowed').click();
  await frame(page).getByText('one two three', { exact: true }).waitFor();
  await frame(page).getByText('quoted goes on', { exact: true }).waitFor();
  await page.keyboard.press('u');
  await row(page, 'Fixed').click();
  await frame(page).getByText('goes on').waitFor();
  const shown = await page.locator('.message-frame').last().evaluate((element) => element.contentDocument.body.innerText);
  assert.match(shown, /one ?\n+two/);
});

test('a message that is too long is shortened, says so, and is there whole', async ({ page }) => {
  const user = freshUser();
  await deliver(user, text('Endless', 'x'.repeat(72).concat('\r\n').repeat(65_000)));
  await openMail(page, user);
  await row(page, 'Endless').click();
  const bar = page.locator('.cut-bar');
  await bar.getByText('too long to be shown whole').waitFor();
  const coming = page.waitForEvent('download');
  await bar.getByRole('button', { name: 'Download all of it' }).click();
  const file = await readFile(await (await coming).path(), 'latin1');
  assert.ok(file.length > 65_000 * 74, `${file.length} bytes`);
});
