// The application after sign-in: its panes, where it is (the address after #), and what is done to messages.

import { fill, h } from './dom.ts';
import type { ComposeRequest } from './compose/compose.ts';
import { formatMessage, language, setLanguage } from './i18n.ts';
import { Client, firstSetError, JmapError, watchReachable, type Changed, type Id, type SetResponse, type SignIn } from './jmap.ts';
import { ListPane } from './list/list.ts';
import { forgetPreferences, loadPreferences, preferences, preferencesWritten, setPreferences, showAppearance, watchPreferences, type Preferences } from './preferences.ts';
import { ReadingPane } from './reading/reading.ts';
import { bindKeys } from './shell/bindings.ts';
import { FolderPane } from './shell/folders.ts';
import type { PickOptions } from './shell/folder-picker.ts';
import { Layout } from './shell/layout.ts';
import { say, signInForm } from './signin.ts';
import { Store, type Change } from './store.ts';
import { t } from './texts.ts';
import { mayKeepDrafts, type EmailRow, type Mailbox, type QuotaState, type Role } from './types.ts';
import { confirmDialog, openDialog } from './ui/dialog.ts';
import { closeMenu, type MenuItem } from './ui/menu.ts';
import { toast } from './ui/toast.ts';
import { startTooltips } from './ui/tooltip.ts';

export type Route =
    | { kind: 'mailbox'; mailbox: Id; email?: Id | undefined }
    /** `account`: another's, whose mail is searched. */
    | { kind: 'search'; query: string; account?: Id | undefined; email?: Id | undefined }
    | { kind: 'settings'; section?: string | undefined };
type ListRoute = Exclude<Route, { kind: 'settings' }>;

/** Where compose notes the drafts that are open (compose/reopen.ts): those of a tab that was killed are opened again. */
const OPEN_DRAFTS = 'mailboat-open-drafts';

export type Action = 'archive' | 'delete' | 'junk' | 'move' | 'copy' | 'toggleRead' | 'markRead' | 'markUnread' | 'star';

/** `session`: the session object, when it was asked for before. */
export async function startApp(signIn: SignIn, session?: Promise<Response | undefined>): Promise<void> {
    const client: Client = new Client(signIn, () => renewSession(client));
    await Promise.all([client.start(session), t.load()]);
    startTooltips();
    const store = new Store(client);
    const preferencesRead = loadPreferences(client).catch(() => undefined);
    await store.load();
    const app = new App(client, store);
    const sharedRead = app.readShared();
    // Who comes back to somebody else's folder waits for it.
    if (!store.mailboxes.has(decode(location.hash.split('/')[2] ?? '')) && location.hash.startsWith('#/m/')) await sharedRead;
    app.start();
    await preferencesRead;
    void store.loadQuota().catch(() => undefined);
    if (localStorage.getItem(OPEN_DRAFTS)) void reopenDrafts(app, sharedRead).catch(() => undefined);
}

/** One's own first; those in folders of others once these are known. */
async function reopenDrafts(app: App, sharedRead: Promise<void>): Promise<void> {
    const { reopen } = await import('./compose/compose.ts');
    const context = { client: app.client, store: app.own };
    const inMail = !location.hash.startsWith('#/settings');
    await reopen({ ...context, source: app.own }, inMail);
    await sharedRead;
    for (const { store } of app.shared.values()) await reopen({ ...context, source: store }, inMail);
}

/** Asks for the password in a dialog over whatever the user was doing. */
function renewSession(client: Client): Promise<SignIn> {
    return new Promise((resolve) => {
        const form = signInForm((signIn) => {
            dialog.close();
            resolve(signIn);
        }, client.signIn.uid);
        const dialog = openDialog({ title: say('endedTitle'), body: [h('p', { class: 'dialog-lead' }, say('ended')), form], dismissible: false });
        form.querySelector<HTMLInputElement>('[type=password]')?.focus();
    });
}

export class App {
    readonly list: ListPane;
    readonly reading: ReadingPane;
    readonly folders: FolderPane;
    readonly layout: Layout;
    private route: Route;
    private lastList: ListRoute;
    /** The message that is about to be shown gets the focus: it was opened by the keyboard. */
    private focusReading = false;

    /** Of the account that is on screen: the user's own, or one of others. */
    store: Store;
    /** Those of others, by account. */
    readonly shared = new Map<Id, { name: string; store: Store }>();
    private readonly watching: ((store: Store) => void)[] = [];
    private sessionRead = -2000;
    private sessionTimer: ReturnType<typeof setTimeout> | undefined;

