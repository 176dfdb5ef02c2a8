import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DraftKeeper, type SaveState } from '../src/compose/drafts.ts';
import type { Client } from '../src/jmap.ts';

/** A server that keeps drafts, and can refuse or be slow. */
function server(): { client: Client; stored: Set<string>; log: string[]; refuse: { create: boolean; destroy: boolean }; slow: () => () => void } {
    const stored = new Set<string>();
    const log: string[] = [];
    const refuse = { create: false, destroy: false };
    let gate = Promise.resolve();
    let next = 0;
    const call = async (_: string, { create, destroy }: { create?: Record<string, unknown>; destroy?: string[] }): Promise<unknown> => {
        await gate;
        if (create) {
            if (refuse.create) return { notCreated: { draft: { type: 'overQuota' } } };
            const id = `D${(next += 1)}`;
            stored.add(id);
            log.push(`+${id}`);
            return { created: { draft: { id } } };
        }
        if (refuse.destroy) throw new Error('lost');
        for (const id of destroy ?? []) {
            stored.delete(id);
            log.push(`-${id}`);
        }
        return { destroyed: destroy };
    };
    const slow = (): (() => void) => {
        let open = (): void => undefined;
        gate = new Promise((resolve) => (open = resolve));
        return open;
    };
    return { client: { call } as unknown as Client, stored, log, refuse, slow };
}

function keeper(client: Client, text: { now: string }, draftId: string | null = null): { keeper: DraftKeeper; states: SaveState[] } {
    const states: SaveState[] = [];
    const made = new DraftKeeper(
        client,
        {
            email: async () => (text.now === '' ? null : { text: text.now }),
            fingerprint: () => text.now,
            state: (state) => states.push(state),
            stored: () => undefined,
        },
        draftId,
    );
    return { keeper: made, states };
}

test('a new version is stored before the old one goes, and there is one', async () => {
    const { client, stored, log } = server();
    const text = { now: '' };
    const { keeper: kept } = keeper(client, text);
    await kept.save();
    assert.deepEqual(log, []);
    text.now = 'a';
    await kept.save();
    text.now = 'ab';
    await kept.save();
    await kept.save();
    assert.deepEqual(log, ['+D1', '+D2', '-D1']);
    assert.deepEqual([...stored], ['D2']);
    assert.equal(kept.isDirty, false);
});

test('a version that is refused leaves the one before, and is tried again', async () => {
    const { client, stored, refuse } = server();
    const text = { now: '' };
    const { keeper: kept, states } = keeper(client, text);
    text.now = 'a';
    await kept.save();
    refuse.create = true;
    text.now = 'ab';
    await assert.rejects(kept.save());
    assert.deepEqual([...stored], ['D1']);
    assert.equal(states.at(-1), 'failed');
    assert.ok(kept.isDirty);
    refuse.create = false;
    await kept.save();
    assert.deepEqual([...stored], ['D2']);
    await kept.stop();
});

test('an old version that could not be removed goes with the next', async () => {
    const { client, stored, refuse } = server();
    const text = { now: '' };
    const { keeper: kept } = keeper(client, text);
    for (const [now, lost] of [['a', false], ['b', true], ['c', false]] as const) {
        refuse.destroy = lost;
        text.now = now;
        await kept.save();
    }
    assert.deepEqual([...stored], ['D3']);
});

test('what is typed while it is saved is saved next, one at a time', async () => {
    const { client, stored, log, slow } = server();
    const text = { now: '' };
    const { keeper: kept } = keeper(client, text);
    const open = slow();
    text.now = 'a';
    const first = kept.save();
    text.now = 'ab';
    const second = kept.save();
    open();
    await Promise.all([first, second]);
    assert.deepEqual(log, ['+D1', '+D2', '-D1']);
    assert.deepEqual([...stored], ['D2']);
    assert.equal(kept.isDirty, false);
    await kept.discard();
    assert.deepEqual([...stored], []);
});

test('after the end nothing is stored any more', async () => {
    const { client, stored } = server();
    const text = { now: '' };
    const { keeper: kept } = keeper(client, text, 'D0');
    stored.add('D0');
    text.now = 'late';
    kept.touch();
    await kept.stop();
    await kept.save();
    assert.deepEqual([...stored], ['D0']);
    const again = keeper(client, text, 'D0').keeper;
    await again.discard();
    assert.deepEqual([...stored], []);
});
