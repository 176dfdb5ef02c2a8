// The buttons over formatted text: one stop of the Tab key, arrow keys inside (toolbar pattern of the ARIA Authoring Practices).
import { h, svg } from '../dom.ts';
import { ICONS } from '../icons.ts';
import { openMenu } from '../ui/menu.ts';
import { ariaKey, keyHint } from '../ui/keys.ts';
import { safeHref } from './clean.ts';
import type { Editor, Marks } from './editor.ts';
import { SIGNS } from './icons.ts';
import { openPopover } from './popover.ts';
import { say } from './texts.ts';

/** `font size` of the editing commands; messages say it in pixels. */
const SIZES = [
    ['2', 'sizeSmall'],
    ['3', 'sizeNormal'],
    ['5', 'sizeLarge'],
    ['6', 'sizeHuge'],
] as const;

/** Each can be read on white; "automatic" leaves the choice to the reader's theme. */
const COLOURS = [
    ['', 'colourAuto'],
    ['#5f6b76', 'colourGrey'],
    ['#b3261e', 'colourRed'],
    ['#a04a00', 'colourOrange'],
    ['#7a5a00', 'colourYellow'],
    ['#1b6e3c', 'colourGreen'],
    ['#006a6a', 'colourTeal'],
    ['#0b5cad', 'colourBlue'],
    ['#6a3fb5', 'colourPurple'],
    ['#a3246b', 'colourPink'],
] as const;

interface Entry {
    button: HTMLButtonElement;
    mark?: keyof Marks;
}

export class Toolbar {
    readonly element: HTMLElement;
    private readonly entries: Entry[] = [];
    private readonly undo: HTMLButtonElement;
    private readonly redo: HTMLButtonElement;

    constructor(private readonly editor: Editor) {
        this.element = h('div', { class: 'compose-toolbar', role: 'toolbar', 'aria-label': say('formatting') });
        const e = editor;
        this.group(
            this.add('bold', ICONS.bold, 'Mod+b', () => e.command('bold'), 'bold'),
            this.add('italic', ICONS.italic, 'Mod+i', () => e.command('italic'), 'italic'),
            this.add('underline', ICONS.underline, 'Mod+u', () => e.command('underline'), 'underline'),
            this.add('strike', ICONS.strike, 'Mod+Shift+x', () => e.command('strikeThrough'), 'strike'),
        );
        this.group(
            this.add('fontSize', SIGNS.size, undefined, (button) => this.sizes(button), undefined, 'menu'),
            this.add('colour', SIGNS.colour, undefined, (button) => this.colours(button), undefined, 'dialog'),
        );
        this.group(
            this.add('bullets', ICONS.listBullets, 'Mod+Shift+8', () => e.command('insertUnorderedList'), 'bullets'),
            this.add('numbers', ICONS.listNumbers, 'Mod+Shift+7', () => e.command('insertOrderedList'), 'numbers'),
            this.add('quote', ICONS.quote, 'Mod+Shift+9', () => e.toggleQuote(), 'quote'),
            this.add('code', ICONS.code, 'Mod+e', () => e.toggleCode(), 'code'),
            this.add('link', ICONS.link, 'Mod+k', (button) => this.link(button), undefined, 'dialog'),
        );
        this.undo = this.add('undo', SIGNS.undo, 'Mod+z', () => this.step(() => e.log.undo()));
        this.redo = this.add('redo', SIGNS.redo, 'Mod+Shift+z', () => this.step(() => e.log.redo()));
        this.group(
            this.add('rtl', SIGNS.rtl, 'Mod+Shift+0', () => e.toggleDirection(), 'rtl'),
            this.add('clear', SIGNS.clear, 'Mod+\\', () => e.clear()),
        );
        this.group(this.undo, this.redo);
        this.element.addEventListener('keydown', (event) => this.key(event));
        this.entries.forEach(({ button }, index) => (button.tabIndex = index === 0 ? 0 : -1));
        editor.root.addEventListener('keydown', (event) => {
            if ((event.ctrlKey || event.metaKey) && !event.shiftKey && event.key.toLowerCase() === 'k') {
                event.preventDefault();
                this.link(this.button('link'));
            } else if (event.altKey && event.key === 'F10') {
                event.preventDefault();
                this.entries.find(({ button }) => button.tabIndex === 0)?.button.focus();
            }
        });
    }

    /** Shows what holds at the caret. */
    refresh(): void {
        const marks = this.editor.marks();
        for (const { button, mark } of this.entries) if (mark) button.setAttribute('aria-pressed', String(Boolean(marks[mark])));
        this.undo.setAttribute('aria-disabled', String(!this.editor.log.canUndo));
        this.redo.setAttribute('aria-disabled', String(!this.editor.log.canRedo));
        this.button('link').setAttribute('aria-pressed', String(marks.link !== null));
    }

    private step(run: () => void): void {
        this.editor.restore();
        run();
    }

    private group(...buttons: HTMLButtonElement[]): void {
        this.element.append(h('div', { class: 'toolbar-group', role: 'presentation' }, buttons));
    }

    private add(
        name: Parameters<typeof say>[0],
        sign: string,
        key: string | undefined,
        run: (button: HTMLButtonElement) => void,
        mark?: keyof Marks,
        popup?: 'menu' | 'dialog',
    ): HTMLButtonElement {
        const button = h(
            'button',
            {
                type: 'button',
                class: 'button icon',
                'data-name': name,
                'aria-label': say(name),
                'data-tip': say(name),
                'data-key': key ? keyHint(key) : undefined,
                'aria-keyshortcuts': key ? ariaKey(key) : undefined,
                'aria-pressed': mark || name === 'link' ? 'false' : undefined,
                'aria-haspopup': popup,
                'aria-expanded': popup ? 'false' : undefined,
                // The caret stays in the text while a button is pressed.
                onpointerdown: (event) => event.preventDefault(),
                onmousedown: (event) => event.preventDefault(),
                onclick: () => {
                    if (button.getAttribute('aria-disabled') === 'true') return;
                    this.rove(button);
                    run(button);
                    this.refresh();
                },
            },
            svg(sign),
        );
        this.entries.push({ button, ...(mark ? { mark } : {}) });
        return button;
    }

