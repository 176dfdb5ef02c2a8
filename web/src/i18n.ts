// Texts in the user's language. Each part of the web mail has a catalogue of its own, one chunk for each language, so that nobody
// loads what is not shown. A message is text with {name} and {count, plural, one {# message} other {# messages}}; the plural
// categories are those of Intl.PluralRules, `=0` and the like name an exact number.

export const LANGUAGES = { en: 'English', de: 'Deutsch', fr: 'Français', ja: '日本語', ar: 'العربية' } as const;
export type Language = keyof typeof LANGUAGES;
/** The pseudo-locale: English with accents, longer by two fifths and in brackets. What is not in a catalogue, or is cut off, shows. */
export const PSEUDO = 'en-XA';
/** The other pseudo-locale: English as it is, from right to left. What leans on the wrong side shows, and whoever tests can read it. */
export const MIRRORED = 'ar-XB';

export type Args = Readonly<Record<string, string | number>>;
export type Messages<K extends string> = Readonly<Record<K, string>>;
export interface Catalogue<K extends string> {
    (key: K, args?: Args): string;
    /** Loads the messages of the current language; to be awaited before the first use, and again after setLanguage. */
    load(): Promise<void>;
}
type Loaders<K extends string> = Readonly<Record<Language, () => Promise<{ default: Messages<K> }>>>;

let tag: string = 'en';
const catalogues: { load(): Promise<void> }[] = [];

const isPseudo = (one: string): boolean => one === PSEUDO || one === MIRRORED;
/** The language whose words, plurals and digits stand for this one. */
const inWords = (one: string): string => (isPseudo(one) ? 'en' : one);

/** The language as BCP 47 writes it. */
export const language = (): string => tag;
export const direction = (): 'ltr' | 'rtl' => (tag === 'ar' || tag === MIRRORED ? 'rtl' : 'ltr');

/** The first of `wanted` (BCP 47, most wanted first) that we speak, else English. */
export function chooseLanguage(wanted: readonly string[]): string {
    for (const one of wanted) {
        if (isPseudo(one)) return one;
        const primary = one.toLowerCase().split(/[-_]/)[0] ?? '';
        if (primary in LANGUAGES) return primary;
    }
    return 'en';
}

/** Makes `wanted` the language of the page, and loads it into every catalogue that was loaded before. */
export async function setLanguage(wanted: readonly string[]): Promise<void> {
    tag = chooseLanguage(wanted);
    document.documentElement.lang = tag;
    document.documentElement.dir = direction();
    formats.clear();
    await Promise.all(catalogues.map((one) => one.load()));
}

/** A catalogue out of one module for each language: `catalogue({ en: () => import('./locales/app.en.ts'), ... })`. */
export function catalogue<K extends string>(loaders: Loaders<K>): Catalogue<K> {
    let messages: Partial<Record<string, string>> = {};
    let used = false;
    const translate = (key: K, args: Args = {}): string => formatMessage(messages[key] ?? key, args, tag);
    const self = Object.assign(translate, {
        load: async (): Promise<void> => {
            used = true;
            const { default: loaded } = await loaders[inWords(tag) as Language]();
            messages = tag === PSEUDO ? pseudo(loaded) : loaded;
        },
    });
    catalogues.push({ load: () => (used ? self.load() : Promise.resolve()) });
    return self;
}

/** `message` with its arguments in place; `locale` decides on plurals and digits. */
export function formatMessage(message: string, args: Args, locale: string): string {
    return message.includes('{') ? expand(message, args, locale, undefined) : message;
}

function expand(message: string, args: Args, locale: string, count: number | undefined): string {
    let text = '';
    for (let at = 0; at < message.length; ) {
        const char = message[at];
        if (char === '#' && count !== undefined) {
            text += formatNumber(count, locale);
            at += 1;
        } else if (char === '{') {
            const end = closing(message, at);
            text += argument(message.slice(at + 1, end), args, locale, count);
            at = end + 1;
        } else {
            text += char;
            at += 1;
        }
    }
    return text;
}

/** The index of the brace that closes the one at `open`. */
function closing(message: string, open: number): number {
    let depth = 0;
    for (let at = open; at < message.length; at += 1) {
        if (message[at] === '{') depth += 1;
        else if (message[at] === '}' && --depth === 0) return at;
    }
    return message.length;
}

