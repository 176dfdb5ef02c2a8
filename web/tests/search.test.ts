import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseSearch } from '../src/search.ts';
import type { Mailbox } from '../src/types.ts';

const mailbox = (id: string, name: string, role: Mailbox['role'] = null): Mailbox => ({ id, name, role }) as Mailbox;
const MAILBOXES = [mailbox('m1', 'INBOX', 'inbox'), mailbox('m2', 'Archive', 'archive'), mailbox('m3', 'Harbour renewal')];
const NOW = new Date('2026-06-15T12:00:00Z');
const search = (text: string) => parseSearch(text, MAILBOXES, NOW);

test('words are looked for anywhere, all of them', () => {
    assert.deepEqual(search('north pier').filter, { operator: 'AND', conditions: [{ text: 'north' }, { text: 'pier' }] });
});

test('a phrase keeps its quotes, a single quoted word does not', () => {
    assert.deepEqual(search('"north pier"').filter, { text: '"north pier"' });
    assert.deepEqual(search('"north"').filter, { text: 'north' });
    assert.deepEqual(search('"never closed').filter, { text: '"never closed"' });
});

test('operators become conditions of their own', () => {
    assert.deepEqual(search('from:mara').filter, { from: 'mara' });
    assert.deepEqual(search('SUBJECT:"north pier"').filter, { subject: 'north pier' });
    assert.deepEqual(search('has:attachment is:unread').filter, { operator: 'AND', conditions: [{ hasAttachment: true }, { notKeyword: '$seen' }] });
    assert.deepEqual(search('larger:5M').filter, { minSize: 5 * 1024 * 1024 });
    assert.deepEqual(search('smaller:1.5k').filter, { maxSize: 1536 });
});

test('a minus turns a term round', () => {
    assert.deepEqual(search('-subject:weekly').filter, { operator: 'NOT', conditions: [{ subject: 'weekly' }] });
});

test('dates are days of the calendar, months, years, or days back', () => {
    assert.deepEqual(search('before:2026-01-02').filter, { before: new Date(2026, 0, 2).toISOString() });
    assert.deepEqual(search('after:2025').filter, { after: new Date(2025, 0, 1).toISOString() });
    assert.deepEqual(search('after:7d').filter, { after: '2026-06-08T12:00:00.000Z' });
});

test('what cannot be understood is named, and the rest is searched', () => {
    const { filter, wrong } = search('before:2026-02-31 pier is:nothing larger:much in:nowhere');
    assert.deepEqual(wrong, ['before:2026-02-31', 'is:nothing', 'larger:much', 'in:nowhere']);
    assert.deepEqual(filter, { text: 'pier' });
});

test('a mailbox is found by name, by role, and by how it begins', () => {
    assert.equal(search('in:archive').mailbox, 'm2');
    assert.equal(search('in:inbox').mailbox, 'm1');
    assert.equal(search('in:"harbour renewal" pier').mailbox, 'm3');
    assert.equal(search('in:harb').mailbox, 'm3');
});

test('text with a colon that is no operator is text', () => {
    assert.deepEqual(search('Re:').filter, { text: 'Re:' });
    assert.deepEqual(search('http://here/').filter, { text: 'http://here/' });
});

test('nothing to search for is no filter', () => {
    assert.equal(search('   ').filter, undefined);
    assert.equal(search('from:').filter, undefined);
});
