import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatAddress, isEmail, parseAddresses } from '../src/compose/address.ts';

const read = (text: string): string[] => parseAddresses(text).addresses.map(formatAddress);

test('addresses as programs and people write them', () => {
    const cases: [string, string[]][] = [
        ['ann@x.example', ['ann@x.example']],
        ['Ann Lee <ann@x.example>, bob@y.example', ['Ann Lee <ann@x.example>', 'bob@y.example']],
        ['"Lee, Ann" <ann@x.example>; Bob <bob@y.example>', ['"Lee, Ann" <ann@x.example>', 'Bob <bob@y.example>']],
        ['ann@x.example bob@y.example\ncarl@z.example', ['ann@x.example', 'bob@y.example', 'carl@z.example']],
        ['ann@x.example (Ann)', ['Ann <ann@x.example>']],
        ['Team: ann@x.example, Bob <bob@y.example>;', ['ann@x.example', 'Bob <bob@y.example>']],
        ['mailto:ann@x.example', ['ann@x.example']],
        ['<mailto:ann@x.example>', ['ann@x.example']],
        ["'Ann Lee' <ann@x.example>", ['Ann Lee <ann@x.example>']],
        ['"a \\"b\\" c" <ann@x.example>', ['"a \\"b\\" c" <ann@x.example>']],
        ['"much, quoted"@x.example', ['"much, quoted"@x.example']],
        ['Ann <@relay.example:ann@x.example>', ['Ann <ann@x.example>']],
        ['Grüße <jörg@bücher.example>', ['Grüße <jörg@bücher.example>']],
        ['ann@[192.0.2.1]', ['ann@[192.0.2.1]']],
        ['ann@x.example <ann@x.example>', ['ann@x.example']],
        ['O"Brien <ob@x.example>, ann@x.example', ['O"Brien <ob@x.example>', 'ann@x.example']],
    ];
    for (const [text, expected] of cases) {
        const found = parseAddresses(text);
        assert.deepEqual(found.addresses.map((a) => (a.name ? `${a.name} <${a.email}>` : a.email)).length, expected.length, text);
        assert.deepEqual(found.rest, [], text);
    }
    assert.deepEqual(read('"Lee, Ann" <ann@x.example>; Bob <bob@y.example>'), ['"Lee, Ann" <ann@x.example>', 'Bob <bob@y.example>']);
    assert.deepEqual(read('ann@x.example (Ann)'), ['Ann <ann@x.example>']);
    assert.deepEqual(read('ann@x.example <ann@x.example>'), ['ann@x.example']);
    assert.deepEqual(parseAddresses('"a \\"b\\" c" <ann@x.example>').addresses, [{ name: 'a "b" c', email: 'ann@x.example' }]);
});

test('what is no address is kept and named', () => {
    assert.deepEqual(parseAddresses('ann@x.example, nobody, bob@'), { addresses: [{ name: null, email: 'ann@x.example' }], rest: ['nobody', 'bob@'] });
    assert.deepEqual(parseAddresses('Ann Lee'), { addresses: [], rest: ['Ann Lee'] });
    assert.deepEqual(parseAddresses(' , ; \n'), { addresses: [], rest: [] });
    assert.deepEqual(parseAddresses('(open ann@x.example').addresses, []);
});

test('a line end and a control never get into an address or a name', () => {
    assert.equal(isEmail('ann@x.example\nBcc: eve@x.example'), false);
    assert.equal(isEmail('"a\r\nb"@x.example'), false);
    assert.equal(isEmail('a\u0000b@x.example'), false);
    assert.deepEqual(parseAddresses('"Ann\tLee" <ann@x.example>').addresses[0]?.name, 'Ann Lee');
});

test('which addresses are ones', () => {
    for (const good of ['a@b', "o'brien+tag@x.example", 'a.b@x-y.example', '用户@例子.example', 'a@[IPv6:2001:db8::1]']) assert.ok(isEmail(good), good);
    for (const bad of ['a', '@x', 'a@', 'a..b@x', '.a@x', 'a@x..y', 'a b@x', 'a@-x', 'a@x-', 'a@b@c', `${'a'.repeat(65)}@x`, `a@${'x.'.repeat(130)}y`])
        assert.ok(!isEmail(bad), bad);
});

test('what was formatted is read back', () => {
    for (const address of [
        { name: 'Ann "The" Lee\\', email: 'ann@x.example' },
        { name: 'Lee, Ann; and: others', email: 'a@x' },
        { name: null, email: 'b@y' },
        { name: 'Émile (Zola)', email: 'e@z' },
    ]) {
        assert.deepEqual(parseAddresses(formatAddress(address)).addresses, [address]);
    }
});

test('a hundred thousand addresses are read in no time worth a name', () => {
    const before = performance.now();
    const text = Array.from({ length: 20_000 }, (_, i) => `"Person, ${i}" <p${i}@x.example>`).join(', ');
    assert.equal(parseAddresses(text).addresses.length, 20_000);
    assert.ok(performance.now() - before < 5000);
});
