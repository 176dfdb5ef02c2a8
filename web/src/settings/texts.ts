// The words of the settings.
import { catalogue } from '../i18n.ts';
import type en from '../locales/settings.en.ts';

export const say = catalogue<keyof typeof en>({
    en: () => import('../locales/settings.en.ts'),
    de: () => import('../locales/settings.de.ts'),
    fr: () => import('../locales/settings.fr.ts'),
    ja: () => import('../locales/settings.ja.ts'),
    ar: () => import('../locales/settings.ar.ts'),
});
