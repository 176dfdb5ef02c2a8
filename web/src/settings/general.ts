// Language, looks, and how lists are shown.
import { LANGUAGES, MIRRORED, PSEUDO, setLanguage } from '../i18n.ts';
import { type Preferences, preferences } from '../preferences.ts';
import { choice, group, prefer, row, segments, toggle } from './controls.ts';
import { h } from '../dom.ts';
import type { Page } from './settings.ts';
import { say } from './texts.ts';

/** Rows of a page in the paged list; the server takes any number up to 1,000. */
const VIEW_SIZES = [25, 50, 100, 200, 500];
const BY_BROWSER = 'browser';

export const general: Page = async (context, redraw) => {
    const now = preferences();
    const put = (changes: Partial<Preferences>): void => void prefer(context, changes);
    return [
        group(
            say('appearance'),
            null,
            language(now.language, (value) => {
                void prefer(context, { language: value }).then(async (done) => {
                    if (!done) return;
                    await setLanguage([...(value ? [value] : []), ...navigator.languages]);
                    redraw();
                });
            }),
            segments(
                say('theme'),
                [
                    ['auto', say('themeAuto')],
                    ['light', say('themeLight')],
                    ['dark', say('themeDark')],
                ],
                now.theme,
                (theme) => put({ theme }),
            ),
            segments(
                say('density'),
                [
                    ['comfortable', say('densityComfortable')],
                    ['compact', say('densityCompact')],
                ],
                now.density,
                (density) => put({ density }),
            ),
        ),
        group(
            say('lists'),
            null,
            segments(
                say('listMode'),
                [
                    ['continuous', say('listContinuous')],
                    ['paged', say('listPaged')],
                ],
                now.listMode,
                (listMode) => put({ listMode }),
            ),
            viewSize(now.viewSize, (size) => put({ viewSize: size })),
            toggle(say('conversations'), now.conversations, (conversations) => put({ conversations }), say('conversationsHint')),
            choice(
                say('readingPane'),
                [
                    ['right', say('paneRight')],
                    ['below', say('paneBelow')],
                    ['off', say('paneOff')],
                ],
                now.readingPane,
                (readingPane) => put({ readingPane }),
            ),
        ),
    ];
};

function language(value: string | null, change: (value: string | null) => void): HTMLElement {
    const known: [string, string][] = [[BY_BROWSER, say('languageBrowser')], ...Object.entries(LANGUAGES)];
    // The pseudo-locale is for those who look for untranslated words, and shown to whoever has it already.
    if (value === PSEUDO || value === MIRRORED) known.push([value, 'Pseudo']);
    const current = known.some(([key]) => key === value) ? (value ?? BY_BROWSER) : BY_BROWSER;
    return choice(say('language'), known, current, (chosen) => change(chosen === BY_BROWSER ? null : chosen), say('languageHint'));
}

function viewSize(value: number, change: (value: number) => void): HTMLElement {
    const sizes = VIEW_SIZES.includes(value) ? VIEW_SIZES : [...VIEW_SIZES, value].sort((a, b) => a - b);
    const select = h(
        'select',
        { onchange: () => change(Number(select.value)) },
        sizes.map((size) => h('option', { value: size }, String(size))),
    );
    select.value = String(value);
    return row(say('viewSize'), select, say('viewSizeHint'));
}