function argument(body: string, args: Args, locale: string, count: number | undefined): string {
    const comma = body.indexOf(',');
    const name = (comma < 0 ? body : body.slice(0, comma)).trim();
    const value = args[name];
    if (comma < 0) return typeof value === 'number' ? formatNumber(value, locale) : (value ?? `{${name}}`);
    const branches = new Map<string, string>();
    const rest = body.slice(body.indexOf(',', comma + 1) + 1);
    for (let at = 0; at < rest.length; ) {
        const open = rest.indexOf('{', at);
        if (open < 0) break;
        const end = closing(rest, open);
        branches.set(rest.slice(at, open).trim(), rest.slice(open + 1, end));
        at = end + 1;
    }
    const number = Number(value ?? count ?? 0);
    const branch = branches.get(`=${number}`) ?? branches.get(new Intl.PluralRules(inWords(locale)).select(number)) ?? branches.get('other') ?? '';
    return expand(branch, args, locale, number);
}

const ACCENTS: Readonly<Record<string, string>> = { a: 'á', b: 'ƀ', c: 'ç', d: 'ḍ', e: 'é', g: 'ǵ', h: 'ḥ', i: 'í', k: 'ķ', l: 'ļ', m: 'ɱ', n: 'ñ', o: 'ó', p: 'ƥ', r: 'ř', s: 'š', t: 'ţ', u: 'ú', w: 'ŵ', y: 'ý', z: 'ž' };

function pseudo(messages: Readonly<Record<string, string>>): Record<string, string> {
    return Object.fromEntries(Object.entries(messages).map(([key, text]) => [key, accented(text)]));
}

/** Leaves alone what is an argument or the selector of a plural. */
export function accented(text: string): string {
    let depth = 0;
    let out = '';
    let letters = 0;
    for (let at = 0; at < text.length; at += 1) {
        const char = text[at] ?? '';
        if (char === '{') depth += 1;
        else if (char === '}') depth -= 1;
        const shown = depth === 0 || (depth > 0 && depth % 2 === 0);
        if (shown && /[a-z]/i.test(char)) letters += 1;
        out += shown ? (ACCENTS[char] ?? char) : char;
    }
    return `[${out}${'~'.repeat(Math.ceil(letters * 0.4))}]`;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function format(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
    const key = JSON.stringify(options);
    let made = formats.get(key);
    if (!made) formats.set(key, (made = new Intl.DateTimeFormat(inWords(tag), options)));
    return made;
}

/** A date as short as it can be told: the time today, day and month this year, else the whole date. */
export function shortDate(date: Date, now = new Date()): string {
    if (date.toDateString() === now.toDateString()) return format({ hour: 'numeric', minute: '2-digit' }).format(date);
    if (date.getFullYear() === now.getFullYear()) return format({ day: 'numeric', month: 'short' }).format(date);
    return format({ year: 'numeric', month: '2-digit', day: '2-digit' }).format(date);
}

/** Day, date and time, for the head of a message. */
export const longDate = (date: Date): string => format({ weekday: 'short', year: 'numeric', month: 'long', day: 'numeric', hour: 'numeric', minute: '2-digit' }).format(date);

/** A date and time of settings and lists: year to minute. */
export const mediumDate = (date: Date): string => format({ dateStyle: 'medium', timeStyle: 'short' }).format(date);

export function formatNumber(value: number, locale = tag): string {
    return new Intl.NumberFormat(inWords(locale)).format(value);
}

/** "3.4 MB": powers of 1024, one decimal below ten. */
export function formatSize(bytes: number): string {
    const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'];
    let value = bytes;
    let unit = 0;
    while (value >= 1000 && unit < units.length - 1) {
        value /= 1024;
        unit += 1;
    }
    const digits = unit > 0 && value < 10 ? 1 : 0;
    return new Intl.NumberFormat(inWords(tag), { style: 'unit', unit: units[unit] ?? 'byte', unitDisplay: unit === 0 ? 'long' : 'short', maximumFractionDigits: digits }).format(value);
}

/** "Anna, Ben and Chris" in the user's language. */
export function formatList(items: readonly string[]): string {
    return new Intl.ListFormat(inWords(tag), { style: 'narrow', type: 'unit' }).format(items);
}
