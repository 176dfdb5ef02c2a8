import assert from 'node:assert/strict';
import { webcrypto } from 'node:crypto';
import { test } from 'node:test';
import { type Attempt, SendError, attemptAt, send } from '../src/compose/outbox.ts';
import { type Client, JmapError, type SetError } from '../src/jmap.ts';

// A browser has it; node 18 not by itself.
if (!('crypto' in globalThis)) Object.defineProperty(globalThis, 'crypto', { value: webcrypto });

interface Call {
    name: string;
    args: Record<string, unknown>;
}

/** A server that makes emails and takes submissions; what happens to the next batch is set by a test. */
function server(): { client: Client; emails: Map<string, string>; submitted: string[]; next: { refuse: SetError | null; lose: boolean; unreached: boolean } } {
    const emails = new Map<string, string>(); // by id, the Message-ID
    const submitted: string[] = [];
    const next = { refuse: null as SetError | null, lose: false, unreached: false };
    const run = ({ name, args }: Call, made: string[]): unknown => {
        const create = args['create'] as Record<string, Record<string, unknown>> | undefined;
        if (name === 'Email/query') {
            const [condition] = (args['filter'] as { conditions: { header: string[] }[] }).conditions;
            return { ids: [...emails].filter(([, messageId]) => messageId === condition?.header[1]).map(([id]) => id) };
        }
        if (name === 'EmailSubmission/set') {
            const asked = create?.['submission']?.['emailId'] as string;
            if (next.refuse) return { notCreated: { submission: next.refuse } };
            submitted.push(asked === '#message' ? (made[0] ?? '') : asked);
            return { created: { submission: { id: `S${submitted.length}` } } };
        }
        for (const id of (args['destroy'] as string[] | undefined) ?? []) emails.delete(id);
        if (!create) return { destroyed: args['destroy'] };
        const id = `M${emails.size + 1}`;
        emails.set(id, (create['message']?.['messageId'] as string[])[0] ?? '');
        made.push(id);
        return { created: { message: { id } } };
    };
    const lost = (): JmapError => new JmapError('network', 'unreachable');
    const batch = (): unknown => {
        const calls: (Call & { resolve: (value: unknown) => void })[] = [];
        const call = (name: string, args: Record<string, unknown>): unknown => ({
            result: new Promise((resolve) => calls.push({ name, args, resolve })),
        });
        const go = async (): Promise<void> => {
            if (next.unreached) throw lost();
            const made: string[] = [];
            const answers = calls.map((one) => run(one, made));
            if (next.lose) throw lost();
            calls.forEach((one, at) => one.resolve(answers[at]));
        };
        return { call, send: go };
    };
    const session = { accounts: { a: { accountCapabilities: {} } } };
    const call = async (name: string, args: Record<string, unknown>): Promise<unknown> => run({ name, args }, []);
    return { client: { accountId: 'a', session, batch, call } as unknown as Client, emails, submitted, next };
}

function press(client: Client, attempt: Attempt): Promise<unknown> {
    const sending = { email: { subject: 'x' }, attempt, identityId: 'I', from: 'a@x.test', to: [{ name: null, email: 'b@x.test' }] };
    return send(client, { ...sending, draftsId: 'D', sentId: 'T', hold: 0 });
}

test('an answer that was lost is asked for again with the same email', async () => {
    const { client, emails, submitted, next } = server();
    let attempt = attemptAt('text', 'a@x.test', null);
    assert.match(attempt.messageId, /^[a-z0-9]{10,}@x\.test$/);
    next.lose = true;
    await assert.rejects(press(client, attempt), (error) => error instanceof SendError && !error.isRefusal);
    next.lose = false;
    attempt = attemptAt('text', 'a@x.test', attempt);
    await press(client, attempt);
    assert.equal(emails.size, 1);
    assert.deepEqual(submitted, ['M1', 'M1'], 'by the same email the server knows that it has it');
    assert.notEqual(attemptAt('text', 'a@x.test', attempt).messageId, attempt.messageId, 'what was sent is over');
});

test('a server that breaks off leaves the email, and what was not reached makes it', async () => {
    const { client, emails, submitted, next } = server();
    const attempt = attemptAt('text', 'a@x.test', null);
    next.unreached = true;
    await assert.rejects(press(client, attempt));
    assert.equal(emails.size, 0);
    next.unreached = false;
    next.refuse = { type: 'serverUnavailable', description: 'The mail server broke off; try again' };
    await assert.rejects(press(client, attempt));
    assert.deepEqual([...emails.keys()], ['M1'], 'it may have been sent: the email is the key to know it by');
    next.refuse = { type: 'forbiddenToSend', description: 'It is not known whether an earlier attempt was completed' };
    await assert.rejects(press(client, attempt));
    assert.deepEqual([...emails.keys()], ['M1'], 'nor is it thrown away by what is said of the next attempt');
    next.refuse = null;
    await press(client, attempt);
    assert.deepEqual(submitted, ['M1']);
    assert.equal(emails.size, 1);
});

test('a refusal leaves no second copy, and another text is another message', async () => {
    const { client, emails, next } = server();
    const attempt = attemptAt('text', 'a@x.test', null);
    next.refuse = { type: 'noRecipients' };
    await assert.rejects(press(client, attempt), (error) => error instanceof SendError && error.isRefusal && error.field === 'to');
    assert.equal(emails.size, 0);
    assert.notEqual(attemptAt('text', 'a@x.test', attempt), attempt);
    const open: Attempt = { ...attempt, isOpen: true };
    assert.equal(attemptAt('text', 'a@x.test', open), open);
    assert.notEqual(attemptAt('other', 'a@x.test', open).messageId, open.messageId);
});
