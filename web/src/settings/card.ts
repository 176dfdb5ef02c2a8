// The visiting card (RFC 6350; the original's were of version 2.1) as the fields of a form, and back.

export interface Card {
    name: string;
    organisation: string;
    title: string;
    phone: string;
    email: string;
    web: string;
}

export const FIELDS = [
    ['name', 'FN', 'name'],
    ['organisation', 'ORG', 'organization'],
    ['title', 'TITLE', 'organization-title'],
    ['phone', 'TEL', 'tel'],
    ['email', 'EMAIL', 'email'],
    ['web', 'URL', 'url'],
] as const;

/** The fields of a card that the form knows (RFC 6350, section 3.2: folded lines; section 3.4: escapes). */
export function readCard(text: string): Card {
    const card: Card = { name: '', organisation: '', title: '', phone: '', email: '', web: '' };
    for (const line of unfold(text)) {
        const found = /^(?:[\w-]+\.)?([\w-]+)(?:;[^:]*)?:(.*)$/s.exec(line);
        const field = FIELDS.find(([, property]) => property === found?.[1]?.toUpperCase());
        if (field && card[field[0]] === '') card[field[0]] = unescapeValue(found?.[2] ?? '');
    }
    return card;
}

/** The card with the form's fields; what the form does not know stays as it is. */
export function writeCard(card: Card, before: string): string {
    if (Object.values(card).every((value) => value === '')) return '';
    const others = unfold(before).filter((line) => {
        const property = /^(?:[\w-]+\.)?([\w-]+)/.exec(line)?.[1]?.toUpperCase() ?? '';
        return line !== '' && !['BEGIN', 'END', 'VERSION', 'N', ...FIELDS.map(([, name]) => name)].includes(property);
    });
    const name = card.name || card.email || card.organisation;
    const lines = FIELDS.filter(([key]) => card[key] !== '').map(([key, property]) => `${property}:${escapeValue(key === 'name' ? name : card[key])}`);
    const full = card.name === '' ? [`FN:${escapeValue(name)}`] : [];
    return ['BEGIN:VCARD', 'VERSION:3.0', ...full, `N:${escapeValue(name)};;;;`, ...lines, ...others, 'END:VCARD'].map(fold).join('\n');
}

function unfold(text: string): string[] {
    return text
        .replace(/\r\n?/g, '\n')
        .replace(/\n[ \t]/g, '')
        .split('\n');
}

/** Lines longer than 75 octets are folded; a character is not cut. */
function fold(line: string): string {
    const pieces: string[] = [];
    let piece = '';
    let size = 0;
    for (const char of line) {
        const bytes = new TextEncoder().encode(char).length;
        if (size + bytes > 74) {
            pieces.push(piece);
            piece = '';
            size = 0;
        }
        piece += char;
        size += bytes;
    }
    return [...pieces, piece].join('\n ');
}

function escapeValue(value: string): string {
    return value.replace(/[\\;,]/g, '\\$&').replace(/\r\n?|\n/g, '\\n');
}

function unescapeValue(value: string): string {
    return value.replace(/\\([\\;,nN])/g, (_, char: string) => (char.toLowerCase() === 'n' ? '\n' : char)).trim();
}
