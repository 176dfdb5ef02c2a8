import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, JmapError, type SignIn } from '../src/jmap.ts';
import { opposite, patchOf, Store } from '../src/store.ts';
import type { EmailRow, Mailbox } from '../src/types.ts';

const SIGN_IN: SignIn = { uid: 'anna', name: 'Anna', token: 't1' };
const SESSION = {
    capabilities: { 'urn:ietf:params:jmap:core': { maxObjectsInSet: 2, maxCallsInRequest: 16 }, 'urn:ietf:params:jmap:mail': {} },
    primaryAccounts: { 'urn:ietf:params:jmap:mail': 'anna' },
    accounts: {},
    username: 'anna@example.com',
    apiUrl: '/jmap/api',
};
type Handler = (name: string, args: Record<string, any>) => unknown;

/** A client whose fetch is answered by `handler`, one call of a request after another; `requests` are the bodies sent. */
async function client(handler: Handler, statuses: number[] = [], renew: () => Promise<SignIn> = () => Promise.reject(new Error('no'))) {
    const requests: { methodCalls: [string, Record<string, any>, string][]; token: string | null }[] = [];
    globalThis.fetch = (async (url: string, init: RequestInit = {}) => {
        if (url === '/jmap/session') return Response.json(SESSION);
        if (url === '/auth/session') return new Response('{}', { status: 401 });
        const body = JSON.parse(String(init.body));
        requests.push({ ...body, token: new Headers(init.headers).get('X-Mailboat-Token') });
        const status = statuses.shift() ?? 200;
        if (status !== 200) return new Response(JSON.stringify({ type: 'about:blank' }), { status });
        const methodResponses = body.methodCalls.map(([name, args, id]: [string, Record<string, any>, string]) => {
            const answer = handler(name, args);
            return answer instanceof Error ? ['error', { type: answer.message }, id] : [name, answer, id];
        });
        return Response.json({ methodResponses });
    }) as typeof fetch;
    const made = new Client(SIGN_IN, renew);
    await made.start();
    return { client: made, requests };
}

const inbox = (): Mailbox => ({ id: 'in', name: 'INBOX', role: 'inbox', parentId: null, totalEmails: 3, unreadEmails: 2 }) as Mailbox;
const trash = (): Mailbox => ({ id: 'bin', name: 'Trash', role: 'trash', parentId: null, totalEmails: 0, unreadEmails: 0 }) as Mailbox;
const row = (id: string, seen: boolean): EmailRow => ({ id, threadId: `t${id}`, mailboxIds: { in: true }, keywords: seen ? { $seen: true } : {}, from: null, to: null, subject: id, preview: '', receivedAt: '2026-01-01T00:00:00Z', size: 1, hasAttachment: false });

async function filledStore(handler: Handler) {
    const { client: made, requests } = await client((name, args) => (name === 'Mailbox/get' ? { state: '1', list: [inbox(), trash()], notFound: [] } : handler(name, args)));
    const store = new Store(made);
    await store.load();
    store.takeRows({ accountId: 'anna', state: '1', list: [row('a', false), row('b', false), row('c', true)], notFound: [] });
    requests.length = 0;
    return { store, requests };
}

test('calls of one turn travel in one request, in order', async () => {
    const { client: made, requests } = await client((name) => ({ name }));
    const answers = await Promise.all([made.call<{ name: string }>('A/get', {}), made.call<{ name: string }>('B/get', {})]);
    assert.deepEqual(answers.map((one) => one.name), ['A/get', 'B/get']);
    assert.equal(requests.length, 1);
    assert.deepEqual(requests[0]?.methodCalls.map(([name, args]) => [name, args['accountId']]), [['A/get', 'anna'], ['B/get', 'anna']]);
});

test('a method that fails fails alone', async () => {
    const { client: made } = await client((name) => (name === 'A/get' ? new Error('unknownMethod') : { name }));
    const batch = made.batch();
    const first = batch.call('A/get', {});
    const second = batch.call<{ name: string }>('B/get', {});
    await batch.send();
    await assert.rejects(first.result, (error: JmapError) => error.kind === 'method' && error.type === 'unknownMethod');
    assert.equal((await second.result).name, 'B/get');
});

