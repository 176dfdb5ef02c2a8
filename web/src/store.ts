// What the page knows of the account: mailboxes, rows of messages, whole messages, threads and views (sorted lists). Changes show at
// once and are taken back when the server refuses them; what others change comes by push, and the view that is open is renewed.

import { firstSetError, JmapError, type Batch, type Call, type Changed, type ChangesResponse, type Client, type GetResponse, type Id, type SetResponse, type State } from './jmap.ts';
import { CHANGING_PROPERTIES, EMAIL_PROPERTIES, ROW_PROPERTIES, type Email, type EmailAddress, type EmailRow, type Mailbox, type Quota, type Role, type Thread } from './types.ts';
import { View, type ViewSpec } from './view.ts';

/** As much of a message as its conversation needs. */
export interface Member {
    id: Id;
    threadId: Id;
    mailboxIds: Record<Id, true>;
    keywords: Record<string, true>;
    from: EmailAddress[] | null;
    receivedAt: string;
}
export const MEMBER_PROPERTIES = ['id', 'threadId', 'mailboxIds', 'keywords', 'from', 'receivedAt'] as const;

export interface Change {
    /** Keywords to set (true) and to remove (false). */
    keywords?: Readonly<Record<string, boolean>>;
    /** Mailboxes to be in (true) and to leave (false). */
    mailboxes?: Readonly<Record<Id, boolean>>;
}

export interface StoreEvents {
    mailboxes: void;
    /** Rows that look different now. */
    rows: readonly Id[];
    /** Messages that were not there before, newest first. */
    arrived: readonly EmailRow[];
    quota: void;
}

const ROWS_MAX = 5000;
/** So long the first rows are waited for before changes are looked up. */
const FIRST_ROWS_MS = 3000;
const EMAILS_MAX = 60;

export class Store {
    mailboxes = new Map<Id, Mailbox>();
    quotas: Quota[] = [];
    /** The view on screen: the one that push renews. */
    active: View | undefined;
    private readonly rows = new Map<Id, EmailRow>();
    private readonly members = new Map<Id, Member>();
    private readonly threads = new Map<Id, Id[]>();
    private readonly emails = new Map<Id, Promise<Email>>();
    private emailState: State | undefined;
    private mailboxState: State | undefined;
    private pending = 0;
    private quotaState: State | undefined;
    private stale: Changed | undefined;
    /** Whether the first rows are there, or have been waited for long enough. */
    private begun = false;
    private checking = false;
    private readonly listeners: { [K in keyof StoreEvents]: Set<(value: StoreEvents[K]) => void> } = { mailboxes: new Set(), rows: new Set(), arrived: new Set(), quota: new Set() };

    constructor(readonly client: Client) {}

    on<K extends keyof StoreEvents>(event: K, listener: (value: StoreEvents[K]) => void): () => void {
        this.listeners[event].add(listener);
        return () => this.listeners[event].delete(listener);
    }

    private emit<K extends keyof StoreEvents>(event: K, value: StoreEvents[K]): void {
        for (const listener of this.listeners[event]) listener(value);
    }

    /** Reads the mailboxes; in the same request, whatever else is called in this turn. */
    async load(): Promise<void> {
        this.takeMailboxes(await this.client.call<GetResponse<Mailbox>>('Mailbox/get', { ids: null }));
    }

    /** Whether nothing that was changed here is on its way to the server. */
    get isSettled(): boolean {
        return this.pending === 0;
    }

    /** The state of the messages that are known. */
    get state(): State | undefined {
        return this.emailState;
    }

    private takeMailboxes({ list, state }: GetResponse<Mailbox>): void {
        this.mailboxState = state;
        this.mailboxes = new Map(list.map((one) => [one.id, one]));
        this.emit('mailboxes', undefined);
    }

    async loadQuota(): Promise<void> {
        if (!this.client.has('quota')) return;
        this.takeQuotas(await this.client.call<GetResponse<Quota>>('Quota/get', { ids: null }));
    }

    private takeQuotas({ list, state }: GetResponse<Quota>): void {
        this.quotaState = state;
        this.quotas = list;
        this.emit('quota', undefined);
    }

    byRole(role: Exclude<Role, null>): Mailbox | undefined {
        for (const mailbox of this.mailboxes.values()) if (mailbox.role === role) return mailbox;
        return undefined;
    }

    /** Path from the root, for titles and dialogs. */
    path(id: Id): Mailbox[] {
        const path: Mailbox[] = [];
        for (let at = this.mailboxes.get(id); at && path.length < 50; at = at.parentId ? this.mailboxes.get(at.parentId) : undefined) path.unshift(at);
        return path;
    }

