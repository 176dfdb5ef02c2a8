// One message of a conversation: closed it is a line, open it has its head, its body in a frame, and what is attached.

import '../app.ts'; // what this part shares with the application is in the application's chunk (web/README.md)
import type { App } from '../app.ts';
import { fill, h, uniqueId } from '../dom.ts';
import { icon } from '../icon.ts';
import { longDate, mediumDate, shortDate } from '../i18n.ts';
import { avatar, displayName, nameMisleads, shortName } from '../people.ts';
import { preferences } from '../preferences.ts';
import { t } from '../texts.ts';
import { LIST_POST, type Email, type EmailAddress, type EmailRow } from '../types.ts';
import { button } from '../ui/button.ts';
import { openMenu } from '../ui/menu.ts';
import { attachmentList } from './attachments.ts';
import { linkText, messageFrame } from './frame.ts';

export class MessageCard {
    readonly element: HTMLElement;
    private isOpen = false;
    /** Of a mailing list that takes posts. */
    private isOfList = false;
    private images: boolean;

    constructor(
        private readonly app: App,
        public row: EmailRow,
        /** Tells the reading pane that it was opened or closed. */
        private readonly changed: () => void,
    ) {
        this.images = imagesAllowed(row);
        this.element = h('article', { class: 'message', 'data-email': row.id, 'aria-label': t('messageFrom', { name: displayName(row.from?.[0]), date: longDate(new Date(row.receivedAt)) }) });
        this.drawClosed();
    }

    get open(): boolean {
        return this.isOpen;
    }

    private drawClosed(): void {
        const { row } = this;
        this.isOpen = false;
        this.element.className = `message closed${row.keywords['$seen'] ? '' : ' unread'}`;
        fill(
            this.element,
            h(
                'button',
                { type: 'button', class: 'message-line', 'aria-expanded': 'false', onclick: () => void this.show().then(this.changed) },
                avatar(row.from?.[0], 'small'),
                h('bdi', { class: 'who' }, displayName(row.from?.[0])),
                h('span', { class: 'preview', dir: 'auto' }, row.keywords['$draft'] ? h('em', null, t('draft'), ' ') : null, row.preview),
                row.hasAttachment && icon('attach', 'icon mark'),
                h('time', { class: 'date', datetime: row.receivedAt }, shortDate(new Date(row.receivedAt))),
            ),
        );
    }

    close(): void {
        if (!this.isOpen) return;
        this.drawClosed();
        this.changed();
    }

    /** Opens it: head and frame at once, the rest when it is there. */
    async show(): Promise<void> {
        this.isOpen = true;
        this.element.className = 'message open';
        const rest = h('div', { class: 'message-rest' });
        const head = h('header', { class: 'message-head' });
        this.drawHead(head, undefined);
        fill(this.element, head, rest);
        this.drawBody(rest);
        try {
            const email = await this.app.store.email(this.row.id);
            if (!this.isOpen) return;
            this.drawHead(head, email);
            const files = attachmentList(this.app, email, email.blobId);
            if (files) rest.append(files);
        } catch (error) {
            rest.append(h('p', { class: 'message-failed' }, icon('warning'), this.app.explain(error), button({ label: t('tryAgain'), kind: 'secondary', onclick: () => void this.show() })));
        }
    }

