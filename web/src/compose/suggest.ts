// Who could be meant: `Recipient/query`, asked at most once for the same text, the last question alone being waited for.
import type { Client } from '../jmap.ts';
import type { Address } from './address.ts';

export interface Suggestion extends Address {
    source: 'directory' | 'own';
}

interface Answer {
    list: { name: string | null; email: string; source: 'directory' | 'own' }[];
}

const MOST = 8;
const KEPT = 200;

export class Suggestions {
    private readonly kept = new Map<string, Suggestion[]>();
    private asked = 0;

    constructor(private readonly client: Client) {}

    /** Up to eight for `text`; null when a later question was asked meanwhile or the server has no such method. */
    async find(text: string): Promise<Suggestion[] | null> {
        const asked = ++this.asked;
        const key = text.trim().toLowerCase();
        const known = this.kept.get(key);
        if (key === '' || known) return known ?? [];
        try {
            const { list } = await this.client.call<Answer>('Recipient/query', { text: text.trim(), limit: MOST });
            const found = list.map(({ name, email, source }) => ({ name: name || null, email, source }));
            if (this.kept.size >= KEPT) this.kept.clear();
            this.kept.set(key, found);
            return asked === this.asked ? found : null;
        } catch {
            return null;
        }
    }

    forget(): void {
        this.asked += 1;
    }
}