    row(id: Id): EmailRow | undefined {
        return this.rows.get(id);
    }

    /** The messages of a row's conversation that are known, oldest first; the row's own when there is no more. */
    conversation(row: EmailRow): Member[] {
        const members = (this.threads.get(row.threadId) ?? []).flatMap((id) => this.members.get(id) ?? []);
        return members.some((one) => one.id === row.id) ? members : [row];
    }

    view(spec: ViewSpec): View {
        return new View(this, spec);
    }

    /** Takes rows that a request brought, and the state they are of. */
    takeRows({ list, state }: GetResponse<EmailRow>): void {
        this.emailState ??= state;
        if (!this.begun) queueMicrotask(() => this.begin());
        for (const row of list) {
            this.rows.delete(row.id); // the newest last: the oldest go first
            this.rows.set(row.id, row);
        }
        for (const id of this.rows.keys()) {
            if (this.rows.size <= ROWS_MAX) break;
            if (!this.active?.shows(id)) this.rows.delete(id);
        }
    }

    takeThreads(threads: readonly Thread[], members: readonly Member[]): void {
        if (this.members.size > 4 * ROWS_MAX) {
            this.members.clear();
            this.threads.clear();
        }
        for (const thread of threads) this.threads.set(thread.id, thread.emailIds);
        for (const member of members) this.members.set(member.id, member);
    }

    /** A whole message, read once. */
    email(id: Id): Promise<Email> {
        const known = this.emails.get(id);
        if (known) {
            this.emails.delete(id);
            this.emails.set(id, known);
            return known;
        }
        const reading = this.client.call<GetResponse<Email>>('Email/get', { ids: [id], properties: EMAIL_PROPERTIES }).then(({ list }) => {
            const email = list[0];
            if (!email) throw new JmapError('method', 'notFound');
            return email;
        });
        this.emails.set(id, reading);
        reading.catch(() => this.emails.delete(id));
        for (const old of this.emails.keys()) {
            if (this.emails.size <= EMAILS_MAX) break;
            this.emails.delete(old);
        }
        return reading;
    }

    /** The messages of a thread, oldest first (RFC 8621 §3). */
    async thread(threadId: Id): Promise<EmailRow[]> {
        const batch = this.client.batch();
        const thread = batch.call<GetResponse<Thread>>('Thread/get', { ids: [threadId] });
        const emails = batch.call<GetResponse<EmailRow>>('Email/get', { '#ids': thread.ref('/list/*/emailIds'), properties: ROW_PROPERTIES });
        await batch.send();
        const [{ list: threads }, got] = await Promise.all([thread.result, emails.result]);
        this.takeRows(got);
        this.takeThreads(threads, got.list);
        return got.list.toSorted((a, b) => (a.receivedAt < b.receivedAt ? -1 : 1));
    }

    /**
     * Changes messages: on screen at once, then on the server; what the server refuses is taken back, and thrown. The answer undoes
     * it all. Keywords and mailboxes of a message that is not known are changed on the server alone.
     */
    async change(ids: readonly Id[], change: Change, progress?: (done: number) => void): Promise<() => Promise<void>> {
        const before = new Map(ids.flatMap((id) => this.snapshot(id)));
        for (const id of ids) this.show(id, change);
        if (change.mailboxes) this.leaveViews(ids, change.mailboxes);
        this.emit('rows', ids);
        this.emit('mailboxes', undefined);
        const patch = patchOf(change);
        this.pending += 1;
        try {
            await this.set(ids, (some) => ({ update: Object.fromEntries(some.map((id) => [id, patch])) }), progress);
        } catch (error) {
            for (const [id, old] of before) this.restore(id, old);
            this.emit('rows', ids);
            this.emit('mailboxes', undefined);
            this.renew();
            throw error;
        } finally {
            this.pending -= 1;
            this.settle();
        }
        return async () => {
            await this.undo(ids, change, before);
        };
    }

    private async undo(ids: readonly Id[], change: Change, before: ReadonlyMap<Id, Snapshot>): Promise<void> {
        // Each message goes back to what it was; one that was not known, to the opposite of the change.
        const groups = new Map<string, { ids: Id[]; change: Change }>();
        for (const id of ids) {
            const back = opposite(change, before.get(id));
            const key = JSON.stringify(back);
            const group = groups.get(key) ?? { ids: [], change: back };
            group.ids.push(id);
            groups.set(key, group);
        }
        for (const group of groups.values()) await this.change(group.ids, group.change);
        this.renew();
    }

