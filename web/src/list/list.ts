// The message list: a grid over a virtual scroller, or in paged mode a table; its cursor, its selection, and what it says when there
// is nothing to show. One row has the cursor (`aria-activedescendant`), any number are selected.

import type { App, Route } from '../app.ts';
import { fill, h, uniqueId } from '../dom.ts';
import { icon, type IconName } from '../icon.ts';
import { formatNumber } from '../i18n.ts';
import type { Id } from '../jmap.ts';
import { preferences } from '../preferences.ts';
import { OPERATORS, parseSearch } from '../search.ts';
import { t } from '../texts.ts';
import type { Comparator, EmailRow, Filter, FilterCondition } from '../types.ts';
import { button } from '../ui/button.ts';
import { openMenu, type MenuItem } from '../ui/menu.ts';
import { toast } from '../ui/toast.ts';
import type { View, ViewSpec } from '../view.ts';
import type { PagedTable } from './paged.ts';
import { createRow, drawLoading, drawRow, type RowFacts } from './row.ts';
import { VirtualList } from './virtual.ts';

export type SortKey = 'date' | 'from' | 'subject' | 'size' | 'starred';
const SORTS: Record<SortKey, { property: Comparator['property']; keyword?: string; ascendingFirst: boolean }> = {
    date: { property: 'receivedAt', ascendingFirst: false },
    from: { property: 'from', ascendingFirst: true },
    subject: { property: 'subject', ascendingFirst: true },
    size: { property: 'size', ascendingFirst: false },
    starred: { property: 'hasKeyword', keyword: '$flagged', ascendingFirst: false },
};

/** Width from which a row is one line. */
const WIDE = 720;

export class ListPane {
    readonly element: HTMLElement;
    view!: View;
    cursor = -1;
    sort: { key: SortKey; ascending: boolean } = { key: 'date', ascending: false };
    unreadOnly = false;
    private readonly selected = new Set<Id>();
    private allSelected = false;
    private anchor = -1;
    private readonly head = h('header', { class: 'list-head' });
    private readonly grid: HTMLElement;
    private readonly virtual: VirtualList;
    private readonly state = h('div', { class: 'list-state', hidden: true });
    private readonly notice = h('div', { class: 'list-notice', hidden: true });
    /** Loaded when somebody wants it. */
    private paged: PagedTable | undefined;
    private readonly body: HTMLElement;
    private key = '';

    constructor(private readonly app: App) {
        this.grid = h('div', { class: 'list-grid', role: 'grid', tabindex: '0', 'aria-multiselectable': 'true', 'aria-colcount': '6' });
        this.virtual = new VirtualList(this.grid, {
            create: () => {
                const row = createRow();
                row.id = uniqueId('row');
                return row;
            },
            draw: (element, index) => this.drawRow(element, index),
            visible: (first, last) => this.view?.show(first, last),
        });
        this.body = h('div', { class: 'list-body' }, this.grid, this.state);
        this.element = h('section', { class: 'list-pane', 'aria-label': t('messageList') }, this.head, this.notice, this.body);
        this.listenToPointer();
        new ResizeObserver(() => {
            const wide = this.element.clientWidth >= WIDE;
            if (this.element.classList.toggle('wide', wide) !== wide) return;
            this.virtual.resize();
        }).observe(this.element);
        app.watch((store) => {
            store.on('rows', (ids) => {
                if (store !== app.store) return;
                const changed = new Set(ids);
                this.drawRows((id) => changed.has(id) || this.threadHas(id, changed));
            });
            store.on('mailboxes', () => this.drawHead());
        });
    }

    private threadHas(id: Id, ids: ReadonlySet<Id>): boolean {
        const row = this.app.store.row(id);
        return row !== undefined && this.app.store.conversation(row).some((one) => ids.has(one.id));
    }

    private get isPaged(): boolean {
        return preferences().listMode === 'paged';
    }

