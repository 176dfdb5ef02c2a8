// The area where formatted text is written: a contenteditable element with commands, clean paste and an undo of its own.
import { h } from '../dom.ts';
import { clean } from './clean.ts';
import { parseInert } from './inert.ts';
import { type Shown, toNodes } from './mount.ts';
import { type Tree, element, fromText, isBlock, toText } from './tree.ts';
import { UndoLog } from './undo.ts';

export interface EditorHooks {
    changed(): void;
    /** Files that were pasted or dropped at the caret. */
    files(files: File[]): void;
    /** An image of the message (cid:) as an address that can be shown. */
    shown: Shown;
}

/** What holds at the caret: for the buttons. */
export interface Marks {
    bold: boolean;
    italic: boolean;
    underline: boolean;
    strike: boolean;
    bullets: boolean;
    numbers: boolean;
    quote: boolean;
    code: boolean;
    link: string | null;
    rtl: boolean;
}

const BLOCKS = 'address,blockquote,dd,div,dt,h1,h2,h3,h4,h5,h6,li,p,pre,td,th';
const RTL = /^[^\p{L}]*[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}]/u;

export class Editor {
    readonly root: HTMLElement;
    readonly log: UndoLog;
    private saved: Range | null = null;
    private composing = false;

    constructor(
        label: string,
        private readonly hooks: EditorHooks,
    ) {
        this.root = h('div', { class: 'editor', contenteditable: 'true', role: 'textbox', 'aria-multiline': 'true', 'aria-label': label, spellcheck: 'true' });
        this.log = new UndoLog(this.root, () => hooks.changed());
        this.listen();
    }

    // ---------------------------------------------------------------- content

    set(trees: readonly Tree[]): void {
        this.root.replaceChildren(toNodes(lines(trees), this.hooks.shown));
        this.fillEmpty();
        this.log.reset();
    }

    /** What is written, as a message may hold it. */
    read(): Tree[] {
        const image = (src: string, node: { getAttribute?(name: string): string | null }) =>
            node.getAttribute?.('data-src') || (src.startsWith('cid:') ? src : null);
        return clean(this.root, { looks: 'mail', image }).map(directed);
    }

    text(): string {
        return toText(this.read());
    }

    focus(atStart: boolean): void {
        this.root.focus({ preventScroll: true });
        if (!atStart) return;
        const first = this.root.firstElementChild ?? this.root;
        document.getSelection()?.collapse(first, 0);
        this.root.scrollTop = 0;
    }

    // ---------------------------------------------------------------- selection

    private range(): Range | null {
        const selection = document.getSelection();
        const range = selection && selection.rangeCount > 0 ? selection.getRangeAt(0) : null;
        return range && this.root.contains(range.commonAncestorContainer) ? range : null;
    }

    /** Remembers where the caret is while another field has the focus. */
    keep(): void {
        this.saved = this.range()?.cloneRange() ?? this.saved;
    }

    /** Focus and caret as they were. */
    restore(): Range {
        let range = this.range() ?? this.saved;
        if (!range || !this.root.contains(range.commonAncestorContainer)) {
            range = document.createRange();
            range.selectNodeContents(this.root);
            range.collapse(false);
        }
        this.root.focus({ preventScroll: true });
        const selection = document.getSelection();
        selection?.removeAllRanges();
        selection?.addRange(range);
        return range;
    }

    private around(selector: string): HTMLElement | null {
        const node = this.range()?.commonAncestorContainer ?? null;
        const from = node instanceof Element ? node : node?.parentElement;
        const found = from?.closest<HTMLElement>(selector) ?? null;
        return found && found !== this.root && this.root.contains(found) ? found : null;
    }

    marks(): Marks {
        const on = (command: string) => document.queryCommandState(command);
        return {
            bold: on('bold'),
            italic: on('italic'),
            underline: on('underline') && this.around('a') === null,
            strike: on('strikeThrough'),
            bullets: this.around('ul,ol')?.localName === 'ul',
            numbers: this.around('ul,ol')?.localName === 'ol',
            quote: this.around('blockquote') !== null,
            code: this.around('code,pre') !== null,
            link: this.around('a')?.getAttribute('href') ?? null,
            rtl: this.around('[dir=rtl]') !== null,
        };
    }

    // ---------------------------------------------------------------- commands

