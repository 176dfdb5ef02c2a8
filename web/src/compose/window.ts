// The window in which a message is written.
import { fill, h, svg, uniqueId } from '../dom.ts';
import { type Client, type Id, JmapError, type SetError } from '../jmap.ts';
import { preferences } from '../preferences.ts';
import { button } from '../ui/button.ts';
import { confirmDialog } from '../ui/dialog.ts';
import { type MenuItem, openMenu } from '../ui/menu.ts';
import { isEmail, sameKey } from './address.ts';
import { Attachments } from './attachments.ts';
import type { ComposeContext } from './compose.ts';
import { DraftKeeper, type SaveState } from './drafts.ts';
import { Editor } from './editor.ts';
import { SIGNS } from './icons.ts';
import { type Attached, type Draft, fingerprint, isEmpty, toEmail, usedCids } from './message.ts';
import { type Attempt, SendError } from './outbox.ts';
import { signatureTree, speaksOfAttachment, swapSignature, signatureText, textTree } from './quote.ts';
import { type Identity, type Start, rememberFormat, signatureOf } from './start.ts';
import { Suggestions } from './suggest.ts';
import { say } from './texts.ts';
import { TokenField } from './tokens.ts';
import { Toolbar } from './toolbar.ts';
import { toNodes } from './mount.ts';
import { toText } from './tree.ts';

export interface WindowHooks {
    /** Hands the message in; throws a SendError when it was refused. */
    send(window: ComposeWindow): Promise<void>;
    /** It was closed, sent or thrown away. */
    closed(window: ComposeWindow): void;
    /** Another version of the draft is stored now. */
    stored(window: ComposeWindow, id: Id | null): void;
    draftsId(): Promise<Id>;
    identities: readonly Identity[];
}

export type Shape = 'normal' | 'minimised' | 'full';

/** More people than this see each other's addresses: worth a question. */
const MANY = 20;

export class ComposeWindow {
    readonly element: HTMLElement;
    readonly keeper: DraftKeeper;
    /** The last one to send it. */
    attempt: Attempt | null = null;
    private readonly title: HTMLElement;
    private readonly status: HTMLElement;
    private readonly live: HTMLElement;
    private readonly notice: HTMLElement;
    private readonly from: HTMLSelectElement;
    private readonly to: TokenField;
    private readonly cc: TokenField;
    private readonly bcc: TokenField;
    private readonly subject: HTMLInputElement;
    private readonly editor: Editor;
    private readonly toolbar: Toolbar;
    private readonly plain: HTMLTextAreaElement;
    private readonly attachments: Attachments;
    private readonly sendButton: HTMLButtonElement;
    private readonly shapeButton: HTMLButtonElement;
    private readonly smallButton: HTMLButtonElement;
    /** Of the account in which the draft is kept. */
    readonly home: Client;
    private readonly pictures = new Map<string, string>();
    private readonly before = document.activeElement as HTMLElement | null;
    private format: 'rich' | 'plain';
    private base: Draft;
    private signature: string;
    private shape: Shape = 'normal';
    private sending = false;
    private gone = false;