    /** Removes messages for good. */
    async destroy(ids: readonly Id[], progress?: (done: number) => void): Promise<void> {
        for (const id of ids) this.count(id, -1);
        this.active?.remove(ids);
        this.emit('mailboxes', undefined);
        this.pending += 1;
        try {
            await this.set(ids, (some) => ({ destroy: some }), progress);
            for (const id of ids) this.forget(id);
        } catch (error) {
            this.renew();
            throw error;
        } finally {
            this.pending -= 1;
            this.settle();
        }
    }

    /** Email/set in pieces that the server takes (maxObjectsInSet). */
    private async set(ids: readonly Id[], args: (ids: readonly Id[]) => Record<string, unknown>, progress?: (done: number) => void): Promise<void> {
        const size = Math.min(this.client.limit('maxObjectsInSet', 500), 1000);
        for (let at = 0; at < ids.length; at += size) {
            const response = await this.client.call<SetResponse>('Email/set', args(ids.slice(at, at + size)));
            if (response.oldState === this.emailState) this.emailState = response.newState;
            const error = firstSetError(response);
            if (error && !(error.type === 'notFound' && ids.length > 1)) throw error;
            progress?.(Math.min(ids.length, at + size));
        }
    }

    private snapshot(id: Id): [Id, Snapshot][] {
        const known = this.rows.get(id) ?? this.members.get(id);
        return known ? [[id, { keywords: known.keywords, mailboxIds: known.mailboxIds }]] : [];
    }

    private show(id: Id, { keywords, mailboxes }: Change): void {
        this.count(id, -1);
        for (const known of [this.rows.get(id), this.members.get(id)]) {
            if (!known) continue;
            known.keywords = patched(known.keywords, keywords);
            known.mailboxIds = patched(known.mailboxIds, mailboxes);
        }
        void this.emails.get(id)?.then((email) => {
            email.keywords = patched(email.keywords, keywords);
            email.mailboxIds = patched(email.mailboxIds, mailboxes);
        }, () => undefined);
        this.count(id, 1);
    }

    private restore(id: Id, old: Snapshot): void {
        this.count(id, -1);
        for (const known of [this.rows.get(id), this.members.get(id)]) if (known) Object.assign(known, old);
        this.count(id, 1);
    }

    /** Adds a message to the counts of its mailboxes, or takes it out. */
    private count(id: Id, by: 1 | -1): void {
        const known = this.rows.get(id) ?? this.members.get(id);
        for (const mailboxId of Object.keys(known?.mailboxIds ?? {})) {
            const mailbox = this.mailboxes.get(mailboxId);
            if (!mailbox || !known) continue;
            mailbox.totalEmails = Math.max(0, mailbox.totalEmails + by);
            if (!known.keywords['$seen']) mailbox.unreadEmails = Math.max(0, mailbox.unreadEmails + by);
        }
    }

    private leaveViews(ids: readonly Id[], mailboxes: Readonly<Record<Id, boolean>>): void {
        const left = this.active?.spec.mailbox;
        if (left && mailboxes[left] === false) this.active?.remove(ids);
    }

    private forget(id: Id): void {
        this.rows.delete(id);
        this.members.delete(id);
        this.emails.delete(id);
    }

    private renew(): void {
        void this.active?.refresh().catch(() => undefined);
    }

    /** After the last change that was on its way. */
    private settle(): void {
        if (this.pending > 0) return;
        void this.active?.settle().catch(() => undefined);
        this.catchUp();
    }

    /** Reads mailboxes and the list on screen again, whether the server tells of changes or not. */
    refresh(): void {
        this.mailboxState = undefined;
        this.active?.distrust();
        this.changed({});
    }

    /** Copies messages into a mailbox of another account, and takes them from here when they are moved. */
    async copyTo(target: Store, mailbox: Id, ids: readonly Id[], moves: boolean): Promise<void> {
        const size = Math.min(this.client.limit('maxObjectsInSet', 500), 1000);
        for (let at = 0; at < ids.length; at += size) {
            const create = Object.fromEntries(ids.slice(at, at + size).map((id, nth) => [`c${nth}`, { id, mailboxIds: { [mailbox]: true } }]));
            const args = { fromAccountId: this.client.accountId, create, onSuccessDestroyOriginal: moves };
            const { notCreated } = await target.client.call<SetResponse>('Email/copy', args);
            const error = firstSetError({ notCreated } as SetResponse);
            // What is there already is there.
            if (error && error.type !== 'alreadyExists') throw error;
        }
        if (moves) {
            for (const id of ids) this.forget(id);
            this.active?.remove(ids);
        }
        this.changed({});
        target.changed({});
    }

