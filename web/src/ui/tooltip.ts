// Tooltips of everything with `data-tip`, and its shortcut in `data-key`: on hovering after a moment, on keyboard focus at once. The name
// of the element is elsewhere (aria-label): the tooltip is for eyes alone.

import { h } from '../dom.ts';

let shown: HTMLElement | undefined;
let timer: ReturnType<typeof setTimeout> | undefined;
let lastShown = 0;

function show(anchor: HTMLElement): void {
    hide();
    const text = anchor.dataset['tip'];
    if (!text || !anchor.isConnected || anchor.getAttribute('aria-expanded') === 'true') return;
    const key = anchor.dataset['key'];
    shown = h('div', { class: 'tooltip', popover: 'manual', 'aria-hidden': 'true' }, text, key && h('kbd', null, key));
    (anchor.closest('dialog') ?? document.body).append(shown);
    shown.showPopover();
    const box = anchor.getBoundingClientRect();
    const { width, height } = shown.getBoundingClientRect();
    const below = box.bottom + 6 + height < innerHeight;
    shown.style.left = `${Math.max(6, Math.min(box.left + box.width / 2 - width / 2, innerWidth - width - 6))}px`;
    shown.style.top = `${below ? box.bottom + 6 : box.top - height - 6}px`;
    lastShown = Date.now();
}

function hide(): void {
    clearTimeout(timer);
    if (shown) lastShown = Date.now();
    shown?.remove();
    shown = undefined;
}

const anchorOf = (event: Event): HTMLElement | null => (event.target instanceof Element ? event.target.closest<HTMLElement>('[data-tip]') : null);

export function startTooltips(): void {
    document.addEventListener('pointerover', (event) => {
        const anchor = anchorOf(event);
        if (!anchor || event.pointerType === 'touch') return hide();
        clearTimeout(timer);
        // Once one was seen, its neighbours show at once.
        timer = setTimeout(() => show(anchor), Date.now() - lastShown < 400 ? 40 : 500);
    });
    document.addEventListener('focusin', (event) => {
        const anchor = anchorOf(event);
        if (anchor?.matches(':focus-visible')) show(anchor);
    });
    for (const type of ['pointerdown', 'focusout', 'keydown', 'scroll']) document.addEventListener(type, hide, true);
}
