// One row of the message list. It is made once and filled many times: only texts, classes and attributes change.

import { h } from '../dom.ts';
import { icon } from '../icon.ts';
import { formatNumber, longDate, shortDate } from '../i18n.ts';
import { displayName, hue, initials, shortName } from '../people.ts';
import type { Member } from '../store.ts';
import { t } from '../texts.ts';
import type { EmailAddress, EmailRow } from '../types.ts';

/** What a row says of its message or conversation. */
export interface RowFacts {
    row: EmailRow;
    /** Its conversation, oldest first; the message alone when rows are messages. */
    members: readonly Pick<Member, 'id' | 'keywords' | 'from'>[];
    /** Sent by the user: the recipients are shown. */
    outgoing: boolean;
    /** Name of its folder, in a search over several. */
    folder: string | undefined;
    selected: boolean;
    /** Shown in the reading pane. */
    open: boolean;
}

interface Parts {
    avatar: HTMLElement;
    who: HTMLElement;
    count: HTMLElement;
    date: HTMLElement;
    subject: HTMLElement;
    preview: HTMLElement;
    folder: HTMLElement;
    answered: Element;
    forwarded: Element;
    attachment: Element;
    star: HTMLElement;
    check: HTMLElement;
}

const partsOf = new WeakMap<HTMLElement, Parts>();

export function createRow(): HTMLElement {
    const avatar = h('span', { class: 'avatar large', 'aria-hidden': 'true' });
    const parts: Parts = {
        avatar,
        who: h('span', { class: 'who', dir: 'auto' }),
        count: h('span', { class: 'count' }),
        date: h('span', { class: 'date' }),
        subject: h('span', { class: 'subject', dir: 'auto' }),
        preview: h('span', { class: 'preview', dir: 'auto' }),
        folder: h('span', { class: 'chip' }),
        answered: icon('reply', 'icon mark'),
        forwarded: icon('forward', 'icon mark'),
        attachment: icon('attach', 'icon mark'),
        star: h('span', { class: 'star', 'data-act': 'star', 'aria-hidden': 'true' }, icon('star'), icon('starred')),
        check: h('span', { class: 'check', 'data-act': 'select', 'aria-hidden': 'true' }, avatar, h('span', { class: 'box' }, icon('check'))),
    };
    const element = h(
        'div',
        { class: 'row', role: 'row', draggable: 'true', hidden: true },
        h('div', { class: 'cell-check', role: 'gridcell' }, parts.check),
        h('div', { class: 'cell-who', role: 'gridcell' }, parts.who, parts.count),
        h('div', { class: 'cell-text', role: 'gridcell' }, parts.folder, parts.subject, parts.preview),
        h('div', { class: 'cell-marks', role: 'gridcell' }, parts.answered, parts.forwarded, parts.attachment),
        h('div', { class: 'cell-date', role: 'gridcell' }, parts.date),
        h('div', { class: 'cell-star', role: 'gridcell' }, parts.star),
    );
    partsOf.set(element, parts);
    return element;
}

/** Shows a row that is not there yet. */
export function drawLoading(element: HTMLElement): void {
    const parts = partsOf.get(element);
    if (!parts) return;
    element.className = 'row loading';
    element.setAttribute('aria-label', t('loading'));
    element.removeAttribute('aria-selected');
    for (const part of [parts.who, parts.count, parts.date, parts.subject, parts.preview, parts.folder]) part.textContent = '';
    parts.avatar.dataset['initials'] = '';
}

export function drawRow(element: HTMLElement, facts: RowFacts): void {
    const parts = partsOf.get(element);
    if (!parts) return;
    const { row, members } = facts;
    const unread = members.some((one) => !one.keywords['$seen']) || !row.keywords['$seen'];
    const flagged = members.some((one) => one.keywords['$flagged']) || Boolean(row.keywords['$flagged']);
    const draft = Boolean(row.keywords['$draft']);
    const face = facts.outgoing ? row.to?.[0] : row.from?.[0];
    element.className = `row${unread ? ' unread' : ''}${flagged ? ' flagged' : ''}${facts.selected ? ' selected' : ''}${facts.open ? ' open' : ''}${draft ? ' draft' : ''}`;
    element.setAttribute('aria-selected', String(facts.selected));
    element.dataset['id'] = row.id;
    parts.avatar.className = `avatar large hue-${hue(face)}`;
    parts.avatar.dataset['initials'] = initials(face);
    const who = facts.outgoing ? outgoingNames(row.to) : incomingNames(members, row);
    parts.who.textContent = who;
    parts.who.title = face?.email ?? '';
    parts.count.textContent = members.length > 1 ? formatNumber(members.length) : '';
    const date = new Date(row.receivedAt);
    parts.date.textContent = shortDate(date);
    parts.date.title = longDate(date);
    const subject = row.subject?.trim() || t('noSubject');
    parts.subject.textContent = subject;
    parts.preview.textContent = row.preview;
    parts.folder.textContent = facts.folder ?? '';
    parts.folder.hidden = !facts.folder;
    parts.answered.toggleAttribute('hidden', !row.keywords['$answered']);
    parts.forwarded.toggleAttribute('hidden', !row.keywords['$forwarded']);
    parts.attachment.toggleAttribute('hidden', !row.hasAttachment);
    const states = [unread && t('unread'), flagged && t('starred'), row.hasAttachment && t('hasAttachment'), row.keywords['$answered'] && t('answered'), draft && t('draft')];
    element.setAttribute('aria-label', [...states.filter(Boolean), who, subject, parts.date.textContent, members.length > 1 ? t('messages', { count: members.length }) : ''].filter(Boolean).join(', '));
}

function outgoingNames(to: readonly EmailAddress[] | null): string {
    const names = (to ?? []).map((one) => (to && to.length > 1 ? shortName(one) : displayName(one)));
    return names.length === 0 ? t('noRecipient') : t('toNames', { names: names.join(', ') });
}

function incomingNames(members: readonly Pick<Member, 'from'>[], row: EmailRow): string {
    if (members.length < 2) return displayName(row.from?.[0]) || t('unknownSender');
    const seen = new Map<string, EmailAddress>();
    for (const one of members) if (one.from?.[0]) seen.set(one.from[0].email.toLowerCase(), one.from[0]);
    if (seen.size === 1) return displayName([...seen.values()][0]);
    return [...seen.values()].map(shortName).join(', ');
}
