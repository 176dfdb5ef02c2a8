// Sending: the message is created, handed in, and moved to Sent in one request. The seconds in which it can be called back are the
// server's (a queue entry that is held, RFC 4865 and RFC 8621 section 7): closing the page changes nothing.
import { CAPABILITIES, type Client, type Id, JmapError, type SetError, type SetResponse } from '../jmap.ts';
import { type Address, sameKey } from './address.ts';
import { say } from './texts.ts';
import { formatSize } from '../i18n.ts';

export interface Sending {
    /** The Email object to create, or the id of one that is stored. */
    email: Record<string, unknown> | Id;
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
    const held = holdFor(client, sending.hold);
    const isNew = typeof sending.email !== 'string';
    const batch = client.batch();
    const created = isNew ? batch.call<SetResponse<{ id: Id }>>('Email/set', { create: { message: sending.email } }) : null;
    const submitted = batch.call<SetResponse<{ id: Id }>>('EmailSubmission/set', {
        create: { submission: { identityId: sending.identityId, emailId: isNew ? '#message' : sending.email, envelope: envelope(sending, held) } },
        onSuccessUpdateEmail: { '#submission': { [`mailboxIds/${sending.draftsId}`]: null, [`mailboxIds/${sending.sentId}`]: true, 'keywords/$draft': null } },
    });
    await request(() => batch.send());
    const emailId = created ? createdId(await answer(created.result), 'message') : String(sending.email);
    try {
        const submissionId = createdId(await answer(submitted.result), 'submission');
        return { emailId, submissionId, held };
    } catch (error) {
        // The draft is there still: a second copy of it would be one too many.
        if (isNew) await client.call('Email/set', { destroy: [emailId] }).catch(() => undefined);
        throw error;
    }
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

async function request(run: () => Promise<void>): Promise<void> {
    try {
        await run();
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
            return new SendError('to', say('errorRecipients', { list: refused.join(', ') }), refused);
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
            return new SendError('message', error.description ? say('errorReason', { reason: error.description }) : say('errorSend'));
    }
}

function explained(error: unknown): Error {
    if (error instanceof SendError) return error;
    if (!(error instanceof JmapError)) return error as Error;
    return error.kind === 'network'
        ? new SendError('message', say('errorNetwork'))
        : refusal({ type: error.type, ...(error.detail ? { description: error.detail } : {}) });
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
