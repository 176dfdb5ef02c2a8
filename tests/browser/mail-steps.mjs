// Steps that the journeys through list and reading pane have in common.
import { assert, compose, Imap, signIn } from './harness.mjs';

/** A message of plain text. */
export const text = (subject, body = 'Nothing more.', fields = {}) =>
  compose({ From: '"Mara Okafor" <mara@example.org>', Subject: subject, 'MIME-Version': '1.0', 'Content-Type': 'text/plain; charset=utf-8', ...fields }, body);

/** Signs in and waits for the list. */
export async function openMail(page, user, path = '/') {
  await signIn(page, user, path);
  await page.locator('.list-pane .list-title h1').waitFor();
}

/** The row of a subject, in the list. */
export const row = (page, subject) => page.locator('.list-grid .row:not(.loading):not([hidden])', { hasText: subject });
export const heading = (page, name) => page.locator('.list-title').getByRole('heading', { name, exact: true });
export const folder = (page, name) => page.getByRole('tree').getByRole('treeitem', { name });

/** Brings the folders on screen: in a narrow window they are in a drawer, which a button opens. */
export async function openFolders(page) {
  const drawer = page.locator('.drawer-button');
  if (!(await drawer.isVisible()) || (await page.locator('.app[data-drawer=open]').count()) > 0) return;
  await drawer.click();
  await page.getByRole('tree').waitFor();
}

export async function openFolder(page, name) {
  await openFolders(page);
  await folder(page, name).click();
}

/** Waits for a toast that says `words`. */
export const said = (page, words) => page.locator('.toast', { hasText: words }).waitFor();

export async function undo(page) {
  await page.locator('.toast').getByRole('button', { name: 'Undo' }).click();
  await said(page, 'Undone.');
}

/** Asks the other side until it says what is expected: `look` gets an IMAP session, and gives something to compare. */
export async function imapSays(user, look, wanted) {
  const imap = await Imap.open(user);
  const until = Date.now() + 20_000;
  let last;
  do {
    last = await look(imap);
    if (JSON.stringify(last) === JSON.stringify(wanted)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  } while (Date.now() < until);
  assert.deepEqual(last, wanted);
}

/** Messages in a mailbox, as IMAP counts them. */
export const count = (mailbox) => async (imap) => {
  const lines = await imap.command(`STATUS "${mailbox}" (MESSAGES)`);
  return Number(/MESSAGES (\d+)/.exec(lines.join(' '))?.[1] ?? -1);
};

/** Flags of the only message in a mailbox, without \Recent, sorted. */
export const flags = (mailbox) => async (imap) => {
  await imap.command(`EXAMINE "${mailbox}"`);
  const lines = await imap.command('FETCH 1 (FLAGS)');
  const found = /FLAGS \(([^)]*)\)/.exec(lines.join(' '))?.[1] ?? '';
  return found.split(' ').filter((flag) => flag && flag !== '\\Recent').sort();
};

/** Names of the mailboxes, sorted. */
export const names = async (imap) =>
  (await imap.command('LIST "" "*"')).map((line) => /"?([^" ]+|[^"]+)"?$/.exec(line)?.[1] ?? line).sort();
