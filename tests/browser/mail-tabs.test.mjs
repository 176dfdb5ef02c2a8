// Eight tabs of one user: a browser opens six connections to a host over HTTP/1.1, so one tab holds the event stream for all.
import { assert, freshUser, send, test } from './harness.mjs';
import { heading, openMail, row, text } from './mail-steps.mjs';

const TABS = 8;

/** The tabs, and for each of them the event streams that are open. */
async function openTabs(context, first, user) {
  const tabs = [];
  for (let n = 0; n < TABS; n += 1) {
    const page = n === 0 ? first : await context.newPage();
    const tab = { page, streams: new Set() };
    page.on('request', (request) => request.resourceType() === 'eventsource' && tab.streams.add(request));
    for (const end of ['requestfailed', 'requestfinished']) page.on(end, (request) => tab.streams.delete(request));
    tabs.push(tab);
    if (n === 0) await openMail(page, user);
    else await page.goto('/');
    await page.getByText('All quiet').waitFor();
  }
  return tabs;
}

/** Waits until one of the tabs has a stream and no other; gives it. */
async function holder(tabs) {
  const until = Date.now() + 15_000;
  for (;;) {
    const open = tabs.filter(({ streams }) => streams.size > 0);
    if (open.length === 1 && open[0].streams.size === 1) return open[0];
    assert.ok(Date.now() < until, `${open.length} tabs hold a stream`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function everyTabShows(tabs, user, subject) {
  await send(user, text(subject));
  await Promise.all(tabs.map(({ page }) => row(page, subject).waitFor()));
}

const look = async (tabs, user, again) => {
  await holder(tabs);
  await everyTabShows(tabs, user, 'To all of you');
  // Each of them can still ask for something.
  await Promise.all(
    tabs.map(async ({ page }) => {
      await row(page, 'To all of you').click();
      await page.getByRole('heading', { name: 'To all of you' }).waitFor();
      await page.keyboard.press('u');
      await heading(page, 'Inbox').waitFor();
    }),
  );
  const gone = await holder(tabs);
  await gone.page.close();
  const left = tabs.filter((tab) => tab !== gone);
  await again(left);
  await holder(left);
  await everyTabShows(left, user, 'To those who are left');
};

test('eight tabs of one user: one event stream for all, which another tab takes over', { looks: 'desktop dark rtl', timeout: 90_000 }, async ({ page, context }) => {
  const user = freshUser();
  const tabs = await openTabs(context, page, user);
  await look(tabs, user, async () => undefined);
});

test('eight tabs where there are no Web Locks: the one that was shown last holds the stream', { looks: 'desktop light rtl', timeout: 90_000 }, async ({ page, context }) => {
  await context.addInitScript(() => Object.defineProperty(Navigator.prototype, 'locks', { get: () => undefined }));
  const user = freshUser();
  const tabs = await openTabs(context, page, user);
  await look(tabs, user, async (left) => left[2].page.evaluate(() => document.dispatchEvent(new Event('visibilitychange'))));
});
