// Reading, folders and sending.
import { h } from '../dom.ts';
import type { Store } from '../store.ts';
import { type Preferences, preferences } from '../preferences.ts';
import { choice, group, prefer, row, toggle } from './controls.ts';
import { icon } from '../icon.ts';
import type { Page, SettingsContext } from './settings.ts';
import { say } from './texts.ts';

const UNDO_SECONDS = [0, 5, 10, 20, 30];

export const mail: Page = async (context, redraw) => {
    const now = preferences();
    const put = (changes: Partial<Preferences>): void => void prefer(context, changes);
    const seconds = UNDO_SECONDS.includes(now.undoSend) ? UNDO_SECONDS : [...UNDO_SECONDS, now.undoSend].sort((a, b) => a - b);
    return [
        group(
            say('reading'),
            null,
            choice(
                say('remoteImages'),
                [
                    ['ask', say('imagesAsk')],
                    ['always', say('imagesAlways')],
                ],
                now.remoteImages,
                (remoteImages) => put({ remoteImages }),
                say('imagesHint'),
            ),
            ...(now.imageSenders.length > 0 ? [senders(context, now.imageSenders, redraw)] : []),
            toggle(say('expunge'), now.expungeOnExit, (expungeOnExit) => put({ expungeOnExit }), say('expungeHint')),
        ),
        group(
            say('sending'),
            null,
            choice(
                say('undoSend'),
                seconds.map((count) => [String(count), count === 0 ? say('undoOff') : say('seconds', { count })] as const),
                String(now.undoSend),
                (value) => put({ undoSend: Number(value) }),
                say('undoSendHint'),
            ),
        ),
        group(
            say('folders'),
            say('foldersHint'),
            folder(context.store, say('draftFolder'), now.draftFolder, 'drafts', (draftFolder) => put({ draftFolder })),
            folder(context.store, say('sentFolder'), now.sentFolder, 'sent', (sentFolder) => put({ sentFolder })),
        ),
    ];
};

/** A choice of the mailboxes that there are; the present one is in it even when there is none of its name yet. */
function folder(store: Store, label: string, value: string, role: 'drafts' | 'sent', change: (value: string) => void): HTMLElement {
    const paths = [...store.mailboxes.values()]
        .filter((one) => one.role === null || one.role === role || one.role === 'archive')
        .map((one) =>
            store
                .path(one.id)
                .map(({ name }) => name)
                .join('/'),
        );
    const shown = [...new Set([value, ...paths])].filter((path) => path !== '').sort((a, b) => a.localeCompare(b));
    return choice(
        label,
        shown.map((path) => [path, path] as const),
        value,
        change,
    );
}

/** Senders whose images are always shown, each with a button that ends it. */
function senders(context: SettingsContext, list: readonly string[], redraw: () => void): HTMLElement {
    const remove = (gone: string): void => {
        void prefer(context, { imageSenders: list.filter((one) => one !== gone) }).then(redraw);
    };
    const items = list.map((one) =>
        h(
            'li',
            null,
            h('bdi', null, one),
            h('button', { type: 'button', class: 'button icon', 'aria-label': say('removeSender', { name: one }), onclick: () => remove(one) }, icon('close')),
        ),
    );
    return row(say('imageSenders'), h('ul', { class: 'settings-list', tabindex: '-1' }, items));
}
