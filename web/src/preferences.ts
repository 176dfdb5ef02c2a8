// What the user prefers: the directory's values (`Preferences/get`, singleton) over a copy in this browser, so that the page has its
// colours and its layout before the first answer. A change is shown at once and written one value at a time.

import type { Client, GetResponse, SetResponse } from './jmap.ts';
import { firstSetError } from './jmap.ts';

export interface Preferences {
    /** The original's, S119 to S125. */
    draftFolder: string;
    sentFolder: string;
    autoSign: boolean;
    signature: string;
    vCard: string;
    expungeOnExit: boolean;
    viewSize: number;
    /** preferredLanguage; null: as the browser says. */
    language: string | null;
    /** Ours. */
    theme: 'auto' | 'light' | 'dark';
    density: 'comfortable' | 'compact';
    conversations: boolean;
    listMode: 'continuous' | 'paged';
    readingPane: 'right' | 'below' | 'off';
    /** Seconds that a message can be called back after Send. */
    undoSend: number;
    /** Which remote images are shown without asking. */
    remoteImages: 'ask' | 'always';
    /** Senders whose remote images are shown, addresses in lower case. */
    imageSenders: string[];
}

export const DEFAULTS: Preferences = {
    draftFolder: 'Drafts',
    sentFolder: 'Sent',
    autoSign: true,
    signature: '',
    vCard: '',
    expungeOnExit: false,
    viewSize: 100,
    language: null,
    theme: 'auto',
    density: 'comfortable',
    conversations: true,
    listMode: 'continuous',
    readingPane: 'right',
    undoSend: 10,
    remoteImages: 'ask',
    imageSenders: [],
};

const KEPT = 'mailboat-preferences';
let current: Preferences = { ...DEFAULTS, ...kept() };
const watchers = new Set<(changed: Partial<Preferences>) => void>();

export const preferences = (): Readonly<Preferences> => current;

/** Calls `watcher` with what changed; the answer stops it. */
export function watchPreferences(watcher: (changed: Partial<Preferences>) => void): () => void {
    watchers.add(watcher);
    return () => watchers.delete(watcher);
}

function kept(): Partial<Preferences> {
    try {
        return JSON.parse(localStorage.getItem(KEPT) ?? '{}') as Partial<Preferences>;
    } catch {
        return {};
    }
}

function apply(changes: Partial<Preferences>): void {
    current = { ...current, ...changes };
    try {
        localStorage.setItem(KEPT, JSON.stringify(current));
    } catch {
        // no storage in this browser: the server has them
    }
    showAppearance();
    for (const watcher of watchers) watcher(changes);
}

/** Theme and density on the root element, where the style sheets look. */
export function showAppearance(): void {
    document.documentElement.dataset['theme'] = current.theme;
    document.documentElement.dataset['density'] = current.density;
}

/** Reads the server's values; those that it does not have stay as they are. */
export async function loadPreferences(client: Client): Promise<void> {
    const { list } = await client.call<GetResponse<Partial<Preferences> & { id: string }>>('Preferences/get', { ids: ['singleton'] });
    const found = list[0];
    if (!found) return;
    const known = Object.keys(DEFAULTS) as (keyof Preferences)[];
    const entries = known.filter((key) => found[key] !== undefined && JSON.stringify(found[key]) !== JSON.stringify(current[key])).map((key) => [key, found[key]]);
    if (entries.length > 0) apply(Object.fromEntries(entries) as Partial<Preferences>);
}

let writing: Promise<unknown> = Promise.resolve();

/** Resolves when nothing is on its way to the server: to be awaited before the page goes. */
export async function preferencesWritten(): Promise<void> {
    await writing.catch(() => undefined);
}

/** Shows the changes at once and writes them; takes them back, and throws, when the server refuses. */
export function setPreferences(client: Client, changes: Partial<Preferences>): Promise<void> {
    const written = write(client, changes);
    writing = Promise.allSettled([writing, written]);
    return written;
}

async function write(client: Client, changes: Partial<Preferences>): Promise<void> {
    const before = Object.fromEntries(Object.keys(changes).map((key) => [key, current[key as keyof Preferences]])) as Partial<Preferences>;
    apply(changes);
    try {
        const response = await client.call<SetResponse>('Preferences/set', { update: { singleton: changes } });
        const error = firstSetError(response);
        if (error) throw error;
    } catch (error) {
        apply(before);
        throw error;
    }
}

/** Forgets what this browser keeps, at sign-out. Theme and density stay: the sign-in page has them too. */
export function forgetPreferences(): void {
    const { theme, density, language } = current;
    localStorage.setItem(KEPT, JSON.stringify({ theme, density, language }));
}
