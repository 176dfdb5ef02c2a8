// The client of the JMAP API (RFC 8620): calls batched into few requests, result references, upload with progress, download
// addresses, push by EventSource held by one tab for all, and a session that is renewed under the user's hands when it has ended.

export type Id = string;
export type State = string;

/** RFC 8620 §2, as far as it is used. Addresses are templates of RFC 6570, level 1. */
export interface Session {
    accounts: Record<Id, { name: string; isReadOnly: boolean; accountCapabilities: Record<string, unknown> }>;
    primaryAccounts: Record<string, Id>;
    capabilities: Record<string, Record<string, unknown>>;
    username: string;
    apiUrl: string;
    downloadUrl: string;
    uploadUrl: string;
    eventSourceUrl: string;
    state: string;
}

/** What `/auth/session` and `/auth/sign-in` say. */
export interface SignIn {
    uid: string;
    name: string;
    /** The user's own address. */
    email?: string;
    /** preferredLanguage. */
    language?: string | null;
    /** Goes into X-Mailboat-Token of every request that changes something. */
    token: string;
    expires?: string;
}

export type ErrorKind =
    | 'network' // the server was not reached; what was asked may or may not have happened
    | 'signed-out' // the session ended and was not renewed
    | 'problem' // the request was refused as a whole (RFC 8620 §3.6.1), or HTTP said no
    | 'method' // one method call failed (§3.6.2)
    | 'set'; // one object was not created, updated or destroyed (§5.3)

export class JmapError extends Error {
    constructor(
        readonly kind: ErrorKind,
        /** The error's type without `urn:ietf:params:jmap:error:`, e.g. `overQuota`; for HTTP, the status. */
        readonly type: string,
        readonly detail = '',
    ) {
        super(detail ? `${type}: ${detail}` : type);
    }
}

export const CAPABILITIES = {
    core: 'urn:ietf:params:jmap:core',
    mail: 'urn:ietf:params:jmap:mail',
    submission: 'urn:ietf:params:jmap:submission',
    vacation: 'urn:ietf:params:jmap:vacationresponse',
    quota: 'urn:ietf:params:jmap:quota',
    account: 'urn:x-mailboat:jmap:account',
} as const;

export type Arguments = Readonly<Record<string, unknown>>;
/** `{ resultOf, name, path }` of RFC 8620 §3.7, for an argument whose name begins with #. */
export interface ResultReference {
    resultOf: string;
    name: string;
    path: string;
}

/** A call in a batch: its answer, and references into it for later calls of the same batch. */
export interface Call<T> {
    readonly result: Promise<T>;
    ref(path: string): ResultReference;
}

interface Pending {
    name: string;
    args: Arguments;
    id: string;
    resolve(value: unknown): void;
    reject(reason: unknown): void;
}

/** Calls that go in one request, in order. */
export class Batch {
    private readonly calls: Pending[] = [];

    constructor(private readonly client: Client) {}

    /** Adds a call; `accountId` is put in. The answer comes after `send`. */
    call<T>(name: string, args: Arguments): Call<T> {
        const id = `c${this.calls.length}`;
        const result = new Promise<T>((resolve, reject) => {
            this.calls.push({ name, args, id, resolve: resolve as (value: unknown) => void, reject });
        });
        result.catch(() => undefined); // whoever wants the answer awaits it; a failure nobody asked about is not an unhandled one
        return { result, ref: (path) => ({ resultOf: id, name, path }) };
    }

    get size(): number {
        return this.calls.length;
    }

    /** Sends the calls; rejects when the request as a whole fails. Each call's own failure is in its `result`. */
    async send(signal?: AbortSignal): Promise<void> {
        if (this.calls.length === 0) return;
        try {
            const responses = await this.client.post(
                this.calls.map(({ name, args, id }) => [name, { accountId: this.client.accountId, ...args }, id]),
                signal,
            );
            const byId = new Map<string, [string, Record<string, unknown>]>();
            for (const [name, args, id] of responses) if (!byId.has(id)) byId.set(id, [name, args]);
            for (const call of this.calls) settle(call, byId.get(call.id));
        } catch (error) {
            for (const call of this.calls) call.reject(error);
            throw error;
        }
    }
}

function settle(call: Pending, response: [string, Record<string, unknown>] | undefined): void {
    if (!response) call.reject(new JmapError('method', 'serverFail', `no answer to ${call.name}`));
    else if (response[0] === 'error') call.reject(new JmapError('method', String(response[1]['type']), String(response[1]['description'] ?? '')));
    else call.resolve(response[1]);
}