    /** Begins to follow what others change; a stream begins with the states, which say nothing new before the first rows are there. */
    follow(): void {
        setTimeout(() => this.begin(), FIRST_ROWS_MS);
    }

    private begin(): void {
        this.begun = true;
        this.catchUp();
    }

    /** Something changed: states by type, or none when that is not known. */
    changed(states: Changed): void {
        this.stale = { ...this.stale, ...states };
        this.catchUp();
    }

    private catchUp(): void {
        if (!this.stale || !this.begun || this.checking || this.pending > 0) return; // what is on its way must not be shown as it was before
        const states = this.stale;
        this.stale = undefined;
        const unknown = Object.keys(states).length === 0;
        const emails = unknown || (states['Email'] !== undefined && states['Email'] !== this.emailState);
        const mailboxes = emails || (states['Mailbox'] !== undefined && states['Mailbox'] !== this.mailboxState);
        const quotas = emails || (states['Quota'] !== undefined && states['Quota'] !== this.quotaState);
        if (!emails && !mailboxes && !quotas) return;
        this.checking = true;
        void this.check(emails, quotas)
            .catch(() => undefined)
            .finally(() => {
                this.checking = false;
                this.catchUp();
            });
    }

    /** What changed of mailboxes, messages, quotas and the open view, in one request; and what that does not bring, in another. */
    private async check(emails: boolean, quotas: boolean): Promise<void> {
        const batch = this.client.batch();
        const takeMailboxes = this.askMailboxes(batch);
        const view = emails ? this.active : undefined;
        const messages = emails ? this.askMessages(batch, view?.spec.collapse === true) : undefined;
        const list = messages && view?.askChanges(batch);
        const quota = quotas && this.client.has('quota') ? batch.call<GetResponse<Quota>>('Quota/get', { ids: null }) : undefined;
        await batch.send();
        await takeMailboxes();
        void quota?.result.then((got) => this.takeQuotas(got), () => undefined);
        if (!emails) return;
        const changes = await messages?.();
        if (!changes) this.forgetAll();
        const draw = changes && list && (await list.result.then((one) => view?.advance(one), () => undefined));
        try {
            await this.lookUp(changes?.updated ?? [], draw && view ? view.missing() : [], view?.spec.collapse === true);
        } finally {
            for (const id of changes?.destroyed ?? []) this.forget(id);
            if (draw) draw();
            else await view?.refresh();
        }
        if (changes && changes.arrived.length > 0) this.arrived(changes.arrived);
        if (changes?.hasMoreChanges) this.stale = { Email: '', ...this.stale };
    }

    /** Adds to `batch` what changed of the mailboxes; the answer takes it in. Mostly that is their counts (RFC 8621 §2.2). */
    private askMailboxes(batch: Batch): () => Promise<void> {
        if (this.mailboxState === undefined) {
            const all = batch.call<GetResponse<Mailbox>>('Mailbox/get', { ids: null });
            return async () => this.takeMailboxes(await all.result);
        }
        const changes = batch.call<ChangesResponse>('Mailbox/changes', { sinceState: this.mailboxState });
        const created = batch.call<GetResponse<Mailbox>>('Mailbox/get', { '#ids': changes.ref('/created') });
        const updated = batch.call<GetResponse<Mailbox>>('Mailbox/get', { '#ids': changes.ref('/updated'), '#properties': changes.ref('/updatedProperties') });
        return async () => {
            try {
                const [{ destroyed, newState, hasMoreChanges }, come, other] = await Promise.all([changes.result, created.result, updated.result]);
                for (const id of destroyed) this.mailboxes.delete(id);
                for (const one of come.list) this.mailboxes.set(one.id, one);
                for (const one of other.list) this.mailboxes.set(one.id, { ...this.mailboxes.get(one.id), ...one });
                this.mailboxState = newState;
                if (hasMoreChanges) this.stale = { Mailbox: '', ...this.stale };
                this.emit('mailboxes', undefined);
            } catch {
                await this.load(); // cannotCalculateChanges
            }
        };
    }

    /** Adds to `batch` which messages changed, and the rows of new ones; the answer takes these in, or is nothing when the server cannot tell. */
    private askMessages(batch: Batch, conversations: boolean): (() => Promise<MessageChanges | undefined>) | undefined {
        if (this.emailState === undefined) return undefined;
        const changes = batch.call<ChangesResponse>('Email/changes', { sinceState: this.emailState, maxChanges: 500 });
        const created = batch.call<GetResponse<EmailRow>>('Email/get', { '#ids': changes.ref('/created'), properties: ROW_PROPERTIES });
        const members = conversations ? this.askMembers(batch, created) : undefined;
        return async () => {
            try {
                const [{ updated, destroyed, newState, hasMoreChanges }, got] = await Promise.all([changes.result, created.result]);
                this.takeRows(got);
                await members?.();
                this.emailState = newState;
                return { updated, destroyed, hasMoreChanges, arrived: got.list };
            } catch {
                return undefined;
            }
        };
    }

