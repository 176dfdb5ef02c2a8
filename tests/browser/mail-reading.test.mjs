// Journeys through the reading pane.
import { readFile } from 'node:fs/promises';
import { deflateSync } from 'node:zlib';
import { assert, assertNoSidewaysScroll, axe, deliver, freshUser, html, multipart, test } from './harness.mjs';
import { flags, heading, imapSays, openMail, row, text } from './mail-steps.mjs';

const frame = (page) => page.frameLocator('.message-frame').last();

test('a message is read by keyboard alone, and is read on the other side', { looks: ['desktop light ltr', 'phone dark rtl'] }, async ({ page }) => {
  const user = freshUser();
  await deliver(user, text('Read me', 'The text of the message.'));
  await openMail(page, user);
  await row(page, 'Read me').waitFor();
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Read me' }).waitFor();
  await frame(page).getByText('The text of the message.').waitFor();
  await imapSays(user, flags('INBOX'), ['\\Seen']);
  await page.keyboard.press('Escape');
  await heading(page, 'Inbox').waitFor();
  await frame(page).getByText('The text of the message.').waitFor({ state: 'detached' });
  assert.equal(await page.evaluate(() => document.activeElement?.className), 'list-grid');
});

test('the frame is as high as its message, on a phone too', { looks: 'phone light ltr' }, async ({ page }) => {
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

test('images of other hosts are not loaded, and the bar says so', { looks: 'desktop light rtl' }, async ({ page }) => {
  const user = freshUser();
  await deliver(user, html('Newsletter', '<p>Look:</p><img src="http://tracker.test/pixel.png" width="40" height="40">'));
  await openMail(page, user);
  await row(page, 'Newsletter').click();
  await frame(page).getByText('Look:').waitFor();
  await page.getByText('Images from the internet are not shown').waitFor();
});

test('a link tells where it leads, and that it misleads', { looks: 'desktop dark ltr' }, async ({ page }) => {
  const user = freshUser();
  await deliver(user, html('Account', '<p><a href="https://evil.example/steal">https://bank.example/login</a> and <a href="https://bank.example/help">help</a></p>'));
  await openMail(page, user);
  await row(page, 'Account').click();
  await frame(page).getByText('help').hover();
  await page.locator('.link-target', { hasText: 'https://bank.example/help' }).waitFor();
  await frame(page).getByText('https://bank.example/login').hover();
  await page.locator('.link-target.misleading', { hasText: 'https://evil.example/steal' }).waitFor();
});

test('attachments: looked at, downloaded, and all together', { looks: 'phone dark ltr' }, async ({ page }) => {
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

/** A picture of so many pixels, in one colour: a PNG as small as they come. */
function png(width, height) {
  const chunk = (type, data) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 0], 8); // 8 bits of grey
  const rows = Buffer.alloc((width + 1) * height, 0x80);
  for (let line = 0; line < height; line++) rows[line * (width + 1)] = 0; // no filter
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), chunk('IHDR', head), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}

/** As PNG counts it (ISO 3309). */
function crc32(bytes) {
  let sum = ~0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (0xedb88320 & -(sum & 1));
  }
  return ~sum >>> 0;
}

test('pictures and texts among the attachments are looked at one after the other, by keyboard', { looks: 'phone light rtl' }, async ({ page }) => {
  const user = freshUser();
  await deliver(
    user,
    multipart('Album', [
      { type: 'text/plain; charset=utf-8', body: 'See the pictures.', disposition: 'inline' },
      { type: 'image/png', body: png(1600, 300), name: 'wide.png' },
      { type: 'image/png', body: 'this is no picture', name: 'broken.png' },
      { type: 'image/svg+xml', body: '<svg xmlns="http://www.w3.org/2000/svg"><script>document.title="run"</script></svg>', name: 'drawing.svg' },
      { type: 'text/csv; charset=iso-8859-1', body: Buffer.from('Name;Tiefe\nM\xfcller;4,2\n', 'latin1'), name: 'depths.csv' },
      { type: 'image/png', body: png(40, 60), name: 'small.png' },
    ]),
  );
  await openMail(page, user);
  await row(page, 'Album').click();
  await page.getByText('5 attachments').waitFor();
  // The card of a picture shows it; what is none has the sign of one; a drawing may hold a script, and is for download only.
  const face = (name) => page.locator('.file', { hasText: name }).locator('.file-face');
  await page.waitForFunction(() => document.querySelector('.file-face img')?.naturalWidth === 1600);
  await face('broken.png').locator('svg').waitFor();
  assert.equal(await page.getByRole('button', { name: 'drawing.svg' }).count(), 0, 'the drawing is shown');
  await page.getByRole('button', { name: 'wide.png' }).focus();
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog');
  const picture = dialog.getByRole('img', { name: 'wide.png', exact: true });
  await picture.waitFor();
  await dialog.getByText('wide.png · 1/4').waitFor();
  await page.waitForFunction(() => document.querySelector('dialog[open] .preview-stage img').naturalWidth === 1600);
  const [box, window_] = [await picture.boundingBox(), page.viewportSize()];
  assert.ok(box.width > 200 && box.x >= 0 && box.x + box.width <= window_.width, `${box.width} pixels from ${box.x} in ${window_.width}`);
  await axe(page);
  await assertNoSidewaysScroll(page);
  // The arrow that points on, in either direction of the page.
  const [on, back] = (await page.evaluate(() => document.documentElement.dir)) === 'rtl' ? ['ArrowLeft', 'ArrowRight'] : ['ArrowRight', 'ArrowLeft'];
  await page.keyboard.press(on);
  await dialog.getByText('broken.png · 2/4').waitFor();
  await page.keyboard.press(on);
  await dialog.getByText('Müller;4,2').waitFor();
  await page.keyboard.press(on);
  await dialog.getByText('small.png · 4/4').waitFor();
  await page.keyboard.press(back);
  await dialog.getByText('depths.csv · 3/4').waitFor();
  const [file] = await Promise.all([page.waitForEvent('download'), dialog.getByRole('link', { name: 'Download' }).click()]);
  assert.equal(file.suggestedFilename(), 'depths.csv');
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  assert.ok(await page.getByRole('button', { name: 'wide.png' }).evaluate((one) => one === document.activeElement), 'the focus is not back');
  assert.notEqual(await page.title(), 'run');
});

test('source and details', { looks: 'desktop dark rtl' }, async ({ page }) => {
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

test('from message to message with j and k, and the list follows', { looks: 'phone light ltr' }, async ({ page }) => {
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

test('an attached message opens as a message, and so does one attached to it', { looks: 'desktop light rtl' }, async ({ page }) => {
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

test('flowed text flows, fixed text keeps its lines', { looks: 'phone dark ltr' }, async ({ page }) => {
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

test('a message that is too long is shortened, says so, and is there whole', { looks: 'desktop dark ltr' }, async ({ page }) => {
  const user = freshUser();
  await deliver(user, text('Endless', 'x'.repeat(72).concat('\r\n').repeat(65_000)));
  await openMail(page, user);
  await row(page, 'Endless').click();
  const bar = page.locator('.cut-bar');
  await bar.getByText('too long to be shown whole').waitFor({ timeout: 60_000 }); // 65,000 lines are laid out, whoever else has the processor
  const coming = page.waitForEvent('download');
  await bar.getByRole('button', { name: 'Download all of it' }).click();
  const file = await readFile(await (await coming).path(), 'latin1');
  assert.ok(file.length > 65_000 * 74, `${file.length} bytes`);
});