    /** A command of the browser: it keeps to elements, as style attributes would be refused by the page's policy. */
    command(name: string, value?: string): void {
        this.restore();
        this.log.begin(name);
        document.execCommand('styleWithCSS', false, 'false');
        document.execCommand(name, false, value);
        this.log.end();
    }

    /** Takes the colour away, so that the reader's own holds. */
    plainColour(): void {
        const range = this.restore();
        this.log.begin('colour');
        // The command marks what is selected, and splits what it must; the mark is then taken off.
        document.execCommand('styleWithCSS', false, 'false');
        document.execCommand('foreColor', false, '#010203');
        for (const font of Array.from(this.root.querySelectorAll('font[color="#010203"]'))) font.removeAttribute('color');
        this.log.end();
        if (range.collapsed) this.root.focus();
    }

    clear(): void {
        this.command('removeFormat');
        this.command('unlink');
        const code = this.around('code,pre');
        if (code) this.change('clear', () => unwrap(code));
    }

    toggleQuote(): void {
        const quote = this.around('blockquote');
        this.change('quote', () => (quote ? unwrap(quote) : this.wrapBlocks('blockquote')));
    }

    toggleCode(): void {
        const code = this.around('code,pre');
        const range = this.restore();
        const oneLine = this.blocksOf(range).length <= 1 && !range.collapsed;
        this.change('code', () => {
            if (code) return code.localName === 'pre' ? fromPre(code) : unwrap(code);
            return oneLine ? wrapInline(range, 'code') : this.toPre(range);
        });
    }

    toggleDirection(): void {
        const range = this.restore();
        const rtl = this.marks().rtl;
        const blocks = this.blocksOf(range);
        this.change('direction', () => {
            for (const block of blocks) block.dir = rtl ? 'ltr' : 'rtl';
        });
    }

    /** Makes the selection a link; an empty address takes the link away. */
    link(href: string, words: string): void {
        const range = this.restore();
        const existing = this.around('a');
        this.change('link', () => {
            if (existing && href === '') return unwrap(existing);
            if (existing) return existing.setAttribute('href', href);
            if (href === '') return undefined;
            if (range.collapsed) return this.insertInline([element('a', [words || href], { href })]);
            return wrapInline(range, 'a', { href });
        });
    }

    private change(kind: string, change: () => void): void {
        this.restore();
        this.log.begin(kind);
        change();
        this.fillEmpty();
        this.log.end();
    }

    /** The innermost blocks that the range touches. */
    private blocksOf(range: Range): HTMLElement[] {
        this.wrapLoose();
        const all = Array.from(this.root.querySelectorAll<HTMLElement>(BLOCKS)).filter((block) => range.intersectsNode(block));
        return all.filter((block) => !all.some((other) => other !== block && block.contains(other)));
    }

    private wrapBlocks(tag: string): void {
        const range = this.range();
        const tops = range ? this.topsOf(range) : [];
        const first = tops[0];
        if (!first || !range) return;
        const back = marked(range);
        const wrapper = document.createElement(tag);
        first.before(wrapper);
        wrapper.append(...tops);
        back();
    }

    /** The outermost blocks that the range touches. */
    private topsOf(range: Range): ChildNode[] {
        this.wrapLoose();
        return Array.from(this.root.childNodes).filter((child) => range.intersectsNode(child));
    }

    private toPre(range: Range): void {
        const tops = this.topsOf(range);
        const text = tops.map((top) =>
            toText(clean({ nodeType: 1, nodeName: 'div', nodeValue: null, childNodes: [top] }, { looks: 'mail', image: () => null })),
        );
        const pre = h('pre', null, `${text.join('\n')}\n`);
        tops[0]?.before(pre);
        tops.forEach((top) => top.remove());
        this.put(pre.firstChild ?? pre, 0);
    }

    /** Text that stands in no block gets one, so that commands on lines find lines. */
    private wrapLoose(): void {
        let line: HTMLElement | null = null;
        for (const child of Array.from(this.root.childNodes)) {
            const loose = child.nodeType === 3 || !(child as Element).matches?.(`${BLOCKS},ul,ol,table,hr,dl,center`);
            if (!loose) {
                line = null;
                continue;
            }
            if (!line) {
                line = document.createElement('div');
                child.before(line);
            }
            line.append(child);
        }
    }

