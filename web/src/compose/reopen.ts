// Which drafts are being written, so that those of a tab that was killed are opened again. Only ids are kept in the browser; the text
// is on the server. A tab that lives holds a lock of the name of each of its windows.
import type { Id } from '../jmap.ts';

interface Noted {
    account: Id;
    draftId: Id;
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
    const known = sessionStorage.getItem(TAB) ?? random();
    sessionStorage.setItem(TAB, known);
    return known;
}

/** crypto.randomUUID needs a secure context; this does not. */
function random(): string {
    return Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36)).join('-');
}

const lockName = (key: string): string => `mailboat-draft-${key}`;

/** The window writes the draft of this id. */
export function noteWindow(window: object, account: Id, draftId: Id | null): void {
    let key = keys.get(window);
    if (!key) {
        key = random();
        keys.set(window, key);
        // Held until the page goes, for whatever reason.
        if (navigator.locks) void navigator.locks.request(lockName(key), () => new Promise<never>(() => undefined));
    }
    const noted = all();
    if (draftId === null) delete noted[key];
    else noted[key] = { account, draftId, tab: tab() };
    keep(noted);
}

export function forgetWindow(window: object): void {
    const noted = all();
    delete noted[keys.get(window) ?? ''];
    keep(noted);
}

/** Drafts whose tab is gone; they are the caller's from here on. */
export async function lostWindows(account: Id): Promise<Id[]> {
    const noted = all();
    const lost: Id[] = [];
    for (const [key, { account: of, draftId, tab: owner }] of Object.entries(noted)) {
        if (of !== account || !(await isGone(key, owner))) continue;
        delete noted[key];
        lost.push(draftId);
    }
    keep(noted);
    return [...new Set(lost)];
}

async function isGone(key: string, owner: string): Promise<boolean> {
    if (!navigator.locks) return owner === tab();
    return navigator.locks.request(lockName(key), { ifAvailable: true }, (lock) => lock !== null);
}
