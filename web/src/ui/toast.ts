// Short messages at the head of the page, where nothing is that one presses next, with an action such as Undo. They wait while the
// pointer or the focus is on them, unless what they say is over by itself.

import { h } from '../dom.ts';
import { icon } from '../icon.ts';
import { button } from './button.ts';
import { t as ui } from '../texts.ts';

export interface ToastOptions {
    text: string;
    kind?: 'info' | 'error';
    action?: { label: string; run: () => void };
    /** How long it stays; 0 until it is dismissed. */
    seconds?: number;
    /** What it offers is over when the time is, whoever looks at it (the server's time to undo). */
    strict?: boolean;
    /** Called when it goes away without its action. */
    ondone?: () => void;
    /** One with the same name is replaced. */
    name?: string;
}

export interface Toast {
    /** Other text, for what takes long. */
    update(text: string): void;
    dismiss(): void;
}

let region: HTMLElement | undefined;
const named = new Map<string, Toast>();

export function toast(options: ToastOptions): Toast {
    if (options.name) named.get(options.name)?.dismiss();
    if (!region?.isConnected) {
        // In the top layer, above dialogs as well: what it says of them must be seen.
        region = h('div', { class: 'toasts', popover: 'manual', role: 'status', 'aria-live': 'polite' });
        document.body.append(region);
    }
    const here = region;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let gone = false;
    const leave = (acted: boolean): void => {
        if (gone) return;
        gone = true;
        clearTimeout(timer);
        element.remove();
        if (here.childElementCount === 0) here.hidePopover();
        if (options.name && named.get(options.name) === self) named.delete(options.name);
        if (!acted) options.ondone?.();
    };
    const text = h('span', { class: 'toast-text' }, options.text);
    const element = h(
        'div',
        { class: `toast ${options.kind ?? 'info'}`, role: options.kind === 'error' ? 'alert' : undefined },
        options.kind === 'error' && icon('warning'),
        text,
        options.action &&
            button({
                label: options.action.label,
                class: 'toast-action',
                onclick: () => {
                    leave(true);
                    options.action?.run();
                },
            }),
        button({ label: ui('dismiss'), icon: 'close', kind: 'icon', onclick: () => leave(false) }),
    );
    const seconds = options.seconds ?? (options.action || options.kind === 'error' ? 10 : 5);
    const wait = (): void => {
        clearTimeout(timer);
        if (seconds > 0) timer = setTimeout(() => leave(false), seconds * 1000);
    };
    if (!options.strict) {
        element.addEventListener('pointerenter', () => clearTimeout(timer));
        element.addEventListener('pointerleave', wait);
        element.addEventListener('focusin', () => clearTimeout(timer));
        element.addEventListener('focusout', wait);
    }
    here.append(element);
    if (here.matches(':popover-open')) here.hidePopover();
    here.showPopover();
    while (here.childElementCount > 3) here.firstElementChild?.remove();
    wait();
    const self: Toast = { update: (now) => (text.textContent = now), dismiss: () => leave(false) };
    if (options.name) named.set(options.name, self);
    return self;
}