    private drawBody(rest: HTMLElement): void {
        const bar = h('div', { class: 'images-bar', hidden: true });
        const cutBar = h('div', { class: 'images-bar cut-bar', hidden: true }, icon('warning'), h('span', null, t('isCut')), button({ label: t('downloadWhole'), class: 'link', onclick: () => void this.app.downloadMessage(this.row.id) }));
        const link = h('div', { class: 'link-target', 'aria-live': 'polite' });
        const waiting = h('div', { class: 'frame-waiting' }, h('div', { class: 'spinner' }));
        const frame = messageFrame({
            url: this.app.store.client.messageUrl(this.row.id, this.images),
            title: t('messageBody', { subject: this.row.subject ?? '' }),
            loaded: (blocked, canShow, isCut) => {
                waiting.remove();
                cutBar.hidden = !isCut;
                bar.hidden = this.images || blocked === 0;
                for (const one of bar.querySelectorAll('button')) one.hidden = !canShow;
                this.changed();
            },
            link: (address, misleading) => {
                link.textContent = linkText(address, misleading);
                link.className = misleading ? 'link-target misleading' : 'link-target';
            },
        });
        const sender = this.row.from?.[0]?.email ?? '';
        fill(
            bar,
            icon('image'),
            h('span', null, t('imagesBlocked')),
            h(
                'div',
                { class: 'images-actions' },
                button({ label: t('showImages'), class: 'link', onclick: () => this.allowImages(rest, false) }),
                sender && button({ label: t('showImagesOf', { sender }), class: 'link', onclick: () => this.allowImages(rest, true) }),
            ),
        );
        fill(rest, this.warnings(), bar, cutBar, h('div', { class: 'frame-holder' }, waiting, frame, link));
    }

    private allowImages(rest: HTMLElement, always: boolean): void {
        this.images = true;
        const sender = this.row.from?.[0]?.email.toLowerCase();
        if (always && sender) void this.app.prefer({ imageSenders: [...preferences().imageSenders.filter((one) => one !== sender), sender].slice(-500) });
        const attachments = rest.querySelector('.attachments');
        this.drawBody(rest);
        if (attachments) rest.append(attachments);
    }

    private warnings(): HTMLElement | null {
        const from = this.row.from?.[0];
        const isFixed = this.row.keywords['$draft'] && !this.app.mayWriteOn(this.row);
        if (isFixed) return h('p', { class: 'warning-bar' }, icon('drafts'), t('draftFixed'));
        if (!from || !nameMisleads(from)) return null;
        return h('p', { class: 'warning-bar' }, icon('warning'), t('nameMisleads', { address: from.email }));
    }

    private drawHead(head: HTMLElement, email: Email | undefined): void {
        this.isOfList = (email?.[LIST_POST] ?? []).some((url) => /^mailto:/i.test(url));
        const { row } = this;
        const from = row.from?.[0];
        const detailsId = uniqueId('details');
        const details = h('dl', { class: 'message-details', id: detailsId, hidden: true });
        if (email) fillDetails(details, email);
        const toggle = h(
            'button',
            {
                type: 'button',
                class: 'recipients',
                'aria-expanded': 'false',
                'aria-controls': detailsId,
                'aria-label': `${this.recipients(email)}, ${t('showDetails')}`,
                onclick: (event) => {
                    event.stopPropagation();
                    details.hidden = !details.hidden;
                    toggle.setAttribute('aria-expanded', String(!details.hidden));
                },
            },
            h('bdi', null, this.recipients(email)),
            icon('down'),
        );
        const starred = Boolean(row.keywords['$flagged']);
        const more: HTMLButtonElement = button({ label: t('more'), icon: 'more', kind: 'icon', popup: 'menu', onclick: () => openMenu(more, this.items(), { label: t('more') }) });
        const date = new Date(row.receivedAt);
        fill(
            head,
            avatar(from),
            h('div', { class: 'message-who' }, h('div', { class: 'sender' }, h('bdi', { class: 'who' }, displayName(from)), from?.name ? h('bdi', { class: 'soft address' }, `<${from.email}>`) : null), toggle),
            h(
                'div',
                { class: 'message-actions' },
                h('time', { class: 'date soft', datetime: row.receivedAt, title: longDate(date) }, mediumDate(date)),
                button({ label: t('star'), icon: starred ? 'starred' : 'star', kind: 'icon', pressed: starred, class: starred ? 'star on' : 'star', onclick: () => void this.app.star([row.id], !starred) }),
                this.app.mayWriteOn(row) ? button({ label: t('editDraft'), icon: 'compose', kind: 'icon', onclick: () => void this.app.compose({ kind: 'draft', emailId: row.id }) }) : button({ label: t('reply'), icon: 'reply', kind: 'icon', onclick: () => void this.app.compose({ kind: 'reply', emailId: row.id }) }),
                more,
            ),
            details,
        );
    }

