// As whom one writes: names, addresses to answer to, signatures, the visiting card.
import { fill, h } from '../dom.ts';
import type { GetResponse } from '../jmap.ts';
import { preferences, loadPreferences } from '../preferences.ts';
import { button } from '../ui/button.ts';
import { confirmDialog, openDialog, textField } from '../ui/dialog.ts';
import { formatAddress, isEmail, parseAddresses } from '../compose/address.ts';
import type { Identity } from '../compose/start.ts';
import { t } from '../texts.ts';
import { area, attempt, explain, group, prefer, problem, saved, set, toggle } from './controls.ts';
import type { Page, SettingsContext } from './settings.ts';
import { FIELDS, type Card, readCard, writeCard } from './card.ts';
import { say } from './texts.ts';

export const identities: Page = async (context, redraw) => {
    const { list } = await context.client.call<GetResponse<Identity>>('Identity/get', { ids: null });
    return [
        signature(context),
        group(
            say('identitiesTitle'),
            say('identitiesHint'),
            h(
                'ul',
                { class: 'settings-cards' },
                list.map((one) => card(context, one, list, redraw)),
            ),
            button({ label: say('addIdentity'), icon: 'plus', kind: 'secondary', onclick: () => edit(context, null, list, redraw) }),
        ),
        visitingCard(context),
    ];
};

function signature(context: SettingsContext): HTMLElement {
    const now = preferences();
    const text = area(say('signatureText'), now.signature, 5, say('signatureHint'));
    const save = button({
        label: t('save'),
        kind: 'primary',
        onclick: () => void prefer(context, { signature: text.input.value.replace(/\s+$/, '') }),
    });
    return group(
        say('signature'),
        null,
        toggle(say('autoSign'), now.autoSign, (autoSign) => void prefer(context, { autoSign }), say('autoSignHint')),
        text.element,
        h('div', { class: 'settings-actions' }, save),
    );
}

function card(context: SettingsContext, identity: Identity, all: readonly Identity[], redraw: () => void): HTMLElement {
    const remove = async (): Promise<void> => {
        const sure = await confirmDialog({ title: say('removeIdentityTitle'), text: identity.email, confirm: t('delete'), danger: true });
        if (sure && (await attempt(() => set(context, 'Identity/set', { destroy: [identity.id] })))) redraw();
    };
    const name = identity.name || identity.email;
    return h(
        'li',
        { class: 'settings-card' },
        h('div', { class: 'settings-card-text' }, h('bdi', { class: 'settings-card-title' }, name), h('bdi', { class: 'settings-hint' }, identity.email)),
        button({ label: say('edit'), kind: 'secondary', onclick: () => edit(context, identity, all, redraw) }),
        identity.mayDelete && h('button', { type: 'button', class: 'button', onclick: () => void remove() }, t('delete')),
    );
}

/** A form for one identity; null makes a new one. The address is one of the account's. */
function edit(context: SettingsContext, identity: Identity | null, all: readonly Identity[], redraw: () => void): void {
    const name = textField({ label: say('name'), value: identity?.name ?? '', attributes: { autocomplete: 'name', maxlength: 200 } });
    const addresses = [...new Set(all.map(({ email }) => email))];
    const email = h(
        'select',
        { disabled: identity !== null, id: 'identity-email' },
        addresses.map((one) => h('option', { value: one }, one)),
    );
    email.value = identity?.email ?? addresses[0] ?? '';
    const replyTo = textField({ label: say('replyTo'), value: (identity?.replyTo ?? []).map(formatAddress).join(', '), hint: say('replyToHint') });
    const bcc = textField({ label: say('alwaysBcc'), value: (identity?.bcc ?? []).map(formatAddress).join(', ') });
    const text = area(say('signatureText'), identity?.textSignature ?? '', 4);
    const error = problem();
    const submit = async (): Promise<void> => {
        const lists = [replyTo, bcc].map((field) => ({ field, ...parseAddresses(field.input.value) }));
        const wrong = lists.find(({ rest }) => rest.length > 0);
        if (wrong) return wrong.field.fail(say('notAnAddress', { text: wrong.rest.join(', ') }));
        const [answers, copies] = lists.map(({ addresses: found }) => (found.length > 0 ? found : null));
        const values = { name: name.input.value.trim(), replyTo: answers, bcc: copies, textSignature: text.input.value.replace(/\s+$/, '') };
        try {
            await set(context, 'Identity/set', identity ? { update: { [identity.id]: values } } : { create: { made: { ...values, email: email.value } } });
            // The signature of the main address is the one of the preferences.
            await loadPreferences(context.client).catch(() => undefined);
            dialog.close();
            saved();
            redraw();
        } catch (problem_) {
            error.textContent = explain(problem_);
        }
    };
    const form = h(
        'form',
        {
            onsubmit: (event) => {
                event.preventDefault();
                void submit();
            },
        },
        name.element,
        h('div', { class: 'field' }, h('label', { for: 'identity-email' }, say('address')), email),
        replyTo.element,
        bcc.element,
        text.element,
        error,
        h(
            'div',
            { class: 'actions' },
            button({ label: t('cancel'), kind: 'secondary', onclick: () => dialog.close() }),
            button({ label: t('save'), kind: 'primary', type: 'submit' }),
        ),
    );
    const dialog = openDialog({ title: identity ? say('editIdentity') : say('addIdentity'), body: form, size: 'medium' });
}

// ---------------------------------------------------------------- the visiting card

function visitingCard(context: SettingsContext): HTMLElement {
    const now = readCard(preferences().vCard);
    const raw = area(say('vCardSource'), preferences().vCard, 8);
    const fields = FIELDS.map(([key, , autocomplete]) => ({
        key,
        field: textField({ label: say(`card_${key}`), value: now[key], attributes: { autocomplete, maxlength: 200 } }),
    }));
    const error = problem();
    const source = h('details', { class: 'settings-details' }, h('summary', null, say('vCardSource')), raw.element);
    const save = async (): Promise<void> => {
        error.textContent = '';
        const typed = raw.input.value.trim();
        const bySource = typed !== preferences().vCard.trim();
        if (bySource && typed !== '' && !/^BEGIN:VCARD[\s\S]*END:VCARD$/i.test(typed)) {
            error.textContent = say('vCardWrong');
            return;
        }
        const values = Object.fromEntries(fields.map(({ key, field }) => [key, field.input.value.trim()])) as unknown as Card;
        if (values.email !== '' && !isEmail(values.email)) {
            fields.find(({ key }) => key === 'email')?.field.fail(say('notAnAddress', { text: values.email }));
            return;
        }
        const vCard = bySource ? typed : writeCard(values, preferences().vCard);
        if (await prefer(context, { vCard })) {
            raw.input.value = vCard;
            const after = readCard(vCard);
            for (const { key, field } of fields) field.input.value = after[key];
        }
    };
    const body = h('div', { class: 'settings-grid' });
    fill(
        body,
        fields.map(({ field }) => field.element),
    );
    return group(
        say('vCard'),
        say('vCardHint'),
        body,
        source,
        error,
        h('div', { class: 'settings-actions' }, button({ label: t('save'), kind: 'primary', onclick: () => void save() })),
    );
}