    private button(name: string): HTMLButtonElement {
        const found = this.entries.find(({ button }) => button.dataset['name'] === name);
        if (!found) throw new Error(`no button ${name}`);
        return found.button;
    }

    private key(event: KeyboardEvent): void {
        const shown = [...this.element.querySelectorAll('button')];
        const at = shown.indexOf(document.activeElement as HTMLButtonElement);
        const on = document.documentElement.dir === 'rtl' ? 'ArrowLeft' : 'ArrowRight';
        const back = on === 'ArrowRight' ? 'ArrowLeft' : 'ArrowRight';
        const to = event.key === on ? at + 1 : event.key === back ? at - 1 : event.key === 'Home' ? 0 : event.key === 'End' ? -1 : null;
        if (event.key === 'Escape') {
            event.stopPropagation();
            this.editor.restore();
        } else if (to !== null) {
            const target = shown[(to + shown.length) % shown.length];
            if (target) this.rove(target);
            target?.focus();
            event.preventDefault();
        }
    }

    private rove(to: HTMLButtonElement): void {
        for (const { button } of this.entries) button.tabIndex = button === to ? 0 : -1;
    }

    // ------------------------------------------------------------ menus

    private sizes(button: HTMLButtonElement): void {
        this.editor.keep();
        const now = document.queryCommandValue('fontSize') || '3';
        const run = (size: string): void => {
            this.editor.command('fontSize', size);
            this.refresh();
        };
        openMenu(
            button,
            SIZES.map(([size, name]) => ({ label: say(name), checked: size === now, run: () => run(size) })),
            { label: say('fontSize') },
        );
    }

    private colours(button: HTMLButtonElement): void {
        this.editor.keep();
        const choose = (colour: string): void => {
            popover.close();
            if (colour === '') this.editor.plainColour();
            else this.editor.command('foreColor', colour);
            this.refresh();
        };
        const swatches = COLOURS.map(([colour, name]) =>
            h(
                'button',
                { type: 'button', class: 'swatch', 'aria-label': say(name), 'data-tip': say(name), onclick: () => choose(colour) },
                h('span', { class: colour ? 'swatch-colour' : 'swatch-colour auto', style: colour ? { background: colour } : {} }),
            ),
        );
        const grid = h('div', { class: 'swatches', onkeydown: (event) => moveBetween(event, swatches, 5) }, swatches);
        const popover = openPopover(button, say('colour'), grid);
        swatches[0]?.focus();
    }

    /** The address, and the words when nothing is selected. */
    private link(button: HTMLButtonElement): void {
        this.editor.keep();
        const now = this.editor.marks().link ?? '';
        const words = document.getSelection()?.isCollapsed === true && now === '';
        const address = h('input', {
            type: 'text',
            inputmode: 'url',
            value: now,
            'aria-label': say('linkAddress'),
            placeholder: 'https://',
            autocomplete: 'off',
            spellcheck: 'false',
        });
        const text = h('input', { type: 'text', 'aria-label': say('linkText'), placeholder: say('linkText') });
        const error = h('p', { class: 'field-error', role: 'alert' });
        const submit = (event: Event): void => {
            event.preventDefault();
            const href = completed(address.value.trim());
            if (href === null) {
                error.textContent = say('linkWrong');
                address.setAttribute('aria-invalid', 'true');
                return address.focus();
            }
            popover.close();
            this.editor.link(href, text.value.trim());
            this.refresh();
        };
        const remove = (): void => {
            popover.close();
            this.editor.link('', '');
            this.refresh();
        };
        const buttons = h(
            'div',
            { class: 'actions' },
            now !== '' && h('button', { type: 'button', class: 'button', onclick: remove }, say('linkRemove')),
            h('button', { type: 'submit', class: 'button primary' }, say('linkApply')),
        );
        const popover = openPopover(
            button,
            say('link'),
            h('form', { class: 'link-form', novalidate: true, onsubmit: submit }, address, words && text, error, buttons),
        );
        address.focus();
        address.select();
    }
}

/** What was typed as an address of a link: a bare host is one of the web, a bare mail address one to write to; null when it is none. */
export function completed(typed: string): string | null {
    if (typed === '') return '';
    const direct = safeHref(typed);
    if (direct) return direct;
    if (/^[^\s@/:]+@[^\s@/]+\.[^\s@/]+$/.test(typed)) return `mailto:${typed}`;
    return /^[^\s:/]+\.[^\s:/]+(?:[:/]\S*)?$/.test(typed) ? `https://${typed}` : null;
}

/** Arrow keys in a grid of buttons. */
function moveBetween(event: KeyboardEvent, buttons: HTMLElement[], columns: number): void {
    const at = buttons.indexOf(document.activeElement as HTMLElement);
    const forward = document.documentElement.dir === 'rtl' ? -1 : 1;
    const steps: Record<string, number> = { ArrowRight: forward, ArrowLeft: -forward, ArrowDown: columns, ArrowUp: -columns };
    const step = steps[event.key];
    if (step === undefined || at < 0) return;
    event.preventDefault();
    buttons[(at + step + buttons.length) % buttons.length]?.focus();
}
