// A small form or palette beside its button: closed by Escape, by a press beside it, and when it has done its work.
import { type Child, append, h } from '../dom.ts';
import { pushKeys } from '../ui/keys.ts';

export interface Popover {
    element: HTMLElement;
    close(): void;
}

export function openPopover(anchor: HTMLElement, label: string, content: Child, onclose: () => void = () => undefined): Popover {
    const element = h('div', { class: 'compose-popover', popover: 'manual', role: 'dialog', 'aria-label': label });
    append(element, [content]);
    (anchor.closest('dialog') ?? document.body).append(element);
    element.showPopover();
    place(element, anchor);
    anchor.setAttribute('aria-expanded', 'true');
    const popKeys = pushKeys([], { modal: true });
    const outside = (event: Event): void => {
        if (!element.contains(event.target as Node) && !anchor.contains(event.target as Node)) close(false);
    };
    const close = (focus = true): void => {
        if (!element.isConnected) return;
        popKeys();
        document.removeEventListener('pointerdown', outside, true);
        element.remove();
        anchor.setAttribute('aria-expanded', 'false');
        onclose();
        if (focus) anchor.focus();
    };
    document.addEventListener('pointerdown', outside, true);
    element.addEventListener('keydown', (event) => {
        if (event.key === 'Escape') close();
        event.stopPropagation();
    });
    element.addEventListener('focusout', (event) => {
        const to = event.relatedTarget as Node | null;
        if (to && !element.contains(to) && to !== anchor) close(false);
    });
    return { element, close: () => close() };
}

/** Above the button, where the text is not hidden; below when there is no room. */
function place(element: HTMLElement, anchor: HTMLElement): void {
    const box = anchor.getBoundingClientRect();
    const { width, height } = element.getBoundingClientRect();
    const wanted = document.documentElement.dir === 'rtl' ? box.right - width : box.left;
    element.style.left = `${Math.max(8, Math.min(wanted, innerWidth - width - 8))}px`;
    const above = box.top - height - 6;
    const below = box.bottom + 6;
    element.style.top = `${below + height < innerHeight - 8 ? below : Math.max(8, above)}px`;
}
