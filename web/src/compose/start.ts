// What a message begins with: nothing, an answer, what is passed on, or a draft that goes on.
import { longDate } from '../i18n.ts';
import type { Client, GetResponse, Id } from '../jmap.ts';
import { JmapError } from '../jmap.ts';
import { preferences } from '../preferences.ts';
import { mayKeepDrafts, type Email, type EmailAddress } from '../types.ts';
import { type Address, formatAddress, parseAddresses, sameKey } from './address.ts';
import { clean } from './clean.ts';
import type { ComposeContext, ComposeRequest } from './compose.ts';
import { parseInert } from './inert.ts';
import {
    type Attached,
    type Draft,
    type DraftEmail,
    DRAFT_PROPERTIES,
    addresses,
    attachedOf,
    emptyDraft,
    fromEmail,
    htmlOf,
    textOf,
    usedCids,
} from './message.ts';
import { answerText, answerTree, forwardText, forwardTree, quoteText, signatureText, signatureTree, withoutSignature } from './quote.ts';
import { type Source, addressedAs, recipients, subjectFor, thread } from './recipients.ts';
import { say } from './texts.ts';
import { type Tree, element, fromText } from './tree.ts';

/** RFC 8621, section 6. */
export interface Identity {
    id: Id;
    name: string;
    email: string;
    replyTo: EmailAddress[] | null;
    bcc: EmailAddress[] | null;
    textSignature: string;
    htmlSignature: string;
    mayDelete: boolean;
}

/** A folder of another account in which the draft is, and stays until it is sent. */
export interface Home {
    client: Client;
    mailbox: Id;
    folder: string;
    owner: string;
}

export interface Start {
    draft: Draft;
    /** Nothing when drafts are kept in the user's own account. */
    home?: Home;
    /** The stored draft that goes on, to be replaced by the next. */
    draftId: Id | null;
    /** Where the caret is: in the text for answers, in the recipients otherwise; null leaves it where it is. */
    focus: 'to' | 'body' | null;
}

const LIST_POST = 'header:List-Post:asURLs';
const FOLLOWUP = 'header:Mail-Followup-To:asAddresses';
/** A longer text is not quoted whole: nobody reads it, and every save would carry it. */
const LONGEST_QUOTE = 500_000;

type SourceEmail = Pick<
    Email,
    | 'id'
    | 'blobId'
    | 'from'
    | 'to'
    | 'cc'
    | 'replyTo'
    | 'subject'
    | 'sentAt'
    | 'receivedAt'
    | 'messageId'
    | 'inReplyTo'
    | 'references'
    | 'textBody'
    | 'htmlBody'
    | 'attachments'
    | 'bodyValues'
    | 'size'
> & { [LIST_POST]?: string[] | null; [FOLLOWUP]?: EmailAddress[] | null };

const SOURCE_PROPERTIES = [
    'id',
    'blobId',
    'from',
    'to',
    'cc',
    'replyTo',
    'subject',
    'sentAt',
    'receivedAt',
    'messageId',
    'inReplyTo',
    'references',
    'textBody',
    'htmlBody',
    'attachments',
    'bodyValues',
    'size',
    LIST_POST,
    FOLLOWUP,
] as const;

async function read<T>({ source }: ComposeContext, ids: readonly Id[], properties: readonly string[]): Promise<T[]> {
    const { list } = await source.client.call<GetResponse<T>>('Email/get', {
        ids,
        properties,
        fetchTextBodyValues: true,
        fetchHTMLBodyValues: true,
        maxBodyValueBytes: LONGEST_QUOTE,
    });
    if (list.length === 0) throw new JmapError('method', 'notFound');
    return list;
}

/** The signature that goes under a message by itself. */
export function signatureOf(identity: Identity | undefined): string {
    return identity?.textSignature || preferences().signature;
}

const FORMAT = 'mailboat-compose-format';

/** The format that was used last, in this browser. */
export function usualFormat(): 'rich' | 'plain' {
    return localStorage.getItem(FORMAT) === 'plain' ? 'plain' : 'rich';
}

export function rememberFormat(format: 'rich' | 'plain'): void {
    localStorage.setItem(FORMAT, format);
}

export async function start(context: ComposeContext, request: ComposeRequest, identities: readonly Identity[]): Promise<Start> {
    const begun = await begin(context, request, identities);
    return context.source === context.store || begun.home ? begun : { ...begun, draft: await brought(context.client, context.source.client, begun.draft) };
}

/** Files of a message of another account are copied into the user's own; what is marked as answered there is not ours to mark. */
export async function brought(to: Client, from: Client, draft: Draft): Promise<Draft> {
    const blobIds = [...new Set(draft.attached.map(({ blobId }) => blobId))];
    if (blobIds.length === 0) return { ...draft, answers: [] };
    const { copied } = await to.call<{ copied: Record<Id, Id> | null }>('Blob/copy', { fromAccountId: from.accountId, blobIds });
    const attached = draft.attached.map((file) => ({ ...file, blobId: copied?.[file.blobId] ?? file.blobId }));
    return { ...draft, attached, answers: [] };
}

