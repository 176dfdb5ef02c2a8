// A sorted list of messages, of which only windows are known. A window is one request: Email/query at a position, with back
// references for its rows and, in conversations, for their threads.

import type { Batch, Call, GetResponse, Id, QueryResponse } from './jmap.ts';
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

export const WINDOW = 100;

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

    /** Rows `first` to `last` are on screen: loads them, then one window on either side, and gives up what nobody sees any more. */
    show(first: number, last: number): void {
        this.wanted = [first, last];
        const from = Math.floor(Math.max(0, first) / WINDOW);
        const to = Math.floor(Math.max(0, last) / WINDOW);
        for (const [window, controller] of this.loading) if (window < from - 1 || window > to + 1) controller.abort();
        const missing: Promise<void>[] = [];
        for (let window = from; window <= to; window += 1) missing.push(this.load(window));
        void Promise.all(missing).then(() => {
            if (this.wanted[0] !== first || this.total === undefined) return;
            if (to * WINDOW + WINDOW < this.total) void this.load(to + 1);
            if (from > 0) void this.load(from - 1);
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
            const answer = this.ask(batch, window * WINDOW, WINDOW);
            await batch.send(controller.signal);
            if (generation !== this.generation) return;
            await this.take(answer);
            this.error = undefined;
            this.onchange(0);
        } catch (error) {
            if (controller.signal.aborted) return;
            this.error = error;
            this.onchange(0);
        } finally {
            if (this.loading.get(window) === controller) this.loading.delete(window);
        }
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
            else if (index < this.wanted[0] && id !== first) above += 1;
        }
        if (kept.length === this.ids.length) return;
        this.total = kept.length;
        this.ids = kept;
        this.generation += 1; // windows on their way are of the list before
        for (const controller of this.loading.values()) controller.abort();
        this.loading.clear();
        this.onchange(-above);
    }

    /** Adds to `batch` what renews the list around the rows on screen; the answer takes the result in, after the batch was sent. */
    addRefresh(batch: Batch): () => Promise<void> {
        const from = Math.max(0, Math.floor(this.wanted[0] / WINDOW) * WINDOW);
        const limit = Math.min(5 * WINDOW, Math.ceil((this.wanted[1] + 1 - from) / WINDOW) * WINDOW);
        const answer = this.ask(batch, from, Math.max(WINDOW, limit));
        const { generation } = this;
        return async () => {
            if (generation !== this.generation) return;
            const before = this.ids;
            const anchor = before.slice(this.wanted[0], this.wanted[1] + 1).find((id) => id !== undefined);
            this.generation += 1;
            for (const controller of this.loading.values()) controller.abort();
            this.loading.clear();
            // Windows that are not renewed now may have moved: they are loaded when they are seen again.
            this.ids = [];
            this.total = undefined;
            await this.take(answer);
            this.error = undefined;
            const now = anchor === undefined ? -1 : this.ids.indexOf(anchor);
            this.onchange(now < 0 ? 0 : now - before.indexOf(anchor));
        };
    }

    async refresh(): Promise<void> {
        const batch = this.store.client.batch();
        const take = this.addRefresh(batch);
        await batch.send();
        await take();
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
