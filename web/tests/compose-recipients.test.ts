import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAddresses } from '../src/compose/address.ts';
import { type Kind, type Source, addressedAs, listAddress, recipients, subjectFor, thread } from '../src/compose/recipients.ts';

const list = (text: string): Source['to'] => parseAddresses(text).addresses;
const source = (
    fields: Partial<Record<'from' | 'replyTo' | 'to' | 'cc' | 'followupTo', string>> &
        Partial<Pick<Source, 'listPost' | 'messageId' | 'inReplyTo' | 'references'>>,
): Source => ({
    from: list(fields.from ?? ''),
    replyTo: list(fields.replyTo ?? ''),
    to: list(fields.to ?? ''),
    cc: list(fields.cc ?? ''),
    followupTo: list(fields.followupTo ?? ''),
    listPost: fields.listPost ?? null,
    subject: '',
    messageId: fields.messageId ?? [],
    inReplyTo: fields.inReplyTo ?? [],
    references: fields.references ?? [],
});
const own = new Set(['me@x.example', 'alias@x.example']);
const answer = (kind: Kind, of: Source): string => {
    const { to, cc } = recipients(kind, of, own);
    return `${to.map((a) => a.email).join(' ')} | ${cc.map((a) => a.email).join(' ')}`;
};

test('a reply goes to the author, or where the author wants it', () => {
    assert.equal(answer('reply', source({ from: 'ann@x', to: 'me@x.example' })), 'ann@x | ');
    assert.equal(answer('reply', source({ from: 'ann@x', replyTo: 'office@x, desk@x', to: 'me@x.example' })), 'office@x desk@x | ');
});

test('a reply to what one wrote goes on to those it went to', () => {
    assert.equal(answer('reply', source({ from: 'ME@x.example', to: 'bob@x' })), 'bob@x | ');
    assert.equal(answer('reply', source({ from: 'me@x.example', to: 'me@x.example' })), 'me@x.example | ');
    assert.equal(answer('replyAll', source({ from: 'me@x.example', to: 'bob@x', cc: 'cy@x, alias@x.example' })), 'bob@x | cy@x');
});

test('reply all leaves out own addresses and doubles', () => {
    assert.equal(
        answer('replyAll', source({ from: 'ann@x', to: 'Me <me@X.example>, bob@x, ann@x', cc: 'Bob <BOB@x>, cy@x, alias@x.example' })),
        'ann@x bob@x | cy@x',
    );
    assert.equal(answer('replyAll', source({ from: 'ann@x', replyTo: 'office@x', to: 'me@x.example' })), 'office@x | ');
    assert.equal(answer('replyAll', source({ from: 'me@x.example', to: 'me@x.example', cc: 'cy@x' })), 'cy@x | ');
});

test('Mail-Followup-To is obeyed by an answer to all, not by one to the author', () => {
    const mail = source({ from: 'ann@x', to: 'list@x, me@x.example', cc: 'cy@x', followupTo: 'list@x, me@x.example' });
    assert.equal(answer('replyAll', mail), 'list@x | ');
    assert.equal(answer('reply', mail), 'ann@x | ');
    assert.equal(answer('replyAll', source({ from: 'ann@x', followupTo: 'me@x.example' })), 'ann@x | ');
});

test('an answer to the list goes to List-Post', () => {
    assert.equal(
        answer('replyList', source({ from: 'ann@x', replyTo: 'ann@x', to: 'list@x', listPost: '<mailto:list@lists.x?subject=y>, <https://lists.x>' })),
        'list@lists.x | ',
    );
    assert.equal(listAddress('NO (posting not allowed)'), null);
    assert.equal(listAddress('<mailto:a%2Bb@lists.x>')?.email, 'a+b@lists.x');
    assert.equal(listAddress('<mailto:%0d%0aBcc:eve@x>'), null);
    assert.equal(listAddress('<mailto:%>'), null);
    assert.equal(listAddress(null), null);
});

test('one prefix, however many there were', () => {
    for (const [subject, expected] of [
        ['Hello', 'Re: Hello'],
        ['Re: Hello', 'Re: Hello'],
        ['RE: AW: Re[3]: Hello', 'Re: Hello'],
        ['回复：你好', 'Re: 你好'],
        ['Re : Hello', 'Re: Hello'],
        ['Rescue: Hello', 'Re: Rescue: Hello'],
        ['Re: Fwd: Hello', 'Re: Fwd: Hello'],
        ['', 'Re: '],
    ] as const)
        assert.equal(subjectFor('replyAll', subject), expected);
    assert.equal(subjectFor('forward', 'WG: Fw: Hello'), 'Fwd: Hello');
    assert.equal(subjectFor('forward', 'Re: Hello'), 'Fwd: Re: Hello');
    assert.equal(subjectFor('draft', 'Re: Re: Hello'), 'Re: Re: Hello');
});

test('References as RFC 5322 section 3.6.4 makes them', () => {
    assert.deepEqual(thread(source({ messageId: ['c'], references: ['a', 'b'], inReplyTo: ['b'] })), { inReplyTo: ['c'], references: ['a', 'b', 'c'] });
    assert.deepEqual(thread(source({ messageId: ['c'], inReplyTo: ['b'] })), { inReplyTo: ['c'], references: ['b', 'c'] });
    assert.deepEqual(thread(source({ messageId: ['c'], inReplyTo: ['a', 'b'] })), { inReplyTo: ['c'], references: ['c'] });
    assert.deepEqual(thread(source({ references: ['a'] })), { inReplyTo: null, references: ['a'] });
    assert.deepEqual(thread(source({})), { inReplyTo: null, references: null });
    const long = thread(source({ messageId: ['z'], references: Array.from({ length: 200 }, (_, i) => `m${i}`) })).references ?? [];
    assert.equal(long.length, 50);
    assert.deepEqual([long[0], long[1], long[49]], ['m0', 'm152', 'z']);
});

test('the identity that was written to answers', () => {
    const identities = [{ email: 'me@x.example' }, { email: 'Alias@x.example' }];
    assert.equal(addressedAs(source({ to: 'alias@x.example', cc: 'me@x.example' }), identities)?.email, 'Alias@x.example');
    assert.equal(addressedAs(source({ to: 'list@x' }), identities), null);
});