    private fillEmpty(): void {
        if (!this.root.hasChildNodes()) this.root.append(h('div', null, h('br')));
        for (const empty of Array.from(this.root.querySelectorAll('div:empty,li:empty,blockquote:empty'))) empty.append(h('br'));
    }

    private put(node: Node, offset: number): void {
        document.getSelection()?.collapse(node, offset);
    }

    // ---------------------------------------------------------------- insertion

    /** Puts formatted text in place of the selection: its first line goes on the line of the caret, its last before the rest. */
    insert(trees: readonly Tree[], kind = 'insert'): void {
        this.change(kind, () => {
            const inline = trees.every((tree) => !isBlock(tree));
            if (inline) this.insertInline(trees);
            else this.insertBlocks(lines(trees));
        });
    }

    private insertInline(trees: readonly Tree[]): void {
        const range = this.range();
        if (!range) return;
        range.deleteContents();
        const nodes = toNodes(trees, this.hooks.shown);
        const last = nodes.lastChild;
        range.insertNode(nodes);
        if (!last) return;
        this.dropFiller(last);
        range.setStartAfter(last);
        range.collapse(true);
        this.put(range.startContainer, range.startOffset);
    }

    /** An empty line holds a <br>, which would be a second line beside text. */
    private dropFiller(beside: ChildNode): void {
        const next = beside.nextSibling;
        if (next instanceof HTMLBRElement && next.parentElement?.lastChild === next) next.remove();
    }

    private insertBlocks(trees: readonly Tree[]): void {
        const range = this.range();
        if (!range) return;
        range.deleteContents();
        this.wrapLoose();
        const block = this.around(BLOCKS) ?? this.root;
        if (block === this.root || block.matches('td,th,blockquote')) {
            range.insertNode(toNodes(trees, this.hooks.shown));
            range.collapse(false);
            return this.put(range.startContainer, range.startOffset);
        }
        const rest = this.splitAt(range, block);
        const nodes = Array.from(toNodes(trees, this.hooks.shown).childNodes);
        const host = block.localName === 'li' ? (block.closest('ul,ol') ?? block) : block;
        host.after(...nodes, ...(host === block ? [rest] : []));
        if (host !== block) rest.remove();
        this.joinEnds(block, nodes, rest);
    }

    private splitAt(range: Range, block: HTMLElement): HTMLElement {
        const tail = document.createRange();
        tail.setStart(range.startContainer, range.startOffset);
        tail.setEnd(block, block.childNodes.length);
        const rest = block.cloneNode(false) as HTMLElement;
        rest.append(tail.extractContents());
        return rest;
    }

    private joinEnds(block: HTMLElement, nodes: ChildNode[], rest: HTMLElement): void {
        const first = nodes[0];
        const last = nodes[nodes.length - 1];
        if (first instanceof HTMLElement && first.matches('div,p') && !isBlank(block)) {
            block.append(...Array.from(first.childNodes));
            first.remove();
        } else if (isBlank(block)) {
            block.remove();
        }
        const end = last instanceof HTMLElement && last.isConnected ? last : block;
        const caret = document.createRange();
        caret.selectNodeContents(end);
        caret.collapse(false);
        if (isBlank(rest)) rest.remove();
        else if (end.matches('div,p')) {
            end.append(...Array.from(rest.childNodes));
            rest.remove();
        }
        this.put(caret.startContainer, caret.startOffset);
    }

    insertImage(src: string, alt: string): void {
        this.insert([element('img', [], { src, alt })], 'image');
    }

    // ---------------------------------------------------------------- events

    private listen(): void {
        const root = this.root;
        root.addEventListener('pointerdown', (event) => {
            // A press below the text means the place to write, which is over the signature.
            if (event.target !== root || document.activeElement === root || this.saved || !root.lastElementChild?.matches('.signature')) return;
            event.preventDefault();
            this.focus(true);
        });
        root.addEventListener('beforeinput', (event) => this.beforeInput(event));
        root.addEventListener('compositionstart', () => {
            this.composing = true;
            this.log.begin('compose');
        });
        root.addEventListener('compositionend', () => {
            this.composing = false;
            setTimeout(() => this.log.end());
        });
        root.addEventListener('input', () => this.fillEmpty());
        root.addEventListener('paste', (event) => this.paste(event));
        root.addEventListener('drop', (event) => this.drop(event));
        root.addEventListener('keydown', (event) => this.key(event));
        root.addEventListener('blur', () => this.keep());
    }

