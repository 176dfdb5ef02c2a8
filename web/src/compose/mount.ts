// From `Tree` to nodes of the page: element by element, attribute by attribute, no markup.
import { isSafeAddress } from '../dom.ts';
import { type Tree } from './tree.ts';

/** Gives the address at which an image of a message can be shown here (a blob: or data: address), or null while there is none. */
export type Shown = (src: string) => string | null;

const ATTRIBUTES = new Set('align valign bgcolor border cellpadding cellspacing colspan rowspan start width height dir lang type class href alt'.split(' '));

export function toNodes(trees: readonly Tree[], shown: Shown = () => null): DocumentFragment {
    const fragment = document.createDocumentFragment();
    for (const tree of trees) fragment.append(node(tree, shown));
    return fragment;
}

function node(tree: Tree, shown: Shown): Node {
    if (typeof tree === 'string') return document.createTextNode(tree);
    const made = document.createElement(tree.tag);
    for (const [name, value] of Object.entries(tree.attrs)) {
        // A style attribute would be refused by the policy of the page; its properties are not.
        if (name === 'style') made.style.cssText = value;
        else if (ATTRIBUTES.has(name) && (name !== 'href' || isSafeAddress(value))) made.setAttribute(name, value);
    }
    if (made instanceof HTMLImageElement) source(made, tree.attrs['src'] ?? '', shown);
    made.append(toNodes(tree.children, shown));
    return made;
}

/** The address in the message stays in data-src; an image of another host is not fetched while one writes. */
function source(image: HTMLImageElement, src: string, shown: Shown): void {
    image.dataset['src'] = src;
    if (!image.hasAttribute('alt')) image.setAttribute('alt', '');
    const here = shown(src);
    if (here) image.src = here;
    else image.classList.add('absent');
}
