// The draft on the server follows what is written: within five seconds of a pause there is a new version, and the one before it is gone.
import { type Client, type Id, JmapError, type SetError, type SetResponse } from '../jmap.ts';

export type SaveState = 'clean' | 'dirty' | 'saving' | 'saved' | 'failed';

export interface KeeperHooks {
    /** The Email object to create; null when there is nothing to keep. */
    email(): Promise<Record<string, unknown> | null>;
    /** What decides whether there is something new. */
    fingerprint(): string;
    state(state: SaveState, error: SetError | JmapError | null): void;
    /** The id of the version that is stored now; null when none is. */
    stored(id: Id | null): void;
}

/** After the last change, milliseconds. */
const PAUSE = 2000;
/** Who writes without a pause is saved this often. */
const LONGEST = 12_000;
const AGAIN = 10_000;

export class DraftKeeper {
    private timer: ReturnType<typeof setTimeout> | undefined;
    private firstChange = 0;
    private savedPrint: string;
    private saving: Promise<void> | null = null;
    private old: Id[] = [];
    private stopped = false;

    constructor(
        private readonly client: Client,
        private readonly hooks: KeeperHooks,
        private draftId: Id | null,
    ) {
        this.savedPrint = hooks.fingerprint();
    }

    get id(): Id | null {
        return this.draftId;
    }

    get isDirty(): boolean {
        return this.hooks.fingerprint() !== this.savedPrint;
    }

    /** Something may have changed. */
    touch(): void {
        if (this.stopped) return;
        const now = performance.now();
        if (this.firstChange === 0) {
            // To compare costs as much as the text is long: once for each version, not for each key.
            if (!this.isDirty) return;
            this.firstChange = now;
            this.hooks.state('dirty', null);
        }
        clearTimeout(this.timer);
        this.timer = setTimeout(() => void this.save().catch(() => undefined), Math.max(0, Math.min(PAUSE, this.firstChange + LONGEST - now)));
    }

    /** Saves what is new; one save at a time. */
    async save(): Promise<void> {
        clearTimeout(this.timer);
        while (this.saving) await this.saving.catch(() => undefined);
        if (this.stopped) return;
        if (!this.isDirty) {
            this.firstChange = 0;
            return;
        }
        this.saving = this.write();
        try {
            await this.saving;
        } finally {
            this.saving = null;
        }
        if (this.isDirty) this.touch();
    }

    private async write(): Promise<void> {
        this.firstChange = 0;
        const print = this.hooks.fingerprint();
        this.hooks.state('saving', null);
        try {
            const email = await this.hooks.email();
            if (email === null) {
                this.savedPrint = print;
                return this.hooks.state('clean', null);
            }
            await this.replace(email);
            this.savedPrint = print;
            this.hooks.state('saved', null);
        } catch (error) {
            this.hooks.state('failed', error as SetError);
            this.timer = setTimeout(() => void this.save().catch(() => undefined), AGAIN);
            throw error;
        }
    }

    /** The new version first, then the old goes: whatever happens in between, the text is there. */
    private async replace(email: Record<string, unknown>): Promise<void> {
        const response = await this.client.call<SetResponse<{ id: Id }>>('Email/set', { create: { draft: email } });
        const created = response.created?.['draft'];
        if (!created) throw response.notCreated?.['draft'] ?? new JmapError('method', 'serverFail');
        if (this.draftId) this.old.push(this.draftId);
        this.draftId = created.id;
        this.hooks.stored(created.id);
        await this.dropOld();
    }

    private async dropOld(): Promise<void> {
        const gone = this.old;
        if (gone.length === 0) return;
        try {
            await this.client.call<SetResponse>('Email/set', { destroy: gone });
            this.old = this.old.filter((id) => !gone.includes(id));
        } catch {
            // with the next version
        }
    }

    /** The message has gone out, or another is the draft now: nothing is saved any more. */
    async stop(): Promise<void> {
        this.stopped = true;
        clearTimeout(this.timer);
        await this.saving?.catch(() => undefined);
    }

    /** Stops, and takes the stored version away. */
    async discard(): Promise<void> {
        await this.stop();
        if (this.draftId) this.old.push(this.draftId);
        this.draftId = null;
        this.hooks.stored(null);
        await this.dropOld();
    }
}
