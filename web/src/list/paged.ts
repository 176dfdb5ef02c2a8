// The paged list: a table of as many rows as `meViewSize` says, with links and check boxes. It is also the plain mode for screen readers.

import '../app.ts'; // what this part shares with the application is in the application's chunk (web/README.md)
import { fill, h } from '../dom.ts';
import { icon } from '../icon.ts';
import { formatNumber, formatSize, longDate, shortDate } from '../i18n.ts';
import { displayName } from '../people.ts';
import { preferences } from '../preferences.ts';
import { t } from '../texts.ts';
import { button } from '../ui/button.ts';
import type { ListPane, SortKey } from './list.ts';

export class PagedTable {
    readonly element = h('div', { class: 'paged' });
    private page = 0;
    private readonly body = h('tbody');
    private readonly heads = new Map<SortKey, HTMLElement>();
    private readonly foot = h('nav', { class: 'pages', 'aria-label': t('pages') });
    private readonly all = h('input', { type: 'checkbox', 'aria-label': t('selectPage') });

    constructor(private readonly list: ListPane) {
        const column = (key: SortKey, label: string): HTMLElement => {
            const head = h('th', { scope: 'col', class: `column-${key}` }, h('button', { type: 'button', onclick: () => this.sort(key) }, label, icon('down', 'icon')));
            this.heads.set(key, head);
            return head;
        };
        this.all.addEventListener('change', () => this.selectPage(this.all.checked));
        this.element.append(
            h(
                'div',
                { class: 'paged-scroll', tabindex: '-1' },
                h(
                    'table',
                    null,
                    h('caption', { class: 'visually-hidden' }, t('messageList')),
                    h('thead', null, h('tr', null, h('th', { scope: 'col' }, this.all), column('starred', t('sort_starred')), column('from', t('sort_from')), column('subject', t('sort_subject')), column('date', t('sort_date')), column('size', t('sort_size')))),
                    this.body,
                ),
            ),
            this.foot,
        );
    }

    /** Rows of a page: the preference, within reason (the original kept any number). */
    get size(): number {
        const wanted = Math.floor(Number(preferences().viewSize));
        return wanted >= 1 ? Math.min(wanted, 500) : 100;
    }

    private sort(key: SortKey): void {
        const { sort } = this.list;
        this.list.setSort(key, ...(sort.key === key ? [!sort.ascending] : []));
    }

    private get range(): [number, number] {
        const first = this.page * this.size;
        return [first, Math.min(first + this.size, this.list.view.total ?? first + this.size) - 1];
    }

    show(page: number): void {
        this.page = Math.max(0, page);
        this.list.view.show(this.page * this.size, this.page * this.size + this.size - 1);
        this.draw();
        this.element.firstElementChild?.scrollTo(0, 0);
    }

    draw(): void {
        const { view, sort } = this.list;
        if (!view) return;
        const total = view.total ?? 0;
        const last = Math.max(0, Math.ceil(total / this.size) - 1);
        if (view.total !== undefined && this.page > last) return this.show(last);
        for (const [key, head] of this.heads) {
            if (sort.key === key) head.setAttribute('aria-sort', sort.ascending ? 'ascending' : 'descending');
            else head.removeAttribute('aria-sort');
        }
        const focused = (document.activeElement as HTMLElement | null)?.closest<HTMLElement>('tr[data-index]');
        const part = focused && this.body.contains(focused) ? [...focused.querySelectorAll('input,button,a')].indexOf(document.activeElement as Element) : -1;
        const [first, end] = this.range;
        const rows: HTMLElement[] = [];
        for (let index = first; index <= end; index += 1) rows.push(this.row(index));
        fill(this.body, rows);
        if (focused && part >= 0) (this.body.querySelector(`tr[data-index="${focused.dataset['index']}"]`)?.querySelectorAll<HTMLElement>('input,button,a')[part] ?? null)?.focus();
        this.element.hidden = !this.isShown || total === 0;
        this.drawFoot(total, first, end, last);
        this.markCursor();
    }

    private get isShown(): boolean {
        return preferences().listMode === 'paged';
    }

