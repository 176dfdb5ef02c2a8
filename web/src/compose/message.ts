// A message that is being written, as a value; to the Email object that JMAP creates of it (RFC 8621, section 4.6) and back.
import type { Id } from '../jmap.ts';
import type { BodyPart, Email, EmailAddress } from '../types.ts';
import type { Address } from './address.ts';
import { type Tree, element, toHtml, toText } from './tree.ts';

/** A file that the server holds already. */
export interface Attached {
    blobId: Id;
    name: string;
    type: string;
    size: number;
    /** Content-Id of an image that stands in the text; null for an attachment of its own. */
    cid: string | null;
}

export type Priority = 'high' | 'normal' | 'low';

/** What of another message changes when this one is sent. */
export interface Answers {
    id: Id;
    keyword: '$answered' | '$forwarded';
}

export interface Draft {
    /**
     * Of all versions that one window stores, and of no other window's: by it the newest is found, whatever was heard of it. Whoever
     * opens a stored draft goes on under a key of their own; what another writes at the same time, from the same version, stays.
     */
    key: string;
    identityId: Id | null;
    to: Address[];
    cc: Address[];
    bcc: Address[];
    subject: string;
    body: Body_;
    attached: Attached[];
    inReplyTo: string[] | null;
    references: string[] | null;
    priority: Priority;
    receipt: boolean;
    vCard: boolean;
    answers: Answers[];
}

export type Body_ = { format: 'rich'; trees: Tree[] } | { format: 'plain'; text: string };

export interface Sender {
    name: string;
    email: string;
    replyTo: EmailAddress[] | null;
    bcc: EmailAddress[] | null;
}

/** Letters and digits; crypto.randomUUID needs a secure context, this does not. */
export function newKey(): string {
    return Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36)).join('');
}

export function emptyDraft(): Draft {
    return {
        key: newKey(),
        identityId: null,
        to: [],
        cc: [],
        bcc: [],
        subject: '',
        body: { format: 'rich', trees: [] },
        attached: [],
        inReplyTo: null,
        references: null,
        priority: 'normal',
        receipt: false,
        vCard: false,
        answers: [],
    };
}

/** What only a draft carries: a field of ours that is not in the message that is sent. */
export const DRAFT_HEADER = 'X-Mailboat-Draft';
export const DRAFT_FIELD = `header:${DRAFT_HEADER}:asText` as const;
const PRIORITY_FIELD = 'header:X-Priority:asText';
const RECEIPT_FIELD = 'header:Disposition-Notification-To:asAddresses';

/** Properties to fetch of a draft that is opened again. */
export const DRAFT_PROPERTIES = [
    'id',
    'mailboxIds',
    'keywords',
    'from',
    'to',
    'cc',
    'bcc',
    'replyTo',
    'subject',
    'inReplyTo',
    'references',
    'textBody',
    'htmlBody',
    'attachments',
    'bodyValues',
    DRAFT_FIELD,
    PRIORITY_FIELD,
    RECEIPT_FIELD,
] as const;

export type DraftEmail = Pick<
    Email,
    'id' | 'mailboxIds' | 'from' | 'to' | 'cc' | 'bcc' | 'subject' | 'inReplyTo' | 'references' | 'textBody' | 'htmlBody' | 'attachments' | 'bodyValues'
> & {
    [DRAFT_FIELD]?: string | null;
    [PRIORITY_FIELD]?: string | null;
    [RECEIPT_FIELD]?: EmailAddress[] | null;
};

// ---------------------------------------------------------------- to JMAP

/** The Email object to create; `forSending` leaves out what only a draft carries. */
export function toEmail(draft: Draft, sender: Sender, mailboxId: Id, forSending: boolean): Record<string, unknown> {
    const own: Address = { name: sender.name || null, email: sender.email };
    const bcc = forSending && sender.bcc ? [...draft.bcc, ...sender.bcc] : draft.bcc;
    return {
        mailboxIds: { [mailboxId]: true },
        keywords: { $draft: true, $seen: true },
        from: [own],
        ...(sender.replyTo && sender.replyTo.length > 0 ? { replyTo: sender.replyTo } : {}),
        ...(draft.to.length > 0 ? { to: draft.to } : {}),
        ...(draft.cc.length > 0 ? { cc: draft.cc } : {}),
        ...(bcc.length > 0 ? { bcc } : {}),
        subject: draft.subject,
        ...(draft.inReplyTo ? { inReplyTo: draft.inReplyTo } : {}),
        ...(draft.references ? { references: draft.references } : {}),
        ...options(draft, own),
        ...(forSending ? {} : { [DRAFT_FIELD]: JSON.stringify(extras(draft)) }),
        ...body(draft),
    };
}

