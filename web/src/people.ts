// Names and faces of senders.

import { h } from './dom.ts';
import type { EmailAddress } from './types.ts';

/** Characters that turn the direction of text round, or cannot be seen: a name that has them could pass for another. */
const DECEPTIVE = /[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u00ad]/g;

/** The name of a correspondent without what could deceive; the address when there is none. */
export function displayName(address: EmailAddress | undefined): string {
    if (!address) return '';
    const name = (address.name ?? '').replaceAll(DECEPTIVE, '').trim();
    return name || address.email;
}

/** "Mara", out of "Mara Okafor": for rows that name several. */
export function shortName(address: EmailAddress): string {
    const name = displayName(address);
    if (!address.name || /[^\u0000-\u024f]/.test(name)) return name;
    const parts = name.includes(',') ? name.split(',').reverse().join(' ').trim().split(/\s+/) : name.split(/\s+/);
    return parts[0] ?? name;
}

/** Whether a name shows an address other than its own: a common disguise. */
export function nameMisleads(address: EmailAddress): boolean {
    const shown = /[\w.+-]+@[\w-]+\.[\w.-]+/.exec(address.name ?? '')?.[0];
    return shown !== undefined && shown.toLowerCase() !== address.email.toLowerCase();
}

/** One of eight colours, always the same for an address. */
export function hue(address: EmailAddress | undefined): number {
    let sum = 7;
    for (const char of address?.email.toLowerCase() ?? '') sum = (sum * 31 + (char.codePointAt(0) ?? 0)) % 1_000_003;
    return sum % 8;
}

export function initials(address: EmailAddress | undefined): string {
    const name = displayName(address).replace(/^["'(<\s]+/, '');
    const words = name.split(/[\s@.]+/).filter((word) => /^[\p{L}\p{N}]/u.test(word));
    const first = [...(words[0] ?? name)][0] ?? '?';
    const second = /^[\u0000-\u024f]/.test(first) && words.length > 1 && !name.includes('@') ? ([...(words.at(-1) ?? '')][0] ?? '') : '';
    return (first + second).toUpperCase();
}

export function avatar(address: EmailAddress | undefined, size: 'small' | 'large' = 'large'): HTMLElement {
    // The letters are drawn by the style sheet: they are a picture, not words of the page.
    return h('span', { class: `avatar ${size} hue-${hue(address)}`, 'aria-hidden': 'true', 'data-initials': initials(address) });
}
