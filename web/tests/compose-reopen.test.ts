import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OPEN_DRAFTS, lostWindows } from '../src/compose/reopen.ts';

/** What a browser keeps; `held` are the names of the locks of tabs that live. */
function browser(notes: Record<string, object>, held: readonly string[]): Map<string, string> {
    const kept = new Map([[OPEN_DRAFTS, JSON.stringify(notes)]]);
    const storage = {
        getItem: (name: string) => kept.get(name) ?? null,
        setItem: (name: string, value: string) => void kept.set(name, value),
        removeItem: (name: string) => void kept.delete(name),
    };
    const locks = { request: async (name: string, _: object, run: (lock: object | null) => unknown) => run(held.includes(name) ? null : {}) };
    for (const [name, value] of Object.entries({ localStorage: storage, sessionStorage: storage, navigator: { locks } })) {
        Object.defineProperty(globalThis, name, { value, configurable: true });
    }
    return kept;
}

const note = (account: string, draftId: string) => ({ account, draftId, draft: `of${draftId}`, tab: 't' });

test('drafts of an account whose tab is gone are given once; notes of accounts that the session lacks are forgotten', async () => {
    const kept = browser({ a: note('ann', 'D1'), b: note('ann', 'D2'), c: note('bob', 'D3'), d: note('gone', 'D4') }, ['mailboat-draft-b']);
    assert.deepEqual([...(await lostWindows('ann', ['ann', 'bob']))], [['D1', 'ofD1']]);
    assert.deepEqual(Object.keys(JSON.parse(kept.get(OPEN_DRAFTS) ?? '')), ['b', 'c']);
    assert.deepEqual([...(await lostWindows('ann', ['ann', 'bob']))], []);
});

test('when the last note is forgotten there is nothing to load compose for', async () => {
    const kept = browser({ d: note('gone', 'D4') }, []);
    assert.deepEqual([...(await lostWindows('ann', ['ann']))], []);
    assert.equal(kept.has(OPEN_DRAFTS), false);
});
