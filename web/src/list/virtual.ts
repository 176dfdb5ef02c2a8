// A scroller that shows any part of a very long list with a few dozen elements: rows of one height, the row of index i in element
// i modulo the pool, so that a step of one row draws one row. Above what a browser can lay out the scroll position is scaled.

import { h } from '../dom.ts';

/** Chromium lays out some 33 million pixels, Firefox 17; a list of more rows than that is scaled. */
const HEIGHT_MAX = 12_000_000;
const OVERSCAN = 4;

export interface VirtualOptions {
    /** Makes an element, empty. */
    create: () => HTMLElement;
    /** Shows row `index` in an element of `create`. */
    draw: (element: HTMLElement, index: number) => void;
    /** Rows `first` to `last` are on screen. */
    visible: (first: number, last: number) => void;
}

export class VirtualList {
    readonly scroller: HTMLElement;
    private readonly canvas: HTMLElement;
    private pool: HTMLElement[] = [];
    private drawn: number[] = [];
    private total = 0;
    private rowHeight = 64;
    private height = 0;
    private frame = 0;
    private first = -1;
    private last = -1;

    constructor(
        scroller: HTMLElement,
        private readonly options: VirtualOptions,
    ) {
        this.scroller = scroller;
        this.canvas = h('div', { class: 'list-canvas', role: 'presentation' });
        scroller.append(this.canvas);
        scroller.addEventListener('scroll', () => this.schedule(), { passive: true });
        new ResizeObserver(() => this.resize()).observe(scroller);
    }

    private get full(): number {
        return this.total * this.rowHeight;
    }

    private get scaled(): number {
        return Math.min(this.full, HEIGHT_MAX);
    }

    /** Pixels above the first visible one, of the whole list. */
    private get offset(): number {
        const room = this.scaled - this.height;
        return room <= 0 ? 0 : (this.scroller.scrollTop / room) * Math.max(0, this.full - this.height);
    }

    private set offset(pixels: number) {
        const room = Math.max(1, this.full - this.height);
        this.scroller.scrollTop = (Math.max(0, Math.min(pixels, room)) / room) * Math.max(0, this.scaled - this.height);
    }

    /** How many rows there are; `shift` of them came above those on screen, which stay where they are, unless the list is at its top. */
    setTotal(total: number, shift = 0): void {
        const before = this.offset;
        this.total = total;
        this.canvas.style.height = `${this.scaled}px`;
        if (shift !== 0 && before > 0) this.offset = before + shift * this.rowHeight;
        this.redraw();
    }

    /** Takes the height of rows from the style sheet again, after density or width changed. */
    resize(): void {
        const top = this.rowHeight > 0 ? this.offset / this.rowHeight : 0;
        const height = parseFloat(getComputedStyle(this.scroller).getPropertyValue('--row')) || 64;
        const changed = height !== this.rowHeight;
        this.rowHeight = height;
        this.height = this.scroller.clientHeight;
        if (this.height === 0) return;
        const wanted = Math.ceil(this.height / height) + 1 + 2 * OVERSCAN;
        while (this.pool.length < wanted) {
            const element = this.options.create();
            this.pool.push(element);
            this.canvas.append(element);
        }
        for (const element of this.pool.splice(wanted)) element.remove();
        this.canvas.style.height = `${this.scaled}px`;
        if (changed) this.offset = top * height;
        this.redraw();
    }

    private schedule(): void {
        this.frame ||= requestAnimationFrame(() => {
            this.frame = 0;
            this.draw();
        });
    }

    /** Draws every row again. */
    redraw(): void {
        this.drawn = [];
        this.first = -1;
        this.draw();
    }

    /** Draws those of `indexes` that are on screen again. */
    redrawRows(matches: (index: number) => boolean): void {
        this.drawn.forEach((index, slot) => {
            const element = this.pool[slot];
            if (element && index >= 0 && matches(index)) this.options.draw(element, index);
        });
    }

    private draw(): void {
        if (this.pool.length === 0) return;
        const { offset, rowHeight } = this;
        const first = Math.max(0, Math.floor(offset / rowHeight));
        const last = Math.min(this.total - 1, Math.floor((offset + this.height - 1) / rowHeight));
        const from = Math.max(0, first - OVERSCAN);
        const shift = this.scroller.scrollTop - offset; // zero unless the list is scaled
        const used = new Set<number>();
        for (let index = from; index < Math.min(this.total, from + this.pool.length); index += 1) {
            const slot = index % this.pool.length;
            const element = this.pool[slot];
            if (!element) continue;
            used.add(slot);
            element.style.transform = `translateY(${Math.round(index * rowHeight + shift)}px)`;
            if (this.drawn[slot] !== index) {
                this.drawn[slot] = index;
                element.hidden = false;
                this.options.draw(element, index);
            }
        }
        this.pool.forEach((element, slot) => {
            if (!used.has(slot)) {
                element.hidden = true;
                this.drawn[slot] = -1;
            }
        });
        if (first !== this.first || last !== this.last) {
            this.first = first;
            this.last = last;
            if (last >= first) this.options.visible(first, last);
        }
    }

    /** The element that shows row `index`, if it is drawn. */
    element(index: number): HTMLElement | undefined {
        const slot = this.drawn.indexOf(index);
        return slot < 0 ? undefined : this.pool[slot];
    }

    /** Rows that fit on the screen. */
    get page(): number {
        return Math.max(1, Math.floor(this.height / this.rowHeight) - 1);
    }

    /** Scrolls as little as needed to show row `index`; `start` puts it at the top. */
    reveal(index: number, where: 'nearest' | 'start' | 'centre' = 'nearest'): void {
        const top = index * this.rowHeight;
        const { offset } = this;
        if (where === 'start') this.offset = top;
        else if (where === 'centre') this.offset = top - this.height / 2 + this.rowHeight / 2;
        else if (top < offset) this.offset = top;
        else if (top + this.rowHeight > offset + this.height) this.offset = top + this.rowHeight - this.height;
        this.draw();
    }
}
