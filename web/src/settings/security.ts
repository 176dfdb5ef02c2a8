// Password, passwords of programs, sessions, and what was done with the account.
import { h } from '../dom.ts';
import { mediumDate } from '../i18n.ts';
import { type GetResponse, JmapError, type SetResponse } from '../jmap.ts';
import { button } from '../ui/button.ts';
import { confirmDialog, openDialog, textField } from '../ui/dialog.ts';
import { icon } from '../icon.ts';
import { t } from '../texts.ts';
import { attempt, explain, group, set } from './controls.ts';
import { toast } from '../ui/toast.ts';
import type { Page, SettingsContext } from './settings.ts';
import { agentName } from './agent.ts';
import { factorGroup, secondFactor } from './second-factor.ts';
import { showOnce } from './once.ts';
import { say } from './texts.ts';

export const security: Page = async (context, redraw) => {
    const [sessions, activity, apps, factor] = await Promise.all([
        read<{ sessions: Session[] }>(context, '/auth/sessions'),
        read<{ activity: Deed[] }>(context, '/auth/activity'),
        appPasswords(context),
        secondFactor(context),
    ]);
    return [
        passwordGroup(context),
        ...(factor === null ? [] : [factorGroup(context, factor, redraw)]),
        ...(apps ? [appGroup(context, apps, redraw)] : []),
        sessionGroup(context, sessions.sessions, redraw),
        activityGroup(activity.activity),
    ];
};

async function read<T>({ client }: SettingsContext, path: string): Promise<T> {
    return (await (await client.fetch(path, {})).json()) as T;
}

// ---------------------------------------------------------------- password

/** As the server has it. */
const SHORTEST = 8;

function passwordGroup(context: SettingsContext): HTMLElement {
    const field = (label: string, autocomplete: string): ReturnType<typeof textField> =>
        textField({ label, attributes: { type: 'password', autocomplete, maxlength: 256 } });
    const old = field(say('oldPassword'), 'current-password');
    const fresh = textField({
        label: say('newPassword'),
        hint: say('passwordHint', { count: SHORTEST }),
        attributes: { type: 'password', autocomplete: 'new-password', maxlength: 256 },
    });
    const again = field(say('repeatPassword'), 'new-password');
    const submit = async (event: Event): Promise<void> => {
        event.preventDefault();
        if (old.input.value === '') return old.fail(say('needed'));
        if ([...fresh.input.value].length < SHORTEST) return fresh.fail(say('passwordShort', { count: SHORTEST }));
        if (fresh.input.value !== again.input.value) return again.fail(say('passwordDiffers'));
        try {
            await context.client.call('Credential/set', { oldPassword: old.input.value, newPassword: fresh.input.value });
            for (const one of [old, fresh, again]) one.input.value = '';
            toast({ text: say('passwordChanged') });
        } catch (error) {
            const type = error instanceof JmapError ? error.type : '';
            (type === 'badPassword' ? fresh : old).fail(explain(error));
        }
    };
    return group(
        say('password'),
        null,
        h(
            'form',
            { class: 'settings-form', novalidate: true, onsubmit: (event) => void submit(event) },
            h('input', { type: 'text', autocomplete: 'username', value: context.client.signIn.uid, hidden: true }),
            old.element,
            fresh.element,
            again.element,
            h('div', { class: 'settings-actions' }, button({ label: say('changePassword'), kind: 'primary', type: 'submit' })),
        ),
    );
}

// ---------------------------------------------------------------- passwords of programs

interface AppPassword {
    id: string;
    label: string;
    services?: string[] | null;
    created?: string | null;
    expires?: string | null;
}

/** Null when the server has none to offer. */
async function appPasswords({ client }: SettingsContext): Promise<AppPassword[] | null> {
    try {
        return (await client.call<GetResponse<AppPassword>>('AppPassword/get', { ids: null })).list;
    } catch {
        return null;
    }
}

function appGroup(context: SettingsContext, list: AppPassword[], redraw: () => void): HTMLElement {
    const remove = async ({ id, label }: AppPassword): Promise<void> => {
        const sure = await confirmDialog({ title: say('revokeAppTitle', { name: label }), text: say('revokeAppText'), confirm: say('revoke'), danger: true });
        if (sure && (await attempt(() => set(context, 'AppPassword/set', { destroy: [id] })))) redraw();
    };
    const items = list.map((one) =>
        h(
            'li',
            { class: 'settings-card' },
            icon('lock'),
            h(
                'div',
                { class: 'settings-card-text' },
                h('bdi', { class: 'settings-card-title' }, one.label),
                h('span', { class: 'settings-hint' }, details(one)),
            ),
            button({ label: say('revoke'), kind: 'secondary', onclick: () => void remove(one) }),
        ),
    );
    const field = textField({ label: say('appName'), hint: say('appNameHint'), attributes: { maxlength: 60 } });
    const add = async (event: Event): Promise<void> => {
        event.preventDefault();
        const label = field.input.value.trim();
        if (label === '') return field.fail(say('needed'));
        askPassword(context, async (password) => {
            const response = await context.client.call<SetResponse<{ id: string; password: string }>>('AppPassword/set', {
                create: { made: { label } },
                password,
            });
            const made = response.created?.['made'];
            if (!made) {
                const failure = response.notCreated?.['made'];
                throw new JmapError('set', failure?.type ?? 'serverFail', failure?.description ?? '');
            }
            const shown = { title: say('appMadeTitle', { name: label }), text: say('appMadeText'), secret: made.password, label: say('appPassword', { name: label }) };
            showOnce(shown, redraw);
        });
    };
    return group(
        say('appPasswords'),
        say('appPasswordsHint'),
        list.length > 0 && h('ul', { class: 'settings-cards' }, items),
        h(
            'form',
            { class: 'settings-inline', novalidate: true, onsubmit: (event) => void add(event) },
            field.element,
            button({ label: say('appMake'), kind: 'secondary', type: 'submit' }),
        ),
    );
}