    constructor(
        readonly client: Client,
        readonly own: Store,
    ) {
        this.store = own;
        this.route = this.lastList = { kind: 'mailbox', mailbox: this.inboxId };
        this.folders = new FolderPane(this);
        this.list = new ListPane(this);
        this.reading = new ReadingPane(this);
        this.layout = new Layout(this);
    }

    start(): void {
        showAppearance();
        fill(document.body, this.layout.element);
        this.folders.draw();
        bindKeys(this);
        addEventListener('hashchange', () => this.follow());
        watchReachable((online) => this.layout.setOnline(online));
        watchPreferences((changed) => void this.preferencesChanged(changed));
        this.own.on('arrived', (rows) => this.arrived(rows));
        this.own.on('mailboxes', () => this.drawTitle());
        this.follow();
        this.list.focus();
        this.own.follow();
        this.client.onSession = () => this.sessionChanged();
        this.client.push(['Email', 'Mailbox', 'Quota'], (accounts) => this.pushed(accounts));
    }

    // ---- accounts

    /** Calls `watch` with each store, now and when others come. */
    watch(watch: (store: Store) => void): void {
        this.watching.push(watch);
        for (const store of this.stores()) watch(store);
    }

    stores(): Store[] {
        return [this.own, ...[...this.shared.values()].map(({ store }) => store)];
    }

    /** The store that has a mailbox; the user's own when none has. */
    storeOf(mailbox: Id): Store {
        return this.stores().find((store) => store.mailboxes.has(mailbox)) ?? this.own;
    }

    mailbox(id: Id | undefined): Mailbox | undefined {
        return id === undefined ? undefined : this.storeOf(id).mailboxes.get(id);
    }

    /** What the session says of accounts of others: new ones are read, those that are not there any more are gone. */
    async readShared(): Promise<void> {
        const accounts = new Map(this.client.sharedAccounts);
        for (const id of this.shared.keys()) if (!accounts.has(id)) this.shared.delete(id);
        const fresh = [...accounts].filter(([id]) => !this.shared.has(id));
        await Promise.all(
            fresh.map(async ([id, name]) => {
                const store = new Store(this.client.forAccount(id));
                try {
                    await store.load();
                } catch {
                    return; // taken away this moment
                }
                this.shared.set(id, { name, store });
                store.follow();
                for (const watch of this.watching) watch(store);
            }),
        );
        if (!this.stores().includes(this.store)) this.go({ kind: 'mailbox', mailbox: this.inboxId });
        this.folders.draw();
    }

    /** The session object is read again, now or a moment after it was read last. */
    private sessionChanged(): void {
        this.sessionTimer ??= setTimeout(() => {
            this.sessionTimer = undefined;
            this.sessionRead = performance.now();
            void this.client.start().then(() => this.readShared()).catch(() => undefined);
        }, Math.max(0, this.sessionRead + 2000 - performance.now()));
    }

    private pushed(accounts: Readonly<Record<Id, Changed>> | null): void {
        for (const store of this.stores()) {
            const states = accounts ? accounts[store.client.accountId] : {};
            if (states) store.changed(states);
        }
        if (accounts && Object.keys(accounts).some((id) => id !== this.client.accountId && !this.shared.has(id))) this.sessionChanged();
        else if (accounts && [...this.shared.keys()].some((id) => !(id in accounts))) this.sessionChanged();
    }

    /** Whether the rights in the mailbox on screen allow it; in a search, the server says. */
    allows(action: Action): boolean {
        const isOwn = this.store === this.own;
        const rights = this.store.mailboxes.get(this.currentMailbox ?? '')?.myRights;
        const may = (right: keyof Mailbox['myRights']): boolean => rights?.[right] ?? true;
        switch (action) {
            case 'archive':
                return may('mayRemoveItems') && (isOwn || this.store.byRole('archive') !== undefined);
            case 'junk':
                return may('mayRemoveItems') && isOwn;
            case 'delete':
            case 'move':
                return may('mayRemoveItems');
            case 'copy':
                return may('mayReadItems');
            case 'star':
                return may('maySetKeywords');
            case 'toggleRead':
            case 'markRead':
            case 'markUnread':
                return may('maySetSeen');
        }
    }