    constructor(
        context: ComposeContext,
        private readonly hooks: WindowHooks,
        private readonly begun: Start,
    ) {
        const { draft } = begun;
        this.home = begun.home?.client ?? context.client;
        this.base = draft;
        this.format = draft.body.format;
        this.signature = preferences().autoSign ? signatureOf(this.identityBy(draft.identityId)) : '';
        const suggestions = new Suggestions(context.client);
        const tokenHooks = { changed: () => this.changed(), announce: (text: string) => this.announce(text), suggestions };
        this.to = new TokenField(say('to'), tokenHooks);
        this.cc = new TokenField(say('cc'), { ...tokenHooks, suggestions: new Suggestions(context.client) });
        this.bcc = new TokenField(say('bcc'), { ...tokenHooks, suggestions: new Suggestions(context.client) });
        this.editor = new Editor(say('text'), {
            changed: () => this.changed(),
            files: (files) => this.addFiles(files, true),
            shown: (src) => this.picture(src),
        });
        this.toolbar = new Toolbar(this.editor);
        this.plain = h('textarea', { class: 'plain-text', 'aria-label': say('text'), spellcheck: 'true', dir: 'auto', oninput: () => this.changed() });
        this.attachments = new Attachments(this.home, {
            changed: () => this.changed(),
            announce: (text) => this.announce(text),
            inline: (file, blob) => this.insertPicture(file, blob),
        });
        const titleId = uniqueId('compose');
        this.title = h('h2', { id: titleId, class: 'compose-title', dir: 'auto' });
        this.status = h('span', { class: 'compose-status' });
        this.live = h('div', { class: 'visually-hidden', role: 'status', 'aria-live': 'polite' });
        this.notice = h('p', { class: 'compose-notice', role: 'alert', hidden: true });
        this.from = this.fromField(draft);
        this.subject = h('input', {
            type: 'text',
            class: 'compose-subject',
            id: `${titleId}-subject`,
            value: draft.subject,
            dir: 'auto',
            autocomplete: 'off',
            oninput: () => this.changed(),
        });
        this.sendButton = button({ label: say('send'), kind: 'primary', key: 'Mod+Enter', class: 'compose-send', onclick: () => void this.send() });
        this.smallButton = this.headButton('minimise', 'M5 18.5h14', () => this.setShape(this.shape === 'minimised' ? 'normal' : 'minimised'));
        this.shapeButton = this.headButton('fullScreen', SIGNS.fullScreen, () => this.setShape(this.shape === 'full' ? 'normal' : 'full'));
        this.element = h('section', { class: 'compose', role: 'dialog', 'aria-labelledby': titleId, 'data-shape': 'normal' });
        this.build(titleId);
        this.show(draft);
        this.keeper = new DraftKeeper(
            this.home,
            {
                email: async () => this.stored(),
                fingerprint: () => this.print(),
                state: (state, error) => this.showState(state, error),
                stored: (id) => hooks.stored(this, id),
            },
            begun.draftId,
        );
        this.listen();
        const { focus } = begun;
        if (focus !== null) queueMicrotask(() => this.focus(focus));
    }

    // ------------------------------------------------------------ building

    private headButton(name: 'minimise' | 'fullScreen' | 'closeWindow', sign: string, run: () => void): HTMLButtonElement {
        return h('button', { type: 'button', class: 'button icon', 'aria-label': say(name), 'data-tip': say(name), onclick: run }, svg(sign));
    }

    private build(titleId: string): void {
        const head = h(
            'div',
            { class: 'compose-head', ondblclick: (event) => event.target === this.title && this.setShape(this.shape === 'full' ? 'normal' : 'full') },
            this.title,
            this.smallButton,
            this.shapeButton,
            this.headButton('closeWindow', 'M5.5 5.5l13 13M18.5 5.5l-13 13', () => void this.close()),
        );
        head.addEventListener('click', (event) => {
            if (this.shape === 'minimised' && !(event.target as Element).closest('button')) this.setShape('normal');
        });
        const more = h('div', { class: 'compose-more' }, this.more('addCc', this.cc), this.more('addBcc', this.bcc));
        this.to.element.append(more);
        const fields = h(
            'div',
            { class: 'compose-fields' },
            this.hooks.identities.length > 1 &&
                h('div', { class: 'compose-row' }, h('label', { class: 'compose-label', for: this.from.id }, say('from')), this.from),
            this.to.element,
            this.cc.element,
            this.bcc.element,
            h('div', { class: 'compose-row' }, h('label', { class: 'compose-label', for: `${titleId}-subject` }, say('subject')), this.subject),
        );
        const body = h('div', { class: 'compose-body' }, this.toolbar.element, this.editor.root, this.plain);
        const picker = h('input', { type: 'file', multiple: true, hidden: true, onchange: () => this.picked(picker) });
        const foot = h(
            'div',
            { class: 'compose-foot' },
            this.sendButton,
            button({ label: say('attach'), icon: 'attach', kind: 'icon', class: 'compose-attach', onclick: () => picker.click() }),
            h(
                'button',
                {
                    type: 'button',
                    class: 'button icon compose-format',
                    'aria-label': say('formatting'),
                    'data-tip': say('formatting'),
                    'aria-pressed': 'true',
                    onclick: () => this.toggleToolbar(),
                },
                svg(SIGNS.format),
            ),
            button({
                label: say('options'),
                icon: 'more',
                kind: 'icon',
                popup: 'menu',
                class: 'compose-options',
                onclick: (event) => this.options(event.currentTarget as Element),
            }),
            this.status,
            button({ label: say('discard'), icon: 'trash', kind: 'icon', class: 'compose-discard', onclick: () => void this.discard() }),
            picker,
        );
        const drop = h('div', { class: 'compose-drop', 'aria-hidden': 'true' }, say('dropHere'));
        const { home } = this.begun;
        const kept = home && h('p', { class: 'compose-home' }, say('keptThere', { owner: home.owner, folder: home.folder }));
        fill(this.element, head, h('div', { class: 'compose-main' }, kept, fields, this.notice, body, this.attachments.element, foot), drop, this.live);
    }