function options(draft: Draft, own: Address): Record<string, unknown> {
    const high = draft.priority === 'high';
    return {
        ...(draft.priority === 'normal' ? {} : { [PRIORITY_FIELD]: high ? '1 (Highest)' : '5 (Lowest)', 'header:Importance:asText': draft.priority }),
        ...(draft.receipt ? { [RECEIPT_FIELD]: [own] } : {}),
    };
}

interface Extras {
    key: string;
    identityId: Id | null;
    vCard: boolean;
    answers: Answers[];
}

function extras({ key, identityId, vCard, answers }: Draft): Extras {
    return { key, identityId, vCard, answers };
}

/** `multipart/mixed` around `multipart/alternative` around `multipart/related`, each only where there is something to hold. */
function body(draft: Draft): Record<string, unknown> {
    const files = draft.attached.filter((file) => file.cid === null);
    const bodyValues: Record<string, { value: string }> = {};
    const main = draft.body.format === 'plain' ? plain(draft.body.text, bodyValues) : rich(draft.body.trees, draft.attached, bodyValues);
    const bodyStructure = files.length === 0 ? main : { type: 'multipart/mixed', subParts: [main, ...files.map((file) => part(file, 'attachment'))] };
    return { bodyStructure, bodyValues };
}

type Part = Record<string, unknown>;

function plain(text: string, values: Record<string, { value: string }>): Part {
    values['text'] = { value: text };
    return { type: 'text/plain', partId: 'text' };
}

function rich(trees: Tree[], attached: Attached[], values: Record<string, { value: string }>): Part {
    const used = usedCids(trees);
    const images = attached.filter((file) => file.cid !== null && used.has(file.cid));
    values['html'] = { value: htmlDocument(trees) };
    const page: Part = { type: 'text/html', partId: 'html' };
    const related = images.length === 0 ? page : { type: 'multipart/related', subParts: [page, ...images.map((file) => part(file, 'inline'))] };
    return { type: 'multipart/alternative', subParts: [plain(toText(trees), values), related] };
}

function part(file: Attached, disposition: 'attachment' | 'inline'): Part {
    return {
        blobId: file.blobId,
        type: file.type || 'application/octet-stream',
        name: file.name,
        disposition,
        ...(file.cid === null ? {} : { cid: file.cid }),
    };
}

/** Content-Ids that images of the text refer to. */
export function usedCids(trees: readonly Tree[]): Set<string> {
    const found = new Set<string>();
    const visit = (tree: Tree): void => {
        if (typeof tree === 'string') return;
        const src = tree.attrs['src'];
        if (src?.startsWith('cid:')) found.add(src.slice(4));
        tree.children.forEach(visit);
    };
    trees.forEach(visit);
    return found;
}

/** A page of its own: looks that hold without the style sheet of the editor go with the elements. */
export function htmlDocument(trees: readonly Tree[]): string {
    return `<!DOCTYPE html><html><head><meta charset="utf-8"></head><body>${toHtml(trees.map(dressed))}</body></html>`;
}

const QUOTE_STYLE = 'margin: 0 0 0 0.8ex; border-left: 2px solid #b0b7c3; padding-left: 1ex';

function dressed(tree: Tree): Tree {
    if (typeof tree === 'string') return tree;
    const attrs = { ...tree.attrs };
    if (tree.tag === 'blockquote' && !attrs['style']) attrs['style'] = QUOTE_STYLE;
    if (tree.tag === 'pre' && !attrs['style']) attrs['style'] = 'white-space: pre-wrap; font-family: monospace';
    return element(tree.tag, tree.children.map(dressed), attrs);
}

