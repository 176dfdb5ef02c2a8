/**
 * From nodes of a parsed document to `Tree`, by lists of what is allowed; nothing is copied, everything is named here.
 * Used for what is pasted, for what is quoted and for what the editor holds when it is sent.
 */
import { type Element_, type Tree, element, isBlock } from './tree.ts';

/** As much of a DOM node as is read here; real nodes are such, and so are the ones of the unit tests. */
export interface NodeLike {
    nodeType: number;
    nodeName: string;
    nodeValue: string | null;
    childNodes: ArrayLike<NodeLike>;
    getAttribute?(name: string): string | null;
}

export interface Rules {
    /** `paste` keeps meaning (bold, lists, links, tables); `mail` keeps looks as well, within limits. */
    looks: 'paste' | 'mail';
    /** Where an image comes from: an address that may stand in the tree, or null to leave the image out. */
    image(src: string, node: NodeLike): string | null;
}

const KEPT = new Set(
    (
        'a abbr b blockquote br caption center cite code col colgroup dd del div dl dt em font h1 h2 h3 h4 h5 h6 hr i img ins ' +
        'kbd li ol p pre q s samp small span strike strong sub sup table tbody td tfoot th thead tr tt u ul var'
    ).split(' '),
);
/** Elements whose content is no text for a reader. */
const DROPPED = new Set(
    (
        'script style head title meta link base template noscript noframes noembed iframe frame frameset object embed applet ' +
        'svg math xmp plaintext textarea select option button input form-control audio video canvas map area dialog'
    ).split(' '),
);
const AS_DIV = new Set('section article main header footer nav aside figure figcaption address details summary form fieldset'.split(' '));