    // ---- where we are

    get inboxId(): Id {
        return this.own.byRole('inbox')?.id ?? [...this.own.mailboxes.keys()][0] ?? '';
    }

    get ownAddress(): string {
        return (this.client.signIn.email ?? this.client.session.username).toLowerCase();
    }

    /** The mailbox whose list is shown; undefined in a search. */
    get currentMailbox(): Id | undefined {
        return this.route.kind === 'mailbox' ? this.route.mailbox : undefined;
    }

    /** The route of the list, also while settings are shown over it. */
    listRoute(): ListRoute {
        return this.lastList;
    }

    private read(): Route {
        const [kind = '', first = '', second] = location.hash.slice(2).split('/').map(decode);
        if (kind === 's') return { kind: 'search', query: first, email: second };
        if (kind.startsWith('s:')) return { kind: 'search', account: kind.slice(2), query: first, email: second };
        if (kind === 'settings') return { kind: 'settings', section: first || undefined };
        const mailbox = kind === 'm' && this.mailbox(first) ? first : this.inboxId;
        return { kind: 'mailbox', mailbox, email: mailbox === first ? second : undefined };
    }

    private hash(route: Route): string {
        const parts = route.kind === 'mailbox' ? ['m', route.mailbox, route.email] : route.kind === 'search' ? [route.account ? `s:${route.account}` : 's', route.query, route.email] : ['settings', route.section];
        return `#/${parts.filter((part) => part !== undefined).map((part) => encodeURIComponent(part ?? '')).join('/')}`;
    }

    hrefOf(email: Id): string {
        return this.hash({ ...this.lastList, email });
    }

    go(route: Route, options: { replace?: boolean } = {}): void {
        // What is searched is the account on screen.
        const isShared = route.kind === 'search' && !('account' in route) && this.store !== this.own;
        const hash = this.hash(isShared ? { ...route, account: this.store.client.accountId } : route);
        // Followed at once: a key that is pressed behind a click is about what the click has opened, and an event of the address comes later.
        if (hash !== location.hash) history[options.replace ? 'replaceState' : 'pushState'](null, '', hash);
        this.follow();
    }

    private follow(): void {
        closeMenu();
        const before = this.route;
        this.route = this.read();
        this.layout.closeDrawer();
        if (this.route.kind === 'settings') return void this.openSettings(this.route.section);
        this.layout.showMail();
        const store = this.route.kind === 'mailbox' ? this.storeOf(this.route.mailbox) : (this.shared.get(this.route.account ?? '')?.store ?? this.own);
        if (store !== this.store) {
            this.store.active = undefined;
            this.store = store;
        }
        this.lastList = this.route;
        if (before.kind !== this.route.kind || this.hash({ ...before, email: undefined } as Route) !== this.hash({ ...this.route, email: undefined })) this.folders.draw();
        this.list.show(this.route);
        this.layout.setQuery(this.route.kind === 'search' ? this.route.query : '');
        this.layout.setReading(this.route.email !== undefined);
        if (this.route.email) void this.reading.show(this.route.email);
        else this.reading.clear();
        if (this.focusReading) this.reading.focus();
        this.focusReading = false;
        this.list.refreshRows();
        this.drawTitle();
    }

    private async openSettings(section: string | undefined): Promise<void> {
        try {
            const { openSettings } = await import('./settings/settings.ts');
            await openSettings({ client: this.client, store: this.own, close: () => this.go(this.lastList) }, this.layout.showSettings(), section);
        } catch (error) {
            toast({ kind: 'error', text: this.explain(error) });
        }
        document.title = `${t('settings')} – Mailboat`;
    }

    titleOf(route: Route): string {
        if (route.kind === 'search') return t('searchTitle', { query: route.query });
        return route.kind === 'mailbox' ? this.mailboxName(this.mailbox(route.mailbox)) : t('settings');
    }

    /** The name as the user's language has it, for those with a role and the name that we gave them. */
    mailboxName(mailbox: Mailbox | undefined): string {
        if (!mailbox) return '';
        const { role, name } = mailbox;
        if (role === 'inbox') return t('role_inbox');
        const usual: Partial<Record<string, string>> = { drafts: 'Drafts', sent: 'Sent', trash: 'Trash', junk: 'Junk', archive: 'Archive' };
        return role && usual[role] === name ? t(`role_${role as 'drafts' | 'sent' | 'trash' | 'junk' | 'archive'}`) : name;
    }