    /** Shows the list of a route; keeps what is there when it is the same list. */
    show(route: Route): void {
        const spec = this.specOf(route);
        const key = JSON.stringify([spec, this.isPaged]);
        if (key === this.key) return this.refreshRows();
        this.key = key;
        this.cursor = -1;
        this.anchor = -1;
        this.clearSelection();
        this.view = this.app.store.view(spec);
        this.app.store.active = this.view;
        this.view.onchange = (shift) => this.changed(shift);
        this.grid.hidden = this.isPaged;
        if (this.paged) this.paged.element.hidden = !this.isPaged;
        this.virtual.setTotal(0);
        this.grid.scrollTop = 0;
        this.changed(0);
        if (this.isPaged) void this.showPaged();
        else this.view.show(0, Math.min(99, this.virtual.page + 8));
        this.grid.setAttribute('aria-label', this.app.titleOf(route));
    }

    /** The first page of the table, which is loaded before. */
    private async showPaged(): Promise<void> {
        const { view } = this;
        try {
            const { PagedTable } = await import('./paged.ts');
            if (!this.paged) {
                this.paged = new PagedTable(this);
                this.grid.after(this.paged.element);
            }
            if (view === this.view) this.paged.show(0);
        } catch (error) {
            view.fail(error);
        }
    }

    private specOf(route: Route): ViewSpec {
        const { property, keyword } = SORTS[this.sort.key];
        const comparator: Comparator = { property, isAscending: this.sort.ascending, ...(keyword ? { keyword } : {}) };
        const sort = property === 'receivedAt' ? [comparator] : [comparator, { property: 'receivedAt', isAscending: false } as const];
        const collapse = preferences().conversations && !this.isPaged;
        if (route.kind === 'search') {
            const { filter, mailbox } = parseSearch(route.query, this.app.store.mailboxes.values());
            const hidden = ['trash', 'junk'].flatMap((role) => this.app.store.byRole(role as 'trash' | 'junk')?.id ?? []);
            // A search over everything leaves out what was thrown away, unless it is asked for.
            const scope: FilterCondition | undefined = mailbox || hidden.length === 0 ? undefined : { inMailboxOtherThan: hidden };
            return { filter: both(filter, scope) ?? null, sort, collapse: false, mailbox };
        }
        const mailbox = route.kind === 'mailbox' ? route.mailbox : this.app.inboxId;
        const filter: FilterCondition = { inMailbox: mailbox, ...(this.unreadOnly ? { notKeyword: '$seen' } : {}) };
        return { filter, sort, collapse, mailbox };
    }

    /** The list of the same route with other order, filter or mode. */
    reload(): void {
        this.key = '';
        this.show(this.app.listRoute());
    }

    // ---- drawing

    private changed(shift: number): void {
        const { total, error } = this.view;
        const previous = this.cursor >= 0 ? this.cursorId : undefined;
        if (shift !== 0 && this.cursor >= 0) this.cursor = Math.max(0, this.cursor + shift);
        if (shift !== 0 && this.anchor >= 0) this.anchor = Math.max(0, this.anchor + shift);
        if (previous !== undefined) {
            const now = this.view.indexOf(previous);
            if (now >= 0) this.cursor = now;
        }
        if (total !== undefined && this.cursor >= total) this.cursor = total - 1;
        // With the focus in the list its keys have something to work on.
        if (this.cursor < 0 && total !== undefined && total > 0 && this.element.contains(document.activeElement)) this.cursor = 0;
        this.grid.setAttribute('aria-rowcount', String(total ?? -1));
        if (this.isPaged) this.paged?.draw();
        else this.virtual.setTotal(total ?? 0, shift);
        this.drawState(total, error);
        this.drawHead();
        this.markCursor();
        this.app.listChanged();
    }

    private cursorId: Id | undefined;

    private drawRow(element: HTMLElement, index: number): void {
        element.setAttribute('aria-rowindex', String(index + 1));
        element.dataset['index'] = String(index);
        const row = this.view.row(index);
        if (!row) return drawLoading(element);
        drawRow(element, this.facts(row));
        element.classList.toggle('cursor', index === this.cursor);
        if (index === this.cursor) this.grid.setAttribute('aria-activedescendant', element.id);
    }

