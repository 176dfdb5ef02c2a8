// The frame of the application: top bar with search and account, folders, list, reading pane; how many of them are side by side is a
// matter of width (style sheet) and of preference (`data-pane`).

import type { App } from '../app.ts';
import { debounce, fill, h, uniqueId } from '../dom.ts';
import { icon } from '../icon.ts';
import { formatNumber, formatSize } from '../i18n.ts';
import { avatar } from '../people.ts';
import { preferences } from '../preferences.ts';
import { OPERATORS } from '../search.ts';
import { t } from '../texts.ts';
import { button } from '../ui/button.ts';
import { openMenu } from '../ui/menu.ts';
import { toast } from '../ui/toast.ts';
import { openHelp } from './help.ts';

/** Width from which list and reading pane are side by side; the style sheet has the same. */
const SPLIT = '(min-width: 900px)';

export class Layout {
    readonly element: HTMLElement;
    private readonly search: HTMLInputElement;
    private readonly offline = h('div', { class: 'offline-bar', role: 'status', hidden: true }, icon('offline'), h('span', null, t('offline')));
    private readonly live = h('div', { class: 'visually-hidden', 'aria-live': 'polite' });
    private readonly side: HTMLElement;
    private readonly settings = h('main', { class: 'settings-pane', hidden: true });
    private readonly quota = h('div', { class: 'quota', hidden: true });
    private readonly main: HTMLElement;
    private readonly scrim: HTMLElement;
    private readonly menuButton: HTMLButtonElement;
    private wasOffline = false;

    constructor(private readonly app: App) {
        this.search = h('input', { type: 'search', placeholder: t('searchMail'), 'aria-label': t('searchMail'), autocomplete: 'off', spellcheck: 'false', enterkeyhint: 'search' });
        this.menuButton = button({ label: t('folders'), icon: 'menu', kind: 'icon', class: 'drawer-button', onclick: () => this.toggleDrawer() });
        const account: HTMLButtonElement = h('button', { type: 'button', class: 'account', 'aria-haspopup': 'menu', 'aria-label': t('accountOf', { name: app.client.signIn.name }), 'data-tip': app.ownAddress, onclick: () => this.openAccount(account) }, avatar({ name: app.client.signIn.name, email: app.ownAddress }, 'small'));
        const top = h(
            'header',
            { class: 'top-bar' },
            this.menuButton,
            h('a', { class: 'home', href: '#/', 'aria-label': 'Mailboat' }, icon('boat'), h('span', null, 'Mailboat')),
            this.searchBox(),
            h('div', { class: 'top-actions' }, button({ label: t('help'), icon: 'help', kind: 'icon', key: '?', class: 'help-button', onclick: () => openHelp() }), button({ label: t('settings'), icon: 'settings', kind: 'icon', class: 'settings-button', onclick: () => app.go({ kind: 'settings' }) }), account),
        );
        this.side = h(
            'nav',
            { class: 'side', 'aria-label': t('folders') },
            button({ label: t('compose'), icon: 'compose', kind: 'primary', key: 'c', class: 'compose-button', onclick: () => void app.compose({ kind: 'new' }) }),
            app.folders.element,
            button({ label: t('newFolder'), icon: 'plus', class: 'new-folder', onclick: () => void app.folders.create() }),
            this.quota,
        );
        this.scrim = h('div', { class: 'drawer-scrim', hidden: true, onclick: () => this.closeDrawer() });
        this.main = h('main', { class: 'mail', id: 'mail' }, app.list.element, this.divider(), app.reading.element);
        const floating = button({ label: t('compose'), icon: 'compose', kind: 'primary', class: 'floating-compose', onclick: () => void app.compose({ kind: 'new' }) });
        this.element = h('div', { class: 'app' }, h('a', { class: 'skip', href: '#mail', onclick: (event) => this.skip(event) }, t('skipToMail')), top, this.offline, h('div', { class: 'columns' }, this.scrim, this.side, this.main, this.settings), floating, this.live);
        app.own.on('quota', () => this.drawQuota());
        this.setPane();
    }

    private skip(event: Event): void {
        event.preventDefault();
        this.app.list.focus();
    }

    /** Whether list and reading pane are seen together. */
    get isSplit(): boolean {
        return preferences().readingPane !== 'off' && matchMedia(SPLIT).matches;
    }

