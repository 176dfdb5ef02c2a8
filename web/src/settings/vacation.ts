// The answer that goes out while one is away, with its dates, in several languages.
import { h } from '../dom.ts';
import { LANGUAGES } from '../i18n.ts';
import type { GetResponse } from '../jmap.ts';
import { preferences } from '../preferences.ts';
import { button } from '../ui/button.ts';
import { textField } from '../ui/dialog.ts';
import { t } from '../texts.ts';
import { area, choice, explain, group, problem, saved, set, toggle } from './controls.ts';
import type { Page } from './settings.ts';
import { instant, localDay } from './days.ts';
import { say } from './texts.ts';

/** RFC 8621, section 8; `texts` is ours: the text by language, '' for the one without. */
interface VacationResponse {
    isEnabled: boolean;
    fromDate: string | null;
    toDate: string | null;
    subject: string | null;
    textBody: string | null;
    texts?: Record<string, string>;
}

export const vacation: Page = async (context, redraw) => {
    const { list } = await context.client.call<GetResponse<VacationResponse>>('VacationResponse/get', { ids: ['singleton'] });
    const now = list[0] ?? { isEnabled: false, fromDate: null, toDate: null, subject: null, textBody: null };
    let enabled = now.isEnabled;
    const texts = new Map(Object.entries(now.texts ?? (now.textBody ? { '': now.textBody } : {})));
    const own = (preferences().language ?? '').toLowerCase().split('-')[0] ?? '';
    let tag = texts.has(own) ? own : texts.has('') ? '' : ([...texts.keys()][0] ?? own);

    const from = dateField(say('firstDay'), localDay(now.fromDate, 0));
    // toDate is the moment when it ends: the last day is the one before.
    const to = dateField(say('lastDay'), localDay(now.toDate, -1));
    const subject = textField({ label: say('vacationSubject'), value: now.subject ?? '', attributes: { maxlength: 200 } });
    const text = area(say('vacationText'), texts.get(tag) ?? '', 7, say('vacationTextHint'));
    const languages = choice(
        say('vacationLanguage'),
        languageOptions(texts, tag),
        tag,
        (chosen) => {
            keep();
            tag = chosen;
            text.input.value = texts.get(tag) ?? '';
            text.input.lang = tag;
        },
        say('vacationLanguageHint'),
    );
    const keep = (): void => {
        if (text.input.value.trim() === '') texts.delete(tag);
        else texts.set(tag, text.input.value.replace(/\s+$/, ''));
    };
    const error = problem();
    const save = async (): Promise<void> => {
        error.textContent = '';
        keep();
        if (enabled && texts.size === 0) return (text.input.focus(), void (error.textContent = say('vacationEmpty')));
        if (from.input.value !== '' && to.input.value !== '' && to.input.value < from.input.value) return to.fail(say('vacationOrder'));
        const changes = {
            isEnabled: enabled,
            fromDate: instant(from.input.value, 0),
            toDate: instant(to.input.value, 1),
            subject: subject.input.value.trim() || null,
            ...(now.texts ? { texts: Object.fromEntries(texts) } : { textBody: texts.get(tag) ?? null }),
        };
        try {
            await set(context, 'VacationResponse/set', { update: { singleton: changes } });
            saved();
            redraw();
        } catch (why) {
            error.textContent = explain(why);
        }
    };
    return [
        group(
            say('vacationTitle'),
            say('vacationHint'),
            status(now),
            toggle(say('vacationOn'), enabled, (on) => (enabled = on)),
            h('div', { class: 'settings-grid' }, from.element, to.element),
            subject.element,
            ...(now.texts ? [languages] : []),
            text.element,
            error,
            h('div', { class: 'settings-actions' }, button({ label: t('save'), kind: 'primary', onclick: () => void save() })),
        ),
    ];
};

/** Whether answers go out at this moment. */
function status({ isEnabled, fromDate, toDate }: VacationResponse): HTMLElement {
    const now = Date.now();
    const before = fromDate !== null && now < Date.parse(fromDate);
    const after = toDate !== null && now >= Date.parse(toDate);
    const text = !isEnabled ? say('vacationIsOff') : before ? say('vacationWaits') : after ? say('vacationIsOver') : say('vacationIsOn');
    return h('p', { class: isEnabled && !before && !after ? 'settings-status on' : 'settings-status' }, text);
}

function languageOptions(texts: ReadonlyMap<string, string>, current: string): [string, string][] {
    const known = new Map<string, string>([['', say('anyLanguage')], ...Object.entries(LANGUAGES)]);
    for (const tag of [...texts.keys(), current]) if (!known.has(tag)) known.set(tag, tag);
    return [...known].map(([tag, name]) => [tag, texts.has(tag) ? `${name} ✓` : name]);
}

function dateField(label: string, value: string): ReturnType<typeof textField> {
    return textField({ label, value, attributes: { type: 'date' } });
}
