// The second factor: a code of an app beside the password. The picture of the secret is drawn here; nobody else is asked for it.
import { h } from '../dom.ts';
import { type GetResponse, JmapError } from '../jmap.ts';
import { button } from '../ui/button.ts';
import { openDialog, textField } from '../ui/dialog.ts';
import { toast } from '../ui/toast.ts';
import { t } from '../texts.ts';
import { explain, group } from './controls.ts';
import { qrCode, qrPicture } from './qr.ts';
import { showOnce } from './once.ts';
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

export interface SecondFactor {
    isOn: boolean;
    recoveryCodesLeft: number;
}

/** Null when the server offers none. */
export async function secondFactor({ client }: SettingsContext): Promise<SecondFactor | null> {
    try {
        return (await client.call<GetResponse<SecondFactor>>('SecondFactor/get', { ids: null })).list[0] ?? null;
    } catch {
        return null;
    }
}

export function factorGroup(context: SettingsContext, { isOn, recoveryCodesLeft }: SecondFactor, redraw: () => void): HTMLElement {
    const act = (label: string, onclick: () => void): HTMLElement => button({ label, kind: 'secondary', onclick });
    const status = (text: string): HTMLElement => h('p', { class: 'settings-status' }, text);
    if (!isOn) return group(say('factor'), say('factorHint'), status(say('factorIsOff')), act(say('factorSetUp'), () => void setUp(context, redraw)));
    return group(
        say('factor'),
        say('factorHint'),
        status(say('factorIsOn')),
        status(say('recoveryLeft', { count: recoveryCodesLeft })),
        h(
            'div',
            { class: 'settings-actions' },
            act(say('recoveryRenew'), () => renew(context, redraw)),
            act(say('factorOff'), () => turnOff(context, redraw)),
        ),
    );
}

async function setUp(context: SettingsContext, redraw: () => void): Promise<void> {
    try {
        const begun = await context.client.call<Begun>('SecondFactor/begin', {});
        const args = { isOn: true, pending: begun.pending };
        ask(context, { title: say('factorSetUp'), method: 'SecondFactor/set', args, done: say('factorDone'), above: scanned(begun) }, redraw);
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
    ask(context, { title: say('factorOff'), method: 'SecondFactor/set', args: { isOn: false }, done: say('factorGone') }, redraw);
}

function renew(context: SettingsContext, redraw: () => void): void {
    ask(context, { title: say('recoveryRenew'), method: 'SecondFactor/renew', args: {}, done: null }, redraw);
}

interface Asked {
    title: string;
    method: string;
    args: Record<string, unknown>;
    /** Said when it is done. */
    done: string | null;
    /** Shown when the code is the first one: that one comes from the app alone. */
    above?: HTMLElement;
}

/** Asks for a code and the password; shows the recovery codes that come of it. */
function ask(context: SettingsContext, { title, method, args, done, above }: Asked, redraw: () => void): void {
    const numeric = { inputmode: 'numeric', autocomplete: 'one-time-code', maxlength: 10 };
    const either = { autocomplete: 'one-time-code', autocapitalize: 'none', spellcheck: 'false', maxlength: 32 };
    const code = textField({ label: say('factorCode'), hint: say(above ? 'factorCodeHint' : 'factorCodeOrRecovery'), attributes: above ? numeric : either });
    const password = textField({ label: say('password'), attributes: { type: 'password', autocomplete: 'current-password' } });
    const submit = async (event: Event): Promise<void> => {
        event.preventDefault();
        if (code.input.value.trim() === '') return code.fail(say('needed'));
        if (password.input.value === '') return password.fail(say('needed'));
        try {
            const answer = await context.client.call<{ recoveryCodes?: string[] }>(method, { ...args, code: code.input.value.trim(), password: password.input.value });
            dialog.close();
            if (done) toast({ text: done });
            if (answer.recoveryCodes) showRecoveryCodes(answer.recoveryCodes, redraw);
            else redraw();
        } catch (error) {
            const isCode = error instanceof JmapError && error.type === 'wrongCode';
            (isCode ? code : password).fail(isCode ? say('factorWrong') : explain(error));
        }
    };
    const form = h(
        'form',
        { novalidate: true, onsubmit: (event) => void submit(event) },
        above ?? null,
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

function showRecoveryCodes(codes: string[], redraw: () => void): void {
    const title = say('recoveryCodes');
    showOnce({ title, text: say('recoveryText', { count: codes.length }), secret: codes.join('\n'), label: title }, redraw);
}
