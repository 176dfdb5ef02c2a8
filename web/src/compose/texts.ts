// The words of compose.
import { catalogue } from '../i18n.ts';
import type en from '../locales/compose.en.ts';

export const say = catalogue<keyof typeof en>({
    en: () => import('../locales/compose.en.ts'),
    de: () => import('../locales/compose.de.ts'),
    fr: () => import('../locales/compose.fr.ts'),
    ja: () => import('../locales/compose.ja.ts'),
    ar: () => import('../locales/compose.ar.ts'),
});