    private recipients(email: Email | undefined): string {
        const all = [...(email?.to ?? this.row.to ?? []), ...(email?.cc ?? [])];
        if (all.length === 0) return t('noRecipient');
        const names = all.slice(0, 4).map((one) => (one.email.toLowerCase() === this.app.ownAddress ? t('me') : shortName(one)));
        return t('toNames', { names: names.join(', ') + (all.length > 4 ? ` +${all.length - 4}` : '') });
    }

    private items(): Parameters<typeof openMenu>[1] {
        const { row, app } = this;
        const { id } = row;
        return [
            { label: t('reply'), icon: 'reply', key: 'r', run: () => void app.compose({ kind: 'reply', emailId: id }) },
            { label: t('replyAll'), icon: 'replyAll', key: 'a', run: () => void app.compose({ kind: 'replyAll', emailId: id }) },
            ...(this.isOfList ? [{ label: t('replyList'), icon: 'replyAll' as const, run: () => void app.compose({ kind: 'replyList', emailId: id }) }] : []),
            { label: t('forward'), icon: 'forward', key: 'f', run: () => void app.compose({ kind: 'forward', emailId: id }) },
            { label: t('forwardAttached'), icon: 'attach', run: () => void app.compose({ kind: 'forwardAttached', emailId: id }) },
            { label: t('redirect'), icon: 'sent', run: () => void app.compose({ kind: 'redirect', emailId: id }) },
            'separator',
            { label: t('markUnreadFromHere'), icon: 'unread', run: () => void app.markUnread([id]) },
            { label: t('deleteThis'), icon: 'trash', run: () => void app.remove([id]) },
            'separator',
            { label: t('showSource'), icon: 'code', run: () => void import('./source.ts').then(({ showSource }) => showSource(app, id)) },
            { label: t('downloadMessage'), icon: 'download', run: () => void app.downloadMessage(id) },
            { label: t('print'), icon: 'print', key: 'Mod+p', run: () => print() },
        ];
    }

    /** The row looks different now: star, seen. */
    refresh(): void {
        const row = this.app.store.row(this.row.id);
        if (row) this.row = row;
        if (!this.isOpen) return this.drawClosed();
        const star = this.element.querySelector('.message-actions .star');
        const starred = Boolean(this.row.keywords['$flagged']);
        if (star) star.replaceWith(button({ label: t('star'), icon: starred ? 'starred' : 'star', kind: 'icon', pressed: starred, class: starred ? 'star on' : 'star', onclick: () => void this.app.star([this.row.id], !starred) }));
    }
}

function imagesAllowed(row: EmailRow): boolean {
    const { remoteImages, imageSenders } = preferences();
    const inJunk = Boolean(row.keywords['$junk']);
    return !inJunk && (remoteImages === 'always' || imageSenders.includes(row.from?.[0]?.email.toLowerCase() ?? ''));
}

function fillDetails(details: HTMLElement, email: Email): void {
    const people = (list: readonly EmailAddress[] | null): string => (list ?? []).map((one) => (one.name ? `${displayName(one)} <${one.email}>` : one.email)).join(', ');
    const rows: [string, string][] = [
        [t('from'), people(email.from)],
        [t('replyTo'), people(email.replyTo)],
        [t('to'), people(email.to)],
        [t('cc'), people(email.cc)],
        [t('bcc'), people(email.bcc)],
        [t('date'), longDate(new Date(email.sentAt ?? email.receivedAt))],
        [t('messageId'), (email.messageId ?? []).join(' ')],
    ];
    fill(details, rows.filter(([, value]) => value).map(([name, value]) => [h('dt', null, name), h('dd', { dir: 'auto' }, value)]));
}