    private fromField(draft: Draft): HTMLSelectElement {
        const options = this.hooks.identities.map((identity) =>
            h('option', { value: identity.id }, isolated(identity.name ? `${identity.name} <${identity.email}>` : identity.email)),
        );
        const select = h('select', { id: uniqueId('from'), onchange: () => this.identityChanged() }, options);
        select.value = this.identityBy(draft.identityId)?.id ?? '';
        return select;
    }

    private more(name: 'addCc' | 'addBcc', field: TokenField): HTMLButtonElement {
        const opener = h(
            'button',
            {
                type: 'button',
                class: 'button compose-add',
                'aria-label': say(name),
                onclick: () => {
                    field.element.hidden = false;
                    opener.hidden = true;
                    field.input.focus();
                },
            },
            name === 'addCc' ? say('cc') : say('bcc'),
        );
        field.element.hidden = true;
        return opener;
    }

    private show(draft: Draft): void {
        this.to.set(draft.to);
        this.cc.set(draft.cc);
        this.bcc.set(draft.bcc);
        const openers = this.element.querySelectorAll<HTMLElement>('.compose-add');
        [this.cc, this.bcc].forEach((field, index) => {
            const shown = !field.isEmpty;
            field.element.hidden = !shown;
            const opener = openers[index];
            if (opener) opener.hidden = shown;
        });
        this.subject.value = draft.subject;
        this.attachments.set(draft.attached);
        if (draft.body.format === 'rich') this.editor.set(draft.body.trees);
        else this.plain.value = draft.body.text;
        this.showFormat();
        this.showTitle();
        this.toolbar.refresh();
    }

    private listen(): void {
        const { element } = this;
        element.addEventListener('keydown', (event) => this.key(event));
        const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes('Files') === true;
        element.addEventListener('dragover', (event) => {
            if (!hasFiles(event)) return;
            event.preventDefault();
            element.classList.add('dropping');
        });
        element.addEventListener('dragleave', (event) => {
            if (!element.contains(event.relatedTarget as Node | null)) element.classList.remove('dropping');
        });
        element.addEventListener(
            'drop',
            (event) => {
                element.classList.remove('dropping');
                if (!hasFiles(event)) return;
                event.preventDefault();
                this.addFiles(Array.from(event.dataTransfer?.files ?? []), false);
            },
            true,
        );
        this.plain.addEventListener('paste', (event) => {
            const files = Array.from(event.clipboardData?.files ?? []);
            if (files.length === 0) return;
            event.preventDefault();
            this.addFiles(files, false);
        });
        document.addEventListener('selectionchange', this.selected);
    }

    private readonly selected = (): void => {
        if (this.format === 'rich' && this.editor.root.contains(document.getSelection()?.anchorNode ?? null)) this.toolbar.refresh();
    };

    private key(event: KeyboardEvent): void {
        const held = event.ctrlKey || event.metaKey;
        if (held && event.key === 'Enter') {
            event.preventDefault();
            void this.send();
        } else if (held && !event.shiftKey && event.key.toLowerCase() === 's') {
            event.preventDefault();
            void this.keeper.save().catch(() => undefined);
        } else if (event.key === 'Escape' && !event.isComposing && !event.defaultPrevented) {
            event.preventDefault();
            if (this.shape === 'full') this.setShape('normal');
            else this.setShape('minimised');
        }
        // The keys of the list behind are not for whoever writes.
        event.stopPropagation();
    }

    // ------------------------------------------------------------ state

    private identityBy(id: Id | null): Identity | undefined {
        return this.hooks.identities.find((one) => one.id === id) ?? this.hooks.identities[0];
    }

    get identity(): Identity | undefined {
        return this.identityBy(this.from.value || this.base.identityId);
    }

