// Which drafts are being written, so that those of a tab that was killed are opened again. Only ids are kept in the browser; the text
// is on the server. A tab that lives holds a lock of the name of each of its windows.
import type { Id } from '../jmap.ts';
import { newKey } from './message.ts';

interface Noted {
    account: Id;
    draftId: Id;
    /** The key of what this window stores, see message.ts; a version that was stored while the tab went is found by it. */
    draft?: string;
    /** The tab, for browsers and addresses without locks (they need a secure context). */
    tab: string;
}

export const OPEN_DRAFTS = 'mailboat-open-drafts';
const TAB = 'mailboat-tab';
const keys = new WeakMap<object, string>();

function all(): Record<string, Noted> {
    try {
        return JSON.parse(localStorage.getItem(OPEN_DRAFTS) ?? '{}') as Record<string, Noted>;
    } catch {
        return {};
    }
}

function keep(noted: Record<string, Noted>): void {
    if (Object.keys(noted).length === 0) localStorage.removeItem(OPEN_DRAFTS);
    else localStorage.setItem(OPEN_DRAFTS, JSON.stringify(noted));
}

function tab(): string {
    const known = sessionStorage.getItem(TAB) ?? newKey();
    sessionStorage.setItem(TAB, known);
    return known;
}

const lockName = (key: string): string => `mailboat-draft-${key}`;

/** The window writes the draft of this id. */
export function noteWindow(window: object, account: Id, draft: string, draftId: Id | null): void {
    let key = keys.get(window);
    if (!key) {
        key = newKey();
        keys.set(window, key);
        // Held until the page goes, for whatever reason.
        if (navigator.locks) void navigator.locks.request(lockName(key), () => new Promise<never>(() => undefined));
    }
    const noted = all();
    if (draftId === null) delete noted[key];
    else noted[key] = { account, draftId, draft, tab: tab() };
    keep(noted);
}

export function forgetWindow(window: object): void {
    const noted = all();
    delete noted[keys.get(window) ?? ''];
    keep(noted);
}

/**
 * Drafts of an account whose tab is gone: the id that was heard last, and the draft's key; they are the caller's from here on.
 * Notes of other accounts than `accounts` are forgotten: they are not shared any more, or another user's.
 */
export async function lostWindows(account: Id, accounts: readonly Id[]): Promise<Map<Id, string | undefined>> {
    const noted = all();
    const lost = new Map<Id, string | undefined>();
    for (const [key, { account: of, draftId, draft, tab: owner }] of Object.entries(noted)) {
        if (!accounts.includes(of)) delete noted[key];
        if (of !== account || !(await isGone(key, owner))) continue;
        delete noted[key];
        lost.set(draftId, draft);
    }
    keep(noted);
    return lost;
}

async function isGone(key: string, owner: string): Promise<boolean> {
    if (!navigator.locks) return owner === tab();
    return navigator.locks.request(lockName(key), { ifAvailable: true }, (lock) => lock !== null);
}
