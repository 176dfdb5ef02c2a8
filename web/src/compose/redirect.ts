// Redirecting: the message itself goes to others as it is, with fields in front that say who passed it on (RFC 5322, section 3.6.6).
import { h } from '../dom.ts';
import { type Id, JmapError, type GetResponse } from '../jmap.ts';
import type { Email } from '../types.ts';
import { button } from '../ui/button.ts';
import { openDialog } from '../ui/dialog.ts';
import { toast } from '../ui/toast.ts';
import { t } from '../texts.ts';
import type { Address } from './address.ts';
import type { ComposeContext } from './compose.ts';
import { SendError, newMessageId, submitBlob } from './outbox.ts';
import type { Identity } from './start.ts';
import { Suggestions } from './suggest.ts';
import { say } from './texts.ts';
import { TokenField } from './tokens.ts';

export async function openRedirect(context: ComposeContext, emailId: Id, identities: readonly Identity[]): Promise<void> {
    const [identity] = identities;
    const live = h('div', { class: 'visually-hidden', role: 'status' });
    const field = new TokenField(say('to'), {
        changed: () => undefined,
        announce: (text) => (live.textContent = text),
        suggestions: new Suggestions(context.client),
    });
    const error = h('p', { class: 'field-error', role: 'alert' });
    const go = async (): Promise<void> => {
        field.commit();
        error.textContent = '';
        if (field.wrong.length > 0) return field.fail(say('notAnAddress', { text: field.wrong.join(', ') }));
        if (field.addresses.length === 0) return field.fail(say('errorNoRecipients'));
        if (!identity) return;
        submit.disabled = true;
        try {
            await redirect(context, emailId, identity, field.addresses);
            dialog.close();
            toast({ text: say('redirected') });
        } catch (problem) {
            const text = problem instanceof SendError ? problem.message : say('errorSend');
            if (problem instanceof SendError && problem.field === 'to') field.refuse(problem.refused, text);
            else error.textContent = text;
        } finally {
            submit.disabled = false;
        }
    };
    const submit = button({ label: say('redirect'), kind: 'primary', onclick: () => void go() });
    const dialog = openDialog({
        title: say('redirectTitle'),
        size: 'medium',
        class: 'redirect',
        body: [h('p', { class: 'field-hint' }, say('redirectHint')), field.element, error, live],
        actions: [button({ label: t('cancel'), kind: 'secondary', onclick: () => dialog.close() }), submit],
    });
    field.input.focus();
}

/** The copy is handed in without being stored: the message is in the mailbox already. */
async function redirect(context: ComposeContext, emailId: Id, identity: Identity, to: readonly Address[]): Promise<void> {
    const { client } = context;
    const from = context.source.client;
    const { list } = await from.call<GetResponse<Pick<Email, 'id' | 'blobId'>>>('Email/get', { ids: [emailId], properties: ['id', 'blobId'] });
    const blobId = list[0]?.blobId;
    if (!blobId) throw new JmapError('method', 'notFound');
    const bytes = await (await from.fetch(from.downloadUrl(blobId, 'message.eml'), {})).arrayBuffer();
    const upload = await client.upload(new Blob([resentFields(identity, to), bytes], { type: 'message/rfc822' }));
    await submitBlob(client, upload.blobId, identity, to);
    if (context.source === context.store) void context.store.change([emailId], { keywords: { $forwarded: true } }).catch(() => undefined);
}

/** Addresses without names: nothing here has to be encoded. */
export function resentFields(identity: Pick<Identity, 'email'>, to: readonly Address[], now = new Date()): string {
    const date = now.toUTCString().replace('GMT', '+0000');
    return [
        `Resent-From: <${identity.email}>`,
        `Resent-To: ${to.map(({ email }) => `<${email}>`).join(',\r\n ')}`,
        `Resent-Date: ${date}`,
        `Resent-Message-ID: <${newMessageId(identity.email)}>`,
        '',
    ].join('\r\n');
}