    /** The message as it stands. */
    draft(): Draft {
        const body: Draft['body'] = this.format === 'rich' ? { format: 'rich', trees: this.editor.read() } : { format: 'plain', text: this.plain.value };
        return {
            ...this.base,
            identityId: this.identity?.id ?? null,
            to: this.to.addresses,
            cc: this.cc.addresses,
            bcc: this.bcc.addresses,
            subject: this.subject.value,
            body,
            attached: this.attachments.attached,
        };
    }

    private print(): string {
        return fingerprint(this.draft());
    }

    /** The draft to store; null when there is nothing to keep. */
    private async stored(): Promise<Record<string, unknown> | null> {
        const draft = this.draft();
        const { identity } = this;
        if (!identity || (this.keeper.id === null && isEmpty(draft, signatureText(this.signature)))) return null;
        return toEmail(draft, identity, await this.hooks.draftsId(), false);
    }

    private changed(): void {
        if (this.gone) return;
        this.showTitle();
        this.notice.hidden = true;
        // The constructor fills fields before there is a keeper.
        (this.keeper as DraftKeeper | undefined)?.touch();
    }

    private showTitle(): void {
        this.title.textContent = this.subject.value.trim() || say('newMessage');
    }

    private showState(state: SaveState, error: SetError | JmapError | null): void {
        const time = new Date().toLocaleTimeString(document.documentElement.lang, { hour: 'numeric', minute: '2-digit' });
        const texts = { clean: '', dirty: '', saving: say('saving'), saved: say('saved', { time }), failed: say('notSaved') };
        this.status.textContent = texts[state];
        this.status.classList.toggle('failed', state === 'failed');
        this.element.dataset['save'] = state;
        // Why it was not sent says more, and stands until something is changed.
        const isTold = !this.notice.hidden && this.notice.dataset['of'] === 'sending';
        if (state === 'failed' && !isTold) this.say(this.whyNotSaved(error?.type));
    }

    private whyNotSaved(type: string | undefined): string {
        const { home } = this.begun;
        // The rights, the folder or the account as a whole may have been taken away.
        if (home && ['forbidden', 'invalidProperties', 'accountNotFound', 'accountReadOnly'].includes(type ?? '')) return say('notSavedThere', { folder: home.folder });
        return type === 'overQuota' ? say('notSavedQuota') : say('notSavedNow');
    }

    /** Something the user must know, over the text. */
    private say(text: string): void {
        this.notice.textContent = text;
        delete this.notice.dataset['of'];
        this.notice.hidden = false;
    }

    private announce(text: string): void {
        this.live.textContent = '';
        requestAnimationFrame(() => (this.live.textContent = text));
    }

    focus(where: 'to' | 'body'): void {
        if (where === 'to') this.to.input.focus();
        else if (this.format === 'rich') this.editor.focus(true);
        else {
            this.plain.focus();
            this.plain.setSelectionRange(0, 0);
            this.plain.scrollTop = 0;
        }
    }

    setShape(shape: Shape, focuses = true): void {
        const was = this.shape;
        this.shape = shape;
        this.element.dataset['shape'] = shape;
        const relabel = (one: HTMLButtonElement, text: string, sign: string): void => {
            one.setAttribute('aria-label', text);
            one.dataset['tip'] = text;
            one.replaceChildren(svg(sign));
        };
        relabel(this.shapeButton, shape === 'full' ? say('leaveFull') : say('fullScreen'), shape === 'full' ? SIGNS.leave : SIGNS.fullScreen);
        relabel(this.smallButton, shape === 'minimised' ? say('restore') : say('minimise'), shape === 'minimised' ? SIGNS.restore : 'M5 18.5h14');
        if (!focuses) return;
        if (shape === 'minimised') this.smallButton.focus();
        else if (was === 'minimised') this.focus(this.to.isEmpty ? 'to' : 'body');
    }

    get isMinimised(): boolean {
        return this.shape === 'minimised';
    }

    // ------------------------------------------------------------ format

    private showFormat(): void {
        const rich = this.format === 'rich';
        this.editor.root.hidden = !rich;
        this.plain.hidden = rich;
        this.toolbar.element.hidden = !rich || this.element.classList.contains('bare');
        const toggle = this.element.querySelector<HTMLElement>('.compose-format');
        if (toggle) toggle.hidden = !rich;
    }

    private toggleToolbar(): void {
        const bare = this.element.classList.toggle('bare');
        this.element.querySelector('.compose-format')?.setAttribute('aria-pressed', String(!bare));
        this.showFormat();
    }

