// The application after sign-in.

import { fill, h } from './dom.ts';
import { Client, type SignIn } from './jmap.ts';
import { loadPreferences } from './preferences.ts';
import { signInForm, say } from './signin.ts';
import { t } from './texts.ts';
import { openDialog } from './ui/dialog.ts';
import { startTooltips } from './ui/tooltip.ts';

export async function startApp(signIn: SignIn): Promise<void> {
    const client: Client = new Client(signIn, () => renewSession(client));
    await Promise.all([client.start(), t.load()]);
    startTooltips();
    fill(document.body, h('main', null, signIn.name));
    await loadPreferences(client).catch(() => undefined);
}

/** Asks for the password in a dialog over whatever the user was doing. */
function renewSession(client: Client): Promise<SignIn> {
    return new Promise((resolve) => {
        const form = signInForm((signIn) => {
            dialog.close();
            resolve(signIn);
        }, client.signIn.uid);
        const dialog = openDialog({ title: say('endedTitle'), body: [h('p', null, say('ended')), form], dismissible: false });
        form.querySelector<HTMLInputElement>('[type=password]')?.focus();
    });
}
