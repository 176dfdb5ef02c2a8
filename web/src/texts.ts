// The words of the application: shell, list, reading, and what every part of it says (close, cancel, save, ...).

import { catalogue } from './i18n.ts';
import type en from './locales/app.en.ts';

export const t = catalogue<keyof typeof en>({
    en: () => import('./locales/app.en.ts'),
    de: () => import('./locales/app.de.ts'),
    fr: () => import('./locales/app.fr.ts'),
    ja: () => import('./locales/app.ja.ts'),
    ar: () => import('./locales/app.ar.ts'),
});
