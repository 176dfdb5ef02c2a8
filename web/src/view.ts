// A sorted list of messages, of which only windows are known. A window is one request: Email/query at a position, with back
// references for its rows and, in conversations, for their threads. What is known is of one state of the list (its queryState), and
// is brought to the next one by Email/queryChanges; where that is not possible, the windows on screen are read again.

import type { Batch, Call, GetResponse, Id, QueryChangesResponse, QueryResponse, State } from './jmap.ts';
import { MEMBER_PROPERTIES, type Member, type Store } from './store.ts';
import { ROW_PROPERTIES, type Comparator, type EmailRow, type Filter, type Thread } from './types.ts';

export interface ViewSpec {
    filter: Filter | null;
    sort: readonly Comparator[];
    /** One row for each conversation. */
    collapse: boolean;
    /** The mailbox whose list this is: a message that leaves it leaves the list. */
    mailbox: Id | undefined;
}

/** Rows of a request: more than a screen shows, and the first view has little to wait for. */
export const WINDOW = 50;
/** Rows that are read again at once, in the paged list. */
const REFRESH_MAX = 500;
/** Changes that are followed one by one; when there are more, what is on screen is read again. */
const CHANGES_MAX = 300;

interface Answer {
    query: Call<QueryResponse>;
    rows: Call<GetResponse<EmailRow>>;
    threads: Call<GetResponse<Thread>> | undefined;
    members: Call<GetResponse<Member>> | undefined;
}

export class View {
    /** Undefined until the first answer. */
    total: number | undefined;
    /** Set when the last request failed; cleared by the next that does not. */
    error: unknown;
    /** Called after every change of the list. `shift`: rows that came (or went, negative) above what was shown. */
    onchange: (shift: number) => void = () => undefined;
    private ids: (Id | undefined)[] = [];
    private readonly loading = new Map<number, AbortController>();
    private wanted: [number, number] = [0, WINDOW - 1];
    private generation = 0;
    /** The state that what is known of the list is of, and the rows it had then; undefined before the first answer. */
    private queryState: State | undefined;
    private stateTotal = 0;
    /** Taken out here since that state. */
    private readonly taken = new Set<Id>();
    /** Windows are of different states: the list is right again when it was read again. */
    private isMixed = false;

    constructor(
        private readonly store: Store,
        readonly spec: ViewSpec,
    ) {}

    id(index: number): Id | undefined {
        return this.ids[index];
    }

    row(index: number): EmailRow | undefined {
        const id = this.ids[index];
        return id === undefined ? undefined : this.store.row(id);
    }

    indexOf(id: Id): number {
        return this.ids.indexOf(id);
    }

    shows(id: Id): boolean {
        const [first, last] = this.wanted;
        const at = this.ids.indexOf(id, Math.max(0, first - WINDOW));
        return at >= 0 && at <= last + WINDOW;
    }

    /**
     * Rows `first` to `last` are on screen: loads them, then the window before or after when less than another screenful of it is left, and
     * gives up what nobody sees any more.
     */
    show(first: number, last: number): void {
        this.wanted = [first, last];
        const from = Math.floor(Math.max(0, first) / WINDOW);
        const to = Math.floor(Math.max(0, last) / WINDOW);
        for (const [window, controller] of this.loading) if (window < from - 1 || window > to + 1) controller.abort();
        const missing: Promise<void>[] = [];
        for (let window = from; window <= to; window += 1) missing.push(this.load(window));
        void Promise.all(missing).then(() => {
            if (this.wanted[0] !== first || this.total === undefined) return;
            const ahead = last - first + 1;
            if ((to + 1) * WINDOW < this.total && last + ahead >= (to + 1) * WINDOW) void this.load(to + 1);
            if (from > 0 && first - ahead < from * WINDOW) void this.load(from - 1);
        });
    }

    private isLoaded(window: number): boolean {
        const end = Math.min((window + 1) * WINDOW, this.total ?? Infinity);
        if (this.total === undefined) return false;
        for (let index = window * WINDOW; index < end; index += 1) if (!this.row(index)) return false;
        return true;
    }

