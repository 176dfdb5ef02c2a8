// Sending: the message is created, handed in, and moved to Sent in one request. The seconds in which it can be called back are the
// server's (a queue entry that is held, RFC 4865 and RFC 8621 section 7): closing the page changes nothing.
import { CAPABILITIES, type Client, type Id, JmapError, type QueryResponse, type SetError, type SetResponse } from '../jmap.ts';
import { type Address, sameKey } from './address.ts';
import { say } from './texts.ts';
import { formatSize } from '../i18n.ts';

/**
 * An attempt to send one content. Its outcome may stay unknown, when the answer is lost or the server breaks off: who presses Send again
 * means the same message then. By the same email the server knows that, and sends it once.
 */
export interface Attempt {
    /** What is sent, see fingerprint(): another content is another attempt. */
    readonly print: string;
    /** Without angle brackets: by it the email is found whose id was not heard. */
    readonly messageId: string;
    /** The email that was made for it. */
    emailId: Id | null;
    /** It was begun, and how it ended is not known. */
    isOpen: boolean;
}

/** The attempt that this goes on with, or a new one. */
export function attemptAt(print: string, from: string, former: Attempt | null): Attempt {
    if (former?.isOpen && former.print === print) return former;
    return { print, messageId: newMessageId(from), emailId: null, isOpen: false };
}

export function newMessageId(from: string): string {
    const id = Array.from(crypto.getRandomValues(new Uint32Array(4)), (word) => word.toString(36)).join('');
    return `${id}@${from.slice(from.lastIndexOf('@') + 1)}`;
}

export interface Sending {
    /** The Email object to create. */
    email: Record<string, unknown>;
    attempt: Attempt;
    identityId: Id;
    from: string;
    to: readonly Address[];
    draftsId: Id;
    sentId: Id;
    /** Seconds in which it can be called back. */
    hold: number;
}

export interface Sent {
    emailId: Id;
    submissionId: Id;
    held: number;
}

/** Why it was not sent, and at which field that is shown. */
export class SendError extends Error {
    constructor(
        readonly field: 'to' | 'from' | 'attachments' | 'message',
        message: string,
        /** Recipients that were refused. */
        readonly refused: readonly string[] = [],
        /** The server said no: nothing was sent. Otherwise nobody knows. */
        readonly isRefusal = true,
    ) {
        super(message);
    }
}

/** The seconds that the server holds a message for, at most those that were asked for. */
export function holdFor(client: Client, wanted: number): number {
    const submission = client.session.accounts[client.accountId]?.accountCapabilities[CAPABILITIES.submission] as { maxDelayedSend?: number } | undefined;
    return Math.max(0, Math.min(wanted, submission?.maxDelayedSend ?? 0));
}

export async function send(client: Client, sending: Sending): Promise<Sent> {
    const { attempt } = sending;
    const held = holdFor(client, sending.hold);
    if (attempt.isOpen) attempt.emailId ??= await request(() => madeBefore(client, sending));
    attempt.isOpen = true;
    const batch = client.batch();
    const email = { ...sending.email, messageId: [attempt.messageId] };
    const created = attempt.emailId === null ? batch.call<SetResponse<{ id: Id }>>('Email/set', { create: { message: email } }) : null;
    const submitted = batch.call<SetResponse<{ id: Id }>>('EmailSubmission/set', {
        create: { submission: { identityId: sending.identityId, emailId: attempt.emailId ?? '#message', envelope: envelope(sending, held) } },
        onSuccessUpdateEmail: { '#submission': { [`mailboxIds/${sending.draftsId}`]: null, [`mailboxIds/${sending.sentId}`]: true, 'keywords/$draft': null } },
    });
    try {
        await request(() => batch.send());
        if (created) attempt.emailId = createdId(await answer(created.result), 'message');
        const emailId = attempt.emailId ?? '';
        const submissionId = createdId(await answer(submitted.result), 'submission');
        attempt.isOpen = false;
        return { emailId, submissionId, held };
    } catch (error) {
        // Of an email that was there before, nobody knows whether it went: it stays, and is looked for again.
        if (error instanceof SendError && error.isRefusal && created === null) attempt.emailId = null;
        else if (error instanceof SendError && error.isRefusal) await giveUp(client, attempt);
        throw error;
    }
}

/** It was not sent, and the draft is there still: a second copy of it would be one too many. */
async function giveUp(client: Client, attempt: Attempt): Promise<void> {
    attempt.isOpen = false;
    if (attempt.emailId === null) return;
    await client.call('Email/set', { destroy: [attempt.emailId] }).catch(() => undefined);
}

