// The sheet of shortcuts: made out of the bindings themselves, so that it cannot say what is not so.

import { h } from '../dom.ts';
import { t } from '../texts.ts';
import { openDialog } from '../ui/dialog.ts';
import { currentBindings, keyHint } from '../ui/keys.ts';

export function openHelp(): void {
    const groups = new Map<string, { label: string; keys: string[] }[]>();
    for (const { key, label, group } of currentBindings()) {
        if (!group) continue;
        const lines = groups.get(group) ?? [];
        const line = lines.find((one) => one.label === label);
        if (line) line.keys.push(key);
        else lines.push({ label, keys: [key] });
        groups.set(group, lines);
    }
    const body = h(
        'div',
        { class: 'help' },
        [...groups].map(([group, lines]) => h('section', null, h('h3', null, group), h('dl', null, lines.map(({ label, keys }) => [h('dt', null, label), h('dd', null, keys.map((key) => h('kbd', null, keyHint(key))))])))),
    );
    openDialog({ title: t('shortcuts'), size: 'medium', body });
}
