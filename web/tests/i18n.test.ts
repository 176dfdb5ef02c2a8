import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accented, chooseLanguage, formatMessage } from '../src/i18n.ts';
import ar from '../src/locales/app.ar.ts';
import de from '../src/locales/app.de.ts';
import en from '../src/locales/app.en.ts';
import fr from '../src/locales/app.fr.ts';
import ja from '../src/locales/app.ja.ts';
import { SIGN_IN_TEXTS } from '../src/locales/signin.ts';

test('a plural follows the rules of the language', () => {
    const text = '{count, plural, zero {none} one {single} two {pair} few {# few} many {# many} other {# other}}';
    assert.equal(formatMessage(text, { count: 2 }, 'ar'), 'pair');
    assert.match(formatMessage(text, { count: 5 }, 'ar'), /few$/);
    assert.match(formatMessage(text, { count: 11 }, 'ar'), /many$/);
    assert.equal(formatMessage(text, { count: 2 }, 'en'), '2 other');
    assert.equal(formatMessage(text, { count: 0 }, 'fr'), 'single'); // zero is singular in French
});

test('an exact number comes before the category', () => {
    assert.equal(formatMessage('{n, plural, =0 {nothing} one {#} other {#}}', { n: 0 }, 'en'), 'nothing');
});

test('arguments are text, whatever is in them', () => {
    assert.equal(formatMessage('To {name}', { name: '{x} # <b>' }, 'en'), 'To {x} # <b>');
    assert.equal(formatMessage('{n} of {total}', { n: 1000, total: 12345 }, 'de'), '1.000 of 12.345');
});

test('every language has every message, with the arguments that English has', () => {
    const args = (text: string): string[] => [...new Set([...text.matchAll(/\{(\w+)(?:,|\})/g)].map(([, name]) => name ?? ''))].sort();
    for (const [name, messages] of Object.entries({ de, fr, ja, ar })) {
        for (const [key, text] of Object.entries(en)) {
            const other: string | undefined = (messages as Record<string, string>)[key];
            assert.ok(other, `${name}: ${key} is missing`);
            assert.deepEqual(args(other), args(text), `${name}: ${key}`);
        }
    }
});

test('Arabic plurals have all six categories', () => {
    const all = [...Object.values(ar), ...Object.values(SIGN_IN_TEXTS).map((texts) => texts[4])];
    for (const text of all.filter((one) => one.includes(', plural,'))) for (const category of ['one', 'two', 'few', 'other']) assert.ok(text.includes(`${category} {`), text);
});

test('the pseudo-locale leaves arguments and selectors alone', () => {
    const text = accented('Move {count, plural, one {the message} other {# messages}} to {name}');
    assert.ok(text.startsWith('[') && text.includes('~'));
    assert.equal(formatMessage(text, { count: 2, name: 'X' }, 'en').includes('2 ɱéššáǵéš'), true);
});

test('the language is the first that we speak', () => {
    assert.equal(chooseLanguage(['nl', 'de-AT', 'fr']), 'de');
    assert.equal(chooseLanguage(['xx']), 'en');
    assert.equal(chooseLanguage(['en-XA']), 'en-XA');
    assert.equal(chooseLanguage(['ar-XB']), 'ar-XB');
    assert.equal(chooseLanguage(['ar-EG']), 'ar');
    assert.equal(formatMessage('{count, plural, one {# day} other {# days}}', { count: 2 }, 'ar-XB'), '2 days');
});
