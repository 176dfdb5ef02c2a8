// The folder tree: role `tree`, one tab stop, arrow keys as the ARIA practices have them; unread counts, a menu for each folder, and a
// place to drop messages on.

import type { App } from '../app.ts';
import { fill, h } from '../dom.ts';
import { icon, type IconName } from '../icon.ts';
import { formatNumber } from '../i18n.ts';
import type { Id } from '../jmap.ts';
import { firstSetError, type SetResponse } from '../jmap.ts';
import { t } from '../texts.ts';
import type { Mailbox } from '../types.ts';
import { confirmDialog, promptDialog } from '../ui/dialog.ts';
import { openMenu, type MenuItem } from '../ui/menu.ts';
import { toast } from '../ui/toast.ts';

const ROLE_ORDER = ['inbox', 'drafts', 'sent', 'archive', 'junk', 'trash'];
const COLLAPSED = 'mailboat-collapsed';

export const folderIcon = (mailbox: Mailbox | undefined): IconName => {
    const icons: Partial<Record<string, IconName>> = { inbox: 'inbox', drafts: 'drafts', sent: 'sent', archive: 'archive', junk: 'junk', trash: 'trash', flagged: 'star' };
    return icons[mailbox?.role ?? ''] ?? 'folder';
};

export interface FolderNode {
    mailbox: Mailbox;
    depth: number;
    children: FolderNode[];
}

/** The mailboxes as a tree: those with a role first, then by name as the user's language sorts. */
export function folderTree(mailboxes: ReadonlyMap<Id, Mailbox>, from = 0): FolderNode[] {
    const rank = (mailbox: Mailbox): number => {
        const at = ROLE_ORDER.indexOf(mailbox.role ?? '');
        return at < 0 ? ROLE_ORDER.length : at;
    };
    const compare = (a: FolderNode, b: FolderNode): number => rank(a.mailbox) - rank(b.mailbox) || a.mailbox.name.localeCompare(b.mailbox.name, undefined, { numeric: true });
    const under = (parent: Id | null, depth: number): FolderNode[] =>
        depth > 30
            ? []
            : [...mailboxes.values()]
                  .filter((one) => (parent === null ? one.parentId === null || !mailboxes.has(one.parentId) : one.parentId === parent))
                  .map((mailbox) => ({ mailbox, depth, children: under(mailbox.id, depth + 1) }))
                  .sort(compare);
    return under(null, from);
}

export class FolderPane {
    readonly element = h('div', { class: 'folders', role: 'tree', 'aria-label': t('folders') });
    private collapsed: Set<Id>;
    private focused: Id | undefined;

    constructor(private readonly app: App) {
        this.collapsed = new Set(JSON.parse(localStorage.getItem(COLLAPSED) ?? '[]') as Id[]);
        app.watch((store) => store.on('mailboxes', () => this.draw()));
        this.element.addEventListener('keydown', (event) => this.key(event));
        this.element.addEventListener('contextmenu', (event) => {
            const mailbox = this.mailboxAt(event.target);
            if (!mailbox) return;
            event.preventDefault();
            const items = this.items(mailbox);
            if (items.length > 0) openMenu({ x: event.clientX, y: event.clientY }, items, { label: mailbox.name });
        });
    }

    private mailboxAt(target: EventTarget | null): Mailbox | undefined {
        return this.app.mailbox(idAt(target));
    }

    draw(): void {
        const hadFocus = this.element.contains(document.activeElement) && document.activeElement?.getAttribute('role') === 'treeitem';
        fill(this.element, folderTree(this.app.own.mailboxes).map((node) => this.item(node)), this.shared());
        const items = this.visible();
        const stop = items.find((one) => one.dataset['mailbox'] === this.focused) ?? items.find((one) => one.getAttribute('aria-current')) ?? items[0];
        if (stop) stop.tabIndex = 0;
        if (hadFocus) stop?.focus();
    }

    /** Below the user's own: each account of others, and what is seen of it. */
    private shared(): HTMLElement[] {
        const accounts = [...this.app.shared].filter(([, { store }]) => store.mailboxes.size > 0);
        if (accounts.length === 0) return [];
        const lines = accounts.flatMap(([id, { name, store }]) => {
            const folders = folderTree(store.mailboxes, 2);
            return this.heading(`account:${id}`, name, 1, folders, folders.flatMap((node) => this.item(node)));
        });
        return this.heading('shared', t('shared'), 0, [], lines);
    }

