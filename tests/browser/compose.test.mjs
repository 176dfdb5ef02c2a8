// Writing and sending: what leaves the page, what arrives, and what is left behind.
import { assert, assertNoSidewaysScroll, address, axe, deliver, freshUser, html, Imap, lastUser, multipart, screenshot, signIn, test } from './harness.mjs';

const window_ = (page) => page.locator('.compose');
const to = (page) => page.getByRole('combobox', { name: 'To', exact: true });
const editor = (page) => page.locator('.compose .editor');

/** Opens a window for a new message by its key. */
async function write(page, addresses) {
  await page.getByRole('button', { name: 'New message' }).first().click();
  await window_(page).waitFor();
  if (addresses) {
    await to(page).fill(addresses);
    await page.keyboard.press('Enter');
  }
}

/** Opens the message of that subject in the list and waits until it is shown. */
async function open(page, subject) {
  await page.getByText(subject, { exact: false }).first().click();
  await page.locator('.message.open, .message:not(.closed)').first().waitFor();
}

/** One entry of the menu of the message that is open. */
async function choose(page, entry) {
  await page.locator('.message-actions').getByRole('button', { name: 'More' }).click();
  await page.locator('[role=menuitem]').filter({ has: page.getByText(entry, { exact: true }) }).click();
  await page.locator('.compose, dialog').first().waitFor();
}

/** Sends, and answers the questions before with yes. */
async function sendIt(page) {
  await page.keyboard.press('Control+Enter');
  await page.locator('.toast', { hasText: /Sending|sent/ }).waitFor();
  await window_(page).waitFor({ state: 'detached' });
}

/** The messages of a mailbox as text, once there are so many. */
async function messages(user, mailbox, count) {
  const imap = await Imap.open(user);
  try {
    for (let round = 0; ; round++) {
      const found = await selected(imap, mailbox);
      if (found >= count) {
        assert.equal(found, count, `messages in ${mailbox}`);
        return count === 0 ? [] : (await imap.command(`FETCH 1:* (FLAGS BODY.PEEK[])`)).join('\n').split(/\n?\* \d+ FETCH /).slice(1);
      }
      assert.ok(round < 150, `${mailbox} of ${user} has ${found} messages, not ${count}`);
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  } finally {
    imap.close();
  }
}

async function selected(imap, mailbox) {
  const lines = await imap.command(`EXAMINE "${mailbox}"`).catch(() => []);
  return Number(/\* (\d+) EXISTS/.exec(lines.join('\n'))?.[1] ?? 0);
}

/** Nothing more comes within the time of a hold and a delivery. */
async function remains(user, mailbox, count, milliseconds) {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  await messages(user, mailbox, count);
}

const paste = (page, types, files = []) =>
  page.evaluate(
    ([types, files]) => {
      const data = new DataTransfer();
      for (const [type, value] of Object.entries(types)) data.setData(type, value);
      for (const { name, type, bytes } of files) data.items.add(new File([Uint8Array.from(bytes)], name, { type }));
      document.activeElement.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }));
    },
    [types, files],
  );