    facts(row: EmailRow): RowFacts {
        const { store } = this.app;
        const members = this.view.spec.collapse ? store.conversation(row) : [row];
        const role = this.view.spec.mailbox ? store.mailboxes.get(this.view.spec.mailbox)?.role : undefined;
        const isOwn = row.from?.[0]?.email.toLowerCase() === this.app.ownAddress;
        const folder = this.view.spec.mailbox === undefined ? Object.keys(row.mailboxIds).map((id) => this.app.mailboxName(store.mailboxes.get(id)))[0] : undefined;
        return {
            row,
            members,
            outgoing: role === 'sent' || role === 'drafts' || (isOwn && this.view.spec.mailbox === undefined),
            folder,
            selected: this.isSelected(row.id),
            open: this.app.openThreadHas(row),
        };
    }

    private drawRows(matches: (id: Id) => boolean): void {
        if (this.isPaged) return this.paged?.draw();
        this.virtual.redrawRows((index) => {
            const id = this.view.id(index);
            return id !== undefined && matches(id);
        });
    }

    refreshRows(): void {
        if (this.isPaged) this.paged?.draw();
        else this.virtual.redraw();
    }

    /** After density, language or width changed. */
    relayout(): void {
        this.virtual.resize();
        this.refreshRows();
        this.drawHead();
    }

    private drawState(total: number | undefined, error: unknown): void {
        const loading = total === undefined && !error;
        this.state.hidden = !(loading || error || total === 0) || (error !== undefined && total !== undefined && total > 0);
        this.grid.setAttribute('aria-busy', String(loading));
        this.state.classList.toggle('over', loading);
        if (this.state.hidden) return;
        if (loading) fill(this.state, skeleton());
        else if (error) fill(this.state, emptyState('warning', t('listFailed'), this.app.explain(error), button({ label: t('tryAgain'), kind: 'secondary', icon: 'refresh', onclick: () => (this.isPaged && !this.paged ? this.reload() : this.view.retry()) })));
        else fill(this.state, this.emptyOf());
    }

    private emptyOf(): HTMLElement {
        const route = this.app.listRoute();
        if (route.kind === 'search') {
            const { wrong } = parseSearch(route.query, this.app.store.mailboxes.values());
            const hint = wrong.length > 0 ? t('searchWrong', { terms: wrong.join(' ') }) : t('searchNoneHint');
            return emptyState('search', t('searchNone'), hint, h('p', { class: 'operators' }, OPERATORS.map((one) => h('code', null, one))));
        }
        if (this.unreadOnly) return emptyState('check', t('noUnread'), t('noUnreadHint'), button({ label: t('showAll'), kind: 'secondary', onclick: () => this.setUnreadOnly(false) }));
        const role = this.view.spec.mailbox ? this.app.store.mailboxes.get(this.view.spec.mailbox)?.role : null;
        if (role === 'inbox') return emptyState('inbox', t('emptyInbox'), t('emptyInboxHint'), button({ label: t('compose'), kind: 'primary', icon: 'compose', onclick: () => void this.app.compose({ kind: 'new' }) }));
        if (role === 'trash') return emptyState('trash', t('emptyTrash'), t('emptyTrashHint'));
        if (role === 'junk') return emptyState('notJunk', t('emptyJunk'), t('emptyJunkHint'));
        if (role === 'drafts') return emptyState('drafts', t('emptyDrafts'), t('emptyDraftsHint'));
        return emptyState('folder', t('emptyFolder'), t('emptyFolderHint'));
    }

    drawHead(): void {
        if (!this.view) return;
        const count = this.selectedCount;
        this.element.classList.toggle('selecting', count > 0);
        if (count > 0) this.drawSelectionHead(count);
        else this.drawPlainHead();
    }

    private drawPlainHead(): void {
        const route = this.app.listRoute();
        const mailbox = route.kind === 'mailbox' ? this.app.store.mailboxes.get(route.mailbox) : undefined;
        const total = this.view.total;
        const detail = total === undefined ? '' : mailbox && mailbox.unreadEmails > 0 && !this.unreadOnly ? t('unreadOf', { unread: mailbox.unreadEmails, total: mailbox.totalEmails }) : t(this.view.spec.collapse ? 'conversations' : 'messages', { count: total });
        const sortButton = button({ label: t('sortBy'), icon: 'sort', kind: 'icon', popup: 'menu', onclick: () => openMenu(sortButton, this.sortItems(), { label: t('sortBy') }) });
        const filterButton = route.kind === 'mailbox' && button({ label: t('unreadOnly'), icon: 'filter', kind: 'icon', pressed: this.unreadOnly, onclick: () => this.setUnreadOnly(!this.unreadOnly) });
        const more: HTMLButtonElement = button({ label: t('moreForFolder'), icon: 'more', kind: 'icon', popup: 'menu', onclick: () => openMenu(more, this.moreItems(), { label: t('moreForFolder') }) });
        fill(this.head, h('div', { class: 'list-title' }, h('h1', null, this.app.titleOf(route)), h('p', { class: 'list-detail' }, detail)), filterButton, sortButton, more);
    }

