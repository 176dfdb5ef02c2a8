// A message that is attached to another: parsed by the server (RFC 8621 section 4.9), and shown as messages are, in a frame from its own
// response. What is attached to it opens in the same way.

import type { App } from '../app.ts';
import { fill, h } from '../dom.ts';
import { icon } from '../icon.ts';
import { longDate } from '../i18n.ts';
import type { Id } from '../jmap.ts';
import { displayName } from '../people.ts';
import { t } from '../texts.ts';
import type { Email, EmailAddress } from '../types.ts';
import { button } from '../ui/button.ts';
import { openDialog } from '../ui/dialog.ts';
import { attachmentList } from './attachments.ts';
import { linkText, messageFrame } from './frame.ts';

type Embedded = Pick<Email, 'from' | 'to' | 'cc' | 'subject' | 'sentAt' | 'attachments'>;
const PROPERTIES = ['from', 'to', 'cc', 'subject', 'sentAt', 'attachments'];

/** Opens the message in this blob, an attachment of type message/rfc822, in a dialog. */
export async function openEmbedded(app: App, blobId: Id, name: string): Promise<void> {
    const body = h('div', { class: 'embedded' }, h('div', { class: 'spinner' }));
    const url = app.store.client.downloadUrl(blobId, name, 'message/rfc822');
    const link = h('a', { class: 'button secondary', href: url, download: name }, icon('download'), t('download'));
    openDialog({ title: name, size: 'wide', class: 'embedded-message', body, actions: link });
    try {
        const { parsed } = await app.store.client.call<{ parsed: Record<Id, Embedded> | null }>('Email/parse', { blobIds: [blobId], properties: PROPERTIES });
        const email = parsed?.[blobId];
        if (email) fill(body, head(email), frame(app, blobId, email, false), attachmentList(app, email, blobId));
        else fill(body, h('p', { class: 'preview-failed' }, t('noMessage')));
    } catch (error) {
        fill(body, h('p', { class: 'preview-failed' }, app.explain(error)));
    }
}

function head({ subject, from, to, cc, sentAt }: Embedded): HTMLElement {
    const line = (label: string, people: readonly EmailAddress[] | null): HTMLElement[] =>
        people && people.length > 0 ? [h('dt', null, label), h('dd', null, people.map((one, at) => [at > 0 && ', ', h('bdi', { title: one.email }, displayName(one))]))] : [];
    return h(
        'header',
        { class: 'embedded-head' },
        h('h3', { dir: 'auto' }, subject?.trim() || t('noSubject')),
        h('dl', null, line(t('from'), from), line(t('to'), to), line(t('cc'), cc), sentAt ? [h('dt', null, t('date')), h('dd', null, longDate(new Date(sentAt)))] : []),
    );
}

function frame(app: App, blobId: Id, email: Embedded, images: boolean): HTMLElement {
    const bar = h('div', { class: 'images-bar', hidden: true });
    const link = h('div', { class: 'link-target', 'aria-live': 'polite' });
    const holder = h('div', { class: 'frame-holder' });
    const shown = messageFrame({
        url: app.store.client.messageUrl(blobId, images),
        title: t('messageBody', { subject: email.subject ?? '' }),
        loaded: (blocked, canShow) => {
            bar.hidden = images || blocked === 0;
            for (const one of bar.querySelectorAll('button')) one.hidden = !canShow;
        },
        link: (address, misleading) => {
            link.textContent = linkText(address, misleading);
            link.className = misleading ? 'link-target misleading' : 'link-target';
        },
    });
    fill(bar, icon('image'), h('span', null, t('imagesBlocked')), button({ label: t('showImages'), class: 'link', onclick: () => whole.replaceWith(frame(app, blobId, email, true)) }));
    fill(holder, shown, link);
    const whole = h('div', null, bar, holder);
    return whole;
}
