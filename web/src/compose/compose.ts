// Compose. The seam with the rest: the application opens it through import('./compose/compose.ts').

import type { Client, Id } from '../jmap.ts';
import type { Store } from '../store.ts';

/** What compose is given by the application. */
export interface ComposeContext {
    client: Client;
    store: Store;
}

export interface ComposeRequest {
    kind: 'new' | 'reply' | 'replyAll' | 'forward' | 'draft';
    /** The message that is answered, forwarded, or the draft that is continued. */
    emailId?: Id;
    /** Addresses, for a new message (mailto links, "write to"). */
    to?: string[];
    subject?: string;
    body?: string;
}

/** Opens a window for a message over the application. Several may be open. */
export async function openCompose(_context: ComposeContext, _request: ComposeRequest): Promise<void> {}
