// "Move to": a dialog with a field that filters the folders, driven by arrow keys; roles of a combobox with its list.

import '../app.ts'; // what this part shares with the application is in the application's chunk (web/README.md)
import type { App } from '../app.ts';
import { fill, h, uniqueId } from '../dom.ts';
import { icon } from '../icon.ts';
import type { Id } from '../jmap.ts';
import { t } from '../texts.ts';
import type { Mailbox } from '../types.ts';
import { button } from '../ui/button.ts';
import { openDialog } from '../ui/dialog.ts';
import { folderIcon, folderTree, type FolderNode } from './folders.ts';

export interface PickOptions {
    title: string;
    confirm: string;
    /** For a folder: offers those of its account, and the top of the tree if true, answered as `top`. */
    top?: boolean;
    /** A folder that cannot be chosen, nor those below it. */
    without?: Id | undefined;
}

export function pickFolder(app: App, options: PickOptions): Promise<Id | 'top' | undefined> {
    return new Promise((resolve) => {
        let answer: Id | 'top' | undefined;
        let active = 0;
        let shown: { id: Id | 'top'; depth: number; label: string }[] = [];
        const listId = uniqueId('picker');
        const list = h('div', { class: 'picker-list', role: 'listbox', id: listId, 'aria-label': t('folders') });
        const input = h('input', { type: 'search', role: 'combobox', 'aria-expanded': 'true', 'aria-controls': listId, 'aria-label': t('findFolder'), placeholder: t('findFolder'), autocomplete: 'off', autofocus: true });
        const all = options.top === undefined ? pickable(app, options.without) : pickableIn(app.store.mailboxes, options.without, '');

        const draw = (): void => {
            const wanted = input.value.trim().toLowerCase();
            const top = options.top === true ? [{ id: 'top' as const, depth: 0, label: t('topLevel') }] : [];
            shown = [...top, ...all.map(({ mailbox, depth, of }) => ({ id: mailbox.id, depth, label: `${app.mailboxName(mailbox)}${of}` }))].filter((one) => !wanted || one.label.toLowerCase().includes(wanted));
            active = Math.max(0, Math.min(active, shown.length - 1));
            fill(
                list,
                shown.map((one, index) =>
                    h(
                        'div',
                        { class: 'picker-item', role: 'option', id: `${listId}-${index}`, 'aria-selected': String(index === active), style: { '--depth': String(wanted ? 0 : one.depth) }, onclick: () => choose(index) },
                        icon(one.id === 'top' ? 'list' : folderIcon(app.mailbox(one.id))),
                        h('span', null, one.label),
                    ),
                ),
                shown.length === 0 && h('p', { class: 'picker-none' }, t('noSuchFolder')),
            );
            input.setAttribute('aria-activedescendant', shown.length > 0 ? `${listId}-${active}` : '');
            list.querySelector('[aria-selected=true]')?.scrollIntoView({ block: 'nearest' });
        };
        const choose = (index: number): void => {
            answer = shown[index]?.id;
            if (answer !== undefined) dialog.close();
        };
        input.addEventListener('input', () => {
            active = 0;
            draw();
        });
        input.addEventListener('keydown', (event) => {
            if (event.key === 'ArrowDown') active = Math.min(active + 1, shown.length - 1);
            else if (event.key === 'ArrowUp') active = Math.max(active - 1, 0);
            else if (event.key === 'Enter') return void (event.preventDefault(), choose(active));
            else return;
            event.preventDefault();
            draw();
        });
        draw();
        const dialog = openDialog({
            title: options.title,
            body: h('div', { class: 'picker' }, input, list),
            actions: [button({ label: t('cancel'), kind: 'secondary', onclick: () => dialog.close() }), button({ label: options.confirm, kind: 'primary', onclick: () => choose(active) })],
            onclose: () => resolve(answer),
        });
        input.focus();
    });
}

interface Pickable extends FolderNode {
    /** Whose it is, where it is not the user's. */
    of: string;
}

/** Where messages may be put: in the user's own account and in those of others. */
function pickable(app: App, without: Id | undefined): Pickable[] {
    const shared = [...app.shared.values()].flatMap(({ name, store }) => pickableIn(store.mailboxes, without, ` – ${name}`));
    return [...pickableIn(app.own.mailboxes, without, ''), ...shared.filter(({ mailbox }) => mailbox.myRights.mayAddItems)];
}

function pickableIn(mailboxes: ReadonlyMap<Id, Mailbox>, without: Id | undefined, of: string): Pickable[] {
    return flatten(folderTree(mailboxes), without).map((node) => ({ ...node, of }));
}

function flatten(nodes: readonly FolderNode[], without: Id | undefined): FolderNode[] {
    return nodes.flatMap((node) => (node.mailbox.id === without ? [] : [node, ...flatten(node.children, without)]));
}
