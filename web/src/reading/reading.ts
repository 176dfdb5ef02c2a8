// The reading pane: a conversation, its messages oldest first, those that are unread and the last one open.

import type { App } from '../app.ts';
import { fill, h } from '../dom.ts';
import type { Id } from '../jmap.ts';
import { emptyState } from '../list/list.ts';
import { preferences } from '../preferences.ts';
import { t } from '../texts.ts';
import type { EmailRow } from '../types.ts';
import { button } from '../ui/button.ts';
import { openMenu } from '../ui/menu.ts';
import type { MessageCard } from './message.ts';

/** Messages are drawn by a part that is loaded with the first of them. */
let Card: typeof MessageCard | undefined;
const loadCards = async (): Promise<typeof MessageCard> => (Card ??= (await import('./message.ts')).MessageCard);

export class ReadingPane {
    readonly element = h('section', { class: 'reading-pane', 'aria-label': t('readingPane') });
    private readonly toolbar = h('div', { class: 'reading-bar', role: 'toolbar', 'aria-label': t('messageActions') });
    private readonly scroll = h('div', { class: 'reading-scroll', tabindex: '-1' });
    private cards: MessageCard[] = [];
    private openId: Id | undefined;
    private focusNext = false;
    private seenTimer: ReturnType<typeof setTimeout> | undefined;

    constructor(private readonly app: App) {
        this.element.append(this.toolbar, this.scroll);
        app.watch((store) => {
            store.on('rows', (ids) => {
                if (store !== app.store) return;
                for (const card of this.cards) if (ids.includes(card.row.id)) card.refresh();
                if (this.openId) this.drawBar();
            });
            store.on('arrived', (rows) => store === app.store && this.join(rows));
        });
        // Whoever points at the list, or uses its keys, is about to read.
        for (const type of ['pointerover', 'keydown']) app.list.element.addEventListener(type, () => void loadCards().catch(() => undefined), { once: true });
        this.clear();
    }

    /** An answer to the conversation that is being read joins it. */
    private join(rows: readonly EmailRow[]): void {
        const thread = this.cards[0]?.row.threadId;
        const fresh = rows.filter((row) => row.threadId === thread && !this.cards.some((card) => card.row.id === row.id));
        if (preferences().conversations) for (const row of fresh.toReversed()) this.addCard(row);
    }

    /** The message whose conversation is shown. */
    get email(): Id | undefined {
        return this.openId;
    }

    /** Ids of all messages shown. */
    get ids(): Id[] {
        return this.cards.map((card) => card.row.id);
    }

    /** The message that reply and forward are about: the last one that is open, drafts aside. */
    get current(): EmailRow | undefined {
        const open = this.cards.filter((card) => card.open && !card.row.keywords['$draft']);
        const shown = this.cards.find((card) => card.row.id === this.openId);
        return (open.at(-1) ?? shown ?? this.cards.at(-1))?.row;
    }

    clear(): void {
        this.openId = undefined;
        this.focusNext = false;
        this.cards = [];
        clearTimeout(this.seenTimer);
        this.toolbar.hidden = true;
        fill(this.scroll, emptyState('unread', t('nothingOpen'), t('nothingOpenHint')));
        this.element.classList.add('empty-pane');
    }

    async show(id: Id): Promise<void> {
        if (this.openId === id) return;
        this.openId = id;
        this.focusNext = false;
        clearTimeout(this.seenTimer);
        this.element.classList.remove('empty-pane');
        this.toolbar.hidden = false;
        const known = this.app.store.row(id);
        this.cards = [];
        const isDrawn = known !== undefined && Card !== undefined;
        if (known && Card) this.draw([known], id, Card);
        else fill(this.scroll, h('div', { class: 'spinner' }));
        this.drawBar();
        try {
            const [Cards, row] = await Promise.all([loadCards(), known ?? this.app.store.email(id)]);
            if (this.openId !== id) return;
            if (!isDrawn) this.draw([row], id, Cards);
            const conversation = this.app.store.conversation(row);
            const alone = !preferences().conversations || (known !== undefined && this.app.list.view?.spec.collapse === true && conversation.length < 2);
            const rows = alone ? [row] : await this.app.store.thread(row.threadId).catch(() => [row]);
            if (this.openId !== id) return;
            const shown = rows.filter((one) => !this.isThrownAway(one) || one.id === id);
            if (shown.length > 1) this.draw(shown, id, Cards);
            this.drawBar();
            this.markSeen();
        } catch (error) {
            if (this.openId === id) fill(this.scroll, emptyState('warning', t('messageFailed'), this.app.explain(error), button({ label: t('tryAgain'), kind: 'secondary', icon: 'refresh', onclick: () => this.again(id) })));
        }
    }

    private again(id: Id): void {
        this.openId = undefined;
        void this.show(id);
    }

    /** What lies in the trash is not part of a conversation that is read elsewhere. */
    private isThrownAway(row: EmailRow): boolean {
        const trash = this.app.store.byRole('trash')?.id;
        const junk = this.app.store.byRole('junk')?.id;
        const here = this.app.list.view?.spec.mailbox;
        return Object.keys(row.mailboxIds).every((id) => id !== here && (id === trash || id === junk));
    }

