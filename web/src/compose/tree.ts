/**
 * Formatted text as plain values, between the editor, the message and the clipboard. Whatever becomes nodes of the
 * page or HTML of a message is one of these first, so both can hold only what the lists in `clean.ts` allow.
 */

export interface Element_ {
    tag: string;
    attrs: Record<string, string>;
    children: Tree[];
}
export type Tree = string | Element_;

export function element(tag: string, children: Tree[] = [], attrs: Record<string, string> = {}): Element_ {
    return { tag, attrs, children };
}

const VOID = new Set(['br', 'hr', 'img']);
const BLOCKS = new Set('address blockquote center dd div dl dt h1 h2 h3 h4 h5 h6 hr li ol p pre table tbody tfoot thead tr ul caption'.split(' '));

export function isBlock(tree: Tree): boolean {
    return typeof tree !== 'string' && BLOCKS.has(tree.tag);
}

// ------------------------------------------------------------------ HTML

/** The HTML of a message body. */
export function toHtml(trees: readonly Tree[]): string {
    return trees.map(html).join('');
}

function html(tree: Tree): string {
    if (typeof tree === 'string') {
        return escapeText(tree);
    }
    const attrs = Object.entries(tree.attrs).map(([name, value]) => ` ${name}="${escapeAttribute(value)}"`);
    const open = `<${tree.tag}${attrs.join('')}>`;
    return VOID.has(tree.tag) ? open : `${open}${toHtml(tree.children)}</${tree.tag}>`;
}

function escapeText(text: string): string {
    return text
        .replace(/&/g, '&amp;')
        .replace(/</g, '&lt;')
        .replace(/>/g, '&gt;')
        .replace(/\u00a0/g, '&nbsp;');
}