    private drawTitle(): void {
        if (this.route.kind === 'settings') return;
        const unread = this.own.byRole('inbox')?.unreadEmails ?? 0;
        document.title = `${unread > 0 ? `(${unread}) ` : ''}${this.titleOf(this.route)} – Mailboat`;
    }

    // ---- list and reading pane

    /** Called by the list after every change of it. */
    listChanged(): void {
        const id = this.reading.email;
        if (!id || !this.list.view) return;
        const at = this.list.view.indexOf(id);
        if (at >= 0 && this.list.cursor < 0) this.list.setCursor(at);
    }

    openThreadHas(row: EmailRow): boolean {
        const open = this.reading.email;
        if (!open) return false;
        return open === row.id || (this.list.view.spec.collapse && this.store.row(open)?.threadId === row.threadId);
    }

    openRow(index: number, options: { focus?: boolean } = {}): void {
        const row = this.list.view.row(index);
        if (!row) return;
        if (this.mayWriteOn(row) && this.store.conversation(row).length === 1) return void this.compose({ kind: 'draft', emailId: row.id });
        this.focusReading = options.focus ?? false;
        if (this.focusReading && this.reading.email === row.id) this.reading.focus();
        this.open(row.id);
    }

    /** A draft whose next version may take its place: any of one's own, and those of others where the rights are there. */
    mayWriteOn(row: EmailRow): boolean {
        if (!row.keywords['$draft']) return false;
        const rights = Object.keys(row.mailboxIds).flatMap((id) => this.store.mailboxes.get(id)?.myRights ?? []);
        return this.store === this.own || rights.some(mayKeepDrafts);
    }

    /** Opens a message; the way back is the list, however many were read one after another. */
    open(id: Id): void {
        this.go({ ...this.lastList, email: id }, { replace: this.reading.email !== undefined });
    }

    closeReading(): void {
        if (!this.reading.email) return;
        this.go({ ...this.lastList, email: undefined }, { replace: true });
        this.list.focus();
    }

    /** Opens the next or previous row. */
    step(by: 1 | -1): void {
        const from = this.reading.email ? this.list.view.indexOf(this.reading.email) : this.list.cursor;
        const to = from < 0 && this.list.cursor >= 0 ? this.list.cursor + by : from + by;
        if (to < 0 || to >= (this.list.view.total ?? 0)) return;
        this.list.setCursor(to);
        if (this.list.view.row(to)) this.open(this.list.view.id(to) ?? '');
    }

    refresh(): void {
        this.store.refresh();
    }

    /** New mail: said once to those who hear the page; the title counts what is unread. */
    private arrived(rows: readonly EmailRow[]): void {
        const inbox = rows.filter((row) => row.mailboxIds[this.inboxId]);
        const [first] = inbox;
        if (!first) return;
        this.layout.announce(inbox.length === 1 ? t('newMessageFrom', { name: first.from?.[0]?.name || first.from?.[0]?.email || t('unknownSender'), subject: first.subject?.trim() || t('noSubject') }) : t('newMessages', { count: inbox.length }));
    }

    // ---- what is done to messages

    /** The rows an action is about: the selected ones, else the open conversation, else the row with the cursor. */
    private async rowsMeant(): Promise<Id[]> {
        if (this.list.selectedCount > 0) return this.list.selection();
        if (this.reading.email) return [this.reading.email];
        const id = this.list.view.id(this.list.cursor);
        return id === undefined ? [] : [id];
    }

    /** A row that stands for a conversation means all of its messages in this mailbox. */
    private messagesOf(rows: readonly Id[]): Id[] {
        const { collapse, mailbox } = this.list.view.spec;
        if (this.list.isAllSelected || !collapse) return [...rows];
        return rows.flatMap((id) => {
            const row = this.store.row(id);
            const members = row ? this.store.conversation(row) : [];
            const here = members.filter((one) => mailbox === undefined || one.mailboxIds[mailbox]).map((one) => one.id);
            return here.length > 0 ? here : [id];
        });
    }