/** The email of an attempt whose answer was lost; null when it was not made. */
async function madeBefore(client: Client, { attempt, draftsId, sentId }: Sending): Promise<Id | null> {
    const of = (inMailbox: Id): unknown => ({ inMailbox, header: ['Message-ID', attempt.messageId] });
    const { ids } = await client.call<QueryResponse>('Email/query', { filter: { operator: 'OR', conditions: [of(draftsId), of(sentId)] }, limit: 1 });
    return ids[0] ?? null;
}

/** Hands in an upload as it is, at once; `blobId` in place of `emailId` is an extension of our server. */
export async function submitBlob(client: Client, blobId: Id, identity: { id: Id; email: string }, to: readonly Address[]): Promise<void> {
    const submission = { identityId: identity.id, blobId, envelope: envelope({ from: identity.email, to }, 0) };
    createdId(await answer(client.call<SetResponse<{ id: Id }>>('EmailSubmission/set', { create: { submission } })), 'submission');
}

function envelope({ from, to }: Pick<Sending, 'from' | 'to'>, held: number): unknown {
    const seen = new Set<string>();
    const rcptTo = to.filter(({ email }) => !seen.has(sameKey(email)) && seen.add(sameKey(email))).map(({ email }) => ({ email }));
    return { mailFrom: { email: from, ...(held > 0 ? { parameters: { HOLDFOR: String(held) } } : {}) }, rcptTo };
}

async function request<T>(run: () => Promise<T>): Promise<T> {
    try {
        return await run();
    } catch (error) {
        throw explained(error);
    }
}

async function answer<T>(result: Promise<T>): Promise<T> {
    try {
        return await result;
    } catch (error) {
        throw explained(error);
    }
}

function createdId(response: SetResponse<{ id: Id }>, key: string): Id {
    const id = response.created?.[key]?.id;
    if (id !== undefined) return id;
    throw refusal(response.notCreated?.[key] ?? { type: 'serverFail' });
}

interface Refusal extends SetError {
    invalidRecipients?: string[];
    maxRecipients?: number;
    maxSize?: number;
}

/** A refusal of RFC 8621 (sections 4.6 and 7.5) as what the user is told, and where. */
export function refusal(error: Refusal): SendError {
    switch (error.type) {
        case 'invalidRecipients': {
            const refused = error.invalidRecipients ?? [];
            const list = refused.join(', ');
            if (list === '') return new SendError('to', error.description ? say('errorReason', { reason: error.description }) : say('errorSend'));
            const text = error.description ? say('errorRecipientsWhy', { list, reason: error.description }) : say('errorRecipients', { list });
            return new SendError('to', text, refused);
        }
        case 'noRecipients':
            return new SendError('to', say('errorNoRecipients'));
        case 'tooManyRecipients':
            return new SendError(
                'to',
                error.maxRecipients ? say('errorManyRecipients', { count: error.maxRecipients }) : (error.description ?? say('errorSend')),
            );
        case 'forbiddenFrom':
        case 'forbiddenMailFrom':
            return new SendError('from', say('errorFrom'));
        case 'tooLarge':
        case 'maxSizeExceeded':
            return new SendError('attachments', error.maxSize ? say('errorTooLargeFor', { limit: formatSize(error.maxSize) }) : say('errorTooLarge'));
        case 'overQuota':
            return new SendError('message', say('errorQuota'));
        case 'blobNotFound':
            return new SendError('attachments', say('errorBlob'));
        case 'forbiddenToSend':
            return new SendError('message', error.description ? say('errorReason', { reason: error.description }) : say('errorForbidden'));
        default:
            return new SendError(
                'message',
                error.description ? say('errorReason', { reason: error.description }) : say('errorSend'),
                [],
                !error.type.startsWith('server'), // serverUnavailable, serverFail, serverPartialFail
            );
    }
}

function explained(error: unknown): Error {
    if (error instanceof SendError) return error;
    if (!(error instanceof JmapError)) return error as Error;
    if (error.kind === 'network') return new SendError('message', say('errorNetwork'), [], false);
    const { field, message, refused, isRefusal } = refusal({ type: error.type, ...(error.detail ? { description: error.detail } : {}) });
    // A request that failed as a whole may have been done: a proxy says so, too.
    return new SendError(field, message, refused, isRefusal && error.kind === 'method');
}

/** Calls a message back; false when it has gone out already. It is a draft again then. */
export async function callBack(client: Client, sent: Sent, draftsId: Id, sentId: Id): Promise<boolean> {
    const { updated } = await client.call<SetResponse>('EmailSubmission/set', { update: { [sent.submissionId]: { undoStatus: 'canceled' } } });
    if (!updated || !(sent.submissionId in updated)) return false;
    await client.call<SetResponse>('Email/set', {
        update: { [sent.emailId]: { [`mailboxIds/${draftsId}`]: true, [`mailboxIds/${sentId}`]: null, 'keywords/$draft': true } },
    });
    return true;
}
