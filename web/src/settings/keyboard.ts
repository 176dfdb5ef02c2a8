// The sheet of shortcuts: those of the application out of the bindings themselves, and those of compose.
import { h } from '../dom.ts';
import { currentBindings, keyHint } from '../ui/keys.ts';
import { group } from './controls.ts';
import type { Page } from './settings.ts';
import { say } from './texts.ts';

/** As window.ts, editor.ts and tokens.ts of compose have them. */
const WRITING = [
    ['Mod+Enter', 'keySend'],
    ['Mod+s', 'keySave'],
    ['Escape', 'keyMinimise'],
    ['Alt+F10', 'keyToolbar'],
    ['Mod+b', 'keyBold'],
    ['Mod+i', 'keyItalic'],
    ['Mod+u', 'keyUnderline'],
    ['Mod+k', 'keyLink'],
    ['Mod+e', 'keyCode'],
    ['Mod+Shift+7', 'keyNumbers'],
    ['Mod+Shift+8', 'keyBullets'],
    ['Mod+Shift+9', 'keyQuote'],
    ['Mod+Shift+0', 'keyDirection'],
    ['Mod+\\', 'keyClear'],
    ['Mod+z', 'keyUndo'],
    ['Mod+Shift+z', 'keyRedo'],
] as const;

export const keyboard: Page = async () => {
    const groups = new Map<string, Map<string, string[]>>();
    for (const { key, label, group: name } of currentBindings()) {
        if (!name) continue;
        const lines = groups.get(name) ?? new Map<string, string[]>();
        lines.set(label, [...(lines.get(label) ?? []), key]);
        groups.set(name, lines);
    }
    groups.set(say('keysCompose'), new Map(WRITING.map(([key, name]) => [say(name), [key]])));
    return [...groups].map(([name, lines]) =>
        group(
            name,
            null,
            h(
                'dl',
                { class: 'settings-keys' },
                [...lines].map(([label, keys]) => [
                    h('dt', null, label),
                    h(
                        'dd',
                        null,
                        keys.map((key) => h('kbd', null, keyHint(key))),
                    ),
                ]),
            ),
        ),
    );
};
