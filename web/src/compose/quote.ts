/**
 * What an answer shows of the message it answers: the line that names the author, the text under quote marks, the
 * header of what is passed on, and the signature (RFC 3676, section 4.3: the line is dash, dash, space).
 */
import { type Tree, type Element_, element, fromText } from './tree.ts';

export const SEPARATOR = '-- ';

/** The text of the answered message under quote marks, its signature left out (RFC 3676, section 4.5). */
export function quoteText(text: string): string {
    const lines = withoutSignature(text.replace(/\r\n?/g, '\n')).split('\n');
    return lines.map((line) => (line === '' ? '>' : line.startsWith('>') ? `>${line}` : `> ${line}`)).join('\n');
}

/** `text` up to its last signature line, when what follows is short enough to be a signature. */
export function withoutSignature(text: string): string {
    const at = text.startsWith(`${SEPARATOR}\n`) ? 0 : text.lastIndexOf(`\n${SEPARATOR}\n`) + 1;
    const found = at > 0 || text.startsWith(`${SEPARATOR}\n`);
    const short = found && text.slice(at).split('\n').length <= 12;
    return (short ? text.slice(0, at) : text).replace(/\s+$/, '');
}

/** The signature as it stands at the end of plain text, or nothing when there is none. */
export function signatureText(signature: string): string {
    const trimmed = signature.replace(/\r\n?/g, '\n').replace(/\s+$/, '');
    return trimmed === '' ? '' : trimmed.startsWith(`${SEPARATOR}\n`) ? trimmed : `${SEPARATOR}\n${trimmed}`;
}

/** The same for formatted text. It is text, so markup in it is shown and not obeyed. */
export function signatureTree(signature: string): Element_ | null {
    const text = signatureText(signature);
    return text === '' ? null : element('div', fromText(text), { class: 'signature' });
}

/** Plain text as formatted text, the signature in it as the one that it is. */
export function textTree(text: string, signature: string): Tree[] {
    const own = signatureText(signature);
    const at = own === '' ? -1 : text.indexOf(own);
    const tree = signatureTree(signature);
    if (at < 0 || !tree) return fromText(text);
    const [before, after] = [text.slice(0, at).replace(/\n$/, ''), text.slice(at + own.length).replace(/^\n/, '')];
    return [...fromText(before), tree, ...(after === '' ? [] : fromText(after))];
}

/** Plain text whose signature `before` became `after`; one that the user has changed stays as it is. */
export function swapSignature(text: string, before: string, after: string): string {
    const old = signatureText(before);
    const put = signatureText(after);
    const at = old === '' ? -1 : text.indexOf(old);
    if (at >= 0) {
        return text.slice(0, at) + put + text.slice(at + old.length);
    }
    return old === '' && put !== '' ? `${text.replace(/\s+$/, '')}\n\n${put}` : text;
}

/** Body of an answer in plain text: room to write, the signature, then what is answered. */
export function answerText(signature: string, attribution: string, quoted: string): string {
    const own = signatureText(signature);
    return `\n\n${own === '' ? '' : `${own}\n\n`}${attribution}\n${quoted}\n`;
}

/** The same formatted. */
export function answerTree(signature: string, attribution: string, quoted: Tree[]): Tree[] {
    const own = signatureTree(signature);
    const cite = element('blockquote', quoted, { type: 'cite' });
    return [...room(), ...(own ? [own, blank()] : []), element('div', [attribution]), cite];
}

/** What is passed on stands unquoted under its header lines. */
export function forwardText(signature: string, title: string, header: [string, string][], text: string): string {
    const own = signatureText(signature);
    const lines = header.map(([name, value]) => `${name}: ${value}`);
    return `\n\n${own === '' ? '' : `${own}\n\n`}-------- ${title} --------\n${lines.join('\n')}\n\n${text.replace(/\s+$/, '')}\n`;
}

export function forwardTree(signature: string, title: string, header: [string, string][], body: Tree[]): Tree[] {
    const own = signatureTree(signature);
    const lines = header.map(([name, value]) => element('div', [element('b', [`${name}:`]), ` ${value}`]));
    return [...room(), ...(own ? [own, blank()] : []), element('div', [`-------- ${title} --------`]), ...lines, blank(), ...body];
}

function room(): Tree[] {
    return [blank(), blank()];
}

function blank(): Element_ {
    return element('div', [element('br')]);
}

/** Whether the own words of a message speak of an attachment; quoted text and signature do not count. */
export function speaksOfAttachment(text: string, words: readonly string[]): boolean {
    const own = text
        .split('\n')
        .filter((line) => !line.startsWith('>'))
        .join('\n')
        .split(/\n-{4,}[^\n]*-{4,}\n|\n-- \n/)[0];
    const folded = (own ?? '').toLowerCase();
    return words.some((word) => {
        const at = folded.indexOf(word.toLowerCase());
        // Scripts without spaces between words have no word boundary to ask for.
        const boundary = /^[\p{sc=Latin}]/u.test(word) ? !/\p{L}/u.test(folded.charAt(at - 1)) : true;
        return at >= 0 && boundary;
    });
}