    async act(action: Action): Promise<void> {
        if (!this.allows(action)) return void toast({ kind: 'error', text: t('notAllowed') });
        const rows = await this.rowsMeant().catch(() => []);
        const ids = this.messagesOf(rows);
        if (ids.length === 0) return;
        switch (action) {
            case 'archive':
                return this.moveByRole(ids, 'archive', 'archived');
            case 'delete':
                return this.remove(ids);
            case 'junk':
                return this.junk(ids);
            case 'move':
            case 'copy':
                return this.askFolder(ids, action === 'copy');
            case 'toggleRead':
                return this.hasUnread(ids) ? this.mark(ids, { $seen: true }) : this.markUnread(ids);
            case 'markRead':
                return this.mark(ids, { $seen: true });
            case 'markUnread':
                return this.markUnread(ids);
            case 'star':
                return this.toggleStar(rows);
        }
    }

    private hasUnread(ids: readonly Id[]): boolean {
        return this.list.isAllSelected || ids.some((id) => this.store.row(id) && !this.store.row(id)?.keywords['$seen']);
    }

    private async mark(ids: readonly Id[], keywords: Record<string, boolean>): Promise<void> {
        await this.attempt(ids, { keywords }, undefined);
        if (this.list.isAllSelected) this.list.clearSelection();
    }

    /** Marks as unread, and leaves the message: it would be read again at once. */
    async markUnread(ids: readonly Id[]): Promise<void> {
        if (ids.some((id) => this.reading.ids.includes(id))) {
            this.reading.forgetSeen();
            this.closeReading();
        }
        await this.mark(ids, { $seen: false });
    }

    star(ids: readonly Id[], on: boolean): Promise<void> {
        return this.mark(ids, { $flagged: on });
    }

    async toggleStar(ids: readonly Id[]): Promise<void> {
        const starred = (id: Id): boolean => {
            const row = this.store.row(id);
            return row !== undefined && this.store.conversation(row).some((one) => one.keywords['$flagged']);
        };
        const on = !ids.every(starred);
        // A conversation loses every star, and gets one.
        const meant = on ? ids : ids.flatMap((id) => (this.store.row(id) ? this.store.conversation(this.store.row(id) as EmailRow).map((one) => one.id) : [id]));
        await this.star(meant, on);
    }

    async markAllRead(mailbox: Id): Promise<void> {
        const store = this.storeOf(mailbox);
        const view = store.view({ filter: { inMailbox: mailbox, notKeyword: '$seen' }, sort: [{ property: 'receivedAt', isAscending: false }], collapse: false, mailbox });
        try {
            const ids = await view.allIds();
            if (ids.length > 0) await this.attempt(ids, { keywords: { $seen: true } }, t('markedRead', { count: ids.length }), store);
        } catch (error) {
            toast({ kind: 'error', text: this.explain(error) });
        }
    }

    private async junk(ids: readonly Id[]): Promise<void> {
        const isJunk = this.store.mailboxes.get(this.currentMailbox ?? '')?.role === 'junk';
        const keywords = { $junk: !isJunk, $notjunk: isJunk };
        await this.moveByRole(ids, isJunk ? 'inbox' : 'junk', isJunk ? 'movedNotJunk' : 'movedJunk', keywords);
    }

    /** Into the trash; what lies there already is deleted for good, after a question. */
    async remove(ids: readonly Id[]): Promise<void> {
        const role = this.store.mailboxes.get(this.currentMailbox ?? '')?.role;
        const drafts = ids.every((id) => this.store.row(id)?.keywords['$draft']);
        // Others' mail goes into no trash of ours.
        const hasTrash = this.store === this.own || this.store.byRole('trash')?.myRights.mayAddItems === true;
        if (hasTrash && role !== 'trash' && role !== 'junk' && !(role === 'drafts' && drafts)) return this.moveByRole(ids, 'trash', 'deleted');
        if (!(await confirmDialog({ title: t('deleteForever'), text: t('deleteForeverText', { count: ids.length }), confirm: t('deleteForever'), danger: true }))) return;
        await this.destroy(ids);
    }

    async emptyMailbox(mailbox: Mailbox): Promise<void> {
        if (!(await confirmDialog({ title: t('emptyTitle', { name: this.mailboxName(mailbox) }), text: t('deleteForeverText', { count: mailbox.totalEmails }), confirm: t('deleteForever'), danger: true }))) return;
        const view = this.storeOf(mailbox.id).view({ filter: { inMailbox: mailbox.id }, sort: [{ property: 'receivedAt', isAscending: false }], collapse: false, mailbox: mailbox.id });
        try {
            await this.destroy(await view.allIds(), this.storeOf(mailbox.id));
        } catch (error) {
            toast({ kind: 'error', text: this.explain(error) });
        }
    }