    private draw(rows: readonly EmailRow[], id: Id, Cards: typeof MessageCard): void {
        // A message that is on screen already stays: its frame is not loaded again.
        const before = new Map(this.cards.map((card) => [card.row.id, card]));
        this.cards = rows.map((row) => before.get(row.id) ?? new Cards(this.app, row, () => this.changed()));
        const first = rows[0];
        const chips = first ? Object.keys((rows.find((one) => one.id === id) ?? first).mailboxIds).map((one) => h('span', { class: 'chip' }, this.app.mailboxName(this.app.store.mailboxes.get(one)))) : [];
        const subject = (rows.find((one) => one.id === id) ?? first)?.subject?.trim() || t('noSubject');
        const closed = this.cards.filter((card) => !card.open);
        const hadFocus = document.activeElement?.closest('.reading-head') !== null && this.scroll.contains(document.activeElement);
        fill(this.scroll, h('header', { class: 'reading-head' }, h('h1', { dir: 'auto', tabindex: '-1' }, subject), chips), this.cards.map((card) => card.element), this.answerBar());
        if (hadFocus || this.focusNext) this.focus();
        const last = this.cards.at(-1);
        for (const card of closed) if (card === last || card.row.id === id || !card.row.keywords['$seen']) void card.show();
        const target = this.cards.find((card) => card.open && (!card.row.keywords['$seen'] || card.row.id === id));
        this.scroll.scrollTop = 0;
        // The subject stays in sight, unless what is new lies far below it.
        requestAnimationFrame(() => {
            if (target && target.element.offsetTop > this.scroll.clientHeight * 0.6) target.element.scrollIntoView({ block: 'start' });
        });
    }

    private addCard(row: EmailRow): void {
        if (!Card) return;
        const card = new Card(this.app, row, () => this.changed());
        this.cards.push(card);
        this.scroll.querySelector('.answer-bar')?.before(card.element);
        void card.show();
        this.markSeen();
    }

    private changed(): void {
        this.markSeen();
    }

    /** What is open has been read, after a moment of looking at it. */
    private markSeen(): void {
        clearTimeout(this.seenTimer);
        this.seenTimer = setTimeout(() => {
            const unseen = this.cards.filter((card) => card.open && !card.row.keywords['$seen']).map((card) => card.row.id);
            if (unseen.length > 0 && this.openId && this.app.allows('markRead') && document.visibilityState === 'visible') void this.app.store.change(unseen, { keywords: { $seen: true } }).catch(() => undefined);
        }, 700);
    }

    /** Not to be marked as read by the pane that still shows it. */
    forgetSeen(): void {
        clearTimeout(this.seenTimer);
    }

    private answerBar(): HTMLElement {
        const answer = (kind: 'reply' | 'replyAll' | 'forward') => (): void => void this.app.answer(kind);
        return h(
            'div',
            { class: 'answer-bar' },
            button({ label: t('reply'), icon: 'reply', kind: 'secondary', key: 'r', onclick: answer('reply') }),
            button({ label: t('replyAll'), icon: 'replyAll', kind: 'secondary', key: 'a', onclick: answer('replyAll') }),
            button({ label: t('forward'), icon: 'forward', kind: 'secondary', key: 'f', onclick: answer('forward') }),
        );
    }

    private drawBar(): void {
        const act = (key: Parameters<App['act']>[0]) => (): void => void this.app.act(key);
        const inJunk = this.app.store.mailboxes.get(this.app.currentMailbox ?? '')?.role === 'junk';
        const more: HTMLButtonElement = button({ label: t('more'), icon: 'more', kind: 'icon', popup: 'menu', onclick: () => openMenu(more, this.app.selectionItems(), { label: t('more') }) });
        const focused = this.toolbar.contains(document.activeElement) ? document.activeElement?.getAttribute('aria-label') : undefined;
        fill(
            this.toolbar,
            button({ label: t('backToList'), icon: 'back', kind: 'icon', key: 'u', class: 'back', onclick: () => this.app.closeReading() }),
            ...this.app.allowed('archive', button({ label: t('archive'), icon: 'archive', kind: 'icon', key: 'e', onclick: act('archive') })),
            ...this.app.allowed('delete', button({ label: t('delete'), icon: 'trash', kind: 'icon', key: '#', onclick: act('delete') })),
            ...this.app.allowed('junk', button({ label: inJunk ? t('notJunk') : t('junk'), icon: inJunk ? 'notJunk' : 'junk', kind: 'icon', key: '!', onclick: act('junk') })),
            h('span', { class: 'bar-rule', 'aria-hidden': 'true' }),
            ...this.app.allowed('markUnread', button({ label: t('markUnread'), icon: 'unread', kind: 'icon', key: 'Shift+u', onclick: act('markUnread') })),
            ...this.app.allowed('move', button({ label: t('moveTo'), icon: 'move', kind: 'icon', key: 'v', onclick: act('move') })),
            more,
            h('span', { class: 'bar-space' }),
            button({ label: t('previousMessage'), icon: 'up', kind: 'icon', key: 'k', onclick: () => this.app.step(-1) }),
            button({ label: t('nextMessage'), icon: 'down', kind: 'icon', key: 'j', onclick: () => this.app.step(1) }),
        );
        if (focused) this.toolbar.querySelector<HTMLElement>(`[aria-label="${CSS.escape(focused)}"]`)?.focus();
    }

    /** The subject has the focus, now or once it is there. */
    focus(): void {
        const subject = this.scroll.querySelector<HTMLElement>('h1');
        this.focusNext = !subject;
        subject?.focus({ preventScroll: true });
    }

    scrollBy(pages: number): void {
        this.scroll.scrollBy({ top: pages * this.scroll.clientHeight * 0.85, behavior: 'smooth' });
    }

    /** Whether there is more to read below. */
    get atEnd(): boolean {
        return this.scroll.scrollTop + this.scroll.clientHeight >= this.scroll.scrollHeight - 4;
    }

    /** Opens every message of the conversation, or closes all but the last. */
    toggleAll(): void {
        const all = this.cards.every((card) => card.open);
        for (const card of this.cards) {
            if (!all && !card.open) void card.show();
            else if (all && card !== this.cards.at(-1)) card.close();
        }
    }
}
