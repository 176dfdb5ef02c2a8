import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isSafeAddress } from '../src/dom.ts';
import { displayName, initials, nameMisleads, shortName } from '../src/people.ts';
import { isMisleading } from '../src/reading/frame.ts';

test('addresses that run something are not addresses', () => {
    for (const address of ['javascript:alert(1)', ' java\nscript:alert(1)', 'vbscript:x', 'file:///etc/passwd']) assert.equal(isSafeAddress(address), false, address);
    for (const address of ['https://here/', '/assets/x', 'mailto:a@b', '#/m/1']) assert.equal(isSafeAddress(address), true, address);
});

test('a link that shows another host than its own misleads', () => {
    const link = (textContent: string, href: string) => isMisleading({ textContent, href });
    assert.equal(link('https://bank.example/login', 'https://evil.example/'), true);
    assert.equal(link('bank.example', 'https://bank.example.evil.example/'), true);
    assert.equal(link('www.bank.example', 'https://bank.example/'), false);
    assert.equal(link('our site', 'https://evil.example/'), false);
    assert.equal(link('write to office@bank.example', 'mailto:office@bank.example'), false);
});

test('names do not deceive', () => {
    assert.equal(displayName({ name: 'Ann\u202ea\u200b', email: 'a@b.example' }), 'Anna');
    assert.equal(displayName({ name: ' ', email: 'a@b.example' }), 'a@b.example');
    assert.equal(nameMisleads({ name: 'service@bank.example', email: 'x@evil.example' }), true);
    assert.equal(nameMisleads({ name: 'X@b.example', email: 'x@B.example' }), false);
    assert.equal(shortName({ name: 'Okafor, Mara', email: 'm@h.example' }), 'Mara');
    assert.equal(initials({ name: 'Mara Okafor', email: 'm@h.example' }), 'MO');
    assert.equal(initials({ name: '高橋 美咲', email: 'm@h.example' }), '高');
});