    /** Loads one window unless it is there or on its way; never rejects. */
    private async load(window: number): Promise<void> {
        if (this.isLoaded(window) || this.loading.has(window)) return;
        const controller = new AbortController();
        const { generation } = this;
        this.loading.set(window, controller);
        try {
            const batch = this.store.client.batch();
            // Something was changed since the other windows were read: they are brought to the state of this one.
            const changes = this.queryState !== this.store.state ? this.askChanges(batch) : undefined;
            const answer = this.ask(batch, window * WINDOW, WINDOW);
            await batch.send(controller.signal);
            if (generation !== this.generation) return;
            const draw = changes && (await changes.result.then((one) => this.advance(one), () => undefined));
            if (changes && !draw) this.forget();
            await this.take(answer);
            this.error = undefined;
            if (draw) draw();
            else this.onchange(0);
        } catch (error) {
            if (controller.signal.aborted) return;
            this.error = error;
            this.onchange(0);
        } finally {
            if (this.loading.get(window) === controller) this.loading.delete(window);
        }
    }

    /** What should be shown could not be. */
    fail(error: unknown): void {
        this.error = error;
        this.onchange(0);
    }

    /** Loads what was on screen again, after a failure. */
    retry(): void {
        this.error = undefined;
        this.show(...this.wanted);
    }

    private ask(batch: Batch, position: number, limit: number): Answer {
        const { filter, sort, collapse } = this.spec;
        const query = batch.call<QueryResponse>('Email/query', { filter, sort, collapseThreads: collapse, position, limit, calculateTotal: true });
        const rows = batch.call<GetResponse<EmailRow>>('Email/get', { '#ids': query.ref('/ids'), properties: ROW_PROPERTIES });
        if (!collapse) return { query, rows, threads: undefined, members: undefined };
        const threads = batch.call<GetResponse<Thread>>('Thread/get', { '#ids': rows.ref('/list/*/threadId') });
        const members = batch.call<GetResponse<Member>>('Email/get', { '#ids': threads.ref('/list/*/emailIds'), properties: MEMBER_PROPERTIES });
        return { query, rows, threads, members };
    }

    private async take({ query, rows, threads, members }: Answer): Promise<void> {
        const [found, got] = await Promise.all([query.result, rows.result]);
        this.store.takeRows(got);
        if (threads && members) {
            // Long threads may be more than one Email/get gives: the rows are then shown without their count.
            const [list, some] = await Promise.all([threads.result.catch(() => undefined), members.result.catch(() => undefined)]);
            this.store.takeThreads(list?.list ?? [], some?.list ?? []);
        }
        const total = found.total ?? found.position + found.ids.length;
        // Of another state than the rest, or of one before something was taken out.
        if (this.queryState !== undefined && (found.queryState !== this.queryState || this.taken.size > 0)) this.isMixed = true;
        this.queryState = found.queryState;
        this.stateTotal = total;
        if (total !== this.total) {
            this.total = total;
            this.ids.length = total;
        }
        found.ids.forEach((id, at) => (this.ids[found.position + at] = id));
    }

    /** Takes messages out at once; the server's list follows. */
    remove(ids: readonly Id[]): void {
        const gone = new Set(ids);
        const first = this.ids[this.wanted[0]];
        let above = 0;
        const kept: (Id | undefined)[] = [];
        for (let index = 0; index < this.ids.length; index += 1) {
            const id = this.ids[index];
            if (id === undefined || !gone.has(id)) kept.push(id);
            else {
                this.taken.add(id);
                if (index < this.wanted[0] && id !== first) above += 1;
            }
        }
        if (kept.length === this.ids.length) return;
        this.total = kept.length;
        this.ids = kept;
        this.stopLoading();
        this.onchange(-above);
    }

    /** Windows on their way are of the list before. */
    private stopLoading(): void {
        this.generation += 1;
        for (const controller of this.loading.values()) controller.abort();
        this.loading.clear();
    }

    private forget(): void {
        this.ids = [];
        this.total = undefined;
        this.queryState = undefined;
        this.taken.clear();
        this.isMixed = false;
    }

    /** The next renewal reads the list again, whatever the server says about changes. */
    distrust(): void {
        this.isMixed = true;
    }

    /** Nothing is on its way to the server any more: what is shown is made whole. */
    async settle(): Promise<void> {
        if (this.isMixed) await this.refresh();
        else if (this.total !== undefined) this.show(...this.wanted);
    }

    /** Asks what changed in the list; nothing when only reading it again will tell. */
    askChanges(batch: Batch): Call<QueryChangesResponse> | undefined {
        if (this.queryState === undefined || this.isMixed || !this.store.isSettled) return undefined;
        const { filter, sort, collapse } = this.spec;
        return batch.call<QueryChangesResponse>('Email/queryChanges', { filter, sort, collapseThreads: collapse, sinceQueryState: this.queryState, maxChanges: CHANGES_MAX, calculateTotal: true });
    }