    setPane(): void {
        this.element.dataset['pane'] = preferences().readingPane;
    }

    setReading(open: boolean): void {
        this.element.dataset['reading'] = open ? 'open' : 'closed';
    }

    showMail(): void {
        this.main.hidden = false;
        this.settings.hidden = true;
        this.settings.replaceChildren();
        delete this.element.dataset['settings'];
    }

    /** Makes room for the settings, and gives it. */
    showSettings(): HTMLElement {
        this.main.hidden = true;
        this.settings.hidden = false;
        this.element.dataset['settings'] = 'open';
        return this.settings;
    }

    // ---- search

    private searchBox(): HTMLElement {
        const listId = uniqueId('operators');
        const hints = h('div', { class: 'search-hints', id: listId, hidden: true }, h('p', null, t('searchHint')), h('div', { class: 'operators' }, OPERATORS.map((one) => h('button', { type: 'button', onclick: () => this.insert(one) }, one))));
        const clear = button({ label: t('clearSearch'), icon: 'close', kind: 'icon', class: 'clear-search', onclick: () => this.clearSearch() });
        const form = h(
            'form',
            {
                class: 'search',
                role: 'search',
                onsubmit: (event) => {
                    event.preventDefault();
                    later.cancel();
                    hints.hidden = true;
                    this.app.search(this.search.value);
                    this.app.list.focus();
                },
            },
            icon('search'),
            this.search,
            h('kbd', { 'aria-hidden': 'true' }, '/'),
            clear,
            hints,
        );
        this.search.setAttribute('aria-describedby', listId);
        const later = debounce(350, () => {
            if (this.search.value.trim().length > 2 && !/[:"-]$/.test(this.search.value)) this.app.search(this.search.value);
        });
        this.search.addEventListener('input', () => {
            form.classList.toggle('filled', this.search.value !== '');
            later();
        });
        this.search.addEventListener('focus', () => (hints.hidden = false));
        this.search.addEventListener('keydown', (event) => {
            if (event.key === 'Escape') {
                event.stopPropagation();
                hints.hidden = true;
                if (this.search.value) this.clearSearch();
                this.app.list.focus();
            } else if (event.key === 'ArrowDown') {
                event.preventDefault();
                this.app.list.focus();
            }
        });
        form.addEventListener('focusout', (event) => {
            if (!form.contains(event.relatedTarget as Node | null)) hints.hidden = true;
        });
        return form;
    }

    private insert(operator: string): void {
        const { value } = this.search;
        this.search.value = `${value}${value && !value.endsWith(' ') ? ' ' : ''}${operator}${operator.endsWith(':') ? '' : ' '}`;
        this.search.focus();
        this.search.dispatchEvent(new Event('input'));
    }

    private clearSearch(): void {
        this.search.value = '';
        this.search.form?.classList.remove('filled');
        this.app.search('');
    }

    /** Shows what is searched for; what is being typed stays. */
    setQuery(query: string): void {
        if (document.activeElement !== this.search) this.search.value = query;
        this.search.form?.classList.toggle('filled', this.search.value !== '');
    }

    focusSearch(): void {
        this.search.focus();
        this.search.select();
    }

    // ---- drawer, divider

    private toggleDrawer(): void {
        const open = this.element.dataset['drawer'] !== 'open';
        if (!open) return void this.closeDrawer();
        this.element.dataset['drawer'] = 'open';
        this.scrim.hidden = false;
        this.menuButton.setAttribute('aria-expanded', 'true');
        this.app.folders.focus();
    }

    /** True when it was open. */
    closeDrawer(): boolean {
        const open = this.element.dataset['drawer'] === 'open';
        delete this.element.dataset['drawer'];
        this.scrim.hidden = true;
        this.menuButton.setAttribute('aria-expanded', 'false');
        if (open && this.side.contains(document.activeElement)) this.menuButton.focus();
        return open;
    }

    /** Between list and reading pane: dragged, or moved by arrow keys; what it is set to stays in this browser. */
    private divider(): HTMLElement {
        const kept = Number(localStorage.getItem('mailboat-list-share') ?? 38);
        const set = (share: number): void => {
            const now = Math.round(Math.max(22, Math.min(70, share)));
            this.main?.style.setProperty('--list-share', String(now));
            divider.setAttribute('aria-valuenow', String(now));
            localStorage.setItem('mailboat-list-share', String(now));
        };
        const divider = h('div', { class: 'divider', role: 'separator', tabindex: '0', 'aria-label': t('divider'), 'aria-valuemin': '22', 'aria-valuemax': '70', 'aria-valuenow': String(kept), 'aria-orientation': 'vertical' });
        const move = (event: PointerEvent): void => {
            const box = this.main.getBoundingClientRect();
            if (preferences().readingPane === 'below') return set(((event.clientY - box.top) / box.height) * 100);
            const share = ((event.clientX - box.left) / box.width) * 100;
            set(document.documentElement.dir === 'rtl' ? 100 - share : share);
        };
        divider.addEventListener('pointerdown', (event) => {
            divider.setPointerCapture(event.pointerId);
            this.element.classList.add('dividing'); // frames would swallow the pointer
            divider.addEventListener('pointermove', move);
        });
        divider.addEventListener('lostpointercapture', () => {
            this.element.classList.remove('dividing');
            divider.removeEventListener('pointermove', move);
        });
        divider.addEventListener('keydown', (event) => {
            const now = Number(divider.getAttribute('aria-valuenow'));
            const forward = document.documentElement.dir === 'rtl' ? 'ArrowLeft' : 'ArrowRight';
            const backward = document.documentElement.dir === 'rtl' ? 'ArrowRight' : 'ArrowLeft';
            if (event.key === forward || event.key === 'ArrowDown') set(now + 2);
            else if (event.key === backward || event.key === 'ArrowUp') set(now - 2);
            else return;
            event.preventDefault();
            event.stopPropagation();
        });
        queueMicrotask(() => this.main.style.setProperty('--list-share', String(kept)));
        return divider;
    }

    // ---- what is said

    setOnline(online: boolean): void {
        this.offline.hidden = online;
        if (online && this.wasOffline) {
            toast({ text: t('onlineAgain') });
            this.app.refresh();
            if (this.app.list.view?.error) this.app.list.view.retry();
        }
        this.wasOffline = !online;
    }

    announce(text: string): void {
        this.live.textContent = text;
    }

    private drawQuota(): void {
        const state = this.app.quota();
        this.quota.hidden = !state;
        if (!state) return;
        const percent = Math.round(state.share * 100);
        const words = t('quotaOf', { used: formatSize(state.used), limit: formatSize(state.limit) });
        this.quota.className = `quota ${state.level}`;
        fill(
            this.quota,
            h('div', { class: 'quota-words' }, h('span', null, words), h('span', null, t('percent', { percent: formatNumber(percent) }))),
            h('div', { class: 'quota-bar', role: 'meter', 'aria-label': t('quota'), 'aria-valuemin': '0', 'aria-valuemax': '100', 'aria-valuenow': Math.min(100, percent), 'aria-valuetext': words }, h('i', { style: { 'inline-size': `${Math.min(100, percent)}%` } })),
            state.level !== 'fine' && h('p', { class: 'quota-warning' }, icon('warning'), t(state.level === 'full' ? 'quotaFull' : 'quotaHigh')),
        );
    }

    private openAccount(anchor: HTMLElement): void {
        const { theme, density, readingPane } = preferences();
        const { app } = this;
        openMenu(
            anchor,
            [
                { heading: app.ownAddress },
                { label: t('settings'), icon: 'settings', run: () => app.go({ kind: 'settings' }) },
                { label: t('shortcuts'), icon: 'help', key: '?', run: () => openHelp() },
                'separator',
                { heading: t('theme') },
                ...(['auto', 'light', 'dark'] as const).map((one) => ({ label: t(`theme_${one}`), checked: theme === one, run: () => void app.prefer({ theme: one }) })),
                { heading: t('density') },
                ...(['comfortable', 'compact'] as const).map((one) => ({ label: t(`density_${one}`), checked: density === one, run: () => void app.prefer({ density: one }) })),
                { heading: t('readingPane') },
                ...(['right', 'below', 'off'] as const).map((one) => ({ label: t(`pane_${one}`), checked: readingPane === one, run: () => void app.prefer({ readingPane: one }) })),
                'separator',
                { label: t('signOut'), icon: 'signOut', run: () => void app.signOut() },
            ],
            { label: t('accountOf', { name: app.client.signIn.name }) },
        );
    }
}