async function begin(context: ComposeContext, request: ComposeRequest, identities: readonly Identity[]): Promise<Start> {
    const ids = request.emailIds ?? (request.emailId ? [request.emailId] : []);
    switch (request.kind) {
        case 'new':
            return startNew(request, identities);
        case 'draft':
            return startDraft(context, ids[0] ?? '', identities);
        case 'forwardAttached':
            return startAttached(await read<SourceEmail>(context, ids, SOURCE_PROPERTIES), identities);
        case 'redirect':
            throw new Error('a message that is redirected is not written');
        default: {
            const [email] = await read<SourceEmail>(context, ids.slice(0, 1), SOURCE_PROPERTIES);
            if (!email) throw new JmapError('method', 'notFound');
            return request.kind === 'forward' ? startForward(email, identities) : startAnswer(request.kind, email, identities);
        }
    }
}

function ownAddresses(identities: readonly Identity[]): Set<string> {
    return new Set(identities.map(({ email }) => sameKey(email)));
}

function automatic(identity: Identity | undefined): string {
    return preferences().autoSign ? signatureOf(identity) : '';
}

// ---------------------------------------------------------------- new

function startNew(request: ComposeRequest, identities: readonly Identity[]): Start {
    const identity = identities[0];
    const signature = automatic(identity);
    const text = request.body ?? '';
    const to = (request.to ?? []).flatMap((one) => parseAddresses(one).addresses);
    const cc = (request.cc ?? []).flatMap((one) => parseAddresses(one).addresses);
    const own = signatureTree(signature);
    const blank = (): Tree => element('div', [element('br')]);
    const trees: Tree[] = [...(text ? fromText(text) : [blank()]), ...(own ? [blank(), own] : [])];
    const plain = `${text}${signature ? `\n\n${signatureText(signature)}` : ''}`;
    const body: Draft['body'] = usualFormat() === 'plain' ? { format: 'plain', text: plain } : { format: 'rich', trees };
    return {
        draft: { ...emptyDraft(), identityId: identity?.id ?? null, to, cc, subject: request.subject ?? '', body },
        draftId: null,
        focus: to.length > 0 ? 'body' : 'to',
    };
}

// ---------------------------------------------------------------- a draft

async function startDraft(context: ComposeContext, id: Id, identities: readonly Identity[]): Promise<Start> {
    const [email] = await read<DraftEmail>(context, [id], DRAFT_PROPERTIES);
    if (!email) throw new JmapError('method', 'notFound');
    const html = htmlOf(email);
    const body: Draft['body'] = html === null ? { format: 'plain', text: textOf(email) } : { format: 'rich', trees: fromHtml(html) };
    const begun: Start = { draft: { ...fromEmail(email), body }, draftId: id, focus: (email.to ?? []).length > 0 ? 'body' : 'to' };
    const home = homeOf(context, Object.keys(email.mailboxIds));
    if (!home) return begun;
    // Identities of its writer are not ours, nor are the messages that it answers; an address may be.
    const identity = identities.find((one) => email.from?.some((from) => sameKey(from.email) === sameKey(one.email)));
    return { ...begun, home, draft: { ...begun.draft, identityId: identity?.id ?? null, answers: [] } };
}

/** The folder of another account where the user may put the next version of a draft, and take the one before away. */
function homeOf({ store, source }: ComposeContext, mailboxIds: readonly Id[]): Home | undefined {
    if (source === store) return undefined;
    const { client } = source;
    const mailbox = mailboxIds.flatMap((id) => source.mailboxes.get(id) ?? []).find(({ myRights }) => mayKeepDrafts(myRights));
    return mailbox && { client, mailbox: mailbox.id, folder: mailbox.name, owner: client.session.accounts[client.accountId]?.name ?? client.accountId };
}

/** Mail HTML as formatted text. Images of the message and those written into it stay; those of other hosts stay unfetched. */
export function fromHtml(html: string): Tree[] {
    const image = (src: string): string | null => (/^(?:cid:|https?:\/\/)/i.test(src) || /^data:image\/(?:png|jpeg|gif|webp);base64,/i.test(src) ? src : null);
    return clean(parseInert(html).body, { looks: 'mail', image });
}

// ---------------------------------------------------------------- answers

function sourceOf(email: SourceEmail): Source {
    return {
        from: addresses(email.from),
        replyTo: addresses(email.replyTo),
        to: addresses(email.to),
        cc: addresses(email.cc),
        followupTo: addresses(email[FOLLOWUP]),
        listPost: (email[LIST_POST] ?? []).map((url) => `<${url}>`).join(', ') || null,
        subject: email.subject ?? '',
        messageId: email.messageId ?? [],
        inReplyTo: email.inReplyTo ?? [],
        references: email.references ?? [],
    };
}