    private drawSelectionHead(count: number): void {
        const act = (key: Parameters<App['act']>[0]) => (): void => void this.app.act(key);
        const total = this.view.total ?? 0;
        const mailbox = this.view.spec.mailbox ? this.app.store.mailboxes.get(this.view.spec.mailbox) : undefined;
        const inJunk = mailbox?.role === 'junk';
        const readLabel = this.anyUnread() ? 'markRead' : 'markUnread';
        const more: HTMLButtonElement = button({ label: t('more'), icon: 'more', kind: 'icon', popup: 'menu', onclick: () => openMenu(more, this.app.selectionItems(), { label: t('more') }) });
        fill(
            this.head,
            button({ label: t('clearSelection'), icon: 'close', kind: 'icon', key: 'Escape', onclick: () => this.clearSelection() }),
            h('div', { class: 'list-title', role: 'status' }, h('h1', null, t('selectedCount', { count }))),
            ...this.app.allowed('archive', button({ label: t('archive'), icon: 'archive', kind: 'icon', key: 'e', onclick: act('archive') })),
            ...this.app.allowed('delete', button({ label: t('delete'), icon: 'trash', kind: 'icon', key: '#', onclick: act('delete') })),
            ...this.app.allowed('junk', button({ label: inJunk ? t('notJunk') : t('junk'), icon: inJunk ? 'notJunk' : 'junk', kind: 'icon', key: '!', onclick: act('junk') })),
            ...this.app.allowed('move', button({ label: t('moveTo'), icon: 'move', kind: 'icon', key: 'v', onclick: act('move') })),
            ...this.app.allowed('toggleRead', button({ label: t(readLabel), icon: readLabel === 'markRead' ? 'read' : 'unread', kind: 'icon', key: 'Shift+u', onclick: act('toggleRead') })),
            more,
        );
        const canAll = !this.allSelected && total > count;
        this.notice.hidden = !(canAll || this.allSelected);
        if (canAll) fill(this.notice, button({ label: t('selectAllOf', { count: total }), class: 'link', onclick: () => this.selectAll() }));
        else if (this.allSelected) fill(this.notice, h('span', null, t('allSelected', { count: total })));
    }

    private sortItems(): MenuItem[] {
        const keys: SortKey[] = ['date', 'from', 'subject', 'size', 'starred'];
        return [
            ...keys.map((key): MenuItem => ({ label: t(`sort_${key}`), checked: this.sort.key === key, run: () => this.setSort(key) })),
            'separator',
            { label: t('ascending'), checked: this.sort.ascending, run: () => this.setSort(this.sort.key, true) },
            { label: t('descending'), checked: !this.sort.ascending, run: () => this.setSort(this.sort.key, false) },
        ];
    }

    setSort(key: SortKey, ascending = SORTS[key].ascendingFirst): void {
        this.sort = { key, ascending };
        this.reload();
    }

    setUnreadOnly(on: boolean): void {
        this.unreadOnly = on;
        this.reload();
    }

    private moreItems(): MenuItem[] {
        const route = this.app.listRoute();
        const mailbox = route.kind === 'mailbox' ? this.app.store.mailboxes.get(route.mailbox) : undefined;
        const { conversations, listMode } = preferences();
        const items: MenuItem[] = [
            { label: t('refresh'), icon: 'refresh', run: () => this.app.refresh() },
            { label: t('selectEverything'), icon: 'check', key: 'Mod+a', run: () => this.selectAll() },
            ...(mailbox ? [{ label: t('markAllRead'), icon: 'read' as IconName, disabled: mailbox.unreadEmails === 0, run: () => void this.app.markAllRead(mailbox.id) }] : []),
            'separator',
            { heading: t('layout') },
            { label: t('showConversations'), checked: conversations, run: () => void this.app.prefer({ conversations: !conversations }) },
            { label: t('pagedMode'), checked: listMode === 'paged', run: () => void this.app.prefer({ listMode: listMode === 'paged' ? 'continuous' : 'paged' }) },
        ];
        if (mailbox?.role === 'trash' || mailbox?.role === 'junk') items.push('separator', { label: t('emptyThis', { name: this.app.mailboxName(mailbox) }), icon: 'trash', danger: true, disabled: mailbox.totalEmails === 0, run: () => void this.app.emptyMailbox(mailbox) });
        return items;
    }

