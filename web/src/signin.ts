// The sign-in page: as small as it can be, and plain for password managers (one form, `username`, `current-password`, `one-time-code`).

import { h, fill, svg, uniqueId } from './dom.ts';
import { formatMessage, language } from './i18n.ts';
import type { SignIn } from './jmap.ts';
import { SIGN_IN_TEXTS, type SignInText } from './locales/signin.ts';

export const say = (key: SignInText, args = {}): string => {
    const index = ['en', 'de', 'fr', 'ja', 'ar'].indexOf(language());
    return formatMessage(SIGN_IN_TEXTS[key][index < 0 ? 0 : index] ?? key, args, language());
};

const BOAT = '*M11.3 3v10.3H3.8z|*M13 5.3l6.5 8H13z|*M2.5 15h19c-1 3.6-3.6 5.5-6.8 5.500H9.300c-3.2 0-5.8-1.9-6.8-5.500z';
const EYE = 'M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12z|M12 9.2a2.8 2.8 0 1 1 0 5.6 2.8 2.8 0 0 1 0-5.6z';

/** Shows the page; resolves when the server has let the user in. */
export function signInPage(): Promise<SignIn> {
    return new Promise((resolve) => {
        document.title = `${say('title')} – Mailboat`;
        const form = signInForm((signIn) => resolve(signIn));
        fill(
            document.body,
            h('main', { class: 'sign-in-page' }, h('div', { class: 'brand' }, svg(BOAT), 'Mailboat'), h('div', { class: 'sign-in' }, h('h1', null, say('title')), form)),
        );
        form.querySelector<HTMLInputElement>('input:not([hidden])')?.focus();
    });
}

/**
 * The form: user, password, and a code once the server asks for one. With `user` the name is fixed: that is how a session that has ended is
 * renewed in a dialog over what the user was doing.
 */
export function signInForm(done: (signIn: SignIn) => void, user?: string): HTMLFormElement {
    const message = h('div', { class: 'sign-in-message', role: 'alert' });
    const name = field('user', say('user'), { autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false', required: true, value: user ?? '', readonly: user !== undefined });
    const password = field('password', say('password'), { type: 'password', autocomplete: 'current-password', required: true });
    const code = field('code', say('code'), { class: 'code-input', inputmode: 'numeric', autocomplete: 'one-time-code', maxlength: '32' });
    code.element.hidden = true;
    const recovery = h('button', { type: 'button', class: 'button link', hidden: true, onclick: () => askForRecoveryCode() }, say('recovery'));
    code.element.append(recovery);
    /** The keyboard of a phone has letters then. */
    const askForRecoveryCode = (): void => {
        recovery.hidden = true;
        code.input.className = ''; // that is laid out for six digits
        code.input.inputMode = 'text';
        code.input.autocomplete = 'off';
        code.element.querySelector('label')?.replaceChildren(say('recoveryCode'));
        code.input.focus();
    };
    const reveal = h(
        'button',
        {
            type: 'button',
            class: 'reveal',
            'aria-label': say('showPassword'),
            'aria-pressed': 'false',
            onclick: () => {
                const shown = password.input.type === 'password';
                password.input.type = shown ? 'text' : 'password';
                reveal.setAttribute('aria-pressed', String(shown));
            },
        },
        svg(EYE),
    );
    password.input.after(reveal);
    const submit = h('button', { type: 'submit', class: 'button primary' }, say('signIn'));
    const form = h('form', { method: 'post', action: '/auth/sign-in', novalidate: true }, message, name.element, password.element, code.element, submit);

    const tell = (text: string, where?: HTMLInputElement): void => {
        message.textContent = text;
        where?.focus();
        where?.select();
    };
    form.addEventListener('submit', async (event) => {
        event.preventDefault();
        if (!name.input.value.trim()) return tell(say('userMissing'), name.input);
        if (!password.input.value) return tell(say('passwordMissing'), password.input);
        message.textContent = '';
        submit.disabled = true;
        try {
            const answer = await signIn(name.input.value.trim(), password.input.value, code.input.value.replaceAll(/\s/g, ''));
            if (answer.signIn) return done(answer.signIn);
            if (answer.problem === 'code-required' && code.element.hidden) {
                code.element.hidden = false;
                recovery.hidden = false;
                code.input.required = true;
                return code.input.focus();
            }
            tell(refusal(answer), answer.problem === 'code-required' ? code.input : answer.problem === 'refused' ? password.input : undefined);
        } finally {
            submit.disabled = false;
        }
    });
    return form;
}

interface Answer {
    signIn?: SignIn;
    problem?: 'refused' | 'code-required' | 'not-allowed' | 'too-many' | 'unavailable' | 'unreachable';
    retryAfter?: number;
}

async function signIn(user: string, password: string, code: string): Promise<Answer> {
    let response: Response;
    try {
        response = await fetch('/auth/sign-in', {
            method: 'POST',
            headers: { 'Content-Type': 'application/json' },
            body: JSON.stringify({ user, password, ...(code ? { code } : {}) }),
            credentials: 'same-origin',
        });
    } catch {
        return { problem: 'unreachable' };
    }
    if (response.ok) return { signIn: (await response.json()) as SignIn };
    const { type } = (await response.json().catch(() => ({}))) as { type?: string };
    if (response.status === 401) return { problem: type === 'code-required' ? 'code-required' : 'refused' };
    if (response.status === 403) return { problem: 'not-allowed' };
    if (response.status === 429) return { problem: 'too-many', retryAfter: Number(response.headers.get('Retry-After') ?? 0) };
    return { problem: 'unavailable' };
}

function refusal(answer: Answer): string {
    switch (answer.problem) {
        case 'refused':
            return say('refused');
        case 'code-required':
            return say('codeWrong');
        case 'not-allowed':
            return say('notAllowed');
        case 'too-many':
            return answer.retryAfter ? say('tooManyWait', { seconds: answer.retryAfter }) : say('tooMany');
        case 'unreachable':
            return say('unreachable');
        default:
            return say('unavailable');
    }
}

function field(name: string, label: string, attributes: Record<string, unknown>): { element: HTMLElement; input: HTMLInputElement } {
    const id = uniqueId(name);
    const input = h('input', { id, name, type: 'text', ...attributes });
    return { element: h('div', { class: 'field' }, h('label', { for: id }, label), h('div', { class: 'field-input' }, input)), input };
}