    private async destroy(ids: readonly Id[], store = this.store): Promise<void> {
        this.leave(ids);
        const note = ids.length > 500 ? toast({ text: t('working', { done: 0, total: ids.length }), seconds: 0 }) : undefined;
        try {
            await store.destroy(ids, (done) => note?.update(t('working', { done, total: ids.length })));
            toast({ text: t('deletedForever', { count: ids.length }) });
        } catch (error) {
            toast({ kind: 'error', text: this.explain(error) });
        } finally {
            note?.dismiss();
        }
    }

    private async askFolder(ids: readonly Id[], copy: boolean): Promise<void> {
        const target = await this.pickFolder({ title: copy ? t('copyTitle', { count: ids.length }) : t('moveTitle', { count: ids.length }), confirm: copy ? t('copy') : t('move'), without: copy ? undefined : this.currentMailbox });
        if (target && target !== 'top') await this.place(ids, target, copy);
    }

    /** Asks for a folder; undefined when none was chosen, or the dialog was not reached. */
    async pickFolder(options: PickOptions): Promise<Id | 'top' | undefined> {
        try {
            const { pickFolder } = await import('./shell/folder-picker.ts');
            return await pickFolder(this, options);
        } catch (error) {
            toast({ kind: 'error', text: this.explain(error) });
            return undefined;
        }
    }

    /** What was dragged goes to a folder. */
    async moveTo(mailbox: Id, copy: boolean): Promise<void> {
        await this.place(this.messagesOf(await this.rowsMeant()), mailbox, copy);
    }

    private async place(ids: readonly Id[], target: Id, copy: boolean): Promise<void> {
        const name = this.mailboxName(this.mailbox(target));
        const to = this.storeOf(target);
        if (to !== this.store) return this.placeElsewhere(ids, to, target, name, copy);
        if (copy) return this.attempt(ids, { mailboxes: { [target]: true } }, t('copiedTo', { count: ids.length, name }));
        await this.move(ids, target, t('movedTo', { count: ids.length, name }));
    }

    /** Into a folder of another account: the message there is another one. */
    private async placeElsewhere(ids: readonly Id[], to: Store, target: Id, name: string, copy: boolean): Promise<void> {
        if (!copy) this.leave(ids);
        try {
            await this.store.copyTo(to, target, ids, !copy);
            toast({ text: t(copy ? 'copiedTo' : 'movedTo', { count: ids.length, name }), name: 'done' });
        } catch (error) {
            toast({ kind: 'error', text: this.explain(error) });
            this.store.changed({});
        }
    }

    private async moveByRole(ids: readonly Id[], role: Exclude<Role, null>, said: 'archived' | 'deleted' | 'movedJunk' | 'movedNotJunk', keywords?: Record<string, boolean>): Promise<void> {
        try {
            const target = await this.mailboxOfRole(role);
            if (target === this.currentMailbox) return;
            await this.move(ids, target, t(said, { count: ids.length }), keywords);
        } catch (error) {
            toast({ kind: 'error', text: this.explain(error) });
        }
    }

    /** The mailbox for that purpose; made when there is none. */
    private async mailboxOfRole(role: Exclude<Role, null>): Promise<Id> {
        const known = this.store.byRole(role);
        if (known) return known.id;
        const name = `${role.slice(0, 1).toUpperCase()}${role.slice(1)}`;
        const response = await this.store.client.call<SetResponse<{ id: Id }>>('Mailbox/set', { create: { made: { name, role, parentId: null } } });
        const error = firstSetError(response as SetResponse);
        if (error) throw error;
        await this.store.load();
        return response.created?.['made']?.id ?? '';
    }

    private async move(ids: readonly Id[], target: Id, said: string, keywords?: Record<string, boolean>): Promise<void> {
        const from = this.currentMailbox;
        const mailboxes: Record<Id, boolean> = { [target]: true };
        if (from && from !== target) mailboxes[from] = false;
        else for (const id of ids) for (const one of Object.keys(this.store.row(id)?.mailboxIds ?? {})) if (one !== target) mailboxes[one] = false;
        this.leave(ids);
        await this.attempt(ids, { mailboxes, ...(keywords ? { keywords } : {}) }, said);
    }

