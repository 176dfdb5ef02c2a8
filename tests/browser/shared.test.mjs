// Journeys through folders of others: what the rights allow is there, and what they do not is not.
import { address, assert, axe, Imap, freshUser, multipart, test, world } from './harness.mjs';
import { count, folder, heading, imapSays, names, openFolder, openFolders, openMail, row, said, text } from './mail-steps.mjs';

/** A folder of the owner's with one message in it, and what the reader may do there. */
async function share(owner, name, subject, reader, rights) {
  const imap = await Imap.open(owner);
  try {
    await imap.command(`CREATE "${name}"`);
    await imap.append(name, text(subject, `The text of ${subject}.`));
    await imap.command(`SETACL "${name}" ${reader} ${rights}`);
  } finally {
    imap.close();
  }
}

const subjects = (mailbox) => async (imap) => {
  await imap.command(`EXAMINE "${mailbox}"`);
  const lines = (await imap.command('UID FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])')).join('\n');
  return [...lines.matchAll(/Subject: (.*)/g)].map(([, subject]) => subject.trim());
};

test('a folder of another is below Shared; who may only read is offered nothing else', { looks: 'phone light ltr' }, async ({ page }) => {
  const [owner, reader] = [freshUser(), freshUser()];
  await share(owner, 'Minutes', 'May meeting', reader, 'lr');
  await openMail(page, reader);
  await openFolders(page);
  await folder(page, 'Shared').waitFor();
  await openFolder(page, 'Minutes');
  await heading(page, 'Minutes').waitFor();
  await row(page, 'May meeting').click();
  await page.frameLocator('.message-frame').last().getByText('The text of May meeting.').waitFor();
  const bar = page.locator('.reading-bar');
  for (const name of ['Archive', 'Delete', 'Junk', 'Move to', 'Mark as unread']) {
    assert.equal(await bar.getByRole('button', { name, exact: true }).count(), 0, `${name} is offered`);
  }
  await axe(page);
  // The keyboard does nothing either, and says why.
  await page.keyboard.press('e');
  await said(page, 'do not allow');
  await imapSays(owner, subjects('Minutes'), ['May meeting']);
  await page.goBack();
  await openFolders(page);
  await folder(page, 'Minutes').click({ button: 'right' });
  const offered = await page.getByRole('menuitem').allTextContents();
  assert.deepEqual(offered, [], `the menu of the folder has ${offered}`);
});

test('what is moved from a folder of another is in the own one, and is gone there', { looks: 'desktop light rtl' }, async ({ page }) => {
  const [owner, reader] = [freshUser(), freshUser()];
  await share(owner, 'Team', 'For you', reader, 'lrswite');
  await openMail(page, reader);
  await openFolder(page, 'Team');
  await row(page, 'For you').click();
  await page.frameLocator('.message-frame').last().getByText('The text of For you.').waitFor();
  await page.keyboard.press('v');
  await page.getByRole('combobox').fill('Inbox');
  await page.getByRole('option', { name: 'Inbox', exact: true }).waitFor();
  await page.keyboard.press('Enter');
  await said(page, 'Inbox');
  await imapSays(reader, subjects('INBOX'), ['For you']);
  await imapSays(owner, subjects('Team'), []);
});

test('a folder that is given while the page is open appears, and goes when it is taken back', { looks: 'phone dark ltr' }, async ({ page }) => {
  const [owner, reader] = [freshUser(), freshUser()];
  await openMail(page, reader);
  assert.equal(await folder(page, 'Shared').count(), 0);
  await share(owner, 'Late', 'Late news', reader, 'lrs');
  await openFolders(page);
  await folder(page, 'Late').waitFor();
  await openFolder(page, 'Late');
  await row(page, 'Late news').waitFor();
  const imap = await Imap.open(owner);
  await imap.append('Late', text('More news'));
  await row(page, 'More news').waitFor();
  await imap.command(`DELETEACL Late ${reader}`);
  imap.close();
  await folder(page, 'Late').waitFor({ state: 'detached' });
  await heading(page, 'Inbox').waitFor();
});

/** A draft in a folder of the owner's, with a file in it. */
async function shareDraft(owner, name, subject, reader, rights) {
  const imap = await Imap.open(owner);
  const draft = multipart(subject, [{ type: 'text/plain', body: 'Begun by the owner.' }, { type: 'text/csv', body: 'a;b\r\n1;2\r\n', name: 'figures.csv' }], {
    fields: { From: `<${address(owner)}>`, To: `<${address(reader)}>` },
  });
  try {
    await imap.command(`CREATE "${name}"`);
    await imap.append(name, draft, '(\\Draft \\Seen)');
    await imap.command(`SETACL "${name}" ${reader} ${rights}`);
  } finally {
    imap.close();
  }
}

const contents = (mailbox) => async (imap) => {
  await imap.command(`EXAMINE "${mailbox}"`);
  return (await imap.command('UID FETCH 1:* (FLAGS BODY.PEEK[])')).join('\n');
};

async function imapShows(user, look, ...wanted) {
  await imapSays(user, async (imap) => {
    const text = await look(imap);
    return wanted.every((one) => text.includes(one));
  }, true);
}