    // ---- selection and cursor

    isSelected(id: Id): boolean {
        return this.allSelected || this.selected.has(id);
    }

    get selectedCount(): number {
        return this.allSelected ? (this.view.total ?? 0) : this.selected.size;
    }

    /** Ids of the rows that are selected; everything in the list when all of it is. */
    async selection(): Promise<Id[]> {
        return this.allSelected ? this.view.allIds() : [...this.selected];
    }

    get isAllSelected(): boolean {
        return this.allSelected;
    }

    private anyUnread(): boolean {
        if (this.allSelected) return true;
        return [...this.selected].some((id) => {
            const row = this.app.store.row(id);
            return row !== undefined && this.app.store.conversation(row).some((one) => !one.keywords['$seen']);
        });
    }

    clearSelection(): boolean {
        const had = this.selectedCount > 0;
        this.selected.clear();
        this.allSelected = false;
        this.notice.hidden = true;
        if (had) {
            this.refreshRows();
            this.drawHead();
        }
        return had;
    }

    selectAll(): void {
        this.allSelected = true;
        this.refreshRows();
        this.drawHead();
    }

    /** Selects or unselects a row; with `range` everything from the last one. */
    toggle(index: number, range = false): void {
        const id = this.view.id(index);
        if (id === undefined) return;
        if (this.allSelected) this.allSelected = false;
        if (range && this.anchor >= 0) return void this.selectBetween(Math.min(this.anchor, index), Math.max(this.anchor, index));
        if (!this.selected.delete(id)) this.selected.add(id);
        this.anchor = index;
        this.refreshRows();
        this.drawHead();
    }

    /** Rows between that were never on screen are asked for: a range is all of it, or it is not made. */
    private async selectBetween(from: number, to: number): Promise<void> {
        const { view } = this;
        const take = (ids: readonly Id[]): void => {
            for (const id of ids) this.selected.add(id);
            this.refreshRows();
            this.drawHead();
        };
        const known: Id[] = [];
        for (let id, at = from; at <= to && (id = view.id(at)) !== undefined; at += 1) known.push(id);
        if (known.length === to - from + 1) return take(known);
        try {
            const ids = await view.idsBetween(from, to);
            if (view === this.view) take(ids);
        } catch (error) {
            toast({ kind: 'error', text: this.app.explain(error) });
        }
    }

    /** Puts the cursor on a row and shows it. */
    setCursor(index: number): void {
        const total = this.view.total ?? 0;
        if (total === 0) return;
        this.cursor = Math.max(0, Math.min(index, total - 1));
        this.cursorId = this.view.id(this.cursor);
        if (this.isPaged) this.paged?.reveal(this.cursor);
        else this.virtual.reveal(this.cursor);
        this.markCursor();
    }

    private markCursor(): void {
        if (this.cursor >= 0) this.cursorId = this.view.id(this.cursor) ?? this.cursorId;
        if (this.isPaged) return this.paged?.markCursor();
        for (const row of this.grid.querySelectorAll('.row.cursor')) row.classList.remove('cursor');
        const element = this.virtual.element(this.cursor);
        element?.classList.add('cursor');
        if (element) this.grid.setAttribute('aria-activedescendant', element.id);
        else this.grid.removeAttribute('aria-activedescendant');
    }

    get page(): number {
        return this.isPaged ? 10 : this.virtual.page;
    }

    /** Goes to row `index` at once, wherever in the list it is. */
    jump(index: number): void {
        if (this.isPaged) this.paged?.show(Math.floor(index / this.paged.size));
        else this.virtual.reveal(index, 'start');
        this.setCursor(index);
    }

