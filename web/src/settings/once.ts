// A secret that the server has made: shown this once, with a button that copies it.
import { h } from '../dom.ts';
import { button } from '../ui/button.ts';
import { openDialog } from '../ui/dialog.ts';
import { toast } from '../ui/toast.ts';
import { say } from './texts.ts';

export interface Once {
    title: string;
    text: string;
    /** Lines stay lines. */
    secret: string;
    /** Accessible name of the secret. */
    label: string;
}

export function showOnce({ title, text, secret, label }: Once, done: () => void): void {
    const copy = button({
        label: say('copy'),
        icon: 'copy',
        kind: 'primary',
        onclick: () => {
            void navigator.clipboard?.writeText(secret).then(
                () => toast({ text: say('copied') }),
                () => select(code),
            );
            if (!navigator.clipboard) select(code);
        },
    });
    const code = h('code', { class: 'app-password', tabindex: '0', 'aria-label': label }, secret);
    openDialog({ title, body: [h('p', null, text), code], actions: [copy], onclose: done });
}

function select(element: HTMLElement): void {
    document.getSelection()?.selectAllChildren(element);
}