    /** A level that is no folder. */
    private heading(id: string, name: string, depth: number, folders: readonly FolderNode[], lines: readonly HTMLElement[]): HTMLElement[] {
        const open = !this.collapsed.has(id);
        const count = open ? 0 : unreadBelow(folders);
        const line = h(
            'div',
            {
                class: 'folder-line',
                style: { '--depth': String(depth) },
                role: 'treeitem',
                tabindex: '-1',
                'data-mailbox': id,
                'aria-level': depth + 1,
                'aria-label': count === 0 ? name : `${name}, ${t('unreadCount', { count })}`,
                'aria-expanded': String(open),
                onclick: (event) => this.twist(event, id),
            },
            h('span', { class: 'twist', 'aria-hidden': 'true' }, icon('chevron')),
            icon(depth === 0 ? 'folder' : 'user'),
            h('span', { class: 'folder-name' }, h('bdi', null, name)),
            count > 0 && h('span', { class: 'folder-count', 'aria-hidden': 'true', 'data-count': formatNumber(count) }),
        );
        return open ? [line, ...lines] : [line];
    }

    /** A folder, and those in it: a flat list whose order and levels are the tree. */
    private item(node: FolderNode): HTMLElement[] {
        const { mailbox, depth, children } = node;
        const open = !this.collapsed.has(mailbox.id);
        const current = this.app.currentMailbox === mailbox.id;
        const name = this.app.mailboxName(mailbox);
        const isDrafts = mailbox.role === 'drafts';
        const shown = isDrafts ? mailbox.totalEmails : mailbox.role === 'sent' || mailbox.role === 'trash' ? 0 : mailbox.unreadEmails;
        const count = shown + (open ? 0 : unreadBelow(children));
        const label = count === 0 ? name : `${name}, ${isDrafts ? t('messages', { count }) : t('unreadCount', { count })}`;
        const line = h(
            'div',
            {
                class: `folder-line${current ? ' current' : ''}${count > 0 && !isDrafts ? ' unread' : ''}`,
                style: { '--depth': String(depth) },
                role: 'treeitem',
                tabindex: '-1',
                'data-mailbox': mailbox.id,
                'aria-level': depth + 1,
                'aria-label': label,
                'aria-current': current ? 'page' : undefined,
                'aria-selected': String(current),
                'aria-expanded': children.length > 0 ? String(open) : undefined,
            },
            children.length > 0 ? h('span', { class: 'twist', 'aria-hidden': 'true', onclick: (event) => this.twist(event, mailbox.id) }, icon('chevron')) : h('span', { class: 'twist' }),
            icon(folderIcon(mailbox)),
            h('span', { class: 'folder-name', dir: 'auto' }, name),
            count > 0 && h('span', { class: isDrafts ? 'folder-count plain' : 'folder-count', 'aria-hidden': 'true', 'data-count': formatNumber(count) }),
            this.items(mailbox).length > 0 && h('span', { class: 'folder-more', 'aria-hidden': 'true', onclick: (event) => this.more(event, mailbox) }, icon('more')),
        );
        line.addEventListener('click', () => {
            this.focused = mailbox.id;
            this.app.go({ kind: 'mailbox', mailbox: mailbox.id });
        });
        this.dropTarget(line, mailbox);
        return open ? [line, ...children.flatMap((child) => this.item(child))] : [line];
    }

    private dropTarget(line: HTMLElement, mailbox: Mailbox): void {
        line.addEventListener('dragover', (event) => {
            if (!event.dataTransfer?.types.includes('application/x-mailboat-messages') || this.app.currentMailbox === mailbox.id || !mailbox.myRights.mayAddItems) return;
            event.preventDefault();
            event.dataTransfer.dropEffect = event.ctrlKey || event.altKey ? 'copy' : 'move';
            line.classList.add('drop');
        });
        line.addEventListener('dragleave', () => line.classList.remove('drop'));
        line.addEventListener('drop', (event) => {
            event.preventDefault();
            line.classList.remove('drop');
            void this.app.moveTo(mailbox.id, event.ctrlKey || event.altKey);
        });
    }

