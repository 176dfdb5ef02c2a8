// Settings. The seam with the rest: the application opens them through import('./settings/settings.ts').

import type { Client } from '../jmap.ts';
import type { Store } from '../store.ts';

export interface SettingsContext {
    client: Client;
    store: Store;
    /** Goes back to the mail. */
    close(): void;
}

/** Fills `container` (the place of list and reading pane) with the settings; `section` is the rest of the address, e.g. `vacation`. */
export async function openSettings(_context: SettingsContext, _container: HTMLElement, _section?: string): Promise<void> {}
