// The message itself: cleaned by the server, shown in a frame from its own response, without scripts. The parent measures its height,
// listens to its keys, and tells where its links really lead.

import { h } from '../dom.ts';
import { handleKey } from '../ui/keys.ts';
import { t } from '../texts.ts';

const SANDBOX = 'allow-same-origin allow-popups allow-popups-to-escape-sandbox';

export interface FrameOptions {
    url: string;
    title: string;
    /** Called once it is there: how many images of other hosts were left out, whether they may be asked for, and whether it is shortened. */
    loaded: (blockedImages: number, canShow: boolean, isCut: boolean) => void;
    /** The address of the link under the pointer or with the focus; empty: none. */
    link: (address: string, misleading: boolean) => void;
}

export function messageFrame(options: FrameOptions): HTMLIFrameElement {
    const frame = h('iframe', { class: 'message-frame', sandbox: SANDBOX, src: options.url, title: options.title, referrerpolicy: 'no-referrer', scrolling: 'no' });
    frame.addEventListener('load', () => {
        const page = frame.contentDocument;
        if (!page?.body) return;
        adopt(frame, page, options);
        const { blocked, images, cut } = page.documentElement.dataset; // the server says what it left out
        options.loaded(Number(blocked ?? 0), images !== 'off', cut === 'true');
    });
    return frame;
}

function adopt(frame: HTMLIFrameElement, page: Document, options: FrameOptions): void {
    const fit = (): void => {
        frame.style.height = `${Math.ceil(Math.max(page.body.scrollHeight, page.documentElement.getBoundingClientRect().height))}px`;
    };
    themed(page);
    fit();
    new ResizeObserver(fit).observe(page.documentElement);
    for (const image of page.images) image.addEventListener('load', fit);
    page.addEventListener('keydown', handleKey);
    const linkAt = (event: Event): HTMLAnchorElement | null => (event.target as Element | null)?.closest?.('a[href]') ?? null;
    const tell = (event: Event): void => {
        const link = linkAt(event);
        options.link(link?.href ?? '', link !== null && isMisleading(link));
    };
    page.addEventListener('pointerover', tell);
    page.addEventListener('focusin', tell);
    page.addEventListener('pointerout', () => options.link('', false));
    page.addEventListener('focusout', () => options.link('', false));
    // A click closes what is open over the list, as one beside the frame would.
    page.addEventListener('pointerdown', (event) => frame.dispatchEvent(new PointerEvent('pointerdown', { bubbles: true, pointerType: event.pointerType })));
}

/** Whether the text of a link is an address of another host than the one it leads to. */
export function isMisleading(link: { textContent: string | null; href: string }): boolean {
    const shown = /^\s*(?:https?:\/\/)?((?:[\w-]+\.)+[a-z]{2,})(?:[/:?#]|\s*$)/i.exec(link.textContent ?? '')?.[1];
    if (!shown) return false;
    try {
        const { hostname, protocol } = new URL(link.href);
        if (!/^https?:$/.test(protocol)) return false;
        const bare = (host: string): string => host.toLowerCase().replace(/^www\./, '');
        return bare(hostname) !== bare(shown);
    } catch {
        return false;
    }
}

/**
 * In the dark theme a message without colours of its own takes the page's; one that has any keeps its white paper, on which it was
 * written. The style goes in through the object model: the message's own policy allows no other.
 */
function themed(page: Document): void {
    const said = page.documentElement.dataset['colours'];
    const styled = said === undefined ? page.querySelector('[bgcolor], font[color], [style*="color" i], [style*="background" i], style') !== null : said === 'true';
    const root = getComputedStyle(document.documentElement);
    page.documentElement.style.colorScheme = styled ? 'light' : root.colorScheme;
    page.documentElement.style.background = styled ? root.getPropertyValue('--paper') : 'transparent';
    if (styled) {
        page.body.style.color ||= '#17212b';
        page.body.style.padding = '12px';
    } else {
        page.body.style.padding = '0';
        page.body.style.color = root.getPropertyValue('--text');
        const accent = root.getPropertyValue('--accent');
        for (const link of page.links) link.style.color = accent;
    }
    page.documentElement.style.overflowY = 'hidden';
}

export const linkText = (address: string, misleading: boolean): string => (misleading ? t('linkMisleads', { address }) : address);