function startAnswer(kind: 'reply' | 'replyAll' | 'replyList', email: SourceEmail, identities: readonly Identity[]): Start {
    const source = sourceOf(email);
    const identity = addressedAs(source, identities) ?? identities[0];
    const signature = automatic(identity);
    const line = attribution(email);
    const html = htmlOf(email);
    const { trees, images } = quotedTree(email, html);
    const plain = html === null && usualFormat() === 'plain';
    const body: Draft['body'] = plain
        ? { format: 'plain', text: answerText(signature, line, quoteText(textOf(email))) }
        : { format: 'rich', trees: answerTree(signature, line, trees) };
    return {
        draft: {
            ...emptyDraft(),
            ...recipients(kind, source, ownAddresses(identities)),
            ...thread(source),
            identityId: identity?.id ?? null,
            subject: subjectFor(kind, source.subject),
            body,
            attached: plain ? [] : images,
            answers: [{ id: email.id, keyword: '$answered' }],
        },
        draftId: null,
        focus: 'body',
    };
}

/** What is quoted, with the images that it shows. */
function quotedTree(email: SourceEmail, html: string | null): { trees: Tree[]; images: Attached[] } {
    if (html === null) return { trees: fromText(withoutSignature(textOf(email))), images: [] };
    const trees = fromHtml(html);
    const used = usedCids(trees);
    const images = filesOf(email).filter((file) => file.cid !== null && used.has(file.cid));
    return { trees, images };
}

/** What a message carries beside its text: attachments, and images that JMAP counts among the parts to be shown. */
function filesOf(email: SourceEmail): Attached[] {
    const shown = email.htmlBody.filter(({ type }) => !type.startsWith('text/'));
    const seen = new Set<Id>();
    return attachedOf([...email.attachments, ...shown]).filter(({ blobId }) => !seen.has(blobId) && seen.add(blobId));
}

function attribution(email: SourceEmail): string {
    const from = email.from?.[0];
    const date = longDate(new Date(email.sentAt ?? email.receivedAt));
    return say('wrote', { date, name: from?.name || from?.email || say('somebody') });
}

// ---------------------------------------------------------------- passing on

function startForward(email: SourceEmail, identities: readonly Identity[]): Start {
    const source = sourceOf(email);
    const identity = addressedAs(source, identities) ?? identities[0];
    const signature = automatic(identity);
    const html = htmlOf(email);
    const head = headOf(email);
    const plain = html === null && usualFormat() === 'plain';
    const trees = html === null ? fromText(textOf(email)) : fromHtml(html);
    const body: Draft['body'] = plain
        ? { format: 'plain', text: forwardText(signature, say('forwarded'), head, textOf(email)) }
        : { format: 'rich', trees: forwardTree(signature, say('forwarded'), head, trees) };
    const used = usedCids(trees);
    const files = filesOf(email).map((file) => (file.cid !== null && !used.has(file.cid) ? { ...file, cid: null } : file));
    return {
        draft: {
            ...emptyDraft(),
            identityId: identity?.id ?? null,
            subject: subjectFor('forward', source.subject),
            references: thread(source).references,
            body,
            attached: files.map((file) => ({ ...file, name: file.name || say('unnamed') })),
            answers: [{ id: email.id, keyword: '$forwarded' }],
        },
        draftId: null,
        focus: 'to',
    };
}

function headOf(email: SourceEmail): [string, string][] {
    const people = (list: Address[]): string => list.map(formatAddress).join(', ');
    const rows: [string, string][] = [
        [say('from'), people(addresses(email.from))],
        [say('date'), longDate(new Date(email.sentAt ?? email.receivedAt))],
        [say('subject'), email.subject ?? ''],
        [say('to'), people(addresses(email.to))],
        [say('cc'), people(addresses(email.cc))],
    ];
    return rows.filter(([, value]) => value !== '');
}

/** Whole messages as attachments: everything of them stays, header and signatures of others included. */
function startAttached(emails: SourceEmail[], identities: readonly Identity[]): Start {
    const begun = startNew({ kind: 'new', subject: subjectFor('forwardAttached', emails[0]?.subject ?? '') }, identities);
    const attached = emails.map((email): Attached => ({
        blobId: email.blobId,
        name: `${fileName(email.subject) || say('unnamed')}.eml`,
        type: 'message/rfc822',
        size: email.size,
        cid: null,
    }));
    const answers = emails.map(({ id }) => ({ id, keyword: '$forwarded' as const }));
    return { ...begun, draft: { ...begun.draft, attached, answers } };
}

function fileName(subject: string | null): string {
    return (subject ?? '')
        .replaceAll(/[\p{Cc}/\\:*?"<>|]+/gu, ' ')
        .trim()
        .slice(0, 80);
}
