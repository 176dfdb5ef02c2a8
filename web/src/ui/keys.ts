// Keyboard shortcuts. A key is written as `j`, `?`, `Shift+u`, `Mod+Enter` (Mod: Ctrl, or Command on a Mac), or as a sequence `g i`.
// Scopes lie on each other; the uppermost that has a binding takes it. In a field for text only keys with Mod, and Escape, count.

export interface Binding {
    key: string;
    /** For the help sheet. */
    label: string;
    /** Answers false when it does not apply now: the key goes on to what lies below. */
    run: (event: KeyboardEvent) => void | boolean;
    /** In the help sheet, under which heading; left out: not shown. */
    group?: string;
}

interface Scope {
    bindings: Map<string, Binding>;
    /** Nothing below is asked: a dialog, or compose. */
    modal: boolean;
}

const isMac = /Mac|iPhone|iPad/.test(navigator.platform);
const scopes: Scope[] = [];
let prefix = '';
let prefixTimer: ReturnType<typeof setTimeout> | undefined;

/** Adds bindings above all others; the answer removes them. */
export function pushKeys(bindings: readonly Binding[], options: { modal?: boolean } = {}): () => void {
    const scope: Scope = { bindings: new Map(bindings.map((one) => [one.key, one])), modal: options.modal ?? false };
    scopes.push(scope);
    return () => {
        const at = scopes.indexOf(scope);
        if (at >= 0) scopes.splice(at, 1);
    };
}

/** Every binding that could be used now, uppermost first. */
export function currentBindings(): Binding[] {
    const all: Binding[] = [];
    for (const scope of [...scopes].reverse()) {
        all.push(...scope.bindings.values());
        if (scope.modal) break;
    }
    return all;
}

/** To be called with the keydown events of a document: the page's, and that of a message frame. */
export function handleKey(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.isComposing || ['Shift', 'Control', 'Alt', 'Meta'].includes(event.key)) return;
    const key = nameOf(event);
    if (isTyping(event.target) && !key.includes('Mod+') && key !== 'Escape') return;
    const sequence = prefix ? `${prefix} ${key}` : key;
    prefix = '';
    clearTimeout(prefixTimer);
    for (const scope of [...scopes].reverse()) {
        const binding = scope.bindings.get(sequence);
        if (binding && binding.run(event) !== false) {
            event.preventDefault();
            return;
        }
        if (!binding && [...scope.bindings.keys()].some((one) => one.startsWith(`${sequence} `))) {
            prefix = sequence;
            prefixTimer = setTimeout(() => (prefix = ''), 1500);
            event.preventDefault();
            return;
        }
        if (scope.modal) return;
    }
}

function nameOf(event: KeyboardEvent): string {
    const mod = isMac ? event.metaKey : event.ctrlKey;
    const letter = event.key.length === 1 ? (event.key === ' ' ? 'Space' : event.key) : event.key;
    // A printed sign says by itself whether Shift was held; letters are written small.
    const shift = event.shiftKey && (letter.length > 1 || letter.toLowerCase() !== letter.toUpperCase());
    return `${mod ? 'Mod+' : ''}${event.altKey ? 'Alt+' : ''}${shift ? 'Shift+' : ''}${letter.length === 1 ? letter.toLowerCase() : letter}`;
}

/** Whether keys that reach `target` are text. */
export function isTyping(target: EventTarget | null): boolean {
    const element = target as HTMLElement | null;
    if (!element?.tagName) return false;
    if (element.isContentEditable || element.tagName === 'TEXTAREA' || element.tagName === 'SELECT') return true;
    return element.tagName === 'INPUT' && !['checkbox', 'radio', 'button', 'submit', 'range'].includes((element as HTMLInputElement).type);
}

const SHOWN: Readonly<Record<string, string>> = { ArrowDown: '↓', ArrowUp: '↑', ArrowLeft: '←', ArrowRight: '→', Escape: 'Esc', Enter: '↵', Delete: 'Del', Mod: isMac ? '⌘' : 'Ctrl', Shift: '⇧', Alt: isMac ? '⌥' : 'Alt' };

/** `g i` -> "g i", `Mod+Enter` -> "Ctrl ↵" */
export const keyHint = (key: string): string => key.split(' ').map((one) => one.split(/(?<=.)\+/).map((part) => SHOWN[part] ?? part).join(' ')).join(' ');
/** As `aria-keyshortcuts` wants it; sequences cannot be said there. */
export const ariaKey = (key: string): string | undefined => (key.includes(' ') ? undefined : key.replace('Mod', isMac ? 'Meta' : 'Control'));

addEventListener('keydown', handleKey);