export interface GetResponse<T> {
    accountId: Id;
    state: State;
    list: T[];
    notFound: Id[];
}
export interface SetError {
    type: string;
    description?: string;
    properties?: string[];
}
export interface SetResponse<T = Record<string, unknown>> {
    oldState: State | null;
    newState: State;
    created?: Record<Id, T> | null;
    updated?: Record<Id, Partial<T> | null> | null;
    destroyed?: Id[] | null;
    notCreated?: Record<Id, SetError> | null;
    notUpdated?: Record<Id, SetError> | null;
    notDestroyed?: Record<Id, SetError> | null;
}
export interface QueryResponse {
    queryState: State;
    canCalculateChanges: boolean;
    position: number;
    ids: Id[];
    total?: number;
    limit?: number;
}
/** RFC 8620 §5.6. */
export interface QueryChangesResponse {
    oldQueryState: State;
    newQueryState: State;
    total?: number;
    removed: Id[];
    /** Ascending by index. */
    added: { id: Id; index: number }[];
}
export interface ChangesResponse {
    oldState: State;
    newState: State;
    hasMoreChanges: boolean;
    created: Id[];
    updated: Id[];
    destroyed: Id[];
}

/** The first error of a /set answer, as one that can be thrown; undefined when all went well. */
export function firstSetError(response: SetResponse<never> | SetResponse): JmapError | undefined {
    for (const failures of [response.notCreated, response.notUpdated, response.notDestroyed]) {
        for (const failure of Object.values(failures ?? {})) return new JmapError('set', failure.type, failure.description ?? '');
    }
    return undefined;
}

export interface Upload {
    accountId: Id;
    blobId: Id;
    type: string;
    size: number;
}

/** What changed, by type name (`Email`, `Mailbox`, ...): the new states (RFC 8620 §7.1). */
export type Changed = Readonly<Record<string, State>>;

export class Client {
    session!: Session;
    /** Called when the session object is another than the one that was read (RFC 8620 §3.4). */
    onSession: (() => void) | undefined;
    private waiting: Batch | undefined;
    private renewal: Promise<void> | undefined;

    /**
     * `signIn` is what /auth/session said. `renew` asks the user to sign in again and resolves with the new session; every request that met
     * the end of the old one waits for it and is then sent again, so that nothing typed is lost.
     */
    constructor(
        public signIn: SignIn,
        private readonly renew: () => Promise<SignIn>,
    ) {}

    /** Reads the session object, from `asked` if that was answered; to be awaited before anything else. */
    async start(asked?: Promise<Response | undefined>): Promise<void> {
        const early = await asked;
        this.session = (await (early?.ok ? early : await this.fetch('/jmap/session', {})).json()) as Session;
    }

    /** The accounts of others in which the user was given something (RFC 8620 §1.6.2), by name. */
    get sharedAccounts(): [Id, string][] {
        const accounts = Object.entries(this.session.accounts).filter(([id]) => id !== this.accountId);
        return accounts.map(([id, { name }]): [Id, string] => [id, name]).sort((a, b) => a[1].localeCompare(b[1]));
    }

    /** The same session, for calls about another account. */
    forAccount(accountId: Id): Client {
        const root = this;
        return Object.create(this, {
            accountId: { value: accountId },
            waiting: { value: undefined, writable: true },
            fetch: { value: (url: string, init: RequestInit) => root.fetch(url, init) },
        }) as Client;
    }

    get accountId(): Id {
        return this.session.primaryAccounts[CAPABILITIES.mail] ?? Object.keys(this.session.accounts)[0] ?? this.signIn.uid;
    }

    /** A limit of the core capability (RFC 8620 §2), e.g. `maxObjectsInSet`. */
    limit(name: string, otherwise: number): number {
        const value = this.session.capabilities[CAPABILITIES.core]?.[name];
        return typeof value === 'number' && value > 0 ? value : otherwise;
    }

    /** Whether the server has a capability of CAPABILITIES. */
    has(capability: keyof typeof CAPABILITIES): boolean {
        return CAPABILITIES[capability] in this.session.capabilities;
    }

    batch(): Batch {
        return new Batch(this);
    }

    /** One call. Calls made in the same turn of the event loop travel in one request. */
    call<T>(name: string, args: Arguments): Promise<T> {
        if (!this.waiting) {
            const batch = this.batch();
            this.waiting = batch;
            queueMicrotask(() => {
                this.waiting = undefined;
                batch.send().catch(() => undefined);
            });
        }
        const call = this.waiting.call<T>(name, args);
        if (this.waiting.size >= this.limit('maxCallsInRequest', 16)) {
            const full = this.waiting;
            this.waiting = undefined;
            queueMicrotask(() => full.send().catch(() => undefined));
        }
        return call.result;
    }

