// What the page loads first: finds out whether there is a session, shows the sign-in page when there is none, and loads the rest.

import { loadStyle } from './dom.ts';
import { setLanguage } from './i18n.ts';
import type { SignIn } from './jmap.ts';
import { signInPage } from './signin.ts';

const HERE_BEFORE = 'mailboat-signed-in';

/** Theme, density and language as this browser keeps them: the page never flashes in other colours. */
function keptAppearance(): { theme?: string; density?: string; language?: string | null } {
    try {
        return JSON.parse(localStorage.getItem('mailboat-preferences') ?? '{}') as { theme?: string };
    } catch {
        return {};
    }
}

const loadApp = (): Promise<typeof import('./app.ts')> => Promise.all([import('./app.ts'), loadStyle('app')]).then(([app]) => app);

async function session(): Promise<SignIn | undefined> {
    try {
        const response = await fetch('/auth/session', { credentials: 'same-origin' });
        return response.ok ? ((await response.json()) as SignIn | null) ?? undefined : undefined;
    } catch {
        return undefined;
    }
}

async function start(): Promise<void> {
    const { theme = 'auto', density = 'comfortable', language } = keptAppearance();
    document.documentElement.dataset['theme'] = theme;
    document.documentElement.dataset['density'] = density;
    // Whoever was signed in last time most likely is again: the application comes while the session is asked for.
    const hereBefore = localStorage.getItem(HERE_BEFORE) !== null;
    const early = hereBefore ? loadApp() : undefined;
    early?.catch(() => undefined);
    const earlyJmap = hereBefore ? fetch('/jmap/session', { credentials: 'same-origin' }).catch(() => undefined) : undefined;
    const [signIn] = await Promise.all([session(), setLanguage([...(language ? [language] : []), ...navigator.languages])]);
    const signedIn = signIn ?? (await signInPage());
    // The directory knows the language of somebody who was not here before.
    if (!language && signedIn.language) await setLanguage([signedIn.language, ...navigator.languages]);
    localStorage.setItem(HERE_BEFORE, '1');
    const app = await (early ?? loadApp());
    await app.startApp(signedIn, earlyJmap);
}

void start();
