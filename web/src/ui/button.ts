import { h, type Child, type Props } from '../dom.ts';
import { icon, type IconName } from '../icon.ts';
import { ariaKey, keyHint } from './keys.ts';

export interface ButtonOptions {
    /** What it does: the text, or the accessible name and the tooltip of a button that is only an icon. */
    label: string;
    icon?: IconName;
    /** `plain` (the default) has no border; `icon` shows the icon alone. */
    kind?: 'primary' | 'secondary' | 'danger' | 'plain' | 'icon';
    /** The shortcut, as in keys.ts; shown in the tooltip. */
    key?: string;
    onclick?: (event: MouseEvent) => void;
    disabled?: boolean;
    pressed?: boolean;
    /** For a button that opens a menu or a dialog. */
    popup?: 'menu' | 'dialog';
    class?: string;
    type?: 'button' | 'submit';
}

export function button(options: ButtonOptions, ...extra: Child[]): HTMLButtonElement {
    const kind = options.kind ?? 'plain';
    const onlyIcon = kind === 'icon';
    const props: Props = {
        type: options.type ?? 'button',
        class: `button ${kind} ${options.class ?? ''}`.trim(),
        'aria-label': onlyIcon ? options.label : undefined,
        'data-tip': onlyIcon || options.key ? options.label : undefined,
        'data-key': options.key ? keyHint(options.key) : undefined,
        'aria-keyshortcuts': options.key ? ariaKey(options.key) : undefined,
        'aria-pressed': options.pressed === undefined ? undefined : String(options.pressed),
        'aria-haspopup': options.popup,
        disabled: options.disabled,
        onclick: options.onclick,
    };
    return h('button', props, options.icon && icon(options.icon), !onlyIcon && h('span', { class: 'label' }, options.label), extra);
}