    /** Method calls as RFC 8620 §3.3 writes them, to method responses (§3.4). */
    async post(methodCalls: unknown[], signal?: AbortSignal): Promise<[string, Record<string, unknown>, string][]> {
        const using = Object.values(CAPABILITIES).filter((one) => one in this.session.capabilities);
        const response = await this.fetch(this.session.apiUrl, {
            method: 'POST',
            headers: { 'Content-Type': 'application/json' },
            body: JSON.stringify({ using, methodCalls }),
            ...(signal ? { signal } : {}),
        });
        const { methodResponses, sessionState } = (await response.json()) as { methodResponses: [string, Record<string, unknown>, string][]; sessionState?: string };
        if (sessionState !== undefined && sessionState !== this.session.state) this.onSession?.();
        return methodResponses;
    }

    /** fetch with the token; renews the session when it has ended; throws a JmapError for everything that is not a success. */
    async fetch(url: string, init: RequestInit, again = true): Promise<Response> {
        let response: Response;
        const headers = new Headers(init.headers);
        if (init.method && init.method !== 'GET') headers.set('X-Mailboat-Token', this.signIn.token);
        try {
            response = await fetch(url, { ...init, headers, credentials: 'same-origin' });
        } catch (error) {
            if (error instanceof DOMException && error.name === 'AbortError') throw error;
            reachable(false);
            throw new JmapError('network', 'unreachable');
        }
        reachable(true);
        if (response.ok) return response;
        if ((response.status === 401 || response.status === 403) && again) {
            await this.renewed(response.status === 403);
            return this.fetch(url, init, false);
        }
        throw await problem(response);
    }

    /** Resolves once there is a session again. Another tab may have signed in already: then only the token is new. */
    private renewed(onlyToken: boolean): Promise<void> {
        this.renewal ??= (async () => {
            try {
                const current = await fetch('/auth/session', { credentials: 'same-origin' }).catch(() => undefined);
                const signIn = current?.ok ? ((await current.json()) as SignIn | null) : null;
                if (signIn?.uid === this.signIn.uid) {
                    this.signIn = signIn;
                    return;
                }
                if (onlyToken && signIn) throw new JmapError('signed-out', 'otherUser');
                this.signIn = await this.renew();
            } finally {
                this.renewal = undefined;
            }
        })();
        return this.renewal;
    }

    /** The size a file may have, bytes; to be looked at before the first byte is sent. */
    get maxSizeUpload(): number {
        return this.limit('maxSizeUpload', 50_000_000);
    }

    /** Uploads `file` (RFC 8620 §6.1). `progress` is called with the bytes sent and all bytes. */
    async upload(file: Blob, options: { progress?: (sent: number, total: number) => void; signal?: AbortSignal } = {}, again = true): Promise<Upload> {
        if (file.size > this.maxSizeUpload) throw new JmapError('problem', 'tooLarge');
        const { status, body } = await this.sendFile(file, options);
        if (status === 200 || status === 201) return JSON.parse(body) as Upload;
        if ((status === 401 || status === 403) && again) {
            await this.renewed(status === 403);
            return this.upload(file, options, false);
        }
        throw problemOf(status, body);
    }

    /** XMLHttpRequest, because fetch tells nothing of the progress of what it sends. */
    private sendFile(file: Blob, { progress, signal }: { progress?: (sent: number, total: number) => void; signal?: AbortSignal }): Promise<{ status: number; body: string }> {
        return new Promise((resolve, reject) => {
            const request = new XMLHttpRequest();
            const stop = (): void => request.abort();
            const aborted = (): void => reject(new DOMException('the upload was cancelled', 'AbortError'));
            if (signal?.aborted) return aborted();
            request.open('POST', this.expand(this.session.uploadUrl, {}));
            request.setRequestHeader('Content-Type', file.type || 'application/octet-stream');
            request.setRequestHeader('X-Mailboat-Token', this.signIn.token);
            request.upload.onprogress = (event) => progress?.(event.loaded, event.total);
            request.onload = () => resolve({ status: request.status, body: request.responseText });
            request.onerror = () => reject(new JmapError('network', 'unreachable'));
            request.onabort = aborted;
            request.onloadend = () => signal?.removeEventListener('abort', stop);
            signal?.addEventListener('abort', stop);
            request.send(file);
        });
    }

    /** Where a blob can be had as a file of that name and media type (RFC 8620 §6.2). */
    downloadUrl(blobId: Id, name: string, type = 'application/octet-stream'): string {
        return this.expand(this.session.downloadUrl, { blobId, name: name.replaceAll(/[/\\]/g, '_') || 'file', type });
    }