    private beforeInput(event: InputEvent): void {
        if (event.inputType === 'historyUndo' || event.inputType === 'historyRedo') {
            event.preventDefault();
            return event.inputType === 'historyUndo' ? this.log.undo() : this.log.redo();
        }
        if (event.inputType.startsWith('format')) {
            // Buttons of the system (the touch bar, a context menu) go the way of ours.
            const name = { formatBold: 'bold', formatItalic: 'italic', formatUnderline: 'underline', formatStrikeThrough: 'strikeThrough' }[event.inputType];
            event.preventDefault();
            return name ? this.command(name) : undefined;
        }
        if (event.inputType === 'insertParagraph' && this.around('blockquote[type=cite]')) {
            event.preventDefault();
            return this.change('split', () => this.splitQuote());
        }
        if (this.composing) return undefined;
        const typed = event.inputType === 'insertText';
        const kind = typed ? (event.data === ' ' ? 'type space' : 'type') : event.inputType.startsWith('delete') ? 'type delete' : event.inputType;
        // A space goes on with the word before it; the next word is a step of its own.
        return this.log.begin(kind === 'type space' ? 'type' : kind);
    }

    /** Enter in what is quoted opens room for an answer between its parts. */
    private splitQuote(): void {
        const range = this.range();
        let quote = this.around('blockquote[type=cite]');
        for (let outer = quote; outer && outer !== this.root; outer = outer.parentElement) if (outer.matches('blockquote[type=cite]')) quote = outer;
        if (!range || !quote) return;
        range.deleteContents();
        const tail = document.createRange();
        tail.setStart(range.startContainer, range.startOffset);
        tail.setEndAfter(quote);
        const rest = tail.extractContents();
        for (const side of [quote, rest]) prune(side);
        const line = h('div', null, h('br'));
        quote.after(line, rest);
        for (const side of [quote, line.nextElementSibling]) if (side && isBlank(side) && !side.querySelector('br,img')) side.remove();
        this.put(line, 0);
    }

    private paste(event: ClipboardEvent): void {
        const data = event.clipboardData;
        if (!data) return;
        event.preventDefault();
        this.take(data);
    }

    private drop(event: DragEvent): void {
        const data = event.dataTransfer;
        // Text moved within the area is the browser's affair.
        if (!data || (data.files.length === 0 && this.dragged)) return;
        event.preventDefault();
        event.stopPropagation();
        this.caretAt(event.clientX, event.clientY);
        this.take(data);
    }

    private get dragged(): boolean {
        const range = this.range();
        return range !== null && !range.collapsed;
    }

    private caretAt(x: number, y: number): void {
        const range = document.caretRangeFromPoint?.(x, y);
        if (range && this.root.contains(range.startContainer)) this.put(range.startContainer, range.startOffset);
    }

    private take(data: DataTransfer): void {
        const html = data.getData('text/html');
        const files = Array.from(data.files);
        // Offices put a picture of a table beside the table: the text is what is meant.
        if (files.length > 0 && !(html && /<(table|p|li|h\d)\b/i.test(html))) {
            this.keep();
            return this.hooks.files(files);
        }
        const trees = html ? pasted(html) : [];
        const put = trees.length > 0 ? trees : fromText(data.getData('text/plain').replace(/\n$/, ''));
        this.insert(put.length === 1 && typeof put[0] === 'object' && put[0].tag === 'div' ? put[0].children : put, 'paste');
    }

    private key(event: KeyboardEvent): void {
        const held = event.ctrlKey || event.metaKey;
        if (!held || event.altKey) return;
        const key = event.key.toLowerCase();
        const commands: Record<string, () => void> = {
            b: () => this.command('bold'),
            i: () => this.command('italic'),
            u: () => this.command('underline'),
            z: () => this.log.undo(),
            y: () => this.log.redo(),
            '\\': () => this.clear(),
            e: () => this.toggleCode(),
            ']': () => this.command('indent'),
            '[': () => this.command('outdent'),
        };
        const shifted: Record<string, () => void> = {
            z: () => this.log.redo(),
            x: () => this.command('strikeThrough'),
            Digit7: () => this.command('insertOrderedList'),
            Digit8: () => this.command('insertUnorderedList'),
            Digit9: () => this.toggleQuote(),
            Digit0: () => this.toggleDirection(),
        };
        const run = event.shiftKey ? (shifted[event.code] ?? shifted[key]) : commands[key];
        if (!run || this.composing) return;
        event.preventDefault();
        run();
    }
}

