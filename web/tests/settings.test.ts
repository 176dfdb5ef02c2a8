import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { readCard, writeCard } from '../src/settings/card.ts';
import { instant, localDay } from '../src/settings/days.ts';
import { agentName } from '../src/settings/agent.ts';
import { qrCode } from '../src/settings/qr.ts';

test('a visiting card is read, and what the form does not know stays', () => {
    const text = 'BEGIN:VCARD\r\nVERSION:2.1\r\nN:Lee;Ann\r\nFN;CHARSET=UTF-8:Ann\\, the Lee\r\nitem1.TEL;TYPE=work:+49 30\r\n 1234\r\nNOTE:kept\r\nEND:VCARD';
    const card = readCard(text);
    assert.deepEqual(card, { name: 'Ann, the Lee', organisation: '', title: '', phone: '+49 301234', email: '', web: '' });
    const written = writeCard({ ...card, organisation: 'A; B', email: 'ann@x.example' }, text);
    assert.match(written, /^BEGIN:VCARD\nVERSION:3\.0\n/);
    assert.match(written, /\nNOTE:kept\n/);
    assert.match(written, /\nORG:A\\; B\n/);
    assert.deepEqual(readCard(written), { ...card, organisation: 'A; B', email: 'ann@x.example' });
});

test('a value cannot become a line of the card, and long lines are folded between characters', () => {
    const card = { name: 'x\nEMAIL:eve@x', organisation: 'ü'.repeat(100), title: '', phone: '', email: '', web: '' };
    const written = writeCard(card, '');
    assert.equal(written.split('\n').filter((line) => line.startsWith('EMAIL')).length, 0);
    for (const line of written.split('\n')) assert.ok(new TextEncoder().encode(line).length <= 75, line);
    assert.deepEqual(readCard(written), card);
    assert.equal(writeCard({ name: '', organisation: '', title: '', phone: '', email: '', web: '' }, written), '');
});

test('the last day of a vacation ends at its midnight, on the clock of the user', () => {
    for (const day of ['2026-12-24', '2026-03-29', '2026-10-25', '2028-02-29']) {
        assert.equal(localDay(instant(day, 0), 0), day);
        assert.equal(localDay(instant(day, 1), -1), day);
    }
    assert.match(instant('2026-12-24', 1) ?? '', /^2026-12-2\dT\d\d:\d\d:00Z$/);
    assert.equal(instant('', 1), null);
    assert.equal(instant('24.12.2026', 1), null);
    assert.equal(localDay(null, 0), '');
    assert.equal(localDay('nonsense', 0), '');
});

test('browsers by what they call themselves', () => {
    assert.equal(agentName('Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0'), 'Firefox, Linux');
    assert.equal(
        agentName('Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0 Safari/537.36 Edg/156.0'),
        'Edge, Windows',
    );
    assert.equal(agentName('Mozilla/5.0 (iPhone; CPU iPhone OS 19_1 like Mac OS X) AppleWebKit/605 Version/19.1 Mobile/15E148 Safari/604.1'), 'Safari, iOS');
    assert.equal(agentName('curl/8.5.0'), 'curl/8.5.0');
});

test('a QR code is the one of the standard, as another program makes it', () => {
    const drawn = (text: string): string => createHash('sha256').update((qrCode(text) ?? []).map((row) => row.map((dark) => (dark ? '1' : '0')).join('')).join('\n')).digest('hex').slice(0, 16);
    const url = 'otpauth://totp/example.test:alice?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=example.test&digits=6&period=30';
    // Of the same texts in byte mode, level M, python-qrcode 8 draws these modules: versions 1, 7, 13 and 19.
    assert.deepEqual(['a', url, 'x'.repeat(300), 'y'.repeat(600)].map(drawn), ['e8ab680854e4019c', '3c589159a3b2aa6f', 'a6c4c99a50e77d18', '2774d34f1fc35f25']);
    assert.equal(qrCode('z'.repeat(700)), null);
});