const ATTRIBUTES: Record<string, RegExp> = {
    align: /^(left|right|center|justify)$/i,
    valign: /^(top|middle|bottom|baseline)$/i,
    bgcolor: /^(#[\da-f]{3,8}|[a-z]{3,20})$/i,
    border: /^\d{1,2}$/,
    cellpadding: /^\d{1,3}$/,
    cellspacing: /^\d{1,3}$/,
    colspan: /^\d{1,3}$/,
    rowspan: /^\d{1,3}$/,
    start: /^-?\d{1,6}$/,
    width: /^\d{1,4}%?$/,
    height: /^\d{1,4}%?$/,
    color: /^(#[\da-f]{3,8}|[a-z]{3,20})$/i,
    size: /^[+-]?[1-7]$/,
    face: /^[\p{L}\p{N} ,'_-]{1,200}$/u,
    dir: /^(ltr|rtl|auto)$/i,
    lang: /^[a-z]{2,3}(-[a-z\d]{2,8})*$/i,
};
const OF_TABLES = ['align', 'valign', 'bgcolor', 'border', 'cellpadding', 'cellspacing', 'colspan', 'rowspan', 'width', 'height'];
const OF_TAG: Record<string, string[]> = {
    table: OF_TABLES,
    tr: OF_TABLES,
    td: OF_TABLES,
    th: OF_TABLES,
    thead: OF_TABLES,
    tbody: OF_TABLES,
    col: OF_TABLES,
    ol: ['start'],
    font: ['color', 'size', 'face'],
    img: ['width', 'height'],
    div: ['align'],
    p: ['align'],
};

/** Properties that change how a text looks and cannot fetch, cover or move anything. */
const PROPERTIES = new Set(
    (
        'color background-color font-family font-size font-style font-weight font-variant text-align text-decoration text-indent ' +
        'text-transform vertical-align white-space line-height letter-spacing word-spacing direction border border-top border-right ' +
        'border-bottom border-left border-color border-style border-width border-collapse border-spacing border-radius border-left-color ' +
        'padding padding-top padding-right padding-bottom padding-left margin margin-top margin-right margin-bottom margin-left ' +
        'width max-width min-width height max-height list-style-type'
    ).split(' '),
);
const SAFE_VALUE = /^(?!.*(?:url|expression|image|var|env|attr|element|cross-fade|paint)\s*\()[\w\s#%.,()'"+\-\/]{1,200}$/i;
const DEEPEST = 200;

/** The allowed declarations of a style attribute, by property. */
export function readStyle(text: string | null | undefined): Map<string, string> {
    const style = new Map<string, string>();
    for (const declaration of splitDeclarations(text ?? '')) {
        const colon = declaration.indexOf(':');
        const property = declaration.slice(0, colon).trim().toLowerCase();
        const value = declaration
            .slice(colon + 1)
            .replace(/!\s*important\s*$/i, '')
            .trim();
        const moved = property.startsWith('margin') && value.includes('-');
        if (colon > 0 && PROPERTIES.has(property) && SAFE_VALUE.test(value) && !moved) {
            style.set(property, value);
        }
    }
    return style;
}

const DECLARATION = /(?:[^;"'()]|"[^"]*"|'[^']*'|\((?:[^()"']|"[^"]*"|'[^']*')*\))+/g;

/** Cuts at semicolons that stand outside of quotes and brackets; a comment, an escape or what does not end makes the whole void. */
function splitDeclarations(text: string): string[] {
    const odd = text.length > 10_000 || text.includes('\\') || text.includes('/*') || /[^;]/.test(text.replace(DECLARATION, ''));
    return odd ? [] : (text.match(DECLARATION) ?? []);
}

export function writeStyle(style: ReadonlyMap<string, string>): string {
    return [...style].map(([property, value]) => `${property}: ${value}`).join('; ');
}

/** An address that a link may have; scripts, data and files are none. */
export function safeHref(href: string | null | undefined): string | null {
    // Browsers leave out tabs and line ends, and controls in front, before they read the scheme.
    const trimmed = (href ?? '').replace(/[\u0000-\u0020\u007f-\u009f\u200b-\u200f\u2028-\u202e\ufeff]+/g, (c) => (c === ' ' ? ' ' : '')).trim();
    return /^(?:https?:\/\/|mailto:|tel:)[^\s]/i.test(trimmed) ? trimmed.slice(0, 8000) : null;
}

/** The children of `node`, cleaned. */
export function clean(node: NodeLike, rules: Rules): Tree[] {
    const trees = children(node, rules, 0);
    return rules.looks === 'paste' ? trimmed(wordLists(trees)) : trees.map(withoutMarks);
}

function children(node: NodeLike, rules: Rules, depth: number): Tree[] {
    const trees: Tree[] = [];
    for (const child of Array.from(node.childNodes)) {
        if (child.nodeType === 3) {
            trees.push(child.nodeValue ?? '');
        } else if (child.nodeType === 1) {
            trees.push(...one(child, rules, depth));
        }
    }
    return trees;
}

function one(node: NodeLike, rules: Rules, depth: number): Tree[] {
    const tag = node.nodeName.toLowerCase();
    if (DROPPED.has(tag)) {
        return [];
    }
    if (depth > DEEPEST) {
        return [textOf(node)];
    }
    const name = AS_DIV.has(tag) ? 'div' : tag;
    if (name === 'img') {
        return image(node, rules);
    }
    const inner = () => children(node, rules, depth + 1);
    // Unknown elements (o:p of Word, tags of others) leave their content.
    if (!KEPT.has(name)) {
        return inner();
    }
    return rules.looks === 'paste' ? pasted(node, name, inner()) : [kept(node, name, inner())];
}

/** The words of what is nested too deep to be kept in shape, found without recursion. */
function textOf(node: NodeLike): string {
    const words: string[] = [];
    const open: NodeLike[] = [node];
    for (let next = open.pop(); next; next = open.pop()) {
        if (next.nodeType === 3) words.push(next.nodeValue ?? '');
        else if (!DROPPED.has(next.nodeName.toLowerCase())) open.push(...Array.from(next.childNodes).reverse());
    }
    return words.join('');
}

function attribute(node: NodeLike, name: string): string | null {
    return node.getAttribute?.(name) ?? null;
}

/** The style attribute; in documents of `parseInert` it has another name. */
function cssOf(node: NodeLike): string | null {
    return attribute(node, 'data-css') ?? attribute(node, 'style');
}

function image(node: NodeLike, rules: Rules): Tree[] {
    const src = rules.image(attribute(node, 'src') ?? '', node);
    const alt = attribute(node, 'alt') ?? '';
    if (src === null) {
        return alt !== '' && rules.looks === 'mail' ? [alt] : [];
    }
    return [element('img', [], { src, ...(alt ? { alt } : {}), ...attributes(node, 'img') })];
}

function attributes(node: NodeLike, tag: string): Record<string, string> {
    const found: Record<string, string> = {};
    for (const name of [...(OF_TAG[tag] ?? []), 'dir', 'lang']) {
        const value = attribute(node, name)?.trim();
        if (value && ATTRIBUTES[name]?.test(value)) {
            found[name] = value;
        }
    }
    return found;
}

// ------------------------------------------------------------------ mail: looks are kept

function kept(node: NodeLike, tag: string, inner: Tree[]): Element_ {
    const attrs = attributes(node, tag);
    const style = readStyle(cssOf(node));
    if (tag === 'font') {
        return font(attrs, style, inner);
    }
    if (style.size > 0) attrs['style'] = writeStyle(style);
    if (tag === 'a') {
        const href = safeHref(attribute(node, 'href'));
        if (href) attrs['href'] = href;
    }
    if (tag === 'blockquote' && attribute(node, 'type') === 'cite') attrs['type'] = 'cite';
    if (tag === 'div' && /(^|\s)signature(\s|$)/.test(attribute(node, 'class') ?? '')) attrs['class'] = 'signature';
    return element(tag, inner, attrs);
}

const FONT_SIZES = ['10px', '13px', '16px', '18px', '24px', '32px', '48px'];

/** What the editing commands of browsers make; messages say it in CSS. */
function font(attrs: Record<string, string>, style: Map<string, string>, inner: Tree[]): Element_ {
    const size = Number(attrs['size']);
    if (attrs['color']) style.set('color', attrs['color']);
    if (size >= 1 && !/^[+-]/.test(attrs['size'] ?? '')) style.set('font-size', FONT_SIZES[size - 1] ?? '16px');
    if (attrs['face']) style.set('font-family', attrs['face']);
    return element('span', inner, style.size > 0 ? { style: writeStyle(style) } : {});
}

// ------------------------------------------------------------------ paste: meaning is kept

const MEANING: Record<string, string> = { strong: 'b', em: 'i', ins: 'u', del: 's', strike: 's', tt: 'code', samp: 'code', kbd: 'code' };
const LOST = new Set('span font center small abbr cite q var col colgroup caption'.split(' '));

/** One pasted element: what a style says becomes the element that says it, and the style goes. */
function pasted(node: NodeLike, name: string, inner: Tree[]): Tree[] {
    const css = cssOf(node) ?? '';
    const style = readStyle(css);
    const tag = MEANING[name] ?? name;
    let trees = inner;
    if (isInline(name)) {
        trees = byStyle(style, inner, name);
        // Documents of Google stand in <b style="font-weight:normal">.
        const denied = tag === 'b' && /^(normal|[1-4]00)$/.test(style.get('font-weight') ?? '');
        if (LOST.has(name) || denied) return trees;
    }
    if (tag === 'a') {
        const href = safeHref(attribute(node, 'href'));
        return href && trees.length > 0 ? [element('a', trees, { href })] : trees;
    }
    return [element(tag, trees, { ...pastedAttributes(node, tag), ...wordMark(css) })];
}

function isInline(tag: string): boolean {
    return !isBlock(element(tag)) && !/^(td|th|br|hr|col|colgroup)$/.test(tag);
}

function byStyle(style: Map<string, string>, inner: Tree[], name: string): Tree[] {
    let trees = inner;
    const wrap = (tag: string) => (trees = trees.length > 0 ? [element(tag, trees)] : trees);
    const decoration = style.get('text-decoration') ?? '';
    if (/^(bold|bolder|[6-9]00)$/.test(style.get('font-weight') ?? '') && name !== 'b' && name !== 'strong') wrap('b');
    if (/^(italic|oblique)$/.test(style.get('font-style') ?? '') && name !== 'i' && name !== 'em') wrap('i');
    if (decoration.includes('underline') && name !== 'u' && name !== 'a') wrap('u');
    if (decoration.includes('line-through') && name !== 's') wrap('s');
    if (name === 'span' && /^(super|sub)$/.test(style.get('vertical-align') ?? '')) wrap(style.get('vertical-align') === 'super' ? 'sup' : 'sub');
    return trees;
}

function pastedAttributes(node: NodeLike, tag: string): Record<string, string> {
    const { colspan, rowspan, start, dir } = attributes(node, tag);
    return { ...(colspan && { colspan }), ...(rowspan && { rowspan }), ...(start && { start }), ...(dir && { dir }) };
}

/** Word writes list items as paragraphs with a level: marked here, made lists of in `wordLists`. */
function wordMark(css: string): Record<string, string> {
    const level = /mso-list:\s*l\d+\s+level(\d)/i.exec(css)?.[1];
    return level ? { 'word-level': level } : {};
}

function wordLists(trees: Tree[]): Tree[] {
    const out: Tree[] = [];
    let open: { level: number; list: Element_ }[] = [];
    for (const tree of trees) {
        const level = typeof tree === 'string' ? 0 : Number(tree.attrs['word-level'] ?? 0);
        if (level === 0) {
            // White space between two items does not end a list.
            if (typeof tree !== 'string' || tree.trim() !== '') open = [];
            if (open.length === 0) out.push(withoutMarks(tree));
            continue;
        }
        const { tag, children: content } = wordItem(tree as Element_);
        while (open.length > 0 && (open[open.length - 1]?.level ?? 0) > level) open.pop();
        if ((open[open.length - 1]?.level ?? 0) < level) {
            const list = element(tag);
            const parent = open[open.length - 1]?.list.children;
            const item = parent?.[parent.length - 1];
            (typeof item === 'object' ? item.children : out).push(list);
            open.push({ level, list });
        }
        open[open.length - 1]?.list.children.push(element('li', content));
    }
    return out;
}

/** The item without the bullet or number that Word wrote in front of it. */
function wordItem(tree: Element_): { tag: string; children: Tree[] } {
    const bullet = /^[\s\u00a0]*([·•○●▪■§o–*-]|(?:\d{1,3}|[a-z]{1,4})[.)])[\s\u00a0]+/iu;
    const words = flatStart(tree);
    const mark = bullet.exec(words)?.[1] ?? '';
    const ordered = /^(\d|[a-z]{1,4}[.)])/i.test(mark);
    return {
        tag: ordered ? 'ol' : 'ul',
        children: mark === '' ? tree.children.map(withoutMarks) : dropStart(tree.children, bullet.exec(words)?.[0].length ?? 0),
    };
}

function flatStart(tree: Tree): string {
    return typeof tree === 'string' ? tree : tree.children.map(flatStart).join('');
}

function dropStart(trees: Tree[], count: number): Tree[] {
    let left = count;
    const cut = (tree: Tree): Tree[] => {
        if (typeof tree === 'string') {
            const kept = tree.slice(left);
            left = Math.max(0, left - tree.length);
            return kept === '' ? [] : [kept];
        }
        const inner = tree.children.flatMap(cut);
        return inner.length > 0 || tree.children.length === 0 ? [element(tree.tag, inner, tree.attrs)] : [];
    };
    return trees.flatMap(cut).map(withoutMarks);
}

function withoutMarks(tree: Tree): Tree {
    if (typeof tree === 'string') {
        return tree;
    }
    const { 'word-level': _, ...attrs } = tree.attrs;
    return element(tree.tag, tree.children.map(withoutMarks), attrs);
}

/** White space at the ends of a paste is of the document around it. */
function trimmed(trees: Tree[]): Tree[] {
    const empty = (tree: Tree | undefined) => typeof tree === 'string' && tree.trim() === '';
    let start = 0;
    let end = trees.length;
    while (start < end && empty(trees[start])) start++;
    while (end > start && empty(trees[end - 1])) end--;
    return trees.slice(start, end);
}
