// Files of a message: uploaded as soon as they are added, with progress and cancel; the size a message may have is known before.
import { h, uniqueId } from '../dom.ts';
import { formatSize } from '../i18n.ts';
import { icon } from '../icon.ts';
import { CAPABILITIES, type Client, JmapError } from '../jmap.ts';
import type { Attached } from './message.ts';
import { say } from './texts.ts';

export interface AttachmentHooks {
    changed(): void;
    announce(text: string): void;
    /** An image was uploaded for the text. */
    inline(file: Attached, blob: Blob): void;
}

interface Entry {
    name: string;
    type: string;
    size: number;
    file: File | null;
    inline: boolean;
    attached: Attached | null;
    failed: string | null;
    sent: number;
    abort: AbortController;
    row: HTMLElement | null;
}

/** Files uploaded at once: browsers open six connections, and reading goes on meanwhile. */
const AT_ONCE = 2;
/** What the encoding of attachments adds: base64 with its line ends. */
const GROWTH = 1.37;

export class Attachments {
    readonly element: HTMLElement;
    private readonly list: HTMLElement;
    private readonly message: HTMLElement;
    private entries: Entry[] = [];
    private running = 0;

    constructor(
        private readonly client: Client,
        private readonly hooks: AttachmentHooks,
    ) {
        const id = uniqueId('attachments');
        this.message = h('p', { class: 'field-error', role: 'alert' });
        this.list = h('ul', { class: 'compose-file-list', 'aria-label': say('attachments'), id });
        this.element = h('div', { class: 'compose-attachments', hidden: true }, this.list, this.message);
    }

    /** The files that the server has, in order. */
    get attached(): Attached[] {
        return this.entries.flatMap((entry) => (entry.attached ? [entry.attached] : []));
    }

    get isUploading(): boolean {
        return this.entries.some((entry) => entry.attached === null && entry.failed === null);
    }

    get hasFailed(): boolean {
        return this.entries.some((entry) => entry.failed !== null);
    }

    get count(): number {
        return this.entries.filter((entry) => !entry.inline).length;
    }

    /** Files that came with the message (a draft, what is passed on). */
    set(files: readonly Attached[]): void {
        this.entries = files.map((file) => ({ ...entryOf(file.name, file.type, file.size, null, file.cid !== null), attached: file }));
        this.render();
    }

    /** What may be added still, bytes of files. */
    private get room(): number {
        const mail = this.client.session.accounts[this.client.accountId]?.accountCapabilities[CAPABILITIES.mail] as
            { maxSizeAttachmentsPerEmail?: number } | undefined;
        const limit = mail?.maxSizeAttachmentsPerEmail ?? this.client.maxSizeUpload;
        const used = this.entries.filter((entry) => entry.failed === null).reduce((sum, entry) => sum + entry.size * GROWTH, 0);
        return Math.floor((limit - used) / GROWTH);
    }

    /** Adds files; those that would make the message too large are refused before their first byte is sent. */
    add(files: readonly File[], inline: boolean): void {
        this.message.textContent = '';
        for (const file of files) {
            const most = Math.min(this.room, this.client.maxSizeUpload);
            if (file.size > most) {
                this.fail(say('tooLarge', { name: file.name, size: formatSize(file.size), limit: formatSize(Math.max(0, most)) }));
                continue;
            }
            this.entries.push(entryOf(file.name || say('unnamed'), file.type, file.size, file, inline && isPicture(file)));
        }
        this.render();
        this.pump();
        this.hooks.changed();
    }

    fail(text: string): void {
        this.message.textContent = text;
        this.element.hidden = false;
    }

    /** Stops every upload. */
    stop(): void {
        for (const entry of this.entries) entry.abort.abort();
    }

    private pump(): void {
        for (const entry of this.entries) {
            if (this.running >= AT_ONCE) return;
            if (entry.file && entry.attached === null && entry.failed === null && entry.sent === 0 && !entry.abort.signal.aborted)
                void this.upload(entry, entry.file);
        }
    }