    private twist(event: Event, id: Id): void {
        event.stopPropagation();
        this.fold(id, !this.collapsed.has(id));
    }

    private fold(id: Id, closed: boolean): void {
        if (closed) this.collapsed.add(id);
        else this.collapsed.delete(id);
        localStorage.setItem(COLLAPSED, JSON.stringify([...this.collapsed]));
        this.draw();
    }

    private more(event: MouseEvent, mailbox: Mailbox): void {
        event.stopPropagation();
        openMenu(event.currentTarget as Element, this.items(mailbox), { label: mailbox.name });
    }

    private visible(): HTMLElement[] {
        return [...this.element.querySelectorAll<HTMLElement>('[role=treeitem]')];
    }

    private key(event: KeyboardEvent): void {
        const id = idAt(event.target);
        const mailbox = this.app.mailbox(id);
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        const items = this.visible();
        const at = items.findIndex((one) => one.dataset['mailbox'] === id);
        if (at < 0) return;
        const focus = (index: number): void => {
            const item = items[index];
            if (!item) return;
            for (const one of items) one.tabIndex = one === item ? 0 : -1;
            this.focused = item.dataset['mailbox'];
            item.focus();
        };
        const expanded = items[at]?.getAttribute('aria-expanded');
        const inward = document.documentElement.dir === 'rtl' ? 'ArrowLeft' : 'ArrowRight';
        const outward = document.documentElement.dir === 'rtl' ? 'ArrowRight' : 'ArrowLeft';
        if (event.key === 'ArrowDown') focus(at + 1);
        else if (event.key === 'ArrowUp') focus(at - 1);
        else if (event.key === 'Home') focus(0);
        else if (event.key === 'End') focus(items.length - 1);
        else if (event.key === inward) expanded === 'false' ? this.fold(id, false) : expanded === 'true' && focus(at + 1);
        else if (event.key === outward) expanded === 'true' ? this.fold(id, true) : focus(above(items, at));
        else if (!mailbox) {
            if (event.key !== 'Enter' && event.key !== ' ') return;
            this.fold(id, expanded === 'true');
        } else if (event.key === 'Enter' || event.key === ' ') this.app.go({ kind: 'mailbox', mailbox: mailbox.id });
        else if (event.key === 'F2') void this.rename(mailbox);
        else if (event.key === 'Delete') void this.remove(mailbox);
        else if (event.key === 'ContextMenu' || (event.key === 'F10' && event.shiftKey)) {
            const menu = this.items(mailbox);
            if (menu.length > 0) openMenu(items[at] ?? this.element, menu, { label: mailbox.name });
        }
        else return;
        event.preventDefault();
        event.stopPropagation();
    }

    focus(): void {
        this.element.querySelector<HTMLElement>('[tabindex="0"]')?.focus();
    }

    private items(mailbox: Mailbox): MenuItem[] {
        const rights = mailbox.myRights;
        return [
            ...this.allowed(mailbox, rights.mayCreateChild, { label: t('newSubfolder'), icon: 'plus', disabled: !rights.mayCreateChild, run: () => void this.create(mailbox) }),
            ...this.allowed(mailbox, rights.mayRename, { label: t('rename'), icon: 'compose', key: 'F2', disabled: !rights.mayRename, run: () => void this.rename(mailbox) }),
            ...this.allowed(mailbox, rights.mayRename, { label: t('moveFolder'), icon: 'move', disabled: !rights.mayRename, run: () => void this.move(mailbox) }),
            ...(this.app.storeOf(mailbox.id) === this.app.own ? ['separator' as const] : []),
            ...this.allowed(mailbox, rights.maySetSeen, { label: t('markAllRead'), icon: 'read', disabled: mailbox.unreadEmails === 0, run: () => void this.app.markAllRead(mailbox.id) }),
            ...(mailbox.role === 'trash' || mailbox.role === 'junk' ? [{ label: t('emptyThis', { name: this.app.mailboxName(mailbox) }), icon: 'trash' as IconName, danger: true, disabled: mailbox.totalEmails === 0, run: () => void this.app.emptyMailbox(mailbox) }] : []),
            ...this.allowed(mailbox, rights.mayDelete, { label: t('deleteFolder'), icon: 'trash', key: 'Delete', danger: true, disabled: !rights.mayDelete, run: () => void this.remove(mailbox) }),
        ];
    }