/** Clipboard HTML as formatted text; what the marks of Chromium and Windows put around the fragment goes. */
export function pasted(html: string): Tree[] {
    return clean(parseInert(html).body, { looks: 'paste', image: (src) => (src.startsWith('cid:') ? src : null) });
}

/** Inline runs at the top become lines. */
function lines(trees: readonly Tree[]): Tree[] {
    const out: Tree[] = [];
    let run: Tree[] = [];
    const close = () => {
        if (run.some((tree) => typeof tree !== 'string' || tree.trim() !== '')) out.push(element('div', run));
        run = [];
    };
    for (const tree of trees) {
        if (isBlock(tree)) {
            close();
            out.push(tree);
        } else if (typeof tree === 'object' && tree.tag === 'br') {
            run.push(tree);
            close();
        } else run.push(tree);
    }
    close();
    return out;
}

/** Says right-to-left where a block begins so: not every reader finds out by itself. */
function directed(tree: Tree): Tree {
    if (typeof tree === 'string' || !isBlock(tree)) return tree;
    const { dir } = tree.attrs;
    const children = tree.tag === 'blockquote' || tree.tag === 'ul' || tree.tag === 'ol' ? tree.children.map(directed) : tree.children;
    const rtl = !dir && tree.tag !== 'blockquote' && RTL.test(words(tree));
    return element(tree.tag, children, rtl ? { ...tree.attrs, dir: 'rtl' } : tree.attrs);
}

function words(tree: Tree): string {
    return typeof tree === 'string' ? tree : tree.children.map(words).join('');
}

/** Takes away what a cut left empty. */
function prune(within: ParentNode): void {
    const empty = 'li:empty,ul:empty,ol:empty,div:empty,p:empty,blockquote:empty,b:empty,i:empty,u:empty,span:empty,a:empty';
    for (let found = within.querySelectorAll(empty); found.length > 0; found = within.querySelectorAll(empty)) found.forEach((one) => one.remove());
}

function isBlank(element: Element): boolean {
    return (element.textContent ?? '').trim() === '' && element.querySelector('img,hr,table') === null;
}

function unwrap(element: HTMLElement): void {
    const selection = document.getSelection();
    const back = selection && selection.rangeCount > 0 ? marked(selection.getRangeAt(0)) : () => undefined;
    const inner = element.matches('blockquote,pre') ? lineNodes(element) : Array.from(element.childNodes);
    element.replaceWith(...inner);
    back();
}

/** Remembers the selection by its nodes: a range follows nodes that are moved to where they were. The answer selects it again. */
function marked(range: Range): () => void {
    const { startContainer, startOffset, endContainer, endOffset } = range;
    return () => {
        if (startContainer.isConnected && endContainer.isConnected) document.getSelection()?.setBaseAndExtent(startContainer, startOffset, endContainer, endOffset);
    };
}

function lineNodes(element: HTMLElement): Node[] {
    const loose = Array.from(element.childNodes).every((n) => n.nodeType === 3 || !(n as Element).matches(`${BLOCKS},ul,ol,table,hr`));
    if (!loose) return Array.from(element.childNodes);
    const line = document.createElement('div');
    line.append(...Array.from(element.childNodes));
    return [line];
}

function fromPre(pre: HTMLElement): void {
    const nodes = toNodes(fromText((pre.textContent ?? '').replace(/\n$/, '')));
    const first = nodes.firstChild;
    pre.replaceWith(nodes);
    if (first) document.getSelection()?.collapse(first, 0);
}

function wrapInline(range: Range, tag: string, attrs: Record<string, string> = {}): void {
    const wrapper = document.createElement(tag);
    for (const [name, value] of Object.entries(attrs)) wrapper.setAttribute(name, value);
    wrapper.append(range.extractContents());
    range.insertNode(wrapper);
    document.getSelection()?.selectAllChildren(wrapper);
}
