// The source of a message: its header fields, and all of it as it lies in the store.

import '../app.ts'; // what this part shares with the application is in the application's chunk (web/README.md)
import type { App } from '../app.ts';
import { fill, h } from '../dom.ts';
import { icon } from '../icon.ts';
import { formatSize } from '../i18n.ts';
import type { Id } from '../jmap.ts';
import { t } from '../texts.ts';
import { button } from '../ui/button.ts';
import { openDialog } from '../ui/dialog.ts';
import { toast } from '../ui/toast.ts';

/** Bytes that are shown; the rest can be downloaded. */
const SHOWN_MAX = 512 * 1024;

export async function showSource(app: App, id: Id): Promise<void> {
    const body = h('div', { class: 'source', tabindex: '0' }, h('div', { class: 'spinner' }));
    const copy = button({ label: t('copy'), icon: 'copy', kind: 'secondary', onclick: () => void navigator.clipboard.writeText(body.textContent ?? '').then(() => toast({ text: t('copied') })) });
    const link = h('a', { class: 'button secondary', download: 'message.eml' }, icon('download'), t('download'));
    const dialog = openDialog({ title: t('source'), size: 'wide', body, actions: [copy, link] });
    try {
        const email = await app.store.email(id);
        const url = app.store.client.downloadUrl(email.blobId, 'message.eml', 'message/rfc822');
        link.setAttribute('href', url);
        const response = await app.store.client.fetch(url, { headers: { Range: `bytes=0-${SHOWN_MAX - 1}` } });
        const bytes = new Uint8Array(await response.arrayBuffer());
        const text = new TextDecoder().decode(bytes.subarray(0, SHOWN_MAX));
        const end = text.search(/\r?\n\r?\n/);
        const head = end < 0 ? text : text.slice(0, end);
        fill(body, h('pre', { class: 'source-head', dir: 'ltr' }, coloured(head)), h('pre', { dir: 'ltr' }, text.slice(head.length)), email.size > SHOWN_MAX && h('p', null, t('textCut', { size: formatSize(SHOWN_MAX) })));
    } catch (error) {
        fill(body, h('p', null, app.explain(error)));
    }
    if (dialog.element.open) body.focus();
}

/** Names of fields stand out. */
function coloured(head: string): Node[] {
    return head.split(/(?<=\n)/).flatMap((line) => {
        const name = /^[\w-]+:/.exec(line)?.[0];
        return name ? [h('b', null, name), document.createTextNode(line.slice(name.length))] : [document.createTextNode(line)];
    });
}
