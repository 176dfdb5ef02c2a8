// Settings. The seam with the rest: the application opens them through import('./settings/settings.ts').

import '../app.ts'; // what this part shares with the application is in the application's chunk (web/README.md)
import { fill, h, loadStyle } from '../dom.ts';
import { icon, type IconName } from '../icon.ts';
import type { Client } from '../jmap.ts';
import type { Store } from '../store.ts';
import { button } from '../ui/button.ts';
import { explain } from './controls.ts';
import { forwarding } from './forwarding.ts';
import { general } from './general.ts';
import { identities } from './identities.ts';
import { keyboard } from './keyboard.ts';
import { mail } from './mail.ts';
import { security } from './security.ts';
import { say } from './texts.ts';
import { vacation } from './vacation.ts';

export interface SettingsContext {
    client: Client;
    store: Store;
    /** Goes back to the mail. */
    close(): void;
}

/** A page of the settings: what it shows, after it has read what it needs. `redraw` shows it again. */
export type Page = (context: SettingsContext, redraw: () => void) => Promise<HTMLElement[]>;

const PAGES = {
    general: { page: general, icon: 'settings', title: 'general' },
    mail: { page: mail, icon: 'inbox', title: 'mail' },
    identities: { page: identities, icon: 'user', title: 'identities' },
    vacation: { page: vacation, icon: 'clock', title: 'vacation' },
    forwarding: { page: forwarding, icon: 'forward', title: 'forwarding' },
    security: { page: security, icon: 'lock', title: 'security' },
    keyboard: { page: keyboard, icon: 'help', title: 'keyboard' },
} as const satisfies Record<string, { page: Page; icon: IconName; title: string }>;

type Name = keyof typeof PAGES;

/** Fills `container` (the place of list and reading pane) with the settings; `section` is the rest of the address, e.g. `vacation`. */
export async function openSettings(context: SettingsContext, container: HTMLElement, section?: string): Promise<void> {
    await Promise.all([say.load(), loadStyle('settings')]);
    const chosen = section !== undefined && Object.hasOwn(PAGES, section) ? (section as Name) : null;
    const name: Name = chosen ?? 'general';
    const main = h('div', { class: 'settings-page' });
    const redraw = (): void => void draw(context, main, name, redraw);
    // On a phone the list of pages is a page of its own, and each page leads back to it.
    fill(
        container,
        h(
            'div',
            { class: chosen ? 'settings' : 'settings overview' },
            h(
                'nav',
                { class: 'settings-nav', 'aria-label': say('settings') },
                h(
                    'header',
                    null,
                    h(
                        'button',
                        {
                            type: 'button',
                            class: 'button icon',
                            'aria-label': say('backToMail'),
                            'data-tip': say('backToMail'),
                            onclick: () => context.close(),
                        },
                        icon('back', 'icon flip'),
                    ),
                    h('p', { class: 'settings-title' }, say('settings')),
                ),
                h(
                    'ul',
                    null,
                    (Object.keys(PAGES) as Name[]).map((one) => h('li', null, link(one, one === name))),
                ),
            ),
            main,
        ),
    );
    await draw(context, main, name, redraw);
}

function link(name: Name, current: boolean): HTMLElement {
    const { icon: sign, title } = PAGES[name];
    return h('a', { href: `#/settings/${name}`, 'aria-current': current ? 'page' : undefined }, icon(sign), h('span', null, say(title)));
}

async function draw(context: SettingsContext, main: HTMLElement, name: Name, redraw: () => void): Promise<void> {
    const title = h('h1', { tabindex: '-1' }, say(PAGES[name].title));
    const head = h(
        'header',
        { class: 'settings-head' },
        h('a', { class: 'button icon settings-back', href: '#/settings', 'aria-label': say('allSettings') }, icon('back', 'icon flip')),
        title,
    );
    const first = main.childElementCount === 0;
    if (first) fill(main, head, h('div', { class: 'spinner', role: 'status', 'aria-label': say('loading') }));
    try {
        const shown = await PAGES[name].page(context, redraw);
        const focused = main.contains(document.activeElement) ? (document.activeElement as HTMLElement).id : '';
        fill(main, head, shown);
        if (focused) document.getElementById(focused)?.focus();
    } catch (error) {
        fill(
            main,
            head,
            h(
                'div',
                { class: 'settings-failed', role: 'alert' },
                h('p', null, explain(error)),
                button({ label: say('tryAgain'), kind: 'secondary', onclick: redraw }),
            ),
        );
    }
    if (first) title.focus({ preventScroll: true });
}
