// Undo for an editing area whatever changes it: typing, commands of the browser, our own changes of nodes. What happened is
// taken from a MutationObserver and played backwards, so a step costs what it changed and not the size of the text.

interface Selected {
    anchor: Node;
    anchorOffset: number;
    focus: Node;
    focusOffset: number;
}

interface Change {
    record: MutationRecord;
    /** Text or attribute after the change, known once it was undone. */
    after: string | null;
}

interface Step {
    kind: string;
    changes: Change[];
    before: Selected | null;
    after: Selected | null;
}

/** Typing is undone in pieces that lie this far apart, in milliseconds. */
const PAUSE = 900;
const MOST_STEPS = 300;
const MOST_CHANGES = 50_000;

export class UndoLog {
    private readonly observer = new MutationObserver((records) => this.add(records));
    private done: Step[] = [];
    private undone: Step[] = [];
    private current: Step | null = null;
    private last = 0;

    constructor(
        private readonly root: HTMLElement,
        private readonly changed: () => void,
    ) {
        this.observe();
    }

    /** Begins a step, or goes on with the current one when it is of the same kind and young. To be called before a change. */
    begin(kind: string): void {
        this.flush();
        const now = performance.now();
        const goesOn = this.current !== null && this.current.kind === kind && kind.startsWith('type') && now - this.last < PAUSE;
        this.last = now;
        if (!goesOn) this.current = { kind, changes: [], before: this.selection(), after: null };
    }

    /** Ends the step, so that the next change is one of its own. */
    end(): void {
        this.flush();
        this.current = null;
    }

    /** Forgets everything: what is shown now is the beginning. */
    reset(): void {
        this.observer.takeRecords();
        this.done = [];
        this.undone = [];
        this.current = null;
        this.changed();
    }

    get canUndo(): boolean {
        return this.done.length > 0;
    }

    get canRedo(): boolean {
        return this.undone.length > 0;
    }

    undo(): void {
        this.end();
        const step = this.done.pop();
        if (!step) return;
        this.quietly(() => [...step.changes].reverse().forEach(revert));
        this.undone.push(step);
        this.select(step.before);
        this.changed();
    }

    redo(): void {
        this.end();
        const step = this.undone.pop();
        if (!step) return;
        this.quietly(() => step.changes.forEach(repeat));
        this.done.push(step);
        this.select(step.after);
        this.changed();
    }

    stop(): void {
        this.observer.disconnect();
    }

    private observe(): void {
        this.observer.observe(this.root, {
            childList: true,
            characterData: true,
            attributes: true,
            characterDataOldValue: true,
            attributeOldValue: true,
            subtree: true,
        });
    }

    private quietly(change: () => void): void {
        this.observer.disconnect();
        change();
        this.observe();
    }

    private flush(): void {
        this.add(this.observer.takeRecords());
    }

    private add(records: MutationRecord[]): void {
        const own = records.filter((r) => r.target !== this.root || r.type !== 'attributes');
        if (own.length === 0) return;
        this.current ??= { kind: 'other', changes: [], before: this.selection(), after: null };
        if (this.done[this.done.length - 1] !== this.current) this.done.push(this.current);
        this.current.changes.push(...own.map((record) => ({ record, after: null })));
        this.current.after = this.selection();
        this.undone = [];
        this.bound();
        this.changed();
    }

    private bound(): void {
        let changes = this.done.reduce((sum, step) => sum + step.changes.length, 0);
        while (this.done.length > 1 && (this.done.length > MOST_STEPS || changes > MOST_CHANGES)) {
            changes -= this.done.shift()?.changes.length ?? 0;
        }
    }

    private selection(): Selected | null {
        const found = document.getSelection();
        if (!found?.anchorNode || !found.focusNode || !this.root.contains(found.anchorNode)) return null;
        return { anchor: found.anchorNode, anchorOffset: found.anchorOffset, focus: found.focusNode, focusOffset: found.focusOffset };
    }

    private select(to: Selected | null): void {
        if (!to || !this.root.contains(to.anchor) || !this.root.contains(to.focus)) return;
        const within = (node: Node, offset: number) => Math.min(offset, node.nodeType === 3 ? (node.nodeValue ?? '').length : node.childNodes.length);
        document.getSelection()?.setBaseAndExtent(to.anchor, within(to.anchor, to.anchorOffset), to.focus, within(to.focus, to.focusOffset));
    }
}

function revert(change: Change): void {
    const { record } = change;
    if (record.type === 'childList') {
        replace(record.target, record.addedNodes, record.removedNodes, record.nextSibling);
    } else {
        change.after = read(record);
        write(record, record.oldValue);
    }
}

function repeat(change: Change): void {
    const { record } = change;
    if (record.type === 'childList') replace(record.target, record.removedNodes, record.addedNodes, record.nextSibling);
    else write(record, change.after);
}

function replace(target: Node, gone: NodeList, back: NodeList, next: Node | null): void {
    for (const node of Array.from(gone)) if (node.parentNode === target) target.removeChild(node);
    const before = next?.parentNode === target ? next : null;
    for (const node of Array.from(back)) target.insertBefore(node, before);
}

function read(record: MutationRecord): string | null {
    return record.type === 'characterData' ? record.target.nodeValue : (record.target as Element).getAttribute(record.attributeName ?? '');
}

function write(record: MutationRecord, value: string | null): void {
    if (record.type === 'characterData') {
        record.target.nodeValue = value;
        return;
    }
    const element = record.target as HTMLElement;
    const name = record.attributeName ?? '';
    if (name === 'style') element.style.cssText = value ?? '';
    else if (value === null) element.removeAttribute(name);
    else element.setAttribute(name, value);
}