    /** The open message is going: the next one takes its place, or the list on a small screen. */
    private leave(ids: readonly Id[]): void {
        const open = this.reading.email;
        const gone = new Set(ids);
        this.list.clearSelection();
        if (!open || !(gone.has(open) || this.reading.ids.some((id) => gone.has(id)))) return;
        const { view } = this.list;
        let at = view.indexOf(open);
        if (this.reading.ids.length > 1 && !gone.has(open)) return; // one message of a conversation
        while (at >= 0 && at < (view.total ?? 0) && gone.has(view.id(at) ?? open)) at += 1;
        const next = view.id(at);
        if (next !== undefined && this.layout.isSplit && view.row(at)) this.open(next);
        else this.closeReading();
    }

    /** Changes messages; says so with an undo when it is worth saying, and why when it fails. */
    private async attempt(ids: readonly Id[], change: Change, said: string | undefined, store = this.store): Promise<void> {
        const note = ids.length > 500 ? toast({ text: t('working', { done: 0, total: ids.length }), seconds: 0 }) : undefined;
        // Said at once, like the change itself: the undo waits until it is done.
        const doing = store.change(ids, change, (done) => note?.update(t('working', { done, total: ids.length })));
        const undo = async (): Promise<void> => {
            try {
                await (await doing)();
                toast({ text: t('undone'), name: 'done' });
            } catch (error) {
                toast({ kind: 'error', text: this.explain(error) });
            }
        };
        const toldEarly = said !== undefined && note === undefined ? toast({ text: said, name: 'done', action: { label: t('undo'), run: () => void undo() } }) : undefined;
        try {
            await doing;
            if (said !== undefined && note) toast({ text: said, name: 'done', action: { label: t('undo'), run: () => void undo() } });
        } catch (error) {
            toldEarly?.dismiss();
            toast({ kind: 'error', text: this.explain(error) });
        } finally {
            note?.dismiss();
        }
    }

    // ---- menus that list and reading pane share

    selectionItems(): MenuItem[] {
        const act = (action: Action) => (): void => void this.act(action);
        const seen: MenuItem[] = [
            { label: t('markRead'), icon: 'read', run: act('markRead') },
            { label: t('markUnread'), icon: 'unread', run: act('markUnread') },
        ];
        return [
            ...this.allowed<MenuItem>('star', { label: t('star'), icon: 'star', key: 's', run: act('star') }),
            ...(this.allows('markRead') ? seen : []),
            { label: t('copyTo'), icon: 'copy', run: act('copy') },
            'separator',
            { label: t('print'), icon: 'print', disabled: !this.reading.email, run: () => print() },
            { label: t('showSource'), icon: 'code', disabled: !this.reading.email, run: () => void import('./reading/source.ts').then(({ showSource }) => showSource(this, this.reading.current?.id ?? '')) },
        ];
    }

    /** What the rights do not allow is not offered. */
    allowed<T>(action: Action, item: T): T[] {
        return this.allows(action) ? [item] : [];
    }

    rowItems(index: number): MenuItem[] {
        const act = (action: Action) => (): void => void this.actOnRow(index, action);
        const id = this.list.view.id(index) ?? '';
        const inJunk = this.store.mailboxes.get(this.currentMailbox ?? '')?.role === 'junk';
        const unread = !this.store.row(id)?.keywords['$seen'];
        return [
            { label: t('open'), icon: 'unread', key: 'Enter', run: () => this.openRow(index) },
            { label: t('reply'), icon: 'reply', key: 'r', run: () => void this.compose({ kind: 'reply', emailId: id }) },
            { label: t('forward'), icon: 'forward', key: 'f', run: () => void this.compose({ kind: 'forward', emailId: id }) },
            { label: t('forwardAttached'), icon: 'attach', run: () => void this.compose({ kind: 'forwardAttached', emailId: id }) },
            'separator',
            ...this.allowed<MenuItem>('archive', { label: t('archive'), icon: 'archive', key: 'e', run: act('archive') }),
            ...this.allowed<MenuItem>('delete', { label: t('delete'), icon: 'trash', key: '#', run: act('delete') }),
            ...this.allowed<MenuItem>('junk', { label: inJunk ? t('notJunk') : t('junk'), icon: inJunk ? 'notJunk' : 'junk', key: '!', run: act('junk') }),
            ...this.allowed<MenuItem>('move', { label: t('moveTo'), icon: 'move', key: 'v', run: act('move') }),
            { label: t('copyTo'), icon: 'copy', run: act('copy') },
            'separator',
            ...this.allowed<MenuItem>('toggleRead', { label: unread ? t('markRead') : t('markUnread'), icon: unread ? 'read' : 'unread', key: 'Shift+u', run: act('toggleRead') }),
            ...this.allowed<MenuItem>('star', { label: t('star'), icon: 'star', key: 's', run: act('star') }),
        ];
    }