    private async setFormat(format: 'rich' | 'plain'): Promise<void> {
        if (format === this.format) return;
        if (format === 'plain') {
            const trees = this.editor.read();
            const loses = JSON.stringify(trees).match(/"tag":"(b|i|u|s|span|img|ul|ol|table|code|pre|h\d)"/) !== null;
            if (loses && !(await confirmDialog({ title: say('toPlainTitle'), text: say('toPlainText'), confirm: say('toPlain') }))) return;
            this.plain.value = toText(trees);
        } else this.editor.set(textTree(this.plain.value, this.signature));
        this.format = format;
        rememberFormat(format);
        this.showFormat();
        this.focus('body');
        this.changed();
    }

    private identityChanged(): void {
        if (preferences().autoSign) {
            const after = signatureOf(this.identity);
            if (this.format === 'plain') this.plain.value = swapSignature(this.plain.value, this.signature, after);
            else this.swapRich(after);
            this.signature = after;
        }
        this.changed();
    }

    private swapRich(after: string): void {
        const old = this.editor.root.querySelector('div.signature');
        const tree = signatureTree(after);
        const untouched = old?.textContent === toNodesText(this.signature);
        if (old && untouched) old.replaceWith(tree ? toNodes([tree]) : '');
        else if (!old && tree) this.editor.root.append(toNodes([tree]));
    }

    private insertSignature(): void {
        const signature = signatureOf(this.identity);
        const tree = signatureTree(signature);
        if (!tree) return;
        if (this.format === 'rich') this.editor.insert([tree], 'signature');
        else this.plain.setRangeText(`\n${signatureText(signature)}\n`, this.plain.selectionStart, this.plain.selectionEnd, 'end');
        this.signature = signature;
        this.changed();
    }

    // ------------------------------------------------------------ files

    private picked(picker: HTMLInputElement): void {
        this.addFiles(Array.from(picker.files ?? []), false);
        picker.value = '';
    }

    private addFiles(files: File[], inline: boolean): void {
        if (files.length > 0) this.attachments.add(files, inline && this.format === 'rich');
    }

    private insertPicture(file: Attached, blob: Blob): void {
        if (file.cid === null) return;
        this.pictures.set(file.cid, URL.createObjectURL(blob));
        this.editor.insertImage(`cid:${file.cid}`, file.name);
    }

    /** Where an image of the message can be seen now. */
    private picture(src: string): string | null {
        if (src.startsWith('data:image/')) return src;
        if (!src.startsWith('cid:')) return null;
        const cid = src.slice(4);
        const file = this.base.attached.find((one) => one.cid === cid);
        return this.pictures.get(cid) ?? (file ? this.home.downloadUrl(file.blobId, file.name || 'image', file.type) : null);
    }

    // ------------------------------------------------------------ options

    private options(at: Element): void {
        const { base } = this;
        const set = (change: Partial<Draft>) => () => {
            this.base = { ...this.base, ...change };
            this.changed();
        };
        const items: MenuItem[] = [
            { label: say('formatted'), checked: this.format === 'rich', run: () => void this.setFormat('rich') },
            { label: say('plainText'), checked: this.format === 'plain', run: () => void this.setFormat('plain') },
            'separator',
            { heading: say('priority') },
            { label: say('priorityHigh'), checked: base.priority === 'high', run: set({ priority: 'high' }) },
            { label: say('priorityNormal'), checked: base.priority === 'normal', run: set({ priority: 'normal' }) },
            { label: say('priorityLow'), checked: base.priority === 'low', run: set({ priority: 'low' }) },
            'separator',
            { label: say('receipt'), checked: base.receipt, run: set({ receipt: !base.receipt }) },
            ...(preferences().vCard ? [{ label: say('vCard'), checked: base.vCard, run: set({ vCard: !base.vCard }) }] : []),
            ...(signatureOf(this.identity) ? [{ label: say('insertSignature'), run: () => this.insertSignature() }] : []),
            'separator',
            { label: say('saveDraft'), key: 'Mod+s', run: () => void this.keeper.save().catch(() => undefined) },
        ];
        openMenu(at, items, { label: say('options') });
    }

    // ------------------------------------------------------------ the end

    private async send(): Promise<void> {
        if (this.sending) return;
        for (const field of [this.to, this.cc, this.bcc]) field.commit();
        if (!this.isComplete() || !(await this.isMeant())) return;
        this.sending = true;
        this.sendButton.disabled = true;
        this.element.classList.add('sending');
        try {
            await this.hooks.send(this);
            await this.leave();
        } catch (error) {
            this.element.classList.remove('sending');
            this.showRefusal(error);
        } finally {
            this.sending = false;
            this.sendButton.disabled = false;
        }
    }