function details({ services, created, expires }: AppPassword): string {
    const pieces = [
        services && services.length > 0 ? services.map((one) => one.toUpperCase()).join(', ') : '',
        created ? say('made', { date: mediumDate(new Date(created)) }) : '',
        expires ? say('until', { date: mediumDate(new Date(expires)) }) : '',
    ];
    return pieces.filter((one) => one !== '').join(' · ');
}

function askPassword(context: SettingsContext, run: (password: string) => Promise<void>): void {
    const password = textField({ label: say('password'), attributes: { type: 'password', autocomplete: 'current-password' } });
    const submit = async (event: Event): Promise<void> => {
        event.preventDefault();
        try {
            await run(password.input.value);
            dialog.close();
        } catch (error) {
            password.fail(explain(error));
        }
    };
    const form = h(
        'form',
        { onsubmit: (event) => void submit(event) },
        h('input', { type: 'text', autocomplete: 'username', value: context.client.signIn.uid, hidden: true }),
        password.element,
        h(
            'div',
            { class: 'actions' },
            button({ label: t('cancel'), kind: 'secondary', onclick: () => dialog.close() }),
            button({ label: say('confirm'), kind: 'primary', type: 'submit' }),
        ),
    );
    const dialog = openDialog({ title: say('confirmTitle'), body: form });
    password.input.focus();
}

// ---------------------------------------------------------------- sessions

/** Times in seconds since 1970. */
interface Session {
    id: string;
    begun: number;
    used: number;
    address: string;
    agent: string;
    current: boolean;
}

function sessionGroup(context: SettingsContext, list: Session[], redraw: () => void): HTMLElement {
    const revoke = async (id: string): Promise<void> => {
        const done = await attempt(() =>
            context.client.fetch('/auth/sessions/revoke', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ id }) }),
        );
        if (done) redraw();
    };
    const items = [...list]
        .sort((a, b) => Number(b.current) - Number(a.current) || b.used - a.used)
        .map((one) =>
            h(
                'li',
                { class: 'settings-card' },
                h(
                    'div',
                    { class: 'settings-card-text' },
                    h('span', { class: 'settings-card-title' }, agentName(one.agent) || say('unknownProgram')),
                    h(
                        'span',
                        { class: 'settings-hint' },
                        h('bdi', null, one.address),
                        ` · ${say('lastUsed', { date: mediumDate(new Date(one.used * 1000)) })}`,
                    ),
                ),
                one.current
                    ? h('span', { class: 'settings-badge' }, say('thisSession'))
                    : button({ label: say('signOutSession'), kind: 'secondary', onclick: () => void revoke(one.id) }),
            ),
        );
    const others = list.filter((one) => !one.current).length;
    return group(
        say('sessions'),
        say('sessionsHint'),
        h('ul', { class: 'settings-cards' }, items),
        others > 0 && button({ label: say('signOutOthers', { count: others }), kind: 'secondary', onclick: () => void revoke('others') }),
    );
}

interface Deed {
    at: number;
    what: string;
    address: string;
    agent: string;
}

function activityGroup(list: Deed[]): HTMLElement {
    const known: Record<string, string> = {
        'signed-in': say('didSignIn'),
        refused: say('didRefuse'),
        'signed-out': say('didSignOut'),
        revoked: say('didRevoke'),
    };
    const rows = list
        .slice(0, 30)
        .map(({ at, what, address, agent }) =>
            h(
                'tr',
                { class: what === 'refused' ? 'refused' : undefined },
                h('td', null, mediumDate(new Date(at * 1000))),
                h('td', null, known[what] ?? what),
                h('td', null, h('bdi', null, address)),
                h('td', null, agentName(agent) || say('unknownProgram')),
            ),
        );
    const table = h(
        'div',
        { class: 'settings-table', tabindex: '0', role: 'group', 'aria-label': say('activity') },
        h(
            'table',
            null,
            h(
                'thead',
                null,
                h(
                    'tr',
                    null,
                    [say('when'), say('what'), say('where'), say('program')].map((one) => h('th', { scope: 'col' }, one)),
                ),
            ),
            h('tbody', null, rows),
        ),
    );
    return group(say('activity'), say('activityHint'), list.length > 0 ? table : h('p', { class: 'settings-status' }, say('noActivity')));
}