    private async actOnRow(index: number, action: Action): Promise<void> {
        const id = this.list.view.id(index);
        if (id === undefined) return;
        if (this.list.selectedCount === 0) this.list.toggle(index);
        await this.act(action);
        this.list.clearSelection();
    }

    // ---- the rest

    async compose(request: ComposeRequest): Promise<void> {
        try {
            const { openCompose } = await import('./compose/compose.ts');
            await openCompose({ client: this.client, store: this.own, source: this.store }, request);
        } catch (error) {
            toast({ kind: 'error', text: this.explain(error) });
        }
    }

    async answer(kind: 'reply' | 'replyAll' | 'forward'): Promise<void> {
        const id = this.reading.current?.id ?? this.list.view.id(this.list.cursor);
        if (id !== undefined) await this.compose({ kind, emailId: id });
    }

    async downloadMessage(id: Id): Promise<void> {
        const email = await this.store.email(id);
        const name = `${(email.subject ?? '').replaceAll(/[^\p{L}\p{N} ._-]/gu, '').trim().slice(0, 80) || 'message'}.eml`;
        h('a', { href: this.store.client.downloadUrl(email.blobId, name, 'message/rfc822'), download: name }).click();
    }

    search(query: string): void {
        if (query.trim()) this.go({ kind: 'search', query: query.trim() });
        else if (this.route.kind === 'search') this.go({ kind: 'mailbox', mailbox: this.inboxId });
    }

    async prefer(changes: Partial<Preferences>): Promise<void> {
        try {
            await setPreferences(this.client, changes);
        } catch (error) {
            if (!(error instanceof JmapError && error.type === 'unknownMethod')) toast({ kind: 'error', text: this.explain(error) });
        }
    }

    private async preferencesChanged(changed: Partial<Preferences>): Promise<void> {
        if ('language' in changed) {
            const wanted = [...(preferences().language ? [preferences().language as string] : []), ...navigator.languages];
            const before = language();
            await setLanguage(wanted);
            if (language() !== before) {
                await preferencesWritten();
                return void location.reload();
            }
        }
        if ('listMode' in changed || 'conversations' in changed || 'viewSize' in changed) this.list.reload();
        if ('readingPane' in changed) this.layout.setPane();
        if ('density' in changed || 'theme' in changed) this.list.relayout();
    }

    async signOut(): Promise<void> {
        try {
            await this.client.fetch('/auth/sign-out', { method: 'POST' }, false);
        } catch (error) {
            if (error instanceof JmapError && error.kind === 'network') return void toast({ kind: 'error', text: this.explain(error) });
        }
        forgetPreferences();
        localStorage.removeItem('mailboat-signed-in');
        location.assign('/');
    }

    quota(): QuotaState | undefined {
        const found = this.own.quotas.find((one) => one.resourceType === 'octets' && one.hardLimit > 0);
        if (!found) return undefined;
        const share = found.used / found.hardLimit;
        return { used: found.used, limit: found.hardLimit, share, level: share >= 1 ? 'full' : share >= 0.95 ? 'high' : share >= 0.8 ? 'warn' : 'fine' };
    }

    /** A sentence for an error, in the user's language. */
    explain(error: unknown): string {
        if (error instanceof JmapError) {
            if (error.kind === 'network') return t('errorNetwork');
            const known: Partial<Record<string, string>> = { overQuota: t('errorQuota'), forbidden: t('errorForbidden'), notFound: t('errorGone'), tooLarge: t('errorTooLarge'), rateLimit: t('errorRate'), '429': t('errorRate'), '503': t('errorBusy'), serverUnavailable: t('errorBusy'), mailboxHasChild: t('errorHasChild') };
            return known[error.type] ?? t('errorOther', { detail: error.detail || error.type });
        }
        return t('errorOther', { detail: formatMessage(String(error instanceof Error ? error.message : error), {}, language()) });
    }
}

function decode(part: string): string {
    try {
        return decodeURIComponent(part);
    } catch {
        return '';
    }
}
