// What is typed into the search field, as a filter of RFC 8621 §4.4.1: words and "phrases" anywhere in the message, and operators
// (`from:anna has:attachment before:2026-01-01 larger:5M in:Archive -subject:weekly`). A minus turns a term round.

import type { Id } from './jmap.ts';
import type { Filter, FilterCondition, Mailbox } from './types.ts';

export interface Search {
    /** Undefined for a search without a term. */
    filter: Filter | undefined;
    /** The mailbox of `in:`; the filter has it already. */
    mailbox: Id | undefined;
    /** Operators with a value that cannot be understood, as they were typed. */
    wrong: string[];
}

export const OPERATORS = ['from:', 'to:', 'cc:', 'subject:', 'body:', 'has:attachment', 'is:unread', 'is:starred', 'before:', 'after:', 'larger:', 'smaller:', 'in:'] as const;

/** An operator that has no value yet: somebody is typing. */
const UNFINISHED = /^-?(?:from|to|cc|bcc|subject|body|has|is|before|after|larger|smaller|in):$/i;
const TERM = /(-?)(?:(\w+):)?(?:"([^"]*)"?|(\S+))/g;

export function parseSearch(text: string, mailboxes: Iterable<Mailbox>, now = new Date()): Search {
    const conditions: Filter[] = [];
    const wrong: string[] = [];
    let mailbox: Id | undefined;
    for (const [whole, minus, key, quoted, plain] of text.matchAll(TERM)) {
        const value = quoted ?? plain ?? '';
        if (!value || UNFINISHED.test(whole)) continue;
        const condition = key ? operator(key.toLowerCase(), value, mailboxes, now) : words(value, quoted !== undefined);
        if (condition === 'wrong') {
            wrong.push(whole);
            continue;
        }
        const meant = condition ?? words(whole.replace(/^-/, ''), false);
        if (meant.inMailbox && !minus) mailbox = meant.inMailbox;
        conditions.push(minus ? { operator: 'NOT', conditions: [meant] } : meant);
    }
    const filter = conditions.length > 1 ? ({ operator: 'AND', conditions } as const) : conditions[0];
    return { filter, mailbox, wrong };
}

/** A phrase keeps its quotes: RFC 8621 §4.4.1 has its words in order then. */
const words = (value: string, phrase: boolean): FilterCondition => ({ text: phrase && value.includes(' ') ? `"${value}"` : value });

/** Undefined when `key` is no operator: then it is text that has a colon in it. */
function operator(key: string, value: string, mailboxes: Iterable<Mailbox>, now: Date): FilterCondition | 'wrong' | undefined {
    switch (key) {
        case 'from':
        case 'to':
        case 'cc':
        case 'bcc':
        case 'subject':
        case 'body':
            return { [key]: value };
        case 'has':
            return /^attachments?$/i.test(value) ? { hasAttachment: true } : 'wrong';
        case 'is':
            return state(value.toLowerCase()) ?? 'wrong';
        case 'before':
        case 'after': {
            const date = parseDate(value, now);
            return date ? { [key]: date } : 'wrong';
        }
        case 'larger':
        case 'smaller': {
            const size = parseSize(value);
            return size === undefined ? 'wrong' : { [key === 'larger' ? 'minSize' : 'maxSize']: size };
        }
        case 'in': {
            const found = findMailbox(value, mailboxes);
            return found ? { inMailbox: found.id } : 'wrong';
        }
        default:
            return undefined;
    }
}

function state(value: string): FilterCondition | undefined {
    const states: Record<string, FilterCondition> = {
        unread: { notKeyword: '$seen' },
        read: { hasKeyword: '$seen' },
        starred: { hasKeyword: '$flagged' },
        flagged: { hasKeyword: '$flagged' },
        answered: { hasKeyword: '$answered' },
        forwarded: { hasKeyword: '$forwarded' },
        draft: { hasKeyword: '$draft' },
    };
    return states[value];
}

/** `2026`, `2026-03`, `2026-03-14` in local time, or so many days back: `7d`. */
function parseDate(value: string, now: Date): string | undefined {
    const back = /^(\d{1,4})d$/i.exec(value);
    if (back) return new Date(now.getTime() - Number(back[1]) * 86_400_000).toISOString();
    const parts = /^(\d{4})(?:[-/](\d{1,2}))?(?:[-/](\d{1,2}))?$/.exec(value);
    if (!parts) return undefined;
    const date = new Date(Number(parts[1]), Number(parts[2] ?? 1) - 1, Number(parts[3] ?? 1));
    const real = date.getMonth() === Number(parts[2] ?? 1) - 1 && date.getDate() === Number(parts[3] ?? 1);
    return real ? date.toISOString() : undefined;
}

/** `500`, `20K`, `5M`, `1.5G`, with or without a B: bytes. */
function parseSize(value: string): number | undefined {
    const parts = /^(\d+(?:\.\d+)?)\s*([kmg]?)b?$/i.exec(value);
    if (!parts) return undefined;
    return Math.round(Number(parts[1]) * 1024 ** ['', 'k', 'm', 'g'].indexOf((parts[2] ?? '').toLowerCase()));
}

function findMailbox(value: string, mailboxes: Iterable<Mailbox>): Mailbox | undefined {
    const wanted = value.toLowerCase();
    const all = [...mailboxes];
    return all.find((one) => one.name.toLowerCase() === wanted || one.role === wanted) ?? all.find((one) => one.name.toLowerCase().startsWith(wanted));
}