function escapeAttribute(text: string): string {
    return escapeText(text).replace(/"/g, '&quot;');
}

// ------------------------------------------------------------------ to plain text

interface Line {
    /** What stands before the first line of a list item, once. */
    marker: string;
    prefix: string;
}

/** Writes lines: quote marks and indents in front, no more than one empty line between paragraphs. */
class Writer {
    readonly lines: string[] = [];
    private line = '';
    private open = false;
    private readonly prefixes: Line[] = [];

    text(text: string): void {
        const collapsed = text.replace(/[ \t\r\n\f]+/g, ' ');
        const piece = this.line === '' ? collapsed.replace(/^ /, '') : this.line.endsWith(' ') ? collapsed.replace(/^ /, '') : collapsed;
        this.line += piece.replace(/\u00a0/g, ' ').replace(/\u200b/g, '');
        this.open ||= piece !== '';
    }

    raw(text: string): void {
        this.line += text;
        this.open = true;
    }

    /** Ends the line that is being written; an empty one only when it was asked for. */
    end(evenEmpty = false): void {
        if (this.open || evenEmpty) {
            // The space of a signature line belongs to it (RFC 3676, section 4.3).
            this.lines.push(this.before() + (this.line === '-- ' ? this.line : this.line.replace(/ +$/, '')));
        }
        this.line = '';
        this.open = false;
    }

    gap(): void {
        this.end();
        const empty = this.prefixes
            .map((p) => p.prefix)
            .join('')
            .trimEnd();
        if (this.lines.length > 0 && this.lines[this.lines.length - 1]?.trimEnd() !== empty) {
            this.lines.push(empty);
        }
    }

    within(prefix: string, marker: string, write: () => void): void {
        this.end();
        this.prefixes.push({ prefix, marker });
        write();
        this.end();
        this.prefixes.pop();
    }

    private before(): string {
        return this.prefixes
            .map((p) => {
                const put = p.marker || p.prefix;
                p.marker = '';
                return put;
            })
            .join('');
    }
}

/** The text of formatted text: what readers without HTML get, and what the switch to plain text keeps. */
export function toText(trees: readonly Tree[]): string {
    const writer = new Writer();
    write(trees, writer, false);
    writer.end();
    return writer.lines
        .map((line) => (/^(> )*-- $/.test(line) ? line : line.trimEnd()))
        .join('\n')
        .replace(/^\n+|\n+$/g, '');
}

function write(trees: readonly Tree[], to: Writer, pre: boolean): void {
    for (const tree of trees) {
        if (typeof tree === 'string') {
            writeString(tree, to, pre);
        } else {
            writeElement(tree, to, pre);
        }
    }
}

function writeString(text: string, to: Writer, pre: boolean): void {
    if (!pre) {
        to.text(text);
        return;
    }
    text.split('\n').forEach((line, i) => {
        if (i > 0) to.end(true);
        if (line !== '') to.raw(line);
    });
}

function writeElement(tree: Element_, to: Writer, pre: boolean): void {
    const inner = () => write(tree.children, to, pre);
    switch (tree.tag) {
        case 'br':
            return to.end(true);
        case 'hr':
            to.end();
            to.raw('-'.repeat(40));
            return to.end();
        case 'img':
            return tree.attrs['alt'] ? to.text(`[${tree.attrs['alt']}]`) : undefined;
        case 'a':
            return writeLink(tree, to, pre);
        case 'blockquote':
            return to.within('> ', '', inner);
        case 'pre':
            return to.within('', '', () => write(tree.children, to, true));
        case 'ul':
        case 'ol':
            return writeList(tree, to, pre);
        case 'td':
        case 'th':
            inner();
            return to.text(' ');
        case 'p':
        case 'h1':
        case 'h2':
        case 'h3':
            to.gap();
            inner();
            return to.gap();
        default:
            return writePlain(tree, to, inner);
    }
}

function writePlain(tree: Element_, to: Writer, inner: () => void): void {
    if (!isBlock(tree)) {
        return inner();
    }
    to.end();
    // A block that holds one <br> is one empty line, as editors write it.
    const last = tree.children[tree.children.length - 1];
    if (typeof last === 'object' && last.tag === 'br') {
        write(tree.children.slice(0, -1), to, false);
        return to.end(true);
    }
    inner();
    to.end();
}

function writeLink(tree: Element_, to: Writer, pre: boolean): void {
    const text = plainWords(tree);
    const href = tree.attrs['href'] ?? '';
    write(tree.children, to, pre);
    const same = [href, href.replace(/^mailto:/i, ''), href.replace(/\/$/, ''), href.replace(/^https?:\/\//i, '').replace(/\/$/, '')];
    if (href !== '' && text !== '' && !same.includes(text)) {
        to.text(` <${href}>`);
    }
}

function writeList(tree: Element_, to: Writer, pre: boolean): void {
    let number = Number(tree.attrs['start'] ?? 1) || 1;
    to.end();
    for (const child of tree.children) {
        if (typeof child === 'string' || child.tag !== 'li') {
            write([child], to, pre);
            continue;
        }
        const marker = tree.tag === 'ol' ? `${number++}. ` : '* ';
        to.within(' '.repeat(marker.length), marker, () => write(child.children, to, pre));
    }
}

/** The words inside, without marks. */
export function plainWords(tree: Tree): string {
    return typeof tree === 'string' ? tree.replace(/\s+/g, ' ').trim() : tree.children.map(plainWords).join(' ').trim();
}

// ------------------------------------------------------------------ from plain text

/** Lines deeper quoted than this stay in the quote of this depth. */
const DEEPEST_QUOTE = 20;

/** Plain text as formatted text: a block for each line, quotes by their marks, addresses as links. */
export function fromText(text: string): Tree[] {
    return quoted(text.replace(/\r\n?/g, '\n').split('\n'), 0);
}

function quoted(lines: string[], depth: number): Tree[] {
    const trees: Tree[] = [];
    for (let i = 0; i < lines.length;) {
        const start = i;
        while (i < lines.length && depth < DEEPEST_QUOTE && lines[i]?.startsWith('>')) i++;
        if (i > start) {
            const inner = lines.slice(start, i).map((line) => line.replace(/^> ?/, ''));
            trees.push(element('blockquote', quoted(inner, depth + 1), { type: 'cite' }));
        } else {
            trees.push(lineBlock(lines[i++] ?? ''));
        }
    }
    return trees;
}

function lineBlock(line: string): Element_ {
    return element('div', line.trim() === '' && line !== '-- ' ? [element('br')] : linkify(keepSpaces(line)));
}

/** Runs of spaces survive HTML as no-break spaces. */
function keepSpaces(line: string): string {
    const tabs = line.replace(/\t/g, '    ');
    return tabs.replace(/^ +| {2,}/g, (run) => '\u00a0'.repeat(run.length - 1) + (run.length === tabs.length ? '\u00a0' : ' '));
}

const LINK = /\bhttps?:\/\/[^\s<>"'\u00a0]+|\b[\w.+-]+@[a-z\d](?:[a-z\d-]*[a-z\d])?(?:\.[a-z\d](?:[a-z\d-]*[a-z\d])?)+\b/gi;

/** Web and mail addresses as links; the stop at the end of a sentence is not of the address. */
export function linkify(text: string): Tree[] {
    const trees: Tree[] = [];
    let at = 0;
    for (const match of text.matchAll(LINK)) {
        const found = trimStop(match[0]);
        if (match.index > at) trees.push(text.slice(at, match.index));
        const href = /^https?:/i.test(found) ? found : `mailto:${found}`;
        trees.push(element('a', [found], { href }));
        at = match.index + found.length;
    }
    if (at < text.length) trees.push(text.slice(at));
    return trees;
}

function trimStop(url: string): string {
    let end = url.replace(/[.,;:!?…]+$/, '');
    while (end.endsWith(')') && end.split(')').length > end.split('(').length) {
        end = end.slice(0, -1).replace(/[.,;:!?]+$/, '');
    }
    return end;
}
