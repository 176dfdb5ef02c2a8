/**
 * To whom an answer goes, what it is called and what it refers to.
 * Reply-To and the subject: RFC 5322, sections 3.6.2 and 3.6.5; References: section 3.6.4; lists: RFC 2369;
 * Mail-Followup-To: as mutt and Thunderbird obey it.
 */
import { type Address, isEmail, sameKey } from './address.ts';

export type Kind = 'new' | 'reply' | 'replyAll' | 'replyList' | 'forward' | 'forwardAttached' | 'redirect' | 'draft';

/** What is known of the message that is answered. */
export interface Source {
    from: Address[];
    replyTo: Address[];
    to: Address[];
    cc: Address[];
    followupTo: Address[];
    /** The List-Post field as it stands in the header. */
    listPost: string | null;
    subject: string;
    messageId: string[];
    inReplyTo: string[];
    references: string[];
}

export interface Recipients {
    to: Address[];
    cc: Address[];
}

/** The first references say which conversation it is, the last ones where in it; a line is not made endless. */
const MOST_REFERENCES = 50;

/** Recipients of an answer; `own` are the user's addresses by `sameKey`. */
export function recipients(kind: Kind, source: Source, own: ReadonlySet<string>): Recipients {
    switch (kind) {
        case 'reply':
            return { to: unique(answered(source, own)), cc: [] };
        case 'replyAll':
            return everybody(source, own);
        case 'replyList':
            return toList(source, own);
        default:
            return { to: [], cc: [] };
    }
}

/** Who a plain reply goes to: where the author wants it, or, of a message of one's own, those it went to. */
function answered(source: Source, own: ReadonlySet<string>): Address[] {
    const author = source.replyTo.length > 0 ? source.replyTo : source.from;
    const mine = source.from.length > 0 && source.from.every((a) => own.has(sameKey(a.email)));
    if (mine && source.to.some((a) => !own.has(sameKey(a.email)))) {
        return source.to;
    }
    return author;
}

function everybody(source: Source, own: ReadonlySet<string>): Recipients {
    if (source.followupTo.length > 0) {
        return orAuthor({ to: without(unique(source.followupTo), own), cc: [] }, source, own);
    }
    const to = without(unique([...answered(source, own), ...source.to]), own);
    const taken = new Set([...own, ...to.map((a) => sameKey(a.email))]);
    return orAuthor({ to, cc: without(unique(source.cc), taken) }, source, own);
}

/** Somebody must get it: one who writes to himself alone is the one who is answered. */
function orAuthor(found: Recipients, source: Source, own: ReadonlySet<string>): Recipients {
    if (found.to.length > 0) {
        return found;
    }
    return found.cc.length > 0 ? { to: found.cc, cc: [] } : { to: unique(answered(source, own)), cc: [] };
}

function toList(source: Source, own: ReadonlySet<string>): Recipients {
    const list = listAddress(source.listPost);
    return list ? { to: [list], cc: [] } : everybody(source, own);
}

/** The address one posts to, or null when the message is of no list or the list takes no posts (`List-Post: NO`). */
export function listAddress(listPost: string | null): Address | null {
    const found = /<mailto:([^>?]+)[^>]*>/i.exec(listPost ?? '');
    const email = decode(found?.[1] ?? '').trim();
    return isEmail(email) ? { name: null, email } : null;
}

function decode(text: string): string {
    try {
        return decodeURIComponent(text);
    } catch {
        return text;
    }
}

function unique(addresses: Address[]): Address[] {
    const seen = new Set<string>();
    return addresses.filter((a) => {
        const key = sameKey(a.email);
        return !seen.has(key) && seen.add(key);
    });
}

function without(addresses: Address[], left: ReadonlySet<string>): Address[] {
    return addresses.filter((a) => !left.has(sameKey(a.email)));
}

/** The identity that was written to, so that the answer comes from the same address; else null. */
export function addressedAs<T extends { email: string }>(source: Source, identities: readonly T[]): T | null {
    for (const list of [source.to, source.cc, source.from]) {
        for (const address of list) {
            const found = identities.find((i) => sameKey(i.email) === sameKey(address.email));
            if (found) return found;
        }
    }
    return null;
}

/** Words that other programs and languages put before a subject: Re: Re[2]: AW: SV: Antw: RE : Réf: 回复: رد: */
const REPLIED = /^\s*(?:re|aw|antw|antwort|sv|vs|ref|réf|odp|ynt|回复|回覆|返信|رد)\s*(?:\[\d{1,4}\]|\(\d{1,4}\))?\s*[:\uff1a]\s*/iu;
const FORWARDED = /^\s*(?:fwd?|wg|tr|vl|enc|rv|doorst|转发|轉寄|転送|إعادة توجيه)\s*[:\uff1a]\s*/iu;

/** The subject of an answer or of what is passed on: one prefix, however many there were. */
export function subjectFor(kind: Kind, subject: string): string {
    switch (kind) {
        case 'reply':
        case 'replyAll':
        case 'replyList':
            return `Re: ${strip(subject, REPLIED)}`;
        case 'forward':
        case 'forwardAttached':
            return `Fwd: ${strip(subject, FORWARDED)}`;
        default:
            return subject;
    }
}

function strip(subject: string, prefix: RegExp): string {
    let rest = subject.trim();
    for (let next = rest.replace(prefix, ''); next !== rest; next = rest.replace(prefix, '')) {
        rest = next;
    }
    return rest;
}

/** In-Reply-To and References of an answer (RFC 5322, section 3.6.4). */
export function thread(source: Source): { inReplyTo: string[] | null; references: string[] | null } {
    const own = source.messageId.slice(0, 1);
    const before = source.references.length > 0 ? source.references : source.inReplyTo.length === 1 ? source.inReplyTo : [];
    const all = [...before.filter((id) => !own.includes(id)), ...own];
    const kept = all.length > MOST_REFERENCES ? [...all.slice(0, 1), ...all.slice(1 - MOST_REFERENCES)] : all;
    return { inReplyTo: own.length > 0 ? own : null, references: kept.length > 0 ? kept : null };
}
