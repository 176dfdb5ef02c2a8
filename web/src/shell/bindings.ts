// The keyboard of the application. Each binding is in the help sheet under its heading.

import type { Action, App } from '../app.ts';
import { t } from '../texts.ts';
import { pushKeys, type Binding } from '../ui/keys.ts';
import { openHelp } from './help.ts';

export function bindKeys(app: App): void {
    const { list, reading, layout } = app;
    const inMail = (): boolean => location.hash.slice(0, 10) !== '#/settings';
    const act = (action: Action) => (): boolean => {
        if (!inMail()) return false;
        void app.act(action);
        return true;
    };
    const role = (name: 'inbox' | 'drafts' | 'sent' | 'trash' | 'junk' | 'archive') => (): boolean => {
        const mailbox = app.own.byRole(name);
        if (mailbox) app.go({ kind: 'mailbox', mailbox: mailbox.id });
        return mailbox !== undefined;
    };
    /** Moves the cursor; with the reading pane beside the list, and a message in it, reads on. */
    const cursor = (to: (at: number) => number) => (): boolean => {
        if (!inMail() || !isInList()) return false;
        list.setCursor(to(list.cursor));
        return true;
    };
    const isInList = (): boolean => list.element.contains(document.activeElement) || document.activeElement === document.body;
    const step = (by: 1 | -1) => (): boolean => {
        if (!inMail()) return false;
        if (reading.email) app.step(by);
        else list.setCursor(list.cursor + by);
        return true;
    };
    const extend = (by: 1 | -1) => (): boolean => {
        if (!isInList()) return false;
        if (list.selectedCount === 0) list.toggle(Math.max(0, list.cursor));
        list.setCursor(list.cursor + by);
        list.toggle(list.cursor, true);
        return true;
    };
    const open = (): boolean => {
        const active = document.activeElement;
        if (!inMail() || list.cursor < 0 || (active?.closest('button, a, [role=treeitem], [role=separator]') ?? null) !== null) return false;
        app.openRow(list.cursor, { focus: true });
        return true;
    };
    const escape = (): boolean => {
        if (layout.closeDrawer()) return true;
        if (!inMail()) {
            app.go(app.listRoute());
            return true;
        }
        if (list.clearSelection()) return true;
        if (reading.email) {
            app.closeReading();
            return true;
        }
        return false;
    };
    const space = (by: 1 | -1) => (): boolean => {
        if (!reading.email || (document.activeElement?.closest('button, a, input') ?? null) !== null) return false;
        if (by > 0 && reading.atEnd) app.step(1);
        else reading.scrollBy(by);
        return true;
    };
    const [go, moving, doing, writing] = [t('keysGo'), t('keysMove'), t('keysDo'), t('keysWrite')];
    const bindings: Binding[] = [
        { key: 'c', label: t('compose'), group: writing, run: () => void app.compose({ kind: 'new' }) },
        { key: 'r', label: t('reply'), group: writing, run: () => void app.answer('reply') },
        { key: 'a', label: t('replyAll'), group: writing, run: () => void app.answer('replyAll') },
        { key: 'f', label: t('forward'), group: writing, run: () => void app.answer('forward') },
        { key: 'j', label: t('nextMessage'), group: moving, run: step(1) },
        { key: 'ArrowDown', label: t('nextMessage'), group: moving, run: cursor((at) => at + 1) },
        { key: 'k', label: t('previousMessage'), group: moving, run: step(-1) },
        { key: 'ArrowUp', label: t('previousMessage'), group: moving, run: cursor((at) => at - 1) },
        { key: 'PageDown', label: t('pageDown'), group: moving, run: cursor((at) => at + list.page) },
        { key: 'PageUp', label: t('pageUp'), group: moving, run: cursor((at) => at - list.page) },
        { key: 'Home', label: t('firstMessage'), group: moving, run: cursor(() => 0) },
        { key: 'End', label: t('lastMessage'), group: moving, run: cursor(() => (list.view.total ?? 1) - 1) },
        { key: 'Enter', label: t('open'), group: moving, run: open },
        { key: 'o', label: t('open'), group: moving, run: open },
        { key: 'u', label: t('backToList'), group: moving, run: () => (reading.email ? (app.closeReading(), true) : false) },
        { key: 'Escape', label: t('escapeKey'), group: moving, run: escape },
        { key: 'Space', label: t('readOn'), group: moving, run: space(1) },
        { key: 'Shift+Space', label: t('readBack'), group: moving, run: space(-1) },
        { key: ';', label: t('openAll'), group: moving, run: () => (reading.email ? (reading.toggleAll(), true) : false) },
        { key: 'x', label: t('select'), group: doing, run: () => (list.cursor >= 0 ? (list.toggle(list.cursor), true) : false) },
        { key: 'Shift+ArrowDown', label: t('selectDown'), group: doing, run: extend(1) },
        { key: 'Shift+ArrowUp', label: t('selectUp'), group: doing, run: extend(-1) },
        { key: 'Mod+a', label: t('selectEverything'), group: doing, run: (event) => (isInList() && !(event.target as Element).closest('input') ? (list.selectAll(), true) : false) },
        { key: 'e', label: t('archive'), group: doing, run: act('archive') },
        { key: '#', label: t('delete'), group: doing, run: act('delete') },
        { key: 'Delete', label: t('delete'), group: doing, run: act('delete') },
        { key: '!', label: t('junk'), group: doing, run: act('junk') },
        { key: 'v', label: t('moveTo'), group: doing, run: act('move') },
        { key: 's', label: t('star'), group: doing, run: act('star') },
        { key: 'Shift+u', label: t('toggleRead'), group: doing, run: act('toggleRead') },
        { key: '/', label: t('searchMail'), group: go, run: () => layout.focusSearch() },
        { key: 'g i', label: t('role_inbox'), group: go, run: role('inbox') },
        { key: 'g d', label: t('role_drafts'), group: go, run: role('drafts') },
        { key: 'g s', label: t('role_sent'), group: go, run: role('sent') },
        { key: 'g a', label: t('role_archive'), group: go, run: role('archive') },
        { key: 'g t', label: t('role_trash'), group: go, run: role('trash') },
        { key: 'g j', label: t('role_junk'), group: go, run: role('junk') },
        { key: 'g f', label: t('folders'), group: go, run: () => app.folders.focus() },
        { key: 'g l', label: t('messageList'), group: go, run: () => list.focus() },
        { key: 'g ,', label: t('settings'), group: go, run: () => app.go({ kind: 'settings' }) },
        { key: '?', label: t('shortcuts'), group: go, run: () => openHelp() },
    ];
    pushKeys(bindings);
}