    /** All that is attached to the message of a blob, as one archive. */
    archiveUrl(blobId: Id, name: string): string {
        return `/jmap/archive/${[this.accountId, blobId, name].map(encodeURIComponent).join('/')}`;
    }

    /** Where the message is shown as a page of its own, for a frame. */
    messageUrl(emailId: Id, images: boolean): string {
        return `/message/${encodeURIComponent(this.accountId)}/${encodeURIComponent(emailId)}?images=${images ? 1 : 0}`;
    }

    private expand(template: string, values: Record<string, string>): string {
        const all: Record<string, string> = { accountId: this.accountId, ...values };
        return template.replaceAll(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(all[name] ?? ''));
    }

    /**
     * Calls `changed` when something of the accounts has changed, with null when it is not known what, whichever tab hears of it. One tab at a
     * time holds the stream and tells the others (BroadcastChannel): a browser opens six connections to a host, and eight tabs must not use them up.
     */
    push(types: readonly string[], changed: (accounts: Readonly<Record<Id, Changed>> | null) => void): void {
        const name = `mailboat-push-${this.accountId}`;
        const channel = new BroadcastChannel(name);
        channel.onmessage = (event: MessageEvent<Readonly<Record<Id, Changed>> | null>) => changed(event.data);
        const listen = (until?: AbortSignal): void =>
            this.listen(
                types,
                (accounts) => {
                    changed(accounts);
                    channel.postMessage(accounts);
                },
                until,
            );
        if (navigator.locks) {
            void navigator.locks.request(name, () => {
                listen();
                return new Promise<never>(() => undefined); // until the tab closes
            });
        } else lastShown(name, listen);
    }

    private listen(types: readonly string[], changed: (accounts: Readonly<Record<Id, Changed>> | null) => void, until?: AbortSignal, pause = 1000): void {
        if (until?.aborted) return;
        const source = new EventSource(this.expand(this.session.eventSourceUrl, { types: types.join(','), closeafter: 'no', ping: '60' }));
        until?.addEventListener('abort', () => source.close());
        let wait = pause;
        let last = '';
        source.addEventListener('state', (event: MessageEvent<string>) => {
            const { changed: accounts } = JSON.parse(event.data) as { changed: Record<Id, Changed> };
            changed(accounts);
            last = event.lastEventId;
        });
        source.onopen = () => {
            reachable(true);
            // What came while the stream was down is looked up once: states are compared by whoever listens.
            if (wait > 1000 || last) changed(null);
            wait = 1000;
        };
        source.onerror = () => {
            if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
            source.close();
            setTimeout(() => this.listen(types, changed, until, Math.min(wait * 2, 60_000)), wait);
            // The reason may be that the session has ended: a request finds out, and renews it.
            void this.fetch('/jmap/session', {}).catch(() => undefined);
        };
    }
}

/**
 * Calls `hold` in the tab that was shown last, and ends it when another one is: for pages without Web Locks, which need a secure context. A
 * stream begins with the states that are, so nothing is missed while one tab takes over from another.
 */
function lastShown(name: string, hold: (until: AbortSignal) => void): void {
    const channel = new BroadcastChannel(`${name}-holder`);
    let held: AbortController | undefined;
    channel.onmessage = () => {
        held?.abort();
        held = undefined;
    };
    const take = (): void => {
        if (document.visibilityState !== 'visible' || held) return;
        channel.postMessage('taken');
        held = new AbortController();
        hold(held.signal);
    };
    document.addEventListener('visibilitychange', take);
    take();
}

async function problem(response: Response): Promise<JmapError> {
    return problemOf(response.status, await response.text().catch(() => ''));
}

function problemOf(status: number, body: string): JmapError {
    try {
        const { type, detail } = JSON.parse(body) as { type?: string; detail?: string };
        if (type) return new JmapError(status === 401 ? 'signed-out' : 'problem', type.replace('urn:ietf:params:jmap:error:', ''), detail ?? '');
    } catch {
        // not a problem document (RFC 7807): the status has to do
    }
    return new JmapError(status === 401 ? 'signed-out' : 'problem', String(status));
}

let online = true;
const watchers = new Set<(online: boolean) => void>();

function reachable(now: boolean): void {
    if (now === online) return;
    online = now;
    for (const watcher of watchers) watcher(now);
}

/** Calls `watcher` when the server is lost and when it is found again. */
export function watchReachable(watcher: (online: boolean) => void): void {
    watchers.add(watcher);
    if (watchers.size === 1) {
        addEventListener('offline', () => reachable(false));
        addEventListener('online', () => void fetch('/auth/session').then(() => reachable(true)).catch(() => undefined));
    }
}