test('a draft in a folder of another goes on there, and is sent from here', { looks: 'desktop dark ltr' }, async ({ page }) => {
  const [owner, reader] = [freshUser(), freshUser()];
  await shareDraft(owner, 'Common', 'Offer', reader, 'lrwite');
  await openMail(page, reader);
  await openFolder(page, 'Common');
  await row(page, 'Offer').click();
  const compose = page.locator('.compose');
  await compose.getByText(`This draft is ${owner}’s: it is kept in Common`).waitFor();
  await compose.getByText('figures.csv').waitFor();
  await axe(page, { include: { include: ['.compose'] } });
  await compose.getByRole('textbox', { name: 'Message text' }).fill('Gone on with by the reader.');
  await page.keyboard.press('Control+s');
  await compose.getByText(/^Saved/).waitFor();
  // The next version is there, whole, and the one before it is gone.
  await imapShows(owner, contents('Common'), 'Gone on with by the reader.', 'figures.csv', '\\Draft');
  await imapSays(owner, count('Common'), 1);
  await imapSays(reader, async (imap) => (await names(imap)).includes('Drafts') && (await count('Drafts')(imap)) > 0, false);
  // A tab that is killed opens it again, in the same place.
  await page.reload();
  await compose.getByText(`This draft is ${owner}’s: it is kept in Common`).waitFor();
  assert.equal(await compose.getByRole('textbox', { name: 'Message text' }).inputValue(), 'Gone on with by the reader.');
  await compose.getByRole('button', { name: 'Send', exact: true }).click();
  await compose.waitFor({ state: 'detached' });
  await imapSays(owner, count('Common'), 0);
  await imapShows(reader, contents('Sent'), `From: `, address(reader), 'Gone on with by the reader.', 'figures.csv');
  await imapShows(reader, contents('INBOX'), 'Gone on with by the reader.');
});

/** Opens the draft in Common, writes into it, and saves it once `other` has it open, too. */
async function goesOn(page, user, words, other) {
  await openMail(page, user);
  await openFolder(page, 'Common');
  await row(page, 'Offer').click();
  const field = page.locator('.compose').getByRole('textbox', { name: 'Message text' });
  await field.waitFor();
  await other?.();
  await field.fill(words);
  await page.keyboard.press('Control+s');
  await page.locator('.compose').getByText(/^Saved/).waitFor();
}

test('two who go on from the same version of a draft both keep what they wrote, whoever opens it again', { looks: 'phone light rtl' }, async ({ page, context }) => {
  const [owner, reader] = [freshUser(), freshUser()];
  const imap = await Imap.open(owner);
  await imap.command('CREATE Common');
  const fields = { From: `<${address(owner)}>`, To: `<${address(reader)}>`, 'X-Mailboat-Draft': '{"key":"first","identityId":null,"vCard":false,"answers":[]}' };
  await imap.append('Common', text('Offer', 'Begun by the owner.', fields), '(\\Draft \\Seen)');
  await imap.command(`SETACL Common ${reader} lrwite`);
  imap.close();
  const elsewhere = await context.browser().newContext({ baseURL: world.url });
  const theirs = await elsewhere.newPage();
  await goesOn(page, reader, 'Words of the reader.', () => goesOn(theirs, owner, 'Words of the owner.'));
  // The owner's goes into their Drafts, of the same account.
  const kept = async (more) => {
    for (const [name, words] of [['Common', 'Words of the reader.'], ['Drafts', 'Words of the owner.']]) {
      await imapShows(owner, contents(name), `${words}${more}`);
      await imapSays(owner, count(name), 1);
    }
  };
  await kept('');
  for (const [one, words] of [[page, 'Words of the reader.'], [theirs, 'Words of the owner.']]) {
    await one.reload();
    await one.locator('.compose').waitFor();
    const small = one.locator('.compose[data-shape=minimised] .compose-title'); // as it opens again on a phone
    if (await small.isVisible()) await small.click();
    const field = one.locator('.compose').getByRole('textbox', { name: 'Message text' });
    await field.waitFor();
    assert.equal((await field.inputValue()).trim(), words);
    // The next version takes the place of this one, and of no other.
    await field.fill(`${words} And more.`);
    await one.keyboard.press('Control+s');
    await one.locator('.compose').getByText(/^Saved/).waitFor();
  }
  await kept(' And more.');
  await elsewhere.close();
});

test('a draft of another that may not be changed is read, and says so; rights that go while it is written are told', { looks: 'desktop light ltr' }, async ({ page }) => {
  const [owner, reader] = [freshUser(), freshUser()];
  await shareDraft(owner, 'Common', 'Offer', reader, 'lr');
  await openMail(page, reader);
  await openFolder(page, 'Common');
  await row(page, 'Offer').click();
  await page.locator('.warning-bar', { hasText: 'do not allow changing this draft' }).waitFor();
  assert.equal(await page.locator('.compose').count(), 0);
  assert.equal(await page.getByRole('button', { name: 'Continue writing' }).count(), 0);
  const imap = await Imap.open(owner);
  await imap.command(`SETACL Common ${reader} lrwite`);
  await page.reload();
  await page.getByRole('button', { name: 'Continue writing' }).click();
  const compose = page.locator('.compose');
  await compose.getByText('figures.csv').waitFor();
  await imap.command(`SETACL Common ${reader} lr`);
  imap.close();
  await compose.getByRole('textbox', { name: 'Message text' }).fill('Too late.');
  await page.keyboard.press('Control+s');
  await compose.getByText('You may not store drafts in Common any more').waitFor();
});