    /**
     * Brings what is known to a newer state: what was removed goes, what was added comes where it is now (RFC 8620 §5.6). The answer shows it;
     * nothing when the place of the rows on screen cannot be told, because unknown rows above them may have gone.
     */
    advance({ oldQueryState, newQueryState, total, removed, added }: QueryChangesResponse): (() => void) | undefined {
        if (oldQueryState !== this.queryState || this.isMixed || total === undefined) return undefined;
        const gone = new Set(removed);
        let found = 0;
        for (const id of this.taken) if (gone.has(id)) found += 1;
        const kept: (Id | undefined)[] = [];
        for (let index = 0; index < this.ids.length; index += 1) {
            const id = this.ids[index];
            if (id !== undefined && gone.has(id)) found += 1;
            else kept.push(id);
        }
        // So many of those removed were in the list at all; where all of them are known, so are the places of the others.
        const isWhole = found === this.stateTotal + added.length - total;
        if (!isWhole) {
            const hole = kept.indexOf(undefined);
            if (hole >= 0) kept.length = hole;
            if (kept.length <= Math.min(this.wanted[1], total - added.length - 1)) return undefined;
        }
        for (const { id, index } of added) if (index <= kept.length) kept.splice(index, 0, id);
        if (isWhole ? kept.length !== total : kept.length > total) return undefined;
        const before = this.ids;
        const inSight = before.slice(this.wanted[0], this.wanted[1] + 1);
        kept.length = total;
        this.stopLoading();
        this.ids = kept;
        this.total = this.stateTotal = total;
        this.queryState = newQueryState;
        this.taken.clear();
        this.error = undefined;
        return () => {
            const anchor = inSight.find((id) => id !== undefined && !gone.has(id));
            const now = anchor === undefined ? -1 : this.ids.indexOf(anchor);
            this.onchange(now < 0 ? 0 : now - before.indexOf(anchor));
            this.show(...this.wanted);
        };
    }

    /** Messages on screen whose rows are not known. */
    missing(): Id[] {
        const near = this.ids.slice(this.wanted[0], this.wanted[1] + 1);
        return near.filter((id): id is Id => id !== undefined && !this.store.row(id));
    }

    /** Reads the list around the rows on screen again. */
    async refresh(): Promise<void> {
        const batch = this.store.client.batch();
        const from = Math.max(0, Math.floor(this.wanted[0] / WINDOW) * WINDOW);
        const limit = Math.min(REFRESH_MAX, Math.ceil((this.wanted[1] + 1 - from) / WINDOW) * WINDOW);
        const answer = this.ask(batch, from, Math.max(WINDOW, limit));
        const { generation } = this;
        await batch.send();
        if (generation !== this.generation) return this.distrust();
        const before = this.ids;
        const anchor = before.slice(this.wanted[0], this.wanted[1] + 1).find((id) => id !== undefined);
        this.stopLoading();
        // Windows that are not renewed now may have moved: they are loaded when they are seen again.
        this.forget();
        await this.take(answer);
        this.error = undefined;
        const now = anchor === undefined ? -1 : this.ids.indexOf(anchor);
        this.onchange(now < 0 ? 0 : now - before.indexOf(anchor));
    }

    /** The ids of rows `from` to `to`, also of those that were never loaded. */
    async idsBetween(from: number, to: number): Promise<Id[]> {
        const { filter, sort, collapse } = this.spec;
        const between: Id[] = [];
        while (from + between.length <= to) {
            const position = from + between.length;
            const id = this.ids[position];
            if (id !== undefined) {
                between.push(id);
                continue;
            }
            const { ids } = await this.store.client.call<QueryResponse>('Email/query', { filter, sort, collapseThreads: collapse, position, limit: to - position + 1 });
            if (ids.length === 0) break;
            between.push(...ids);
        }
        return between;
    }

    /** Every id of the list, for what is done to all of it. */
    async allIds(): Promise<Id[]> {
        const { filter, sort } = this.spec;
        const all: Id[] = [];
        for (;;) {
            const { ids, total } = await this.store.client.call<QueryResponse>('Email/query', { filter, sort, collapseThreads: false, position: all.length, calculateTotal: true });
            all.push(...ids);
            if (ids.length === 0 || all.length >= (total ?? 0)) return all;
        }
    }
}
