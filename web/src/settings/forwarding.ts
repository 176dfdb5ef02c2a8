// Where mail is sent on to. A change is confirmed by the password: who finds a page open must not have the mail sent on.
import { h } from '../dom.ts';
import type { GetResponse } from '../jmap.ts';
import { button } from '../ui/button.ts';
import { openDialog, textField } from '../ui/dialog.ts';
import { isEmail, sameKey } from '../compose/address.ts';
import { icon } from '../icon.ts';
import { t } from '../texts.ts';
import { explain, group, saved, set, toggle } from './controls.ts';
import type { Page, SettingsContext } from './settings.ts';
import { say } from './texts.ts';

interface Forwarding {
    addresses: string[];
    keepCopy: boolean;
}

export const forwarding: Page = async (context, redraw) => {
    const { list } = await context.client.call<GetResponse<Forwarding>>('Forwarding/get', { ids: ['singleton'] });
    const now = list[0] ?? { addresses: [], keepCopy: true };
    const change = (changes: Partial<Forwarding>): void => void confirmed(context, changes, redraw);
    const field = textField({ label: say('forwardTo'), attributes: { type: 'email', autocomplete: 'email', maxlength: 254 } });
    const add = (event: Event): void => {
        event.preventDefault();
        const address = field.input.value.trim();
        if (!isEmail(address)) return field.fail(say('notAnAddress', { text: address }));
        if (now.addresses.some((one) => sameKey(one) === sameKey(address))) return field.fail(say('forwardKnown'));
        change({ addresses: [...now.addresses, address] });
    };
    const items = now.addresses.map((address) =>
        h(
            'li',
            { class: 'settings-card' },
            icon('forward'),
            h('bdi', { class: 'settings-card-text' }, address),
            button({ label: say('forwardStop'), kind: 'secondary', onclick: () => change({ addresses: now.addresses.filter((one) => one !== address) }) }),
        ),
    );
    return [
        group(
            say('forwardingTitle'),
            say('forwardingHint'),
            now.addresses.length > 0 ? h('ul', { class: 'settings-cards' }, items) : h('p', { class: 'settings-status' }, say('forwardNone')),
            h(
                'form',
                { class: 'settings-inline', novalidate: true, onsubmit: add },
                field.element,
                button({ label: say('forwardAdd'), kind: 'secondary', type: 'submit' }),
            ),
            now.addresses.length > 0 && toggle(say('keepCopy'), now.keepCopy, (keepCopy) => change({ keepCopy }), say('keepCopyHint')),
        ),
    ];
};

/** Asks for the password and makes the change; whatever happens, the page then shows what is. */
function confirmed(context: SettingsContext, changes: Partial<Forwarding>, redraw: () => void): void {
    const password = textField({ label: say('password'), attributes: { type: 'password', autocomplete: 'current-password' } });
    const submit = async (event: Event): Promise<void> => {
        event.preventDefault();
        try {
            await set(context, 'Forwarding/set', { update: { singleton: changes }, password: password.input.value });
            dialog.close();
            saved();
        } catch (error) {
            password.fail(explain(error));
        }
    };
    const form = h(
        'form',
        { onsubmit: (event) => void submit(event) },
        h('p', { class: 'settings-hint' }, say('confirmHint')),
        h('input', { type: 'text', autocomplete: 'username', value: context.client.signIn.uid, hidden: true }),
        password.element,
        h(
            'div',
            { class: 'actions' },
            button({ label: t('cancel'), kind: 'secondary', onclick: () => dialog.close() }),
            button({ label: say('confirm'), kind: 'primary', type: 'submit' }),
        ),
    );
    const dialog = openDialog({ title: say('confirmTitle'), body: form, onclose: redraw });
    password.input.focus();
}
