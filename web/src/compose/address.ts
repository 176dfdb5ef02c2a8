/**
 * Addresses as people type and paste them: lists with names, quotes, comments and groups (RFC 5322, section 3.4),
 * semicolons as other programs write them, line breaks as spreadsheets give them. The names leave here decoded;
 * it is the server that writes the header field.
 */

export interface Address {
    /** What is shown for the person, or null when only the address is known. */
    name: string | null;
    email: string;
}

export interface Parsed {
    addresses: Address[];
    /** Pieces that are no address, as they were typed: shown to the user, never dropped. */
    rest: string[];
}

/** No text is read beyond this many characters: a paste of a whole file must not stop the page. */
const LONGEST_TEXT = 1_000_000;
const LONGEST_LOCAL = 64;
const LONGEST_DOMAIN = 255;

/** Whether `text` is one address that a message can be sent to: local part, `@`, domain or address literal. */
export function isEmail(text: string): boolean {
    const at = text.lastIndexOf('@');
    if (at < 1) {
        return false;
    }
    const local = text.slice(0, at);
    const domain = text.slice(at + 1);
    return isLocal(local) && isDomain(domain);
}

function isLocal(local: string): boolean {
    if (new TextEncoder().encode(local).length > LONGEST_LOCAL) {
        return false;
    }
    // A quoted string, or atoms joined by single dots; what is beyond ASCII is RFC 6531's.
    return /^"(?:[^"\\\p{Cc}]|\\[^\p{Cc}])*"$/u.test(local) || /^[^\s\p{Cc}"(),.:;<>@[\]\\]+(?:\.[^\s\p{Cc}"(),.:;<>@[\]\\]+)*$/u.test(local);
}

function isDomain(domain: string): boolean {
    if (domain.length > LONGEST_DOMAIN) {
        return false;
    }
    if (/^\[(?:\d{1,3}(?:\.\d{1,3}){3}|IPv6:[\da-fA-F:.]+)\]$/.test(domain)) {
        return true;
    }
    return domain.split('.').every((label) => /^[\p{L}\p{N}](?:[\p{L}\p{M}\p{N}_-]{0,61}[\p{L}\p{M}\p{N}])?$/u.test(label));
}

/** The key under which two spellings of an address are the same person. */
export function sameKey(email: string): string {
    return email.trim().toLowerCase();
}

/** One address as a person would type it: quoted where the name needs it. */
export function formatAddress(address: Address): string {
    if (!address.name) {
        return address.email;
    }
    const plain = /^[^"(),.:;<>@[\]\\]+$/.test(address.name);
    const name = plain ? address.name : `"${address.name.replace(/["\\]/g, '\\$&')}"`;
    return `${name} <${address.email}>`;
}

/** Every address of `text`, and what is none. */
export function parseAddresses(text: string): Parsed {
    const parsed: Parsed = { addresses: [], rest: [] };
    for (const piece of split(text.slice(0, LONGEST_TEXT))) {
        readPiece(piece, parsed);
    }
    return parsed;
}

function readPiece(piece: string, into: Parsed): void {
    const one = readOne(piece);
    if (one) {
        into.addresses.push(one);
        return;
    }
    // "a@b.example c@d.example": bare addresses with nothing but white space between them.
    const words = piece.split(/\s+/).map((word) => readOne(word));
    if (words.length > 1 && words.every((word) => word !== null)) {
        into.addresses.push(...(words as Address[]));
        return;
    }
    into.rest.push(piece);
}

function readOne(piece: string): Address | null {
    const { text, comments } = takeComments(piece);
    const angle = /^(.*)<([^<>]*)>\s*$/s.exec(text);
    if (!angle) {
        const email = stripScheme(text.trim());
        return isEmail(email) ? { name: comments[0] ?? null, email } : null;
    }
    // A source route (`<@a,@b:user@host>`, RFC 5322 section 4.4) is read and left out.
    const email = stripScheme((angle[2] ?? '').trim().replace(/^@[^:]*:/, ''));
    if (!isEmail(email)) {
        return null;
    }
    const name = unquote((angle[1] ?? '').trim()) || comments[0] || null;
    return { name: name === email ? null : name, email };
}

function stripScheme(text: string): string {
    return text.replace(/^mailto:/i, '');
}

/** The words of a display name with their quotes and backslashes resolved. */
function unquote(phrase: string): string {
    const bare = phrase.replace(/"((?:[^"\\]|\\.)*)"/gs, (_, inner: string) => inner.replace(/\\(.)/gs, '$1'));
    // Outlook and others write 'Name' <address>.
    return bare
        .replace(/^'(.*)'$/s, '$1')
        .replace(/[\p{Cc}\s]+/gu, ' ')
        .trim();
}

/** Takes comments out: `ann@x.example (Ann)` is an address whose comment is its name. */
function takeComments(piece: string): { text: string; comments: string[] } {
    let text = '';
    const comments: string[] = [];
    let depth = 0;
    let comment = '';
    let quoted = false;
    for (let i = 0; i < piece.length; i++) {
        const c = piece.charAt(i);
        if (c === '\\' && i + 1 < piece.length && (quoted || depth > 0)) {
            const pair = c + piece.charAt(++i);
            depth > 0 ? (comment += pair.charAt(1)) : (text += pair);
        } else if (c === '"' && depth === 0) {
            quoted = !quoted;
            text += c;
        } else if (c === '(' && !quoted) {
            if (depth++ > 0) comment += c;
        } else if (c === ')' && !quoted && depth > 0) {
            if (--depth === 0) {
                comments.push(comment.trim());
                comment = '';
            } else comment += c;
        } else depth > 0 ? (comment += c) : (text += c);
    }
    // An open bracket that nobody closed is text.
    return depth > 0 ? { text: piece, comments: [] } : { text, comments: comments.filter((c) => c !== '') };
}

/** Cuts at commas, semicolons and line ends outside of quotes, comments and angle brackets; groups lose their name. */
function split(text: string): string[] {
    const pieces: string[] = [];
    let piece = '';
    let quoted = false;
    let depth = 0;
    let angle = false;
    const take = () => {
        if (piece.trim() !== '') pieces.push(piece.trim());
        piece = '';
    };
    for (let i = 0; i < text.length; i++) {
        const c = text.charAt(i);
        if (c === '\\' && (quoted || depth > 0)) {
            piece += c + text.charAt(++i);
            continue;
        }
        const free = !quoted && depth === 0 && !angle;
        if (c === '"' && depth === 0) quoted = !quoted && closes(text, i);
        else if (c === '(' && !quoted) depth++;
        else if (c === ')' && depth > 0) depth--;
        else if (c === '<' && !quoted && depth === 0) angle = true;
        else if (c === '>' && !quoted && depth === 0) angle = false;
        if (free && (c === ',' || c === ';' || c === '\n' || c === '\r')) take();
        else if (free && c === ':' && isGroup(piece)) piece = '';
        else piece += c;
    }
    take();
    return pieces;
}

/** Whether the quote at `at` is closed later in its line: one that is not must not swallow the list. */
function closes(text: string, at: number): boolean {
    for (let i = at + 1; i < text.length; i++) {
        const c = text.charAt(i);
        if (c === '\\') i++;
        else if (c === '"') return true;
        else if (c === '\n') return false;
    }
    return false;
}

/** Whether the text before a colon names a group ("Team: ann@x.example;"); `mailto:` and literals do not. */
function isGroup(before: string): boolean {
    const name = before.trim();
    return name !== '' && name.toLowerCase() !== 'mailto' && !/[@[<]/.test(name);
}
