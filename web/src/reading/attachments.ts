// What is attached: as cards with a preview of images and text, one by one or all together. Nothing but a fixed list of types is ever shown.

import type { App } from '../app.ts';
import { fill, h } from '../dom.ts';
import { icon, type IconName } from '../icon.ts';
import { formatSize } from '../i18n.ts';
import type { Id } from '../jmap.ts';
import { t } from '../texts.ts';
import type { BodyPart, Email } from '../types.ts';
import { button } from '../ui/button.ts';
import { openDialog } from '../ui/dialog.ts';
import { openEmbedded } from './embedded.ts';

const IMAGES = new Set(['image/png', 'image/jpeg', 'image/gif', 'image/webp', 'image/avif']);
const TEXTS = new Set(['text/plain', 'text/csv', 'text/markdown', 'text/x-log', 'application/json']);
/** Bytes of a text that are shown. */
const TEXT_MAX = 256 * 1024;

export const fileName = (part: BodyPart, index: number): string => part.name?.trim() || `${t('attachment')} ${index + 1}${part.type === 'message/rfc822' ? '.eml' : ''}`;

/** `blobId`: of the message. */
export function attachmentList(app: App, email: Pick<Email, 'attachments' | 'subject'>, blobId: Id): HTMLElement | null {
    // Pictures that the text shows itself are not attachments to the reader.
    const parts = email.attachments.filter((part) => part.blobId && !(part.cid && part.disposition !== 'attachment' && part.type.startsWith('image/')));
    if (parts.length === 0) return null;
    const total = parts.reduce((sum, part) => sum + part.size, 0);
    return h(
        'section',
        { class: 'attachments', 'aria-label': t('attachments') },
        h('header', null, h('h2', null, icon('attach'), t('attachmentCount', { count: parts.length }), h('span', { class: 'soft' }, formatSize(total))), parts.length > 1 && allTogether(app, email.subject, blobId)),
        h('ul', null, parts.map((_, index) => h('li', null, card(app, parts, index)))),
    );
}

/** One archive of all of them, which the server makes while it sends it. */
function allTogether(app: App, subject: string | null, blobId: Id): HTMLElement {
    const name = `${(subject ?? '').replaceAll(/[^\p{L}\p{N} ._-]/gu, '').trim().slice(0, 60) || t('attachments')}.zip`;
    return h('a', { class: 'button', href: app.store.client.archiveUrl(blobId, name), download: name }, icon('download'), t('downloadAll'));
}

function card(app: App, parts: readonly BodyPart[], index: number): HTMLElement {
    const part = parts[index] as BodyPart;
    const name = fileName(part, index);
    const url = app.store.client.downloadUrl(part.blobId ?? '', name, part.type);
    const shows = IMAGES.has(part.type) || TEXTS.has(part.type);
    const face = IMAGES.has(part.type) && part.size < 3_000_000 ? h('img', { src: url, alt: '', loading: 'lazy', decoding: 'async', onerror: (event) => (event as unknown as Event & { target: Element }).target.replaceWith(icon('image')) }) : icon(iconOf(part.type));
    const opens = part.type === 'message/rfc822' ? (): void => void openEmbedded(app, part.blobId ?? '', name) : shows ? (): void => preview(app, parts, index) : undefined;
    const words = [h('span', { class: 'file-face' }, face), h('span', { class: 'file-words' }, h('bdi', { class: 'file-name', title: name }, name), h('span', { class: 'soft' }, formatSize(part.size)))];
    return h(
        'div',
        { class: 'file' },
        opens ? h('button', { type: 'button', class: 'file-main', 'data-tip': t('preview', { name }), onclick: opens }, words) : h('a', { class: 'file-main', href: url, download: name }, words),
        h('a', { class: 'button icon', href: url, download: name, 'aria-label': t('downloadThis', { name }), 'data-tip': t('download') }, icon('download')),
    );
}

function iconOf(type: string): IconName {
    if (type.startsWith('image/')) return 'image';
    if (type === 'message/rfc822') return 'unread';
    if (type.startsWith('text/')) return 'drafts';
    return 'file';
}

/** Shows one of `parts`, and steps through those that can be shown. */
function preview(app: App, parts: readonly BodyPart[], start: number): void {
    const shown = parts.map((part, index) => ({ part, index })).filter(({ part }) => IMAGES.has(part.type) || TEXTS.has(part.type));
    let at = Math.max(0, shown.findIndex(({ index }) => index === start));
    const stage = h('div', { class: 'preview-stage', tabindex: '0' });
    const caption = h('span', { class: 'preview-name' });
    const link = h('a', { class: 'button secondary' }, icon('download'), t('download'));
    const show = (to: number): void => {
        at = (to + shown.length) % shown.length;
        const one = shown[at];
        if (!one) return;
        const name = fileName(one.part, one.index);
        const url = app.store.client.downloadUrl(one.part.blobId ?? '', name, one.part.type);
        caption.textContent = shown.length > 1 ? `${name} · ${at + 1}/${shown.length}` : name;
        link.setAttribute('href', url);
        link.setAttribute('download', name);
        if (IMAGES.has(one.part.type)) fill(stage, h('img', { src: url, alt: name }));
        else void text(app, url, one.part, stage);
    };
    const step = (label: string, by: number, turned: boolean): HTMLElement | false => shown.length > 1 && button({ label, icon: 'chevron', kind: 'icon', class: turned ? 'turned' : 'straight', onclick: () => show(at + by) });
    const dialog = openDialog({ title: t('previewTitle'), size: 'wide', class: 'preview', body: stage, actions: [step(t('previous'), -1, true), caption, step(t('next'), 1, false), link] });
    dialog.element.addEventListener('keydown', (event) => {
        if (event.key === 'ArrowRight' || event.key === 'ArrowLeft') show(at + ((event.key === 'ArrowRight') === (document.documentElement.dir !== 'rtl') ? 1 : -1));
    });
    show(at);
    stage.focus();
}

async function text(app: App, url: string, part: BodyPart, stage: HTMLElement): Promise<void> {
    fill(stage, h('div', { class: 'spinner' }));
    try {
        const bytes = new Uint8Array(await (await app.store.client.fetch(url, { headers: { Range: `bytes=0-${TEXT_MAX - 1}` } })).arrayBuffer()).subarray(0, TEXT_MAX);
        const cut = part.size > TEXT_MAX ? `\n\n${t('textCut', { size: formatSize(TEXT_MAX) })}` : '';
        fill(stage, h('pre', { dir: 'auto' }, decode(bytes, part.charset), cut));
    } catch (error) {
        fill(stage, h('p', { class: 'preview-failed' }, app.explain(error)));
    }
}

function decode(bytes: Uint8Array, charset: string | null | undefined): string {
    try {
        return new TextDecoder(charset ?? 'utf-8').decode(bytes);
    } catch {
        return new TextDecoder().decode(bytes);
    }
}
