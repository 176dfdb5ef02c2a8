// A field of recipients: each a token that can be reached, changed and removed by keyboard, and an input that completes what is
// typed (the combobox pattern of the ARIA Authoring Practices: list box, aria-activedescendant).
import { fill, h, uniqueId } from '../dom.ts';
import { icon } from '../icon.ts';
import { type Address, formatAddress, isEmail, parseAddresses, sameKey } from './address.ts';
import type { Suggestion, Suggestions } from './suggest.ts';
import { say } from './texts.ts';

export interface TokenHooks {
    changed(): void;
    /** Tells a screen reader. */
    announce(text: string): void;
    suggestions: Suggestions;
}

/** After the last key, in milliseconds: short enough to seem at once, long enough to leave out what is typed through. */
const WAIT = 40;
/** A list of thousands is one paste away: this many are shown, and the rest counted. */
const MOST_SHOWN = 200;

interface Token extends Address {
    /** What is no address stays as it was typed, marked, until it is mended. */
    valid: boolean;
}

export class TokenField {
    readonly element: HTMLElement;
    readonly input: HTMLInputElement;
    private readonly list: HTMLElement;
    private readonly popup: HTMLElement;
    private readonly error: HTMLElement;
    private tokens: Token[] = [];
    private shown: Suggestion[] = [];
    private active = -1;
    private timer: ReturnType<typeof setTimeout> | undefined;

    constructor(
        readonly label: string,
        private readonly hooks: TokenHooks,
    ) {
        const id = uniqueId('recipients');
        this.error = h('p', { class: 'field-error', id: `${id}-error`, role: 'alert' });
        this.popup = h('ul', { class: 'suggestions', id: `${id}-list`, role: 'listbox', 'aria-label': say('suggestions'), hidden: true });
        this.list = h('ul', { class: 'token-list', 'aria-label': label, hidden: true });
        this.input = h('input', {
            id,
            type: 'text',
            class: 'token-input',
            role: 'combobox',
            autocomplete: 'off',
            autocapitalize: 'off',
            spellcheck: 'false',
            inputmode: 'email',
            'aria-autocomplete': 'list',
            'aria-expanded': 'false',
            'aria-controls': this.popup.id,
            'aria-describedby': this.error.id,
        });
        const box = h('div', { class: 'tokens' }, this.list, this.input);
        this.element = h(
            'div',
            { class: 'compose-recipients' },
            h('label', { for: id, class: 'compose-label' }, label),
            h('div', { class: 'compose-recipients-box' }, box, this.popup, this.error),
        );
        box.addEventListener('pointerdown', (event) => {
            if (event.target === box || event.target === this.list) {
                event.preventDefault();
                this.input.focus();
            }
        });
        this.listen();
    }

    // ------------------------------------------------------------ value

    get addresses(): Address[] {
        return this.tokens.filter((token) => token.valid).map(({ name, email }) => ({ name, email }));
    }

    /** What was typed and is no address. */
    get wrong(): string[] {
        return this.tokens.filter((token) => !token.valid).map((token) => token.email);
    }

    get isEmpty(): boolean {
        return this.tokens.length === 0 && this.input.value.trim() === '';
    }

    set(addresses: readonly Address[]): void {
        this.tokens = addresses.map((address) => ({ ...address, valid: true }));
        this.render();
    }

    /** Takes in what stands in the input. */
    commit(): void {
        const text = this.input.value;
        this.input.value = '';
        this.closePopup();
        if (text.trim() !== '') this.addText(text);
    }

    fail(message: string, focus = true): void {
        this.error.textContent = message;
        this.input.setAttribute('aria-invalid', 'true');
        if (focus) this.input.focus();
    }

    /** Marks the recipients that the server refused. */
    refuse(emails: readonly string[], message: string): void {
        const refused = new Set(emails.map(sameKey));
        for (const token of this.tokens) if (refused.has(sameKey(token.email))) token.valid = false;
        this.render();
        this.fail(message);
    }

    private addText(text: string): void {
        const { addresses, rest } = parseAddresses(text);
        this.add([...addresses.map((address) => ({ ...address, valid: true })), ...rest.map((email) => ({ name: null, email, valid: false }))]);
        if (rest.length > 0) this.fail(say('notAnAddress', { text: rest.join(', ') }), false);
    }

    private add(added: Token[]): void {
        const known = new Set(this.tokens.map((token) => sameKey(token.email)));
        this.tokens.push(...added.filter((token) => !known.has(sameKey(token.email)) && known.add(sameKey(token.email))));
        this.error.textContent = '';
        this.input.removeAttribute('aria-invalid');
        this.render();
        this.hooks.changed();
    }

