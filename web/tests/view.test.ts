import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Store } from '../src/store.ts';
import { View, WINDOW } from '../src/view.ts';

/** A server with one list: its states are the lists themselves, and it tells what changed as ours does: whatever was touched is removed, and added where it is. */
class Server {
    list: string[] = [];
    private readonly before = new Map<string, { list: string[]; touchedLater: Set<string> }>();
    private number = 0;
    asked: string[] = [];

    get state(): string {
        return `s${this.number}`;
    }

    change(touched: readonly string[], list: string[]): void {
        this.before.set(this.state, { list: this.list, touchedLater: new Set() });
        for (const { touchedLater } of this.before.values()) for (const id of touched) touchedLater.add(id);
        this.number += 1;
        this.list = list;
    }

    answer(name: string, args: Record<string, unknown>): unknown {
        this.asked.push(name);
        if (name === 'Email/query') {
            const position = args['position'] as number;
            return { queryState: this.state, position, ids: this.list.slice(position, position + (args['limit'] as number)), total: this.list.length };
        }
        if (name === 'Email/queryChanges') {
            const since = args['sinceQueryState'] as string;
            const touched = this.before.get(since)?.touchedLater ?? new Set<string>();
            return { oldQueryState: since, newQueryState: this.state, total: this.list.length, removed: [...touched], added: this.list.flatMap((id, index) => (touched.has(id) ? [{ id, index }] : [])) };
        }
        return { list: [], state: this.state };
    }
}

function open(server: Server): View {
    const known = new Set<string>();
    const batch = (): unknown => {
        const calls: { name: string; args: Record<string, unknown>; resolve: (value: unknown) => void }[] = [];
        return {
            call: (name: string, args: Record<string, unknown>) => ({ result: new Promise((resolve) => calls.push({ name, args, resolve })), ref: () => ({}) }),
            send: async () => {
                await Promise.resolve();
                for (const { name, args, resolve } of calls) {
                    const answer = server.answer(name, args) as { ids?: string[]; added?: { id: string }[] };
                    for (const id of [...(answer.ids ?? []), ...(answer.added ?? []).map((one) => one.id)]) known.add(id);
                    resolve(answer);
                }
            },
        };
    };
    const store = {
        client: { batch },
        get state() {
            return server.state;
        },
        isSettled: true,
        takeRows: () => undefined,
        takeThreads: () => undefined,
        row: (id: string) => (known.has(id) ? { id } : undefined),
    };
    return new View(store as unknown as Store, { filter: null, sort: [], collapse: false, mailbox: undefined });
}

const settled = async (): Promise<void> => {
    for (let turn = 0; turn < 60; turn += 1) await Promise.resolve();
};

/** What a push does: the changes, or the window on screen again. */
async function renew(view: View, server: Server): Promise<boolean> {
    const batch = (view as unknown as { store: Store }).store.client.batch();
    const changes = view.askChanges(batch);
    await batch.send();
    const draw = changes && view.advance(await changes.result);
    if (draw) draw();
    else await view.refresh();
    await settled();
    return draw !== undefined;
}

/** Every id that the view knows is the one that the server has there. */
function isRight(view: View, server: Server, first: number, last: number): void {
    assert.equal(view.total, server.list.length);
    for (let index = 0; index < server.list.length; index += 1) {
        const id = view.id(index);
        if (id !== undefined) assert.equal(id, server.list[index], `row ${index}`);
        else assert.ok(index < first || index > last, `row ${index} is on screen and not known`);
    }
}

const ids = (count: number): string[] => Array.from({ length: count }, (_, index) => `e${index}`);

test('what is delivered comes to the list without reading it again, and rows on screen keep their place', async () => {
    const server = new Server();
    server.list = ids(1000);
    const view = open(server);
    view.show(0, 12);
    await settled();
    let shift = 0;
    view.onchange = (by) => (shift += by);
    server.asked = [];
    server.change(['new'], ['new', ...server.list]);
    assert.ok(await renew(view, server));
    isRight(view, server, 0, 12);
    assert.equal(shift, 1);
    assert.deepEqual(server.asked, ['Email/queryChanges']);
});

test('in the middle of the list: what comes above moves it, and where that cannot be told it is read again', async () => {
    const server = new Server();
    server.list = ids(1000);
    const view = open(server);
    view.show(500, 512);
    await settled();
    server.change(['new'], ['new', ...server.list]);
    assert.ok(await renew(view, server), 'all that was removed is known: nothing');
    isRight(view, server, 500, 512);
    // A row that was never seen goes: above or below, nobody knows.
    server.change(['e3'], server.list.filter((id) => id !== 'e3'));
    assert.ok(!(await renew(view, server)));
    isRight(view, server, 500, 512);
});

test('a window that is read later brings the others to its state', async () => {
    const server = new Server();
    server.list = ids(1000);
    const view = open(server);
    view.show(0, 12);
    await settled();
    server.change(['new'], ['new', ...server.list]);
    view.show(60, 72); // before anything was told of it
    await settled();
    isRight(view, server, 60, 72);
    view.show(0, 12);
    await settled();
    isRight(view, server, 0, 12);
    assert.equal(view.id(0), 'new');
});

test('whatever happens to a list, what is known of it is right', async () => {
    let state = 12345;
    const random = (below: number): number => {
        state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
        return (state >>> 8) % below;
    };
    let followed = 0;
    for (let round = 0; round < 150; round += 1) {
        const server = new Server();
        server.list = ids(random(4) === 0 ? random(30) : 60 + random(400));
        const view = open(server);
        const at = random(3) === 0 ? random(Math.max(1, server.list.length - 15)) : 0;
        view.show(at, at + 12);
        await settled();
        let fresh = 0;
        for (let step = 0; step < 8; step += 1) {
            const list = [...server.list];
            const touched: string[] = [];
            for (let times = 1 + random(3); times > 0; times -= 1) {
                const kind = random(5);
                const place = random(list.length + 1);
                if (kind === 0) list.splice(0, 0, ...[`r${round}n${(fresh += 1)}`].map((id) => (touched.push(id), id)));
                else if (kind === 1) list.splice(place, 0, ...[`r${round}n${(fresh += 1)}`].map((id) => (touched.push(id), id)));
                else if (kind === 2) touched.push(...list.splice(place, 1));
                else if (kind === 3) touched.push(...(list[place] ? [list[place] as string] : []), `elsewhere${random(5)}`);
                else {
                    const [moved] = list.splice(place, 1);
                    if (moved) {
                        list.splice(random(list.length + 1), 0, moved);
                        touched.push(moved);
                    }
                }
            }
            // The user's own deletion, told to the server before anything is asked.
            if (random(4) === 0) {
                const own = view.id(random(13) + at);
                if (own !== undefined && list.includes(own)) {
                    view.remove([own]);
                    list.splice(list.indexOf(own), 1);
                    touched.push(own);
                }
            }
            server.change(touched, list);
            if (random(3) === 0) {
                const to = random(Math.max(1, list.length));
                view.show(to, to + 12);
                await settled();
                view.show(at, at + 12);
                await settled();
            }
            if (await renew(view, server)) followed += 1;
            isRight(view, server, at, at + 12);
        }
    }
    assert.ok(followed > 600, `${followed} of 1200 were followed`);
    assert.ok(WINDOW < 100);
});