test('when the session has ended the user is asked once, and the requests are sent again with the new token', async () => {
    let asked = 0;
    const { client: made, requests } = await client((name) => ({ name }), [401, 401], async () => {
        asked += 1;
        return { ...SIGN_IN, token: 't2' };
    });
    const first = made.call('A/get', {});
    await Promise.resolve();
    const second = made.call('B/get', {});
    await Promise.all([first, second]);
    assert.equal(asked, 1);
    assert.deepEqual(requests.map((one) => one.token), ['t1', 't1', 't2', 't2']);
});

test('a change shows at once, counts too, and stays when the server takes it', async () => {
    const { store } = await filledStore(() => ({ oldState: '1', newState: '2', updated: {} }));
    const done = store.change(['a'], { keywords: { $seen: true } });
    assert.equal(store.row('a')?.keywords['$seen'], true);
    assert.equal(store.mailboxes.get('in')?.unreadEmails, 1);
    await done;
    assert.equal(store.row('a')?.keywords['$seen'], true);
});

test('a change that the server refuses is taken back', async () => {
    const { store } = await filledStore(() => ({ oldState: '1', newState: '1', notUpdated: { a: { type: 'overQuota' } } }));
    await assert.rejects(store.change(['a'], { mailboxes: { in: false, bin: true } }), (error: JmapError) => error.kind === 'set' && error.type === 'overQuota');
    assert.deepEqual(store.row('a')?.mailboxIds, { in: true });
    assert.equal(store.mailboxes.get('in')?.totalEmails, 3);
    assert.equal(store.mailboxes.get('bin')?.totalEmails, 0);
});

test('undo brings each message back to what it was', async () => {
    const { store, requests } = await filledStore(() => ({ oldState: '1', newState: '2', updated: {} }));
    const undo = await store.change(['a', 'c'], { keywords: { $seen: true }, mailboxes: { in: false, bin: true } });
    await undo();
    assert.deepEqual(store.row('a')?.keywords, {});
    assert.deepEqual(store.row('c')?.keywords, { $seen: true });
    assert.deepEqual(store.row('a')?.mailboxIds, { in: true });
    assert.equal(store.mailboxes.get('in')?.unreadEmails, 2);
    assert.ok(requests.some((one) => one.methodCalls.some(([, args]) => args['update']?.a?.['keywords/$seen'] === null)));
});

test('many messages go in pieces that the server takes', async () => {
    const { store, requests } = await filledStore(() => ({ oldState: '1', newState: '2', updated: {} }));
    const done: number[] = [];
    await store.change(['a', 'b', 'c'], { keywords: { $flagged: true } }, (count) => done.push(count));
    assert.deepEqual(requests.map((one) => Object.keys(one.methodCalls[0]?.[1]['update'])), [['a', 'b'], ['c']]);
    assert.deepEqual(done, [2, 3]);
});

test('a window is one request with references; rows that left are gone from the list at once', async () => {
    const ids = Array.from({ length: 250 }, (_, at) => `e${at}`);
    let position = -1;
    const { store, requests } = await filledStore((name, args) => {
        if (name === 'Email/query') {
            position = args['position'];
            return { queryState: '1', position, total: ids.length, ids: ids.slice(position, position + 50) };
        }
        if (name === 'Email/get') return { state: '1', notFound: [], list: ids.slice(position, position + 50).map((id) => row(id, true)) };
        return { oldState: '1', newState: '2', updated: {} };
    });
    const view = store.view({ filter: { inMailbox: 'in' }, sort: [], collapse: false, mailbox: 'in' });
    store.active = view;
    await new Promise<void>((resolve) => {
        view.onchange = () => resolve();
        view.show(150, 160);
    });
    assert.equal(requests.length, 1);
    assert.deepEqual(requests[0]?.methodCalls.map(([name]) => name), ['Email/query', 'Email/get']);
    assert.deepEqual(requests[0]?.methodCalls[1]?.[1]['#ids'], { resultOf: 'c0', name: 'Email/query', path: '/ids' });
    assert.equal(requests[0]?.methodCalls[0]?.[1]['position'], 150);
    assert.equal(view.total, 250);
    assert.equal(view.id(150), 'e150');
    view.remove(['e150']);
    assert.equal(view.total, 249);
    assert.equal(view.id(150), 'e151');
});

test('patches escape what a pointer would read', () => {
    assert.deepEqual(patchOf({ keywords: { 'a/b~c': true, $seen: false } }), { 'keywords/a~1b~0c': true, 'keywords/$seen': null });
});

test('the opposite of a change to a message that is not known is the change turned round', () => {
    assert.deepEqual(opposite({ mailboxes: { x: true, y: false } }, undefined), { mailboxes: { x: false, y: true } });
});