const PNG = [...Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAoAAAAKCAYAAACNMs+9AAAAFUlEQVR42mNk+M9Qz0AEYBxVSF+FABJADveWkH6oAAAAAElFTkSuQmCC', 'base64')];

/** Sets preferences by the API, before the page reads them. */
async function prefer(page, session, changes) {
  const response = await page.request.post('/jmap/api', {
    data: {
      using: ['urn:ietf:params:jmap:core', 'urn:x-mailboat:jmap:account'],
      methodCalls: [['Preferences/set', { accountId: session.uid, update: { singleton: changes } }, 'c']],
    },
    headers: { 'X-Mailboat-Token': session.token },
  });
  const [[name, answer]] = (await response.json()).methodResponses;
  assert.ok(name === 'Preferences/set' && 'singleton' in (answer.updated ?? {}), JSON.stringify(answer));
  await page.reload();
}

test('a new message arrives as text and HTML, and its copy is in Sent', { looks: ['desktop light ltr', 'phone dark rtl'] }, async ({ page }) => {
  const [user, other] = [freshUser(), freshUser()];
  const session = await signIn(page, user);
  await prefer(page, session, { undoSend: 0 });
  await write(page, address(other));
  await page.getByLabel('Subject').fill('Grüße <b>');
  await editor(page).click();
  await page.keyboard.type('Hello ');
  await page.keyboard.press('Control+b');
  await page.keyboard.type('bold');
  await page.keyboard.press('Control+b');
  await page.keyboard.press('Enter');
  await page.keyboard.press('Control+Shift+Digit8');
  await page.keyboard.type('one');
  await sendIt(page);
  const [mail] = await messages(other, 'INBOX', 1);
  assert.match(mail, /Subject: =\?utf-8\?/i);
  assert.match(mail, /multipart\/alternative/);
  assert.match(mail, /<b>bold<\/b>/);
  assert.match(mail, /\* one/);
  assert.doesNotMatch(mail, /X-Mailboat-Draft/i);
  const [copy] = await messages(user, 'Sent', 1);
  assert.match(copy, /\\Seen/);
  await messages(user, 'Drafts', 0);
});

test('reply all leaves out own addresses, and refers to what it answers', { looks: ['desktop light ltr', 'phone dark rtl'] }, async ({ page }) => {
  const [user, other] = [freshUser(), freshUser()];
  await deliver(user, html('Plan', '<p>the <b>plan</b></p>', { From: `Other <${address(other)}>`, To: `Me <${address(user).toUpperCase()}>, third@example.org`, Cc: `${address(user)}, fourth@example.org`, 'Message-ID': '<two@example.org>', References: '<one@example.org>' }));
  const session = await signIn(page, user);
  await prefer(page, session, { undoSend: 0 });
  await open(page, 'Plan');
  await page.keyboard.press('a');
  await window_(page).waitFor();
  assert.deepEqual(await page.locator('.token-text').allTextContents(), ['Other', 'third@example.org', 'fourth@example.org']);
  await page.getByRole('button', { name: 'Remove third@example.org' }).click();
  await page.getByRole('button', { name: 'Remove fourth@example.org' }).click();
  await editor(page).focus();
  await page.keyboard.type('Yes.');
  await sendIt(page);
  const [mail] = await messages(other, 'INBOX', 1);
  assert.match(mail, /Subject: Re: Plan/);
  assert.match(mail, /In-Reply-To: <two@example\.org>/);
  assert.match(mail, /References:\s+<one@example\.org>\s+<two@example\.org>/);
  assert.match(mail, /<blockquote type="cite"/);
  const imap = await Imap.open(user);
  await imap.command('EXAMINE INBOX');
  assert.match((await imap.command('FETCH 1 (FLAGS)')).join(), /\\Answered/);
  imap.close();
});

test('an answer obeys Reply-To, Mail-Followup-To and List-Post', { looks: 'phone light rtl' }, async ({ page }) => {
  const user = freshUser();
  await deliver(user, html('List mail', '<p>x', { From: 'ann@example.org', 'Reply-To': 'desk@example.org', To: 'list@lists.example.org', 'Mail-Followup-To': 'followup@lists.example.org', 'List-Post': '<mailto:post@lists.example.org>' }));
  await signIn(page, user);
  await open(page, 'List mail');
  const recipients = async (entry) => {
    await choose(page, entry);
    const found = await page.locator('.compose:not([data-shape=minimised]) .token-text').allTextContents();
    await page.locator('.compose:not([data-shape=minimised])').getByRole('button', { name: 'Discard draft' }).click();
    const sure = page.getByRole('dialog').getByRole('button', { name: 'Discard draft' });
    await sure.last().click();
    await window_(page).waitFor({ state: 'detached' });
    return found;
  };
  assert.deepEqual(await recipients('Reply'), ['desk@example.org']);
  assert.deepEqual(await recipients('Reply all'), ['followup@lists.example.org']);
  assert.deepEqual(await recipients('Reply to list'), ['post@lists.example.org']);
});

test('what is forwarded has its attachments, inline or as a whole', { looks: 'phone light ltr' }, async ({ page }) => {
  const [user, other] = [freshUser(), freshUser()];
  await deliver(user, multipart('Papers', [{ type: 'text/html', body: '<p>see</p>' }, { type: 'application/pdf', body: 'PDFPDF', name: 'plan.pdf' }]));
  const session = await signIn(page, user);
  await prefer(page, session, { undoSend: 0 });
  await open(page, 'Papers');
  await page.keyboard.press('f');
  await window_(page).waitFor();
  await page.getByText('plan.pdf').last().waitFor();
  await to(page).fill(address(other));
  await sendIt(page);
  const [mail] = await messages(other, 'INBOX', 1);
  assert.match(mail, /Subject: Fwd: Papers/);
  assert.match(mail, /filename="?plan\.pdf/);
  assert.match(mail, new RegExp(Buffer.from('PDFPDF').toString('base64')));
  await choose(page, 'Forward as attachment');
  await to(page).fill(address(other));
  await sendIt(page);
  const [, whole] = await messages(other, 'INBOX', 2);
  assert.match(whole, /message\/rfc822/);
  const imap = await Imap.open(user);
  await imap.command('EXAMINE INBOX');
  assert.match((await imap.command('FETCH 1 (FLAGS)')).join(), /\$Forwarded/i);
  imap.close();
});

test('undo brings the window back and nothing goes out; sent again it goes once', { looks: ['desktop light ltr', 'phone dark rtl'] }, async ({ page }) => {
  const [user, other] = [freshUser(), freshUser()];
  const session = await signIn(page, user);
  await prefer(page, session, { undoSend: 5 });
  await write(page, address(other));
  await page.getByLabel('Subject').fill('Second thoughts');
  await editor(page).focus();
  await page.keyboard.type('first words');
  await sendIt(page);
  await page.locator('.toast').getByRole('button', { name: 'Undo' }).click();
  await window_(page).waitFor();
  assert.match(await editor(page).textContent(), /first words/);
  await messages(user, 'Sent', 0);
  await remains(other, 'INBOX', 0, 6500);
  await editor(page).focus();
  await page.keyboard.type('Better: ');
  await sendIt(page);
  const [mail] = await messages(other, 'INBOX', 1);
  assert.match(mail, /Better: first words/);
  await messages(user, 'Drafts', 0);
  await messages(user, 'Sent', 1);
});

test('closing the page within the time of the hold changes nothing: the message goes once', { looks: 'phone dark ltr' }, async ({ page, context }) => {
  const [user, other] = [freshUser(), freshUser()];
  const session = await signIn(page, user);
  await prefer(page, session, { undoSend: 5 });
  await write(page, address(other));
  await page.getByLabel('Subject').fill('On its way');
  await sendIt(page);
  await page.close();
  await messages(other, 'INBOX', 1);
  await remains(other, 'INBOX', 1, 1500);
  await context.newPage();
});

test('a draft is saved within five seconds, is one, and is open again after the tab was killed', { looks: 'desktop dark ltr' }, async ({ page, context }) => {
  const user = freshUser();
  await signIn(page, user);
  await write(page, 'somebody@example.org');
  await page.getByLabel('Subject').fill('Unfinished');
  await editor(page).focus();
  await page.keyboard.type('precious words');
  await page.locator('.compose[data-save=saved]').waitFor({ timeout: 6000 });
  await page.keyboard.type(' and more');
  await page.locator('.compose[data-save=dirty]').waitFor();
  await page.locator('.compose[data-save=saved]').waitFor();
  const [draft] = await messages(user, 'Drafts', 1);
  assert.match(draft, /precious words and more/);
  assert.match(draft, /\\Draft/);
  await page.close({ runBeforeUnload: false });
  const again = await context.newPage();
  await again.goto('/');
  await again.locator('.compose').waitFor();
  assert.match(await again.locator('.editor').textContent(), /precious words and more/);
  assert.equal(await again.getByLabel('Subject').inputValue(), 'Unfinished');
  await again.getByRole('button', { name: 'Save and close' }).click();
  await again.locator('.compose').waitFor({ state: 'detached' });
  await messages(user, 'Drafts', 1);
});

test('on a phone a draft that is open again waits below the mailbox', { looks: 'phone light rtl' }, async ({ page, context }) => {
  const user = freshUser();
  await signIn(page, user);
  await write(page, 'somebody@example.org');
  await page.getByLabel('Subject').fill('Unfinished');
  await page.locator('.compose[data-save=saved]').waitFor();
  await page.close({ runBeforeUnload: false });
  const again = await context.newPage();
  await again.goto('/');
  const waiting = again.locator('.compose[data-shape=minimised]');
  await waiting.waitFor();
  await again.getByText('All quiet').waitFor();
  const [window, list] = [await waiting.boundingBox(), await again.locator('.list-head').boundingBox()];
  assert.ok(window.y > list.y + list.height && window.height < 80, 'it covers the mailbox');
  await waiting.getByText('Unfinished').click();
  await again.locator('.compose:not([data-shape=minimised])').waitFor();
  assert.equal(await again.getByLabel('Subject').inputValue(), 'Unfinished');
});

test('of a draft with two versions the newest is open again, small over the settings, and leaves the focus', { looks: 'desktop dark rtl' }, async ({ page, context }) => {
  const user = freshUser();
  const { uid, token } = await signIn(page, user);
  await write(page, 'somebody@example.org');
  await page.getByLabel('Subject').fill('First words');
  await page.locator('.compose[data-save=saved]').waitFor({ timeout: 6000 });
  const [first] = await messages(user, 'Drafts', 1);
  const key = /"key":"([a-z0-9]+)"/.exec(first.replaceAll(/\r?\n\s/g, ''))?.[1];
  assert.ok(key, first);
  await page.close({ runBeforeUnload: false });
  // What the page stored while it went, and never heard of.
  const again = await context.newPage();
  const call = async (name, args) => {
    const response = await again.request.post('/jmap/api', {
      data: { using: ['urn:ietf:params:jmap:core', 'urn:ietf:params:jmap:mail'], methodCalls: [[name, { accountId: uid, ...args }, 'c']] },
      headers: { 'X-Mailboat-Token': token },
    });
    return (await response.json()).methodResponses[0][1];
  };
  const { list } = await call('Mailbox/get', { ids: null });
  const drafts = list.find(({ role }) => role === 'drafts').id;
  const made = await call('Email/set', {
    create: {
      newer: {
        mailboxIds: { [drafts]: true },
        keywords: { $draft: true, $seen: true },
        from: [{ email: address(user) }],
        subject: 'Second words',
        'header:X-Mailboat-Draft:asText': JSON.stringify({ key, identityId: null, vCard: false, answers: [] }),
        bodyStructure: { type: 'text/plain', partId: 'text' },
        bodyValues: { text: { value: 'newer' } },
      },
    },
  });
  assert.ok(made.created?.newer, JSON.stringify(made));
  await again.goto('/#/settings/general');
  await again.locator('.compose[data-shape=minimised]').waitFor();
  assert.equal(await again.locator('.compose-title').textContent(), 'Second words');
  assert.equal(await again.evaluate(() => document.activeElement.closest('.compose')), null, 'the window took the focus');
  await messages(user, 'Drafts', 1);
  await again.close({ runBeforeUnload: false });
  const third = await context.newPage();
  await third.goto('/');
  await third.locator('.compose[data-shape=normal]').waitFor();
  assert.equal(await third.getByLabel('Subject').inputValue(), 'Second words');
  assert.equal(await third.evaluate(() => document.activeElement.closest('.compose')), null, 'the window took the focus');
});

test('a page with unsaved words asks before it closes', { looks: 'phone light ltr' }, async ({ page }) => {
  const user = freshUser();
  await signIn(page, user);
  await write(page);
  await editor(page).focus();
  await page.keyboard.type('x');
  const asked = await page.evaluate(() => !window.dispatchEvent(new Event('beforeunload', { cancelable: true })));
  assert.ok(asked);
  await page.locator('.compose[data-save=saved]').waitFor();
  assert.ok(await page.evaluate(() => window.dispatchEvent(new Event('beforeunload', { cancelable: true }))));
});

test('a draft in Drafts goes on, with its recipients, attachments and options', { looks: 'desktop light rtl' }, async ({ page }) => {
  const [user, other] = [freshUser(), freshUser()];
  const session = await signIn(page, user);
  await prefer(page, session, { undoSend: 0 });
  await write(page, address(other));
  await page.getByLabel('Subject').fill('Continued');
  await page.getByRole('button', { name: 'Add Bcc' }).click();
  await page.getByRole('combobox', { name: 'Bcc', exact: true }).fill('hidden@example.org');
  await page.locator('.compose input[type=file]').setInputFiles([{ name: 'näme.txt', mimeType: 'text/plain', buffer: Buffer.from('file') }]);
  await page.locator('.compose-file', { hasText: 'näme.txt' }).waitFor();
  await page.locator('.compose-options').click();
  await page.getByRole('menuitemradio', { name: 'High priority' }).click();
  await page.getByRole('button', { name: 'Save and close' }).click();
  await window_(page).waitFor({ state: 'detached' });
  await page.getByRole('treeitem', { name: /Drafts/ }).click();
  await page.getByText('Continued').first().click();
  await window_(page).waitFor();
  assert.deepEqual(await page.locator('.token-text').allTextContents(), [address(other), 'hidden@example.org']);
  await page.locator('.compose-file', { hasText: 'näme.txt' }).waitFor();
  await page.getByRole('button', { name: 'Remove hidden@example.org' }).click();
  await sendIt(page);
  const [mail] = await messages(other, 'INBOX', 1);
  assert.match(mail, /X-Priority: 1/);
  assert.match(mail, new RegExp(Buffer.from('file').toString('base64').replace('=', '')));
  await messages(user, 'Drafts', 0);
});

test('what is quoted runs nothing, loads nothing, and styles nothing of the page', { looks: 'phone dark ltr' }, async ({ page, tracker }) => {
  const user = freshUser();
  await deliver(
    user,
    html(
      'Hostile',
      `<style>*{background:url(http://tracker.test/a)}</style><base href="http://tracker.test/"><p onclick="alert(1)" style="position:fixed;inset:0;background:url(http://tracker.test/b);color:red">quoted</p>
       <img src="http://tracker.test/c.gif" onerror="alert(2)"><svg><animate onbegin="alert(3)" attributeName="x" dur="1s"/></svg><script>alert(4)</script><a href="javascript:alert(5)">link</a>
       <iframe src="http://tracker.test/d"></iframe><table background="http://tracker.test/e"><tr><td>cell</td></tr></table><form action="http://tracker.test/f"><input autofocus onfocus="alert(6)"></form>`,
    ),
  );
  await signIn(page, user);
  await open(page, 'Hostile');
  await page.keyboard.press('r');
  await editor(page).getByText('quoted').waitFor();
  const found = await editor(page).evaluate((element) => ({
    tags: [...new Set([...element.querySelectorAll('*')].map((one) => one.localName))].sort(),
    handlers: [...element.querySelectorAll('*')].flatMap((one) => [...one.attributes].map(({ name }) => name)).filter((name) => /^on|^srcset$|^background$/.test(name)),
    fixed: [...element.querySelectorAll('*')].filter((one) => getComputedStyle(one).position === 'fixed').length,
    links: [...element.querySelectorAll('a')].map((one) => one.getAttribute('href')),
    loaded: [...element.querySelectorAll('img')].filter((one) => one.hasAttribute('src')).length,
  }));
  assert.deepEqual(found.handlers, []);
  assert.deepEqual([found.fixed, found.loaded, found.links.filter(Boolean).length], [0, 0, 0]);
  for (const tag of ['script', 'style', 'svg', 'iframe', 'form', 'input', 'base']) assert.ok(!found.tags.includes(tag), tag);
  assert.equal(tracker.connections, 0);
});

test('a paste from a word processor is cleaned, and undone in one step', { looks: 'desktop dark ltr' }, async ({ page }) => {
  const user = freshUser();
  await signIn(page, user);
  await write(page);
  await editor(page).focus();
  await page.keyboard.type('A');
  await paste(page, {
    'text/html': `<html xmlns:o="x"><head><style>p{color:red}</style></head><body><!--StartFragment--><p class=MsoNormal style='color:red'>Hello <b>World</b><o:p></o:p></p>
      <p class=MsoListParagraph style='mso-list:l0 level1 lfo1'><![if !supportLists]><span style='mso-list:Ignore'>·<span>&nbsp;&nbsp; </span></span><![endif]>one</p>
      <p class=MsoListParagraph style='mso-list:l0 level1 lfo1'><span style='mso-list:Ignore'>·<span>&nbsp;&nbsp; </span></span>two</p><p onclick="alert(1)">end<img src=http://tracker.test/x onerror=alert(1)></p><!--EndFragment--></body></html>`,
  });
  const lines = () => editor(page).evaluate((element) => element.innerHTML);
  assert.match(await lines(), /^<div>AHello <b>World<\/b><\/div><ul><li>one<\/li><li>two<\/li><\/ul><p>end<\/p>/);
  await page.keyboard.press('Control+z');
  assert.match(await lines(), /^<div>A<\/div>/);
  await page.keyboard.press('Control+Shift+z');
  assert.match(await lines(), /<li>one<\/li>/);
});

test('an image that is pasted stands in the text and goes with the message', { looks: 'phone light rtl' }, async ({ page }) => {
  const [user, other] = [freshUser(), freshUser()];
  const session = await signIn(page, user);
  await prefer(page, session, { undoSend: 0 });
  await write(page, address(other));
  await page.getByLabel('Subject').fill('Picture');
  await editor(page).focus();
  await page.keyboard.type('look: ');
  await paste(page, {}, [{ name: 'dot.png', type: 'image/png', bytes: PNG }]);
  await editor(page).locator('img[src^="blob:"]').waitFor();
  await sendIt(page);
  const [mail] = await messages(other, 'INBOX', 1);
  assert.match(mail, /multipart\/related/);
  const cid = /Content-ID: <([^>]+)>/i.exec(mail)?.[1];
  assert.ok(cid && mail.replaceAll('=\n', '').includes(`cid:${cid}`), mail);
});

test('files: dropped, uploaded with progress, cancelled, and refused before their first byte when too large', { looks: 'desktop dark rtl' }, async ({ page }) => {
  const user = freshUser();
  await signIn(page, user);
  await write(page);
  let uploads = 0;
  let release;
  const held = new Promise((resolve) => (release = resolve));
  await page.route('**/jmap/upload/**', async (route) => {
    uploads += 1;
    if (uploads === 1) await held;
    await route.continue().catch(() => {});
  });
  await window_(page).evaluate((element) => {
    const data = new DataTransfer();
    data.items.add(new File(['dropped'], 'dropped.txt', { type: 'text/plain' }));
    for (const type of ['dragover', 'drop']) element.dispatchEvent(new DragEvent(type, { dataTransfer: data, bubbles: true, cancelable: true }));
  });
  await page.getByRole('progressbar', { name: 'Uploading dropped.txt' }).waitFor();
  await page.getByRole('button', { name: 'Cancel the upload of dropped.txt' }).click();
  await page.locator('.compose-file').waitFor({ state: 'detached' });
  release();
  await page.evaluate(() => {
    const input = document.querySelector('.compose input[type=file]');
    const file = new File(['x'], 'huge.bin');
    Object.defineProperty(file, 'size', { value: 5e9 });
    Object.defineProperty(input, 'files', { value: [file], configurable: true });
    input.dispatchEvent(new Event('change', { bubbles: true }));
  });
  await page.getByText(/huge\.bin has .* are left for attachments/).waitFor();
  assert.equal(uploads, 1);
});

test('recipients are completed from the directory by keyboard, and wrong ones are marked', { looks: 'phone light ltr' }, async ({ page }) => {
  const [user, other] = [freshUser(), freshUser()];
  await signIn(page, user);
  await write(page);
  const field = to(page);
  await field.pressSequentially(other);
  const option = page.getByRole('option', { name: new RegExp(address(other)) });
  await option.waitFor();
  assert.equal(await field.getAttribute('aria-expanded'), 'true');
  const active = await field.getAttribute('aria-activedescendant');
  assert.ok(active && (await page.locator(`[id="${active}"]`).getAttribute('aria-selected')) === 'true');
  while ((await option.getAttribute('aria-selected')) !== 'true') await page.keyboard.press('ArrowDown');
  await page.keyboard.press('Enter');
  assert.equal(await page.locator('.token').count(), 1);
  await page.keyboard.type('nobody, ');
  await page.keyboard.press('Tab');
  await page.getByText('Not an address: nobody').waitFor();
  await page.keyboard.press('Control+Enter');
  await page.locator('.token.wrong').waitFor();
  assert.equal(await window_(page).count(), 1);
  // Keys alone: back into the tokens, and the wrong one goes.
  await field.focus();
  await page.keyboard.press('Backspace');
  await page.keyboard.press('Delete');
  assert.equal(await page.locator('.token').count(), 1);
});

test('a recipient whom the server refuses is marked, and the words stay', { looks: 'desktop light rtl' }, async ({ page }) => {
  const user = freshUser();
  const session = await signIn(page, user);
  await prefer(page, session, { undoSend: 0 });
  await write(page, address('there.is.nobody'));
  await page.getByLabel('Subject').fill('To nobody');
  await editor(page).focus();
  await page.keyboard.type('kept words');
  await page.keyboard.press('Control+Enter');
  await page.locator('.token.wrong').waitFor();
  await page.getByText(/Refused: there\.is\.nobody/).waitFor();
  assert.match(await editor(page).textContent(), /kept words/);
  await messages(user, 'Sent', 0);
});

test('plain text stays plain, and changes both ways', { looks: 'phone dark ltr' }, async ({ page }) => {
  const [user, other] = [freshUser(), freshUser()];
  const session = await signIn(page, user);
  await prefer(page, session, { undoSend: 0 });
  await write(page, address(other));
  await page.getByLabel('Subject').fill('Plain');
  await editor(page).focus();
  await page.keyboard.press('Control+b');
  await page.keyboard.type('strong');
  await page.locator('.compose-options').click();
  await page.getByRole('menuitemradio', { name: 'Plain text' }).click();
  await page.getByRole('button', { name: 'Make it plain' }).click();
  const text = page.locator('textarea.plain-text');
  await text.waitFor();
  assert.match(await text.inputValue(), /^strong/);
  await text.fill('a < b & c\n> quoted');
  await sendIt(page);
  const [mail] = await messages(other, 'INBOX', 1);
  assert.match(mail, /Content-Type: text\/plain/);
  assert.doesNotMatch(mail, /multipart|text\/html/);
  assert.match(mail, /a < b & c/);
});

test('the signature of the directory goes under a message, and its markup is text', { looks: 'desktop dark ltr' }, async ({ page }) => {
  const [user, other] = [freshUser(), freshUser()];
  const session = await signIn(page, user);
  await prefer(page, session, { undoSend: 0, autoSign: true, signature: 'Joe <b>Doe</b>\nsecond line' });
  await write(page, address(other));
  await page.getByLabel('Subject').fill('Signed');
  await editor(page).focus();
  await page.keyboard.type('text');
  assert.equal(await editor(page).locator('b').count(), 0);
  await sendIt(page);
  const [mail] = await messages(other, 'INBOX', 1);
  assert.match(mail, /text\n\n-- ?(=20)?\nJoe <b>Doe<\/b>\nsecond line/);
  assert.match(mail, /Joe &lt;b&gt;Doe&lt;\/b&gt;/);
});

test('the visiting card, the receipt and the priority are asked for in the options', { looks: 'phone light rtl' }, async ({ page }) => {
  const [user, other] = [freshUser(), freshUser()];
  const session = await signIn(page, user);
  await prefer(page, session, { undoSend: 0, vCard: 'BEGIN:VCARD\nVERSION:3.0\nFN:Joe Doe\nEND:VCARD' });
  await write(page, address(other));
  await page.getByLabel('Subject').fill('Options');
  for (const name of ['Ask for a read receipt', 'Attach my contact card', 'Low priority']) {
    await page.locator('.compose-options').click();
    await page.getByRole('menuitemradio', { name }).click();
  }
  await sendIt(page);
  const [mail] = await messages(other, 'INBOX', 1);
  assert.match(mail, new RegExp(`Disposition-Notification-To:.*${address(user)}`));
  assert.match(mail, /X-Priority: 5/);
  assert.match(mail, /text\/vcard/);
});

test('questions before sending: no subject, a forgotten attachment, many people', { looks: 'desktop dark rtl' }, async ({ page }) => {
  const user = freshUser();
  await signIn(page, user);
  await write(page, Array.from({ length: 25 }, (_, at) => `p${at}@example.org`).join(', '));
  await editor(page).focus();
  await page.keyboard.type('the file is attached');
  await page.keyboard.press('Control+Enter');
  const dialog = page.locator('dialog');
  for (const [title, button] of [['Send without a subject?', 'Send'], ['Forgot to attach a file?', 'Send'], ['Send to 25 people?', 'Cancel']]) {
    await dialog.getByRole('heading', { name: title }).waitFor();
    await dialog.getByRole('button', { name: button, exact: true }).click();
  }
  await dialog.waitFor({ state: 'detached' });
  assert.equal(await window_(page).count(), 1);
  await messages(user, 'Sent', 0);
});

test('a message is redirected as it is, with the fields that say so', { looks: 'phone light ltr' }, async ({ page }) => {
  const [user, other] = [freshUser(), freshUser()];
  await deliver(user, html('Not for me', '<p>original</p>', { 'Message-ID': '<orig@example.org>' }));
  await signIn(page, user);
  await open(page, 'Not for me');
  await choose(page, 'Redirect');
  await page.locator('dialog').getByRole('combobox', { name: 'To', exact: true }).fill(address(other));
  await page.getByRole('option', { name: new RegExp(address(other)) }).click();
  await page.locator('dialog').getByRole('button', { name: 'Redirect' }).click();
  await page.locator('.toast', { hasText: 'redirected' }).waitFor();
  const [mail] = await messages(other, 'INBOX', 1);
  assert.match(mail, new RegExp(`Resent-From: <${address(user)}>`));
  assert.match(mail, /From: "A stranger" <stranger@example\.org>/);
  assert.match(mail, /Message-ID: <orig@example\.org>/);
});

test('the whole way by keyboard: write, format, send, answer the question', { looks: 'desktop light rtl' }, async ({ page }) => {
  const [user, other] = [freshUser(), freshUser()];
  const session = await signIn(page, user);
  await prefer(page, session, { undoSend: 0 });
  await page.locator('.list, [role=listbox], [role=grid]').first().waitFor();
  await page.keyboard.press('c');
  await window_(page).waitFor();
  await page.keyboard.type(`${address(other)},`);
  const focused = () => page.evaluate(() => document.activeElement?.className ?? '');
  for (let step = 0; step < 12 && !/compose-subject/.test(await focused()); step++) await page.keyboard.press('Tab');
  await page.keyboard.type('By keys');
  for (let step = 0; step < 4 && !/\beditor\b/.test(await focused()); step++) await page.keyboard.press('Tab');
  await page.keyboard.type('x');
  await page.keyboard.press('Alt+F10');
  await page.keyboard.press('ArrowLeft'); // the next one, from right to left
  await page.keyboard.press('Enter');
  await page.keyboard.type('slanted attached');
  await page.keyboard.press('Control+Enter');
  await page.locator('dialog').waitFor();
  await page.keyboard.press('Enter');
  const [mail] = await messages(other, 'INBOX', 1);
  assert.match(mail, /<i>slanted attached<\/i>/);
});

test('minimise, full screen, several windows', { looks: 'desktop dark ltr' }, async ({ page }) => {
  const user = freshUser();
  await signIn(page, user);
  await write(page);
  await editor(page).focus();
  await page.keyboard.type('one');
  await page.keyboard.press('Escape');
  await page.locator('.compose[data-shape=minimised]').waitFor();
  await page.getByRole('button', { name: 'New message' }).first().click();
  await page.locator('.compose[data-shape=normal]').waitFor();
  assert.equal(await window_(page).count(), 2);
  await page.getByRole('button', { name: 'Full screen' }).click();
  const box = await page.locator('.compose[data-shape=full]').boundingBox();
  assert.ok(box.width > 1000 && box.height > 650, JSON.stringify(box));
  await page.getByRole('button', { name: 'Leave full screen' }).click();
  await page.locator('.compose[data-shape=minimised] .compose-head').click();
  assert.match(await page.locator('.compose .editor', { hasText: 'one' }).textContent(), /one/);
});

for (const [name, options] of [
  ['light', {}],
  ['dark', { theme: 'dark' }],
  ['phone', { viewport: 'phone', touch: true }],
  ['right to left', { locale: 'ar' }],
  ['right to left on a dark phone', { locale: 'ar', viewport: 'phone', theme: 'dark' }],
]) {
  test(`compose is accessible and fits: ${name}`, options, async ({ page }) => {
    const user = freshUser();
    await deliver(user, html('Accessible', '<p>an <b>answer</b> please</p><img src="http://tracker.test/x.gif">'));
    await signIn(page, user);
    await page.getByText('Accessible').first().click();
    await page.locator('.message:not(.closed)').first().waitFor();
    await page.locator('.message-actions button').nth(1).click();
    await window_(page).waitFor();
    await page.locator('.compose input[type=file]').setInputFiles([{ name: 'a.txt', mimeType: 'text/plain', buffer: Buffer.from('a') }]);
    await page.locator('.compose-file').waitFor();
    await axe(page, { include: '.compose' });
    await page.locator('.token-input').first().pressSequentially('us');
    await page.locator('[role=option]').first().waitFor();
    await axe(page, { include: '.compose' });
    await page.keyboard.press('Escape');
    await assertNoSidewaysScroll(page);
    const small = await page.locator('.compose button:visible').evaluateAll((buttons) => buttons.filter((one) => one.getBoundingClientRect().width < 24 || one.getBoundingClientRect().height < 24).map((one) => one.outerHTML));
    assert.deepEqual(small, []);
    await screenshot(page, `compose-${name.replaceAll(' ', '-')}`);
  });
}


test('who has no room for the copy sends nothing, and is told so', { looks: 'phone dark ltr' }, async ({ page }) => {
  const [user, other] = [lastUser, freshUser()];
  const session = await signIn(page, user);
  await prefer(page, session, { undoSend: 0 });
  await deliver(user, html('Much', `<p>${'x'.repeat(72)}</p>\r\n`.repeat(300)));
  await write(page, address(other));
  await page.getByLabel('Subject').fill('Too much');
  await editor(page).click();
  await page.evaluate((words) => document.execCommand('insertText', false, words), 'many words '.repeat(1500));
  await page.keyboard.press('Control+Enter');
  await page.locator('.compose-notice', { hasText: 'Nothing was sent: your mailbox is full' }).waitFor();
  assert.match(await editor(page).textContent(), /many words/);
  await remains(other, 'INBOX', 0, 2000);
  await messages(user, 'Sent', 0);
});

test('drafts and copies are kept in the folders of the preferences, which are made when there are none', { looks: 'phone light rtl' }, async ({ page }) => {
  const [user, other] = [freshUser(), freshUser()];
  const session = await signIn(page, user);
  await prefer(page, session, { undoSend: 0, draftFolder: 'Work/Begun', sentFolder: 'Out' });
  await write(page, address(other));
  await page.getByLabel('Subject').fill('Kept elsewhere');
  await page.locator('.compose[data-save=saved]').waitFor();
  await messages(user, 'Work/Begun', 1);
  await sendIt(page);
  await messages(other, 'INBOX', 1);
  await messages(user, 'Out', 1);
  await messages(user, 'Work/Begun', 0);
});