// ---------------------------------------------------------------- from JMAP

/** What a stored draft says beside its body, which the caller reads (it needs a parser of the page). */
export function fromEmail(email: DraftEmail): Omit<Draft, 'body'> {
    const { identityId, vCard, answers } = readExtras(email[DRAFT_FIELD]);
    return {
        key: newKey(),
        identityId,
        to: addresses(email.to),
        cc: addresses(email.cc),
        bcc: addresses(email.bcc),
        subject: email.subject ?? '',
        attached: attachedOf(email.attachments),
        inReplyTo: email.inReplyTo,
        references: email.references,
        priority: readPriority(email[PRIORITY_FIELD]),
        receipt: (email[RECEIPT_FIELD] ?? []).length > 0,
        vCard,
        answers,
    };
}

/** The field may have been written by anybody who can put a message into the folder: nothing of it is taken on trust. */
function readExtras(text: string | null | undefined): Omit<Extras, 'key'> {
    try {
        const found = JSON.parse(text ?? '{}') as Partial<Record<keyof Extras, unknown>>;
        const answers = Array.isArray(found.answers) ? (found.answers as unknown[]).filter(isAnswer).slice(0, 100) : [];
        return { identityId: typeof found.identityId === 'string' ? found.identityId : null, vCard: found.vCard === true, answers };
    } catch {
        return { identityId: null, vCard: false, answers: [] };
    }
}

function isAnswer(value: unknown): value is Answers {
    const { id, keyword } = (value ?? {}) as Partial<Record<keyof Answers, unknown>>;
    return typeof id === 'string' && /^[\w-]{1,255}$/.test(id) && (keyword === '$answered' || keyword === '$forwarded');
}

function readPriority(text: string | null | undefined): Priority {
    const first = (text ?? '').trim().charAt(0);
    return first === '1' || first === '2' ? 'high' : first === '4' || first === '5' ? 'low' : 'normal';
}

export function addresses(list: readonly EmailAddress[] | null | undefined): Address[] {
    return (list ?? []).filter(({ email }) => email !== '').map(({ name, email }) => ({ name: name || null, email }));
}

/** Parts of a message as files of the next one; the server has their bytes. */
export function attachedOf(parts: readonly BodyPart[] | null | undefined): Attached[] {
    return (parts ?? [])
        .filter((found): found is BodyPart & { blobId: Id } => found.blobId !== null)
        .map((found) => ({
            blobId: found.blobId,
            name: found.name ?? '',
            type: found.type,
            size: found.size,
            cid: found.cid !== null && found.type.startsWith('image/') && found.disposition !== 'attachment' ? found.cid : null,
        }));
}

/** The text of the parts that JMAP calls the text body. */
export function textOf(email: Pick<Email, 'textBody' | 'bodyValues'>): string {
    return values(email.textBody, email, (type) => type !== 'text/html');
}

/** The HTML of the message, or null when it has none. */
export function htmlOf(email: Pick<Email, 'htmlBody' | 'bodyValues'>): string | null {
    return email.htmlBody.some((found) => found.type === 'text/html') ? values(email.htmlBody, email, (type) => type === 'text/html') : null;
}

function values(parts: BodyPart[], email: Pick<Email, 'bodyValues'>, wanted: (type: string) => boolean): string {
    return parts
        .filter((found) => wanted(found.type) && found.partId !== null)
        .map((found) => email.bodyValues?.[found.partId ?? '']?.value ?? '')
        .join('\n');
}

/** What makes two states of a message differ for whoever saves it. */
export function fingerprint(draft: Draft): string {
    return JSON.stringify(draft);
}

/** Whether nothing has been written that would be missed. */
export function isEmpty(draft: Draft, signature: string): boolean {
    const text = draft.body.format === 'plain' ? draft.body.text : toText(draft.body.trees);
    const own = text.replace(signature.trim(), '').replace(/^-- $/m, '').trim();
    return draft.to.length + draft.cc.length + draft.bcc.length + draft.attached.length === 0 && draft.subject.trim() === '' && own === '';
}