    private remove(index: number, focus: boolean): void {
        const [gone] = this.tokens.splice(index, 1);
        this.render();
        if (!this.tokens.some((token) => !token.valid)) {
            this.error.textContent = '';
            this.input.removeAttribute('aria-invalid');
        }
        this.hooks.changed();
        if (gone) this.hooks.announce(say('removed', { name: gone.name ?? gone.email }));
        if (focus) this.focusToken(index);
    }

    private edit(index: number): void {
        const token = this.tokens[index];
        if (!token) return;
        this.commit();
        this.remove(this.tokens.indexOf(token), false);
        this.input.value = token.valid ? formatAddress(token) : token.email;
        this.input.focus();
        this.input.select();
    }

    // ------------------------------------------------------------ tokens

    private render(): void {
        const shown = this.tokens.slice(0, MOST_SHOWN).map((token, index) => this.tokenElement(token, index));
        const more = this.tokens.length - MOST_SHOWN;
        fill(this.list, shown, more > 0 && h('li', { class: 'token-more' }, say('moreRecipients', { count: more })));
        this.list.hidden = this.tokens.length === 0;
    }

    private tokenElement(token: Token, index: number): HTMLElement {
        const full = token.name ? `${token.name} <${token.email}>` : token.email;
        const remove = h(
            'button',
            {
                type: 'button',
                class: 'token-remove',
                tabindex: '-1',
                'aria-label': say('removeToken', { name: token.name ?? token.email }),
                onclick: () => this.remove(index, true),
            },
            icon('close'),
        );
        const main = h(
            'button',
            {
                type: 'button',
                class: 'token-text',
                tabindex: index === 0 ? '0' : '-1',
                'aria-label': token.valid ? say('token', { address: full }) : say('tokenWrong', { address: full }),
                'data-tip': token.name ? token.email : undefined,
                onkeydown: (event) => this.tokenKey(event, index),
                ondblclick: () => this.edit(index),
            },
            !token.valid && icon('warning'),
            h('bdi', null, token.name ?? token.email),
        );
        return h('li', { class: token.valid ? 'token' : 'token wrong' }, main, remove);
    }

    private tokenKey(event: KeyboardEvent, index: number): void {
        const rtl = document.documentElement.dir === 'rtl';
        const back = event.key === (rtl ? 'ArrowRight' : 'ArrowLeft');
        const on = event.key === (rtl ? 'ArrowLeft' : 'ArrowRight');
        if (event.ctrlKey || event.metaKey || event.altKey) return;
        if (event.key === 'Delete' || event.key === 'Backspace') this.remove(index, true);
        else if (event.key === 'Enter' || event.key === 'F2') this.edit(index);
        else if (back) this.focusToken(Math.max(0, index - 1));
        else if (on) this.focusToken(index + 1);
        else if (event.key === 'Home') this.focusToken(0);
        else if (event.key === 'End') this.input.focus();
        else return;
        event.preventDefault();
        event.stopPropagation();
    }

    /** The token at `index`, or the input behind the last. */
    private focusToken(index: number): void {
        const buttons = this.list.querySelectorAll<HTMLElement>('.token-text');
        const target = buttons[Math.max(0, index)];
        buttons.forEach((one) => (one.tabIndex = one === target ? 0 : -1));
        (target ?? this.input).focus();
    }

    // ------------------------------------------------------------ input

    private listen(): void {
        this.input.addEventListener('input', () => this.typed());
        this.input.addEventListener('keydown', (event) => this.inputKey(event));
        this.input.addEventListener('paste', (event) => this.paste(event));
        this.input.addEventListener('blur', () => this.commit());
        // A press on an option must not take the focus, which would close the list before the click.
        this.popup.addEventListener('pointerdown', (event) => event.preventDefault());
        this.popup.addEventListener('click', (event) => {
            const option = (event.target as Element).closest<HTMLElement>('[role=option]');
            if (option) this.choose(Number(option.dataset['index']));
        });
    }

    private typed(): void {
        clearTimeout(this.timer);
        this.error.textContent = '';
        const text = this.input.value;
        if (/[;\n]$/.test(text) || (text.endsWith(',') && isComplete(text.slice(0, -1)))) return this.commit();
        this.timer = setTimeout(() => void this.suggest(), WAIT);
        this.hooks.changed();
    }

