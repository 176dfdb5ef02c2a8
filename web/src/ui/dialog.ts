// Dialogs on the element <dialog>: the browser keeps the focus inside, makes the rest inert, and gives the focus back.

import { append, h, uniqueId, type Child } from '../dom.ts';
import { button } from './button.ts';
import { pushKeys } from './keys.ts';
import { t as ui } from '../texts.ts';

export interface DialogOptions {
    title: string;
    body: Child;
    /** Buttons, the main one last. */
    actions?: Child;
    /** `wide` for previews and source, `sheet` covers a phone. */
    size?: 'small' | 'medium' | 'wide';
    /** Called once when it is gone, for whatever reason. */
    onclose?: () => void;
    /** False: neither Escape nor a click beside it closes it. */
    dismissible?: boolean;
    class?: string;
}

export interface Dialog {
    readonly element: HTMLDialogElement;
    close(): void;
}

export function openDialog(options: DialogOptions): Dialog {
    const titleId = uniqueId('dialog');
    const dismissible = options.dismissible ?? true;
    const closeButton = dismissible && button({ label: ui('close'), icon: 'close', kind: 'icon', onclick: () => element.close() });
    const element = h(
        'dialog',
        { class: `dialog ${options.size ?? 'small'} ${options.class ?? ''}`.trim(), 'aria-labelledby': titleId },
        h('div', { class: 'dialog-head' }, h('h2', { id: titleId, tabindex: '-1' }, options.title), closeButton),
        h('div', { class: 'dialog-body' }, options.body),
        options.actions ? h('div', { class: 'dialog-foot' }, options.actions) : null,
    );
    element.addEventListener('cancel', (event) => {
        if (!dismissible) event.preventDefault();
    });
    element.addEventListener('pointerdown', (event) => {
        if (dismissible && event.target === element && isOutside(event, element)) element.close();
    });
    const popKeys = pushKeys([], { modal: true });
    element.addEventListener('close', () => {
        popKeys();
        element.remove();
        options.onclose?.();
    });
    document.body.append(element);
    const body = element.querySelector<HTMLElement>('.dialog-body');
    // What can be scrolled must be reached by the keyboard.
    if (body && !body.querySelector('a[href], button, input, select, textarea, [tabindex]')) body.tabIndex = 0;
    element.showModal();
    const first = element.querySelector<HTMLElement>('[autofocus], .dialog-body input, .dialog-body textarea, .dialog-foot .primary, .dialog-foot .danger');
    (first ?? element.querySelector<HTMLElement>('h2'))?.focus();
    return { element, close: () => element.close() };
}

function isOutside(event: PointerEvent, element: HTMLElement): boolean {
    const box = element.getBoundingClientRect();
    return event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
}

/** Asks whether to do it; `danger` for what cannot be taken back. */
export function confirmDialog(options: { title: string; text: Child; confirm: string; danger?: boolean }): Promise<boolean> {
    return new Promise((resolve) => {
        let answer = false;
        const yes = button({
            label: options.confirm,
            kind: options.danger ? 'danger' : 'primary',
            onclick: () => {
                answer = true;
                dialog.close();
            },
        });
        const no = button({ label: ui('cancel'), kind: 'secondary', onclick: () => dialog.close() });
        const dialog = openDialog({ title: options.title, body: h('p', null, options.text), actions: [no, yes], onclose: () => resolve(answer) });
    });
}

/** Asks for one line of text; undefined when the user does not give one. `check` says what is wrong with it. */
export function promptDialog(options: { title: string; label: string; value?: string; confirm: string; check?: (value: string) => string | undefined }): Promise<string | undefined> {
    return new Promise((resolve) => {
        let answer: string | undefined;
        const field = textField({ label: options.label, value: options.value ?? '' });
        const form = h(
            'form',
            {
                method: 'dialog',
                onsubmit: (event) => {
                    event.preventDefault();
                    const value = field.input.value.trim();
                    const wrong = options.check?.(value);
                    if (wrong) return field.fail(wrong);
                    answer = value;
                    dialog.close();
                },
            },
            field.element,
            h('div', { class: 'actions' }, button({ label: ui('cancel'), kind: 'secondary', onclick: () => dialog.close() }), button({ label: options.confirm, kind: 'primary', type: 'submit' })),
        );
        const dialog = openDialog({ title: options.title, body: form, onclose: () => resolve(answer) });
        field.input.select();
    });
}

export interface TextField {
    element: HTMLElement;
    input: HTMLInputElement;
    /** Shows what is wrong, tied to the field, and puts the focus there. */
    fail(message: string): void;
}

/** A field with its label, hint and error. `attributes` go on the input. */
export function textField(options: { label: string; value?: string; hint?: string; attributes?: Record<string, unknown>; after?: Child }): TextField {
    const id = uniqueId('field');
    const error = h('p', { class: 'field-error', id: `${id}-error`, role: 'alert' });
    const hint = options.hint ? h('p', { class: 'field-hint', id: `${id}-hint` }, options.hint) : null;
    const described = [hint && `${id}-hint`, `${id}-error`].filter(Boolean).join(' ');
    const input = h('input', { id, type: 'text', value: options.value ?? '', 'aria-describedby': described, ...options.attributes });
    const element = h('div', { class: 'field' }, h('label', { for: id }, options.label), h('div', { class: 'field-input' }, input));
    append(element.lastElementChild as Element, [options.after]);
    append(element, [hint, error]);
    input.addEventListener('input', () => {
        error.textContent = '';
        input.removeAttribute('aria-invalid');
    });
    return {
        element,
        input,
        fail: (message) => {
            error.textContent = message;
            input.setAttribute('aria-invalid', 'true');
            input.focus();
        },
    };
}