    /** Whether everything that sending needs is there; what is not says so at its field. */
    private isComplete(): boolean {
        this.notice.hidden = true;
        for (const field of [this.to, this.cc, this.bcc]) {
            if (field.wrong.length === 0) continue;
            field.element.hidden = false;
            field.fail(say('notAnAddress', { text: field.wrong.join(', ') }));
            return false;
        }
        const { to, cc, bcc } = this.draft();
        if (to.length + cc.length + bcc.length === 0) {
            this.to.fail(say('errorNoRecipients'));
            return false;
        }
        if (this.attachments.isUploading || this.attachments.hasFailed) {
            this.attachments.fail(this.attachments.isUploading ? say('stillUploading') : say('uploadsFailed'));
            return false;
        }
        return this.identity !== undefined;
    }

    /** Questions before what cannot be taken back. */
    private async isMeant(): Promise<boolean> {
        const draft = this.draft();
        const text = draft.body.format === 'plain' ? draft.body.text : toText(draft.body.trees);
        const ask = (title: string, question: string): Promise<boolean> => confirmDialog({ title, text: question, confirm: say('sendAnyway') });
        if (draft.subject.trim() === '' && !(await ask(say('noSubjectTitle'), say('noSubject')))) return false;
        const forgotten = this.attachments.count === 0 && speaksOfAttachment(`${draft.subject}\n${text}`, say('attachmentWords').split('|'));
        if (forgotten && !(await ask(say('forgottenTitle'), say('forgotten')))) return false;
        const seen = draft.to.length + draft.cc.length;
        return seen <= MANY || ask(say('manyTitle', { count: seen }), say('many', { count: seen }));
    }

    private showRefusal(error: unknown): void {
        if (this.shape === 'minimised') this.setShape('normal');
        const text = error instanceof SendError ? error.message : say('errorSend');
        if (error instanceof SendError && error.field === 'to') return this.refuseRecipients(error);
        if (error instanceof SendError && error.field === 'attachments') return this.attachments.fail(text);
        if (error instanceof SendError && error.field === 'from') this.from.focus();
        this.say(text);
        this.notice.dataset['of'] = 'sending';
    }

    private refuseRecipients(error: SendError): void {
        const refused = new Set(error.refused.filter(isEmail).map(sameKey));
        const field = [this.to, this.cc, this.bcc].find((one) => one.addresses.some(({ email }) => refused.has(sameKey(email))));
        if (field) field.refuse(error.refused, error.message);
        else this.to.fail(error.message);
    }

    /** Saves what is new and goes; the draft stays. */
    async close(): Promise<void> {
        for (const field of [this.to, this.cc, this.bcc]) field.commit();
        try {
            await this.keeper.save();
        } catch {
            const sure = await confirmDialog({ title: say('loseTitle'), text: say('lose'), confirm: say('closeAnyway'), danger: true });
            if (!sure) return;
        }
        await this.leave();
    }

    private async discard(): Promise<void> {
        const empty = this.keeper.id === null && isEmpty(this.draft(), signatureText(this.signature));
        if (!empty && !(await confirmDialog({ title: say('discardTitle'), text: say('discardText'), confirm: say('discard'), danger: true }))) return;
        this.gone = true;
        await this.keeper.discard();
        await this.leave();
    }

    private async leave(): Promise<void> {
        this.gone = true;
        this.attachments.stop();
        document.removeEventListener('selectionchange', this.selected);
        await this.keeper.stop();
        this.editor.log.stop();
        for (const url of this.pictures.values()) URL.revokeObjectURL(url);
        this.element.remove();
        if (this.before?.isConnected) this.before.focus();
        this.hooks.closed(this);
    }

    /** Images in the text that the message must carry. */
    get usedPictures(): Set<string> {
        return this.format === 'rich' ? usedCids(this.editor.read()) : new Set();
    }
}

/** Keeps a text that runs left to right together in one that runs the other way (Unicode, FSI and PDI). */
function isolated(text: string): string {
    return `\u2068${text}\u2069`;
}

function toNodesText(signature: string): string {
    const tree = signatureTree(signature);
    return tree ? (toNodes([tree]).textContent ?? '') : '';
}
