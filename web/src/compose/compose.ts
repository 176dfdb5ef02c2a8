// Compose. The seam with the rest: the application opens it through import('./compose/compose.ts').

import '../app.ts'; // what this part shares with the application is in the application's chunk (web/README.md)
import { h, loadStyle } from '../dom.ts';
import type { Client, GetResponse, Id, QueryResponse, SetResponse } from '../jmap.ts';
import { DEFAULTS, preferences } from '../preferences.ts';
import type { Store } from '../store.ts';
import { toast } from '../ui/toast.ts';
import { formatAddress } from './address.ts';
import { DRAFT_HEADER, type Draft, fingerprint, toEmail } from './message.ts';
import { SendError, type Sent, attemptAt, callBack, send } from './outbox.ts';
import type { Kind } from './recipients.ts';
import { openRedirect } from './redirect.ts';
import { forgetWindow, lostWindows, noteWindow } from './reopen.ts';
import { type Home, type Identity, type Start, brought, start } from './start.ts';
import { say } from './texts.ts';
import { ComposeWindow } from './window.ts';

/** What compose is given by the application. */
export interface ComposeContext {
    client: Client;
    store: Store;
    /** Where the message is that is answered or passed on: the user's own account, or one of others. */
    source: Store;
}

export interface ComposeRequest {
    kind: Kind;
    /** The message that is answered, forwarded, or the draft that is continued. */
    emailId?: Id;
    /** Several, to be forwarded as attachments. */
    emailIds?: Id[];
    /** Addresses, for a new message (mailto links, "write to"). */
    to?: string[];
    cc?: string[];
    subject?: string;
    body?: string;
}

const windows = new Set<ComposeWindow>();
let dock: HTMLElement | undefined;

/** Opens a window for a message over the application. Several may be open. */
export async function openCompose(context: ComposeContext, request: ComposeRequest): Promise<void> {
    await ready();
    const identities = await identitiesOf(context);
    if (request.kind === 'redirect') return openRedirect(context, request.emailId ?? '', identities);
    // A message that is in two accounts has one id in both.
    const account = context.source.client.accountId;
    const open = [...windows].find((one) => request.kind === 'draft' && one.keeper.id === request.emailId && one.home.accountId === account);
    if (open) return open.setShape('normal');
    openWindow(context, identities, await start(context, request, identities));
}

/**
 * Opens again what was being written in a tab that was killed. To be called once the application stands. The user may be about
 * something else by now: the window does not take the focus, and is small unless it is `mail` that is on screen.
 */
export async function reopen(context: ComposeContext, inMail: boolean): Promise<void> {
    const lost = await lostWindows(context.source.client.accountId, Object.keys(context.client.session.accounts));
    // Where a window is the whole page (compose.css) it waits below: who opens the mailbox wants to see the mailbox.
    const isWhole = matchMedia('(max-width: 720px), (max-height: 420px)').matches;
    for (const [draftId, key] of lost) await reopenOne(context, draftId, key, inMail && !isWhole).catch(() => undefined);
    if (lost.size > 0 && windows.size > 0) toast({ text: say('reopened', { count: windows.size }) });
}

/** Of several versions that the lost window stored the newest; the others go once it is open, as does the one that it took up. */
async function reopenOne(context: ComposeContext, draftId: Id, key: string | undefined, inMail: boolean): Promise<void> {
    await ready();
    const versions = key === undefined ? [] : await versionsOf(context, key);
    const newest = versions[0] ?? draftId;
    const older = [...new Set([...versions, draftId])].filter((id) => id !== newest);
    const identities = await identitiesOf(context);
    const begun = await start(context, { kind: 'draft', emailId: newest }, identities);
    openWindow(context, identities, { ...begun, focus: null }, inMail ? 'normal' : 'minimised');
    if (older.length > 0) await context.source.client.call<SetResponse>('Email/set', { destroy: older });
}

/** What the window of this key stored, the newest first. */
async function versionsOf({ source: { client } }: ComposeContext, key: string): Promise<Id[]> {
    const conditions = [{ hasKeyword: '$draft' }, { header: [DRAFT_HEADER, key] }];
    const { ids } = await client.call<QueryResponse>('Email/query', {
        filter: { operator: 'AND', conditions },
        sort: [{ property: 'receivedAt', isAscending: false }],
        limit: 20,
    });
    return ids;
}

async function ready(): Promise<void> {
    await Promise.all([say.load(), loadStyle('compose')]);
}

async function identitiesOf({ client }: ComposeContext): Promise<Identity[]> {
    const { list } = await client.call<GetResponse<Identity>>('Identity/get', { ids: null });
    return list;
}

function openWindow(context: ComposeContext, identities: readonly Identity[], begun: Start, shape: 'normal' | 'minimised' = 'normal'): ComposeWindow {
    const { home } = begun;
    const account = (home?.client ?? context.client).accountId;
    const opened: ComposeWindow = new ComposeWindow(
        context,
        {
            identities,
            draftsId: async () => home?.mailbox ?? mailbox(context, 'drafts'),
            send: (from) => sendFrom(context, identities, from, home),
            stored: (from, id) => noteWindow(from, account, begun.draft.key, id),
            closed: (from) => {
                windows.delete(from);
                forgetWindow(from);
                arrange();
            },
        },
        begun,
    );
    if (!dock?.isConnected) {
        dock = h('div', { class: 'compose-dock' });
        document.body.append(dock);
    }
    for (const other of windows) if (!other.isMinimised) other.setShape('minimised', begun.focus !== null);
    windows.add(opened);
    dock.append(opened.element);
    if (shape === 'minimised') opened.setShape(shape, false);
    if (begun.draftId) noteWindow(opened, account, begun.draft.key, begun.draftId);
    arrange();
    return opened;
}

