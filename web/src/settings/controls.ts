// What the pages of the settings are made of: groups, rows with a label, switches, choices, and the word that all is saved.
import { type Child, append, h, uniqueId } from '../dom.ts';
import { JmapError, firstSetError, type SetResponse } from '../jmap.ts';
import { type Preferences, preferences, setPreferences } from '../preferences.ts';
import { toast } from '../ui/toast.ts';
import type { SettingsContext } from './settings.ts';
import { say } from './texts.ts';

export function group(title: string, hint: string | null, ...children: Child[]): HTMLElement {
    const id = uniqueId('group');
    const element = h(
        'section',
        { class: 'settings-group', 'aria-labelledby': id },
        h('h2', { id }, title),
        hint !== null && h('p', { class: 'settings-hint' }, hint),
    );
    append(element, children);
    return element;
}

/** A label with its control beside it. */
export function row(label: string, control: HTMLElement, hint?: string): HTMLElement {
    const id = control.id || uniqueId('setting');
    control.id = id;
    if (hint) control.setAttribute('aria-describedby', `${id}-hint`);
    return h(
        'div',
        { class: 'settings-row' },
        h('div', { class: 'settings-label' }, h('label', { for: id }, label), hint !== undefined && h('p', { class: 'settings-hint', id: `${id}-hint` }, hint)),
        control,
    );
}

/** A switch that takes effect at once. */
export function toggle(label: string, on: boolean, change: (on: boolean) => void, hint?: string): HTMLElement {
    const input = h('input', { type: 'checkbox', role: 'switch', class: 'switch', checked: on, onchange: () => change(input.checked) });
    return row(label, input, hint);
}

export function choice<V extends string>(
    label: string,
    options: readonly (readonly [V, string])[],
    value: V,
    change: (value: V) => void,
    hint?: string,
): HTMLElement {
    const select = h(
        'select',
        { onchange: () => change(select.value as V) },
        options.map(([key, text]) => h('option', { value: key }, text)),
    );
    select.value = value;
    return row(label, select, hint);
}

/** Few choices that are seen side by side. */
export function segments<V extends string>(label: string, options: readonly (readonly [V, string])[], value: V, change: (value: V) => void): HTMLElement {
    const name = uniqueId('choice');
    const shown = options.map(([key, text]) =>
        h(
            'label',
            { class: 'segment' },
            h('input', { type: 'radio', name, value: key, checked: key === value, onchange: () => change(key) }),
            h('span', null, text),
        ),
    );
    return h('fieldset', { class: 'settings-row segments-row' }, h('legend', { class: 'settings-label' }, label), h('div', { class: 'segments' }, shown));
}

export function area(label: string, value: string, rows: number, hint?: string): { element: HTMLElement; input: HTMLTextAreaElement } {
    const id = uniqueId('text');
    const input = h('textarea', { id, rows, dir: 'auto', 'aria-describedby': hint ? `${id}-hint` : undefined });
    input.value = value;
    return {
        element: h('div', { class: 'field' }, h('label', { for: id }, label), input, hint && h('p', { class: 'field-hint', id: `${id}-hint` }, hint)),
        input,
    };
}

/** A region for what is wrong with a form as a whole. */
export function problem(): HTMLElement {
    return h('p', { class: 'field-error', role: 'alert' });
}

export function saved(): void {
    toast({ text: say('saved'), name: 'settings', seconds: 2 });
}

/** Writes preferences, and says that it was done or why not. */
export async function prefer({ client }: SettingsContext, changes: Partial<Preferences>): Promise<boolean> {
    const changed = Object.entries(changes).some(([key, value]) => preferences()[key as keyof Preferences] !== value);
    if (!changed) return true;
    return attempt(() => setPreferences(client, changes));
}

export async function attempt(run: () => Promise<unknown>): Promise<boolean> {
    try {
        await run();
        saved();
        return true;
    } catch (error) {
        toast({ text: explain(error), kind: 'error', name: 'settings' });
        return false;
    }
}

/** A /set that must succeed. */
export async function set(context: SettingsContext, name: string, args: Record<string, unknown>): Promise<SetResponse> {
    const response = await context.client.call<SetResponse>(name, args);
    const error = firstSetError(response);
    if (error) throw error;
    return response;
}

export function explain(error: unknown): string {
    if (!(error instanceof JmapError)) return say('errorUnknown');
    switch (error.type) {
        case 'unreachable':
            return say('errorNetwork');
        case 'forbidden':
        case 'wrongPassword':
            return say('errorPassword');
        case 'rateLimit':
            return say('errorRate');
        case 'serverUnavailable':
            return say('errorUnavailable');
        default:
            return error.detail ? say('errorReason', { reason: error.detail }) : say('errorUnknown');
    }
}