    focus(): void {
        if (this.isPaged) this.paged?.focus();
        else this.grid.focus({ preventScroll: true });
        if (this.cursor < 0 && (this.view?.total ?? 0) > 0) this.setCursor(0);
    }

    openRow(index: number): void {
        this.setCursor(index);
        this.app.openRow(index);
    }

    starRow(index: number): void {
        const id = this.view.id(index);
        if (id !== undefined) void this.app.toggleStar([id]);
    }

    hrefOf(id: Id): string {
        return this.app.hrefOf(id);
    }

    // ---- pointer

    private listenToPointer(): void {
        const indexOf = (event: Event): number => Number((event.target as Element).closest<HTMLElement>('[data-index]')?.dataset['index'] ?? -1);
        let held: ReturnType<typeof setTimeout> | undefined;
        let wasHeld = false;
        this.grid.addEventListener('click', (event) => {
            const index = indexOf(event);
            if (index < 0 || wasHeld) return void (wasHeld = false);
            const act = (event.target as Element).closest<HTMLElement>('[data-act]')?.dataset['act'];
            if (act === 'star') void this.app.toggleStar([this.view.id(index) ?? '']);
            else if (act === 'select' || event.ctrlKey || event.metaKey || event.shiftKey || (event.pointerType === 'touch' && this.selectedCount > 0)) this.toggle(index, event.shiftKey);
            else {
                this.setCursor(index);
                this.anchor = index;
                this.app.openRow(index);
            }
        });
        this.grid.addEventListener('mousedown', (event) => {
            if (event.shiftKey) event.preventDefault(); // a range of rows, not of text
        });
        this.grid.addEventListener('contextmenu', (event) => {
            const index = indexOf(event);
            const id = this.view.id(index);
            if (id === undefined) return;
            event.preventDefault();
            if (event instanceof PointerEvent && event.pointerType === 'touch') return;
            this.setCursor(index);
            if (!this.isSelected(id)) this.clearSelection();
            openMenu({ x: event.clientX, y: event.clientY }, this.app.rowItems(index), { label: t('more') });
        });
        // A long touch selects, as people know it from their phones.
        this.grid.addEventListener('pointerdown', (event) => {
            wasHeld = false;
            clearTimeout(held);
            if (event.pointerType !== 'touch') return;
            const index = indexOf(event);
            held = setTimeout(() => {
                wasHeld = true;
                this.toggle(index);
            }, 500);
        });
        for (const type of ['pointerup', 'pointercancel', 'pointermove', 'scroll']) this.grid.addEventListener(type, (event) => (type !== 'pointermove' || Math.hypot((event as PointerEvent).movementX, (event as PointerEvent).movementY) > 4) && clearTimeout(held), { passive: true });
        this.grid.addEventListener('dragstart', (event) => this.drag(event, indexOf(event)));
    }

    private drag(event: DragEvent, index: number): void {
        const id = this.view.id(index);
        if (id === undefined || !event.dataTransfer) return;
        if (!this.isSelected(id)) {
            this.clearSelection();
            this.setCursor(index);
        }
        const count = Math.max(1, this.selectedCount);
        event.dataTransfer.effectAllowed = 'copyMove';
        event.dataTransfer.setData('application/x-mailboat-messages', String(count));
        const label = h('div', { class: 'drag-label' }, icon('unread'), formatNumber(count));
        document.body.append(label);
        event.dataTransfer.setDragImage(label, 12, 12);
        setTimeout(() => label.remove());
    }
}

function both(one: Filter | undefined, other: Filter | undefined): Filter | undefined {
    return one && other ? { operator: 'AND', conditions: [one, other] } : (one ?? other);
}

/** Grey bars where rows will be. */
function skeleton(): HTMLElement {
    return h('div', { class: 'skeleton', role: 'status', 'aria-label': t('loading') }, Array.from({ length: 12 }, () => h('div', { class: 'skeleton-row' }, h('i'), h('b'), h('b'))));
}

/** A picture, a sentence, what could be done. */
export function emptyState(name: IconName, title: string, text: string, ...actions: (Node | false)[]): HTMLElement {
    return h('div', { class: 'empty' }, h('div', { class: 'empty-icon' }, icon(name)), h('h2', null, title), h('p', null, text), actions);
}