function arrange(): void {
    document.documentElement.classList.toggle('composing', windows.size > 0);
    if (windows.size === 0) dock?.remove();
}

addEventListener('beforeunload', (event) => {
    if ([...windows].some((one) => one.keeper.isDirty)) event.preventDefault();
});
// A tab that goes into the background may never come back.
document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'hidden') for (const one of windows) void one.keeper.save().catch(() => undefined);
});

// ---------------------------------------------------------------- mailboxes

/** The mailbox for drafts or for what was sent: the one of the preferences, which is made when there is none; else that of the role. */
export async function mailbox(context: ComposeContext, role: 'drafts' | 'sent'): Promise<Id> {
    const { store } = context;
    const usual = role === 'drafts' ? DEFAULTS.draftFolder : DEFAULTS.sentFolder;
    const path = (role === 'drafts' ? preferences().draftFolder : preferences().sentFolder) || usual;
    const names = (id: Id): string =>
        store
            .path(id)
            .map(({ name }) => name)
            .join('/');
    const wanted = [...store.mailboxes.keys()].find((id) => names(id) === path);
    if (wanted) return wanted;
    const ofRole = store.byRole(role);
    // A name of one's own is meant; the usual one is whichever mailbox has the role.
    if (ofRole && path === usual) return ofRole.id;
    return makeMailbox(context, path.split('/'), ofRole ? null : role);
}

async function makeMailbox({ client, store }: ComposeContext, names: readonly string[], role: 'drafts' | 'sent' | null): Promise<Id> {
    let parentId: Id | null = null;
    for (const [at, name] of names.entries()) {
        const known = [...store.mailboxes.values()].find((one) => one.parentId === parentId && one.name === name);
        if (known) {
            parentId = known.id;
            continue;
        }
        const made: Record<string, unknown> = { name, parentId, ...(at === names.length - 1 && role ? { role } : {}) };
        const response: SetResponse<{ id: Id }> = await client.call<SetResponse<{ id: Id }>>('Mailbox/set', { create: { made } });
        const id: Id | undefined = response.created?.['made']?.id;
        if (!id) throw new SendError('message', say('errorReason', { reason: response.notCreated?.['made']?.description ?? name }));
        parentId = id;
    }
    await store.load();
    return parentId ?? '';
}

// ---------------------------------------------------------------- sending

/** From the user's own account, and into Sent there, wherever the draft is kept. */
async function sendFrom(context: ComposeContext, identities: readonly Identity[], from: ComposeWindow, home: Home | undefined): Promise<void> {
    const { client, store } = context;
    const written = from.draft();
    const draft = home ? await brought(client, home.client, written) : written;
    const identity = from.identity;
    if (!identity) throw new SendError('from', say('errorFrom'));
    const [draftsId, sentId] = await Promise.all([mailbox(context, 'drafts'), mailbox(context, 'sent')]);
    const email = toEmail(await withVCard(client, draft), identity, draftsId, true);
    const to = [...draft.to, ...draft.cc, ...draft.bcc, ...(identity.bcc ?? [])];
    const attempt = (from.attempt = attemptAt(fingerprint(written), identity.email, from.attempt));
    const sent = await send(client, { email, attempt, identityId: identity.id, from: identity.email, to, draftsId, sentId, hold: preferences().undoSend });
    await from.keeper.discard();
    for (const { id, keyword } of draft.answers) void store.change([id], { keywords: { [keyword]: true } }).catch(() => undefined);
    told(context, identities, draft, sent, draftsId, sentId);
}

/** The visiting card of the preferences as one more file. */
async function withVCard(client: Client, draft: Draft): Promise<Draft> {
    const { vCard } = preferences();
    if (!draft.vCard || vCard === '') return draft;
    const file = new Blob([vCard.replace(/\r?\n/g, '\r\n')], { type: 'text/vcard' });
    const { blobId, size } = await client.upload(file);
    return { ...draft, attached: [...draft.attached, { blobId, size, name: 'contact.vcf', type: 'text/vcard', cid: null }] };
}

/** Says that it is on its way, and, while the server holds it, offers to call it back. */
function told(context: ComposeContext, identities: readonly Identity[], draft: Draft, sent: Sent, draftsId: Id, sentId: Id): void {
    const first = draft.to[0] ?? draft.cc[0] ?? draft.bcc[0];
    const text = sent.held > 0 ? say('sending', { name: first ? (first.name ?? formatAddress(first)) : '' }) : say('sent');
    const undo = async (): Promise<void> => {
        const back = await callBack(context.client, sent, draftsId, sentId).catch(() => false);
        if (!back) {
            toast({ text: say('tooLate'), kind: 'error' });
            return;
        }
        for (const { id, keyword } of draft.answers) void context.store.change([id], { keywords: { [keyword]: false } }).catch(() => undefined);
        openWindow(context, identities, { draft, draftId: sent.emailId, focus: 'body' });
    };
    toast({ text, name: 'sending', seconds: sent.held || 5, strict: true, ...(sent.held > 0 ? { action: { label: say('undoSend'), run: () => void undo() } } : {}) });
}
