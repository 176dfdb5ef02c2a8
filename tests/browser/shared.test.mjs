// Journeys through folders of others: what the rights allow is there, and what they do not is not.
import { assert, axe, Imap, freshUser, test } from './harness.mjs';
import { folder, heading, imapSays, openMail, row, said, text } from './mail-steps.mjs';

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

test('a folder of another is below Shared; who may only read is offered nothing else', async ({ page }) => {
  const [owner, reader] = [freshUser(), freshUser()];
  await share(owner, 'Minutes', 'May meeting', reader, 'lr');
  await openMail(page, reader);
  await folder(page, 'Shared').waitFor();
  await folder(page, 'Minutes').click();
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
  await folder(page, 'Minutes').click({ button: 'right' });
  const offered = await page.getByRole('menuitem').allTextContents();
  assert.deepEqual(offered, [], `the menu of the folder has ${offered}`);
});

test('what is moved from a folder of another is in the own one, and is gone there', async ({ page }) => {
  const [owner, reader] = [freshUser(), freshUser()];
  await share(owner, 'Team', 'For you', reader, 'lrswite');
  await openMail(page, reader);
  await folder(page, 'Team').click();
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

test('a folder that is given while the page is open appears, and goes when it is taken back', async ({ page }) => {
  const [owner, reader] = [freshUser(), freshUser()];
  await openMail(page, reader);
  assert.equal(await folder(page, 'Shared').count(), 0);
  await share(owner, 'Late', 'Late news', reader, 'lrs');
  await folder(page, 'Late').waitFor();
  await folder(page, 'Late').click();
  await row(page, 'Late news').waitFor();
  const imap = await Imap.open(owner);
  await imap.append('Late', text('More news'));
  await row(page, 'More news').waitFor();
  await imap.command(`DELETEACL Late ${reader}`);
  imap.close();
  await folder(page, 'Late').waitFor({ state: 'detached' });
  await heading(page, 'Inbox').waitFor();
});
