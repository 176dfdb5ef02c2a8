// Elements without markup: nothing here, or anywhere in the web mail, parses a string as HTML. Text is text, attributes are
// attributes, and the few that could run something (handlers, srcdoc, addresses of an unknown scheme) are refused.

export type Child = Node | string | number | null | undefined | false | readonly Child[];

type Handlers = { [K in keyof GlobalEventHandlersEventMap as `on${K}`]?: ((event: GlobalEventHandlersEventMap[K]) => void) | undefined };
export type Props = Handlers & {
    class?: string | undefined;
    /** Set property by property: a `style` attribute would be refused by the Content-Security-Policy. */
    style?: Readonly<Record<string, string>>;
    /** Any attribute: true is the empty attribute, false, null and undefined leave it out. */
    [attribute: string]: unknown;
};

const SVG = 'http://www.w3.org/2000/svg';
const ADDRESSES = new Set(['href', 'src', 'action', 'formaction', 'poster', 'data']);
const SAFE_SCHEMES = new Set(['http:', 'https:', 'mailto:', 'blob:', 'data:']);

/** An element with its attributes, handlers (`onclick`) and children. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, props?: Props | null, ...children: Child[]): HTMLElementTagNameMap[K] {
    const element = document.createElement(tag);
    if (props) setProps(element, props);
    append(element, children);
    return element;
}

export function setProps(element: HTMLElement | SVGElement, props: Props): void {
    for (const [name, value] of Object.entries(props)) {
        if (value === undefined || value === null || value === false) element.removeAttribute(name);
        else if (name.startsWith('on') && typeof value === 'function') element.addEventListener(name.slice(2), value as EventListener);
        else if (name === 'style') for (const [key, text] of Object.entries(value as Record<string, string>)) element.style.setProperty(key, text);
        else if (name === 'value' && 'value' in element) element.value = String(value);
        else if (name === 'checked' && 'checked' in element) element.checked = Boolean(value);
        else setAttribute(element, name, value === true ? '' : String(value));
    }
}

function setAttribute(element: Element, name: string, value: string): void {
    if (name.startsWith('on') || name === 'srcdoc' || name === 'style') throw new Error(`the attribute ${name} is not set from here`);
    if (ADDRESSES.has(name) && !isSafeAddress(value)) throw new Error(`no address: ${value.slice(0, 40)}`);
    element.setAttribute(name, value);
}

/** Whether `address` leads to a page, a mail address, or something that we made ourselves. */
export function isSafeAddress(address: string): boolean {
    try {
        return SAFE_SCHEMES.has(new URL(address, 'https://here.invalid/').protocol);
    } catch {
        return false;
    }
}

export function append(parent: Node, children: readonly Child[]): void {
    for (const child of children) {
        if (child === null || child === undefined || child === false) continue;
        if (Array.isArray(child)) append(parent, child as readonly Child[]);
        else parent.appendChild(child instanceof Node ? child : document.createTextNode(String(child)));
    }
}

/** Puts `children` in place of what `parent` had. */
export function fill(parent: Element, ...children: Child[]): void {
    parent.replaceChildren();
    append(parent, children);
}

/** An icon of 24 by 24 from the paths of icons.ts; hidden from assistive technology, its button has the name. */
export function svg(paths: string, className = 'icon'): SVGSVGElement {
    const element = document.createElementNS(SVG, 'svg');
    element.setAttribute('class', className);
    element.setAttribute('viewBox', '0 0 24 24');
    element.setAttribute('aria-hidden', 'true');
    for (const d of paths.split('|')) {
        const path = document.createElementNS(SVG, 'path');
        path.setAttribute('d', d.startsWith('*') ? d.slice(1) : d);
        if (d.startsWith('*')) path.setAttribute('class', 'solid');
        element.appendChild(path);
    }
    return element;
}

const styleUrls = JSON.parse(STYLE_URLS) as Readonly<Record<string, string>>;
const loadedStyles = new Map<string, Promise<void>>();

/** Loads the style sheet src/styles/NAME.css once; resolves when it applies. A chunk with styles of its own awaits this first. */
export function loadStyle(name: string): Promise<void> {
    let loading = loadedStyles.get(name);
    if (!loading) {
        loading = new Promise<void>((resolve, reject) => {
            const link = h('link', { rel: 'stylesheet', href: styleUrls[name] ?? '', onload: () => resolve(), onerror: () => reject(new Error(`style ${name}`)) });
            document.head.append(link);
        });
        loadedStyles.set(name, loading);
        loading.catch(() => loadedStyles.delete(name));
    }
    return loading;
}

let counter = 0;
/** An id that no other element of the page has, for `for`, `aria-labelledby` and the like. */
export const uniqueId = (prefix: string): string => `${prefix}-${++counter}`;

/** Calls `run` with the last arguments once nothing has called for `milliseconds`. */
export function debounce<A extends unknown[]>(milliseconds: number, run: (...args: A) => void): ((...args: A) => void) & { cancel(): void; flush(): void } {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let last: A | undefined;
    const fire = (): void => {
        timer = undefined;
        const args = last;
        last = undefined;
        if (args) run(...args);
    };
    return Object.assign(
        (...args: A): void => {
            last = args;
            clearTimeout(timer);
            timer = setTimeout(fire, milliseconds);
        },
        {
            cancel: () => {
                clearTimeout(timer);
                last = undefined;
            },
            flush: () => {
                clearTimeout(timer);
                fire();
            },
        },
    );
}