    /** Adds the conversations of rows to a batch. Long ones may be more than one Email/get gives: they are then as they were. */
    private askMembers(batch: Batch, rows: Call<GetResponse<EmailRow>>): () => Promise<void> {
        const threads = batch.call<GetResponse<Thread>>('Thread/get', { '#ids': rows.ref('/list/*/threadId') });
        const members = batch.call<GetResponse<Member>>('Email/get', { '#ids': threads.ref('/list/*/emailIds'), properties: MEMBER_PROPERTIES });
        return async () => {
            const [list, some] = await Promise.all([threads.result.catch(() => undefined), members.result.catch(() => undefined)]);
            if (list && some) this.takeThreads(list.list, some.list);
        };
    }

    /** What can change of the messages that changed, if they are known, and the rows of those that are on screen and are not. */
    private async lookUp(updated: readonly Id[], missing: readonly Id[], conversations: boolean): Promise<void> {
        const known = updated.filter((id) => this.rows.has(id) || this.members.has(id));
        const batch = this.client.batch();
        const some = known.length > 0 ? batch.call<GetResponse<Changing>>('Email/get', { ids: known, properties: CHANGING_PROPERTIES }) : undefined;
        const rows = missing.length > 0 ? batch.call<GetResponse<EmailRow>>('Email/get', { ids: missing, properties: ROW_PROPERTIES }) : undefined;
        const members = rows && conversations ? this.askMembers(batch, rows) : undefined;
        await batch.send();
        if (rows) this.takeRows(await rows.result);
        await members?.();
        for (const { id, keywords, mailboxIds } of (await some?.result)?.list ?? []) {
            for (const one of [this.rows.get(id), this.members.get(id)]) if (one) Object.assign(one, { keywords, mailboxIds });
            void this.emails.get(id)?.then((email) => Object.assign(email, { keywords, mailboxIds }), () => undefined);
        }
        if (known.length > 0) this.emit('rows', known);
    }

    /** Nothing that is known can be brought up to date (cannotCalculateChanges): it is read again when it is seen. */
    private forgetAll(): void {
        this.emailState = undefined;
        for (const known of [this.rows, this.members, this.threads, this.emails]) known.clear();
    }

    private arrived(rows: readonly EmailRow[]): void {
        const unread = rows.filter((row) => !row.keywords['$seen'] && !row.keywords['$draft']);
        this.emit('arrived', unread.toSorted((a, b) => (a.receivedAt < b.receivedAt ? 1 : -1)));
    }
}

interface MessageChanges {
    updated: readonly Id[];
    destroyed: readonly Id[];
    arrived: readonly EmailRow[];
    hasMoreChanges: boolean;
}

type Changing = Pick<EmailRow, 'id' | 'keywords' | 'mailboxIds'>;

interface Snapshot {
    keywords: Record<string, true>;
    mailboxIds: Record<Id, true>;
}

function patched(before: Record<string, true>, changes: Readonly<Record<string, boolean>> | undefined): Record<string, true> {
    if (!changes) return before;
    const after = { ...before };
    for (const [key, on] of Object.entries(changes)) {
        if (on) after[key] = true;
        else delete after[key];
    }
    return after;
}

/** The patch of RFC 8620 §5.3. */
export function patchOf({ keywords, mailboxes }: Change): Record<string, true | null> {
    const escaped = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1');
    return Object.fromEntries([
        ...Object.entries(keywords ?? {}).map(([key, on]) => [`keywords/${escaped(key)}`, on || null]),
        ...Object.entries(mailboxes ?? {}).map(([key, on]) => [`mailboxIds/${escaped(key)}`, on || null]),
    ]) as Record<string, true | null>;
}

/** What brings a message back to `before`; without it, the change the other way round. */
export function opposite({ keywords, mailboxes }: Change, before: Snapshot | undefined): Change {
    const turn = (changes: Readonly<Record<string, boolean>>, was: Readonly<Record<string, true>> | undefined): Record<string, boolean> =>
        Object.fromEntries(Object.entries(changes).map(([key, on]) => [key, was ? was[key] === true : !on]));
    return {
        ...(keywords ? { keywords: turn(keywords, before?.keywords) } : {}),
        ...(mailboxes ? { mailboxes: turn(mailboxes, before?.mailboxIds) } : {}),
    };
}
