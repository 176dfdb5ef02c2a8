// Menus: a button's, or where the pointer was. Arrow keys, Home, End, first letters, Escape; one open at a time.

import { h, type Child } from '../dom.ts';
import { icon, type IconName } from '../icon.ts';
import { keyHint, pushKeys } from './keys.ts';

export type MenuItem =
    | {
          label: string;
          icon?: IconName;
          key?: string;
          /** For a choice: shown with a check. */
          checked?: boolean;
          disabled?: boolean;
          danger?: boolean;
          run: () => void;
      }
    | 'separator'
    | { heading: string };

let close: (() => void) | undefined;

/** Opens a menu at an element (its button) or at a point. */
export function openMenu(at: Element | { x: number; y: number }, items: readonly MenuItem[], options: { label?: string } = {}): void {
    close?.();
    const anchor = at instanceof Element ? at : undefined;
    const before = document.activeElement as HTMLElement | null;
    const menu = h('div', { class: 'menu', role: 'menu', popover: 'manual', 'aria-label': options.label ?? anchor?.getAttribute('aria-label') ?? undefined, tabindex: '-1' }, items.map(itemElement));
    // Inside a modal dialog everything outside of it is inert: the menu goes where its button is.
    (anchor?.closest('dialog') ?? document.body).append(menu);
    menu.showPopover();
    place(menu, at);
    anchor?.setAttribute('aria-expanded', 'true');

    const entries = [...menu.querySelectorAll<HTMLElement>('[role^=menuitem]:not([aria-disabled])')];
    const focus = (index: number): void => entries[(index + entries.length) % entries.length]?.focus();
    const current = (): number => entries.indexOf(document.activeElement as HTMLElement);
    const outside = (event: Event): void => {
        if (!menu.contains(event.target as Node) && !anchor?.contains(event.target as Node)) close?.();
    };
    const popKeys = pushKeys([], { modal: true });
    close = () => {
        close = undefined;
        popKeys();
        document.removeEventListener('pointerdown', outside, true);
        removeEventListener('resize', blur);
        removeEventListener('blur', blur);
        const hadFocus = menu.contains(document.activeElement);
        menu.remove();
        anchor?.setAttribute('aria-expanded', 'false');
        if (hadFocus) (anchor instanceof HTMLElement && anchor.isConnected ? anchor : before)?.focus();
    };
    const blur = (): void => close?.();
    document.addEventListener('pointerdown', outside, true);
    addEventListener('resize', blur);
    addEventListener('blur', blur);

    menu.addEventListener('keydown', (event) => {
        event.stopPropagation();
        if (event.key === 'ArrowDown') focus(current() + 1);
        else if (event.key === 'ArrowUp') focus(current() < 0 ? -1 : current() - 1);
        else if (event.key === 'Home') focus(0);
        else if (event.key === 'End') focus(-1);
        else if (event.key === 'Escape' || event.key === 'Tab') close?.();
        else if (event.key === 'Enter' || event.key === ' ') (document.activeElement as HTMLElement).click();
        else if (event.key.length === 1) focus(byLetter(entries, event.key, current()));
        else return;
        event.preventDefault();
    });
    menu.addEventListener('click', (event) => {
        const entry = (event.target as Element).closest<HTMLElement>('[role^=menuitem]');
        const item = items[Number(entry?.dataset['index'])];
        if (!entry || !item || item === 'separator' || 'heading' in item || item.disabled) return;
        close?.();
        item.run();
    });
    menu.addEventListener('pointermove', (event) => (event.target as Element).closest<HTMLElement>('[role^=menuitem]')?.focus({ preventScroll: true }));
    focus(Math.max(0, entries.findIndex((one) => one.getAttribute('aria-checked') === 'true')));
}

function itemElement(item: MenuItem, index: number): Child {
    if (item === 'separator') return h('hr', { role: 'separator' });
    if ('heading' in item) return h('div', { class: 'menu-heading', role: 'presentation' }, item.heading);
    const choice = item.checked !== undefined;
    return h(
        'div',
        {
            class: item.danger ? 'menu-item danger' : 'menu-item',
            role: choice ? 'menuitemradio' : 'menuitem',
            'aria-checked': choice ? String(item.checked) : undefined,
            'aria-disabled': item.disabled ? 'true' : undefined,
            'data-index': index,
            tabindex: '-1',
        },
        choice ? (item.checked ? icon('check') : h('span', { class: 'icon' })) : item.icon ? icon(item.icon) : h('span', { class: 'icon' }),
        h('span', { class: 'label' }, item.label),
        item.key && h('kbd', null, keyHint(item.key)),
    );
}

function byLetter(entries: readonly HTMLElement[], letter: string, from: number): number {
    for (let step = 1; step <= entries.length; step += 1) {
        const at = (from + step) % entries.length;
        if (entries[at]?.textContent?.trim().toLowerCase().startsWith(letter.toLowerCase())) return at;
    }
    return from;
}

/** Below the anchor at its start, or above and ended where there is no room. */
function place(menu: HTMLElement, at: Element | { x: number; y: number }): void {
    const box = at instanceof Element ? at.getBoundingClientRect() : new DOMRect(at.x, at.y, 0, 0);
    const { width, height } = menu.getBoundingClientRect();
    const rtl = document.documentElement.dir === 'rtl';
    let left = rtl ? box.right - width : box.left;
    left = Math.max(8, Math.min(left, innerWidth - width - 8));
    let top = box.bottom + 4;
    if (top + height > innerHeight - 8) top = Math.max(8, box.top - height - 4);
    menu.style.left = `${left}px`;
    menu.style.top = `${top}px`;
}

export const closeMenu = (): void => close?.();