    private async upload(entry: Entry, file: File): Promise<void> {
        this.running += 1;
        entry.sent = 1;
        try {
            const { blobId, size, type } = await this.client.upload(file, {
                signal: entry.abort.signal,
                progress: (sent) => {
                    entry.sent = Math.max(1, sent);
                    this.showProgress(entry);
                },
            });
            entry.attached = { blobId, size, name: entry.name, type: file.type || type, cid: entry.inline ? contentId() : null };
            if (entry.inline) this.hooks.inline(entry.attached, file);
            this.hooks.announce(say('uploaded', { name: entry.name }));
        } catch (error) {
            if (entry.abort.signal.aborted) return;
            entry.failed = reason(error);
            this.hooks.announce(say('uploadFailed', { name: entry.name, reason: entry.failed }));
        } finally {
            this.running -= 1;
            this.pump();
        }
        this.render();
        this.hooks.changed();
    }

    private showProgress(entry: Entry): void {
        const bar = entry.row?.querySelector('progress');
        if (bar) bar.value = entry.size > 0 ? Math.min(1, entry.sent / entry.size) : 1;
    }

    private remove(entry: Entry): void {
        entry.abort.abort();
        const at = this.entries.indexOf(entry);
        this.entries.splice(at, 1);
        this.render();
        this.hooks.announce(say('removed', { name: entry.name }));
        this.hooks.changed();
        const buttons = this.list.querySelectorAll<HTMLElement>('.compose-file-remove');
        (buttons[Math.min(at, buttons.length - 1)] ?? this.element.closest('.compose')?.querySelector<HTMLElement>('.compose-attach'))?.focus();
    }

    private again(entry: Entry): void {
        entry.failed = null;
        entry.sent = 0;
        entry.abort = new AbortController();
        this.render();
        this.pump();
    }

    private render(): void {
        const shown = this.entries.filter((entry) => !entry.inline || entry.attached === null);
        this.list.replaceChildren(...shown.map((entry) => (entry.row = this.row(entry))));
        this.element.hidden = shown.length === 0 && this.message.textContent === '';
    }

    private row(entry: Entry): HTMLElement {
        const going = entry.attached === null && entry.failed === null;
        return h(
            'li',
            { class: entry.failed ? 'compose-file failed' : 'compose-file' },
            icon(entry.type.startsWith('image/') ? 'image' : 'file'),
            h(
                'span',
                { class: 'compose-file-text' },
                h('bdi', { class: 'compose-file-name' }, entry.name),
                h('span', { class: 'compose-file-size' }, entry.failed ?? formatSize(entry.size)),
            ),
            going && h('progress', { max: 1, value: entry.size > 0 ? entry.sent / entry.size : 0, 'aria-label': say('uploading', { name: entry.name }) }),
            entry.failed !== null &&
                h(
                    'button',
                    { type: 'button', class: 'button icon', 'aria-label': say('retry', { name: entry.name }), onclick: () => this.again(entry) },
                    icon('refresh'),
                ),
            h(
                'button',
                {
                    type: 'button',
                    class: 'button icon compose-file-remove',
                    'aria-label': say(going ? 'cancelUpload' : 'removeAttachment', { name: entry.name }),
                    onclick: () => this.remove(entry),
                },
                icon('close'),
            ),
        );
    }
}

function entryOf(name: string, type: string, size: number, file: File | null, inline: boolean): Entry {
    return { name, type, size, file, inline, attached: null, failed: null, sent: 0, abort: new AbortController(), row: null };
}

/** Images that every reader of HTML mail shows. */
function isPicture(file: File): boolean {
    return ['image/png', 'image/jpeg', 'image/gif', 'image/webp'].includes(file.type);
}

function contentId(): string {
    const bytes = crypto.getRandomValues(new Uint8Array(12));
    return `${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}@mailboat`;
}

function reason(error: unknown): string {
    const type = error instanceof JmapError ? error.type : '';
    if (type === 'unreachable') return say('errorNetwork');
    if (type === 'tooLarge' || type === '413' || type === 'limit') return say('errorTooLarge');
    if (type === 'overQuota') return say('errorQuota');
    return say('errorUpload');
}