    /** Of others' folders, what the rights do not allow is not there; of one's own, it is there and dim. */
    private allowed(mailbox: Mailbox, may: boolean, item: MenuItem): MenuItem[] {
        return may || this.app.storeOf(mailbox.id) === this.app.own ? [item] : [];
    }

    /** Asks for a name and makes a folder in `parent`, or at the top. */
    async create(parent?: Mailbox): Promise<void> {
        const name = await promptDialog({ title: parent ? t('newSubfolderIn', { name: this.app.mailboxName(parent) }) : t('newFolder'), label: t('folderName'), confirm: t('create'), check: (value) => this.checkName(value, parent?.id ?? null) });
        if (!name) return;
        if (parent) this.collapsed.delete(parent.id);
        await this.set({ create: { folder: { name, parentId: parent?.id ?? null } } }, parent?.id);
    }

    private async rename(mailbox: Mailbox): Promise<void> {
        if (!mailbox.myRights.mayRename) return;
        const name = await promptDialog({ title: t('renameTitle', { name: mailbox.name }), label: t('folderName'), value: mailbox.name, confirm: t('rename'), check: (value) => this.checkName(value, mailbox.parentId, mailbox.id) });
        if (name && name !== mailbox.name) await this.set({ update: { [mailbox.id]: { name } } }, mailbox.id);
    }

    private async move(mailbox: Mailbox): Promise<void> {
        const isOwn = this.app.storeOf(mailbox.id) === this.app.own;
        const target = await this.app.pickFolder({ title: t('moveFolderTitle', { name: mailbox.name }), confirm: t('moveHere'), top: isOwn, without: mailbox.id });
        if (target) await this.set({ update: { [mailbox.id]: { parentId: target === 'top' ? null : target } } }, mailbox.id);
    }

    private async remove(mailbox: Mailbox): Promise<void> {
        if (!mailbox.myRights.mayDelete) return;
        const text = mailbox.totalEmails > 0 ? t('deleteFolderFull', { count: mailbox.totalEmails }) : t('deleteFolderEmpty');
        if (!(await confirmDialog({ title: t('deleteFolderTitle', { name: mailbox.name }), text, confirm: t('deleteFolder'), danger: true }))) return;
        if (await this.set({ destroy: [mailbox.id], onDestroyRemoveEmails: true }, mailbox.id)) {
            if (this.app.currentMailbox === mailbox.id) this.app.go({ kind: 'mailbox', mailbox: this.app.inboxId });
        }
    }

    private checkName(name: string, parent: Id | null, self?: Id): string | undefined {
        if (!name) return t('nameMissing');
        if (name.includes('/')) return t('nameSlash');
        for (const one of this.app.storeOf(parent ?? self ?? '').mailboxes.values()) if (one.id !== self && one.parentId === parent && one.name.toLowerCase() === name.toLowerCase()) return t('nameTaken');
        return undefined;
    }

    /** `about` is a folder of the account. */
    private async set(args: Record<string, unknown>, about?: Id): Promise<boolean> {
        const store = this.app.storeOf(about ?? '');
        try {
            const response = await store.client.call<SetResponse>('Mailbox/set', args);
            const error = firstSetError(response);
            if (error) throw error;
            await store.load();
            return true;
        } catch (error) {
            toast({ kind: 'error', text: this.app.explain(error) });
            return false;
        }
    }
}

function idAt(target: EventTarget | null): Id {
    return (target as Element).closest<HTMLElement>('[data-mailbox]')?.dataset['mailbox'] ?? '';
}

/** The line of the level above. */
function above(items: readonly HTMLElement[], at: number): number {
    const level = (one: HTMLElement | undefined): number => Number(one?.getAttribute('aria-level'));
    return items.findLastIndex((one, index) => index < at && level(one) < level(items[at]));
}

function unreadBelow(nodes: readonly FolderNode[]): number {
    return nodes.reduce((sum, node) => sum + node.mailbox.unreadEmails + unreadBelow(node.children), 0);
}