    private row(index: number): HTMLElement {
        const row = this.list.view.row(index);
        if (!row) return h('tr', { 'data-index': index, class: 'loading' }, h('td', { colspan: '6' }, t('loading')));
        const facts = this.list.facts(row);
        const unread = !row.keywords['$seen'];
        const starred = Boolean(row.keywords['$flagged']);
        const who = displayName(facts.outgoing ? row.to?.[0] : row.from?.[0]) || t('unknownSender');
        const subject = row.subject?.trim() || t('noSubject');
        const date = new Date(row.receivedAt);
        return h(
            'tr',
            { 'data-index': index, class: `${unread ? 'unread' : ''} ${facts.selected ? 'selected' : ''} ${facts.open ? 'open' : ''}` },
            h('td', null, h('input', { type: 'checkbox', checked: facts.selected, 'aria-label': t('selectThis', { subject }), onclick: (event) => this.list.toggle(index, event.shiftKey) })),
            h('td', null, h('button', { type: 'button', class: starred ? 'star on' : 'star', 'aria-pressed': String(starred), 'aria-label': t('star'), onclick: () => this.list.starRow(index) }, icon(starred ? 'starred' : 'star'))),
            h('td', { class: 'column-from' }, h('bdi', null, who)),
            h(
                'td',
                { class: 'column-subject' },
                unread && h('span', { class: 'visually-hidden' }, t('unread'), ' '),
                facts.folder && h('span', { class: 'chip' }, facts.folder),
                h('a', { href: this.list.hrefOf(row.id), onclick: (event) => this.open(event, index) }, h('bdi', null, subject)),
                row.hasAttachment && [icon('attach', 'icon mark'), h('span', { class: 'visually-hidden' }, t('hasAttachment'))],
            ),
            h('td', { class: 'column-date' }, h('time', { datetime: row.receivedAt, title: longDate(date) }, shortDate(date))),
            h('td', { class: 'column-size' }, formatSize(row.size)),
        );
    }

    private open(event: MouseEvent, index: number): void {
        if (event.ctrlKey || event.metaKey || event.shiftKey) return;
        event.preventDefault();
        this.list.openRow(index);
    }

    private selectPage(on: boolean): void {
        const [first, end] = this.range;
        for (let index = first; index <= end; index += 1) {
            const id = this.list.view.id(index);
            if (id !== undefined && this.list.isSelected(id) !== on) this.list.toggle(index);
        }
    }

    private drawFoot(total: number, first: number, end: number, last: number): void {
        const step = (label: string, name: 'chevron' | 'back', page: number, off: boolean): HTMLElement => button({ label, icon: 'chevron', kind: 'icon', disabled: off, class: name === 'back' ? 'turned' : 'straight', onclick: () => this.show(page) });
        const field = h('input', { type: 'number', min: '1', max: last + 1, value: String(this.page + 1), 'aria-label': t('page'), onchange: () => this.show(Math.min(last, Math.max(0, Number(field.value) - 1 || 0))) });
        fill(
            this.foot,
            h('span', { class: 'pages-range' }, t('rangeOf', { first: total === 0 ? 0 : first + 1, last: end + 1, total })),
            step(t('previousPage'), 'back', this.page - 1, this.page === 0),
            field,
            h('span', null, t('ofPages', { count: formatNumber(last + 1) })),
            step(t('nextPage'), 'chevron', this.page + 1, this.page >= last),
        );
    }

    reveal(index: number): void {
        const page = Math.floor(index / this.size);
        if (page !== this.page) this.show(page);
        this.body.querySelector(`tr[data-index="${index}"]`)?.scrollIntoView({ block: 'nearest' });
    }

    markCursor(): void {
        for (const row of this.body.querySelectorAll<HTMLElement>('tr')) row.classList.toggle('cursor', Number(row.dataset['index']) === this.list.cursor);
    }

    focus(): void {
        (this.body.querySelector<HTMLElement>('tr.cursor a') ?? this.body.querySelector<HTMLElement>('a'))?.focus();
    }
}
