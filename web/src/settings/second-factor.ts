// The second factor: a code of an app beside the password. The picture of the secret is drawn here; nobody else is asked for it.
import { h } from '../dom.ts';
import { type GetResponse, JmapError } from '../jmap.ts';
import { button } from '../ui/button.ts';
import { openDialog, textField } from '../ui/dialog.ts';
import { toast } from '../ui/toast.ts';
import { t } from '../texts.ts';
import { explain, group } from './controls.ts';
import { qrCode, qrPicture } from './qr.ts';
import type { SettingsContext } from './settings.ts';
import { say } from './texts.ts';

interface Begun {
    /** Base32, to be typed. */
    secret: string;
    /** otpauth:, to be scanned. */
    url: string;
    /** Brought back with the first code. */
    pending: string;
}

/** Whether the user has one; null when the server offers none. */
export async function hasSecondFactor({ client }: SettingsContext): Promise<boolean | null> {
    try {
        const { list } = await client.call<GetResponse<{ isOn: boolean }>>('SecondFactor/get', { ids: null });
        return list[0]?.isOn ?? null;
    } catch {
        return null;
    }
}

export function factorGroup(context: SettingsContext, isOn: boolean, redraw: () => void): HTMLElement {
    const act = isOn
        ? button({ label: say('factorOff'), kind: 'secondary', onclick: () => turnOff(context, redraw) })
        : button({ label: say('factorSetUp'), kind: 'secondary', onclick: () => void setUp(context, redraw) });
    return group(say('factor'), say('factorHint'), h('p', { class: 'settings-status' }, say(isOn ? 'factorIsOn' : 'factorIsOff')), act);
}

async function setUp(context: SettingsContext, redraw: () => void): Promise<void> {
    try {
        const begun = await context.client.call<Begun>('SecondFactor/begin', {});
        ask(context, say('factorSetUp'), { isOn: true, pending: begun.pending }, say('factorDone'), redraw, scanned(begun));
    } catch (error) {
        toast({ kind: 'error', text: explain(error) });
    }
}

/** The secret in three ways: as a picture, as an address for an app on this device, and as text. */
function scanned({ secret, url }: Begun): HTMLElement {
    const rows = qrCode(url);
    const link = h('a', null, say('factorLink'));
    link.href = url; // an address that no message and no other link may have
    return h(
        'div',
        { class: 'factor-secret' },
        rows && qrPicture(rows, say('factorPicture')),
        h(
            'div',
            null,
            h('p', null, say('factorScan')),
            h('code', { class: 'app-password', tabindex: '0', 'aria-label': say('factorSecret') }, secret.replace(/(.{4})(?=.)/g, '$1 ')),
            h('p', null, link),
            h('p', { class: 'settings-hint' }, say('factorApps')),
        ),
    );
}

function turnOff(context: SettingsContext, redraw: () => void): void {
    ask(context, say('factorOff'), { isOn: false }, say('factorGone'), redraw, null);
}

/** Asks for a code and the password. */
function ask(context: SettingsContext, title: string, args: Record<string, unknown>, done: string, redraw: () => void, above: HTMLElement | null): void {
    const code = textField({ label: say('factorCode'), hint: say('factorCodeHint'), attributes: { inputmode: 'numeric', autocomplete: 'one-time-code', maxlength: 10 } });
    const password = textField({ label: say('password'), attributes: { type: 'password', autocomplete: 'current-password' } });
    const submit = async (event: Event): Promise<void> => {
        event.preventDefault();
        if (code.input.value.trim() === '') return code.fail(say('needed'));
        if (password.input.value === '') return password.fail(say('needed'));
        try {
            await context.client.call('SecondFactor/set', { ...args, code: code.input.value.trim(), password: password.input.value });
            dialog.close();
            toast({ text: done });
            redraw();
        } catch (error) {
            const isCode = error instanceof JmapError && error.type === 'wrongCode';
            (isCode ? code : password).fail(isCode ? say('factorWrong') : explain(error));
        }
    };
    const form = h(
        'form',
        { novalidate: true, onsubmit: (event) => void submit(event) },
        above,
        h('input', { type: 'text', autocomplete: 'username', value: context.client.signIn.uid, hidden: true }),
        code.element,
        password.element,
        h(
            'div',
            { class: 'actions' },
            button({ label: t('cancel'), kind: 'secondary', onclick: () => dialog.close() }),
            button({ label: say('confirm'), kind: 'primary', type: 'submit' }),
        ),
    );
    const dialog = openDialog({ title, body: form, size: 'medium' });
    code.input.focus();
}