    private paste(event: ClipboardEvent): void {
        const text = event.clipboardData?.getData('text/plain') ?? '';
        const { addresses } = parseAddresses(text);
        if (addresses.length === 0 || this.input.value !== '') return;
        event.preventDefault();
        this.addText(text);
        if (addresses.length > 1) this.hooks.announce(say('added', { count: addresses.length }));
    }

    private inputKey(event: KeyboardEvent): void {
        if (event.isComposing) return;
        const open = !this.popup.hidden;
        const atStart = this.input.selectionStart === 0 && this.input.selectionEnd === 0;
        const back = document.documentElement.dir === 'rtl' ? 'ArrowRight' : 'ArrowLeft';
        if (event.key === 'ArrowDown' && open) this.activate(this.active + 1);
        else if (event.key === 'ArrowUp' && open) this.activate(this.active - 1);
        else if (event.key === 'ArrowDown' && this.input.value !== '') void this.suggest();
        else if (event.key === 'Escape' && open) this.closePopup();
        else if (event.key === 'Enter' && !event.ctrlKey && !event.metaKey) this.enter();
        else if (event.key === 'Tab' && !event.shiftKey && open && this.active >= 0 && !isEmail(this.input.value.trim())) this.choose(this.active);
        else if (event.key === 'Backspace' && atStart && this.tokens.length > 0) this.focusToken(this.tokens.length - 1);
        else if (event.key === back && atStart && this.tokens.length > 0) this.focusToken(this.tokens.length - 1);
        else return;
        event.preventDefault();
        event.stopPropagation();
    }

    private enter(): void {
        if (!this.popup.hidden && this.active >= 0) this.choose(this.active);
        else this.commit();
    }

    // ------------------------------------------------------------ suggestions

    private async suggest(): Promise<void> {
        const text = this.input.value;
        const found = await this.hooks.suggestions.find(text);
        if (found === null || this.input.value !== text || document.activeElement !== this.input) return;
        const taken = new Set(this.tokens.map((token) => sameKey(token.email)));
        this.show(found.filter((one) => !taken.has(sameKey(one.email))));
    }

    private show(found: Suggestion[]): void {
        this.shown = found;
        fill(
            this.popup,
            found.map((one, index) =>
                h(
                    'li',
                    { role: 'option', id: `${this.popup.id}-${index}`, 'data-index': index, 'aria-selected': 'false' },
                    h('span', { class: 'suggestion-avatar', 'aria-hidden': 'true' }, initial(one)),
                    h(
                        'span',
                        { class: 'suggestion-text' },
                        h('bdi', { class: 'suggestion-name' }, one.name ?? one.email),
                        one.name && h('bdi', { class: 'suggestion-email' }, one.email),
                    ),
                    h('span', { class: 'suggestion-source' }, one.source === 'directory' ? say('fromDirectory') : say('fromOwn')),
                ),
            ),
        );
        this.popup.hidden = found.length === 0;
        this.input.setAttribute('aria-expanded', String(found.length > 0));
        if (found.length > 0) this.hooks.announce(say('suggested', { count: found.length }));
        this.activate(found.length > 0 ? 0 : -1);
    }

    private activate(index: number): void {
        const count = this.shown.length;
        this.active = count === 0 ? -1 : (index + count) % count;
        this.popup.querySelectorAll('[role=option]').forEach((option, at) => option.setAttribute('aria-selected', String(at === this.active)));
        const option = this.popup.children[this.active];
        if (option) this.input.setAttribute('aria-activedescendant', option.id);
        else this.input.removeAttribute('aria-activedescendant');
        option?.scrollIntoView({ block: 'nearest' });
    }

    private choose(index: number): void {
        const chosen = this.shown[index];
        if (!chosen) return;
        this.input.value = '';
        this.closePopup();
        this.add([{ name: chosen.name, email: chosen.email, valid: true }]);
        this.hooks.announce(say('chosen', { name: chosen.name ?? chosen.email }));
        this.input.focus();
    }

    private closePopup(): void {
        clearTimeout(this.timer);
        this.hooks.suggestions.forget();
        this.shown = [];
        this.active = -1;
        this.popup.hidden = true;
        this.input.setAttribute('aria-expanded', 'false');
        this.input.removeAttribute('aria-activedescendant');
    }
}

/** "Lee, Ann" is half a name as long as no address follows. */
function isComplete(text: string): boolean {
    const { addresses, rest } = parseAddresses(text);
    return addresses.length > 0 && rest.length === 0;
}

function initial({ name, email }: Address): string {
    return (/\p{L}|\p{N}/u.exec(name ?? email)?.[0] ?? '@').toUpperCase();
}
