// The one place where HTML of others is parsed in the page: into a document that is never shown, runs nothing and loads
// nothing. What is read out of it goes through clean.ts, which names everything that may stand in a message; no node of it
// ever becomes part of the page.

interface Policy {
    createHTML(html: string): string;
}
interface Factory {
    createPolicy(name: string, rules: Policy): Policy;
}

let policy: Policy | null = null;

/**
 * `html` as an inert document. Require-trusted-types-for asks for a policy before it lets DOMParser read a string, and the policy for
 * styles and scripts would be asked
 * about every style and handler of it, and complain: sheets go before, style attributes are called data-css, handlers data-on.
 */
export function parseInert(html: string): Document {
    const factory = (globalThis as { trustedTypes?: Factory }).trustedTypes;
    policy ??= factory?.createPolicy('mailboat-inert-document', { createHTML: (text) => text }) ?? { createHTML: (text) => text };
    return new DOMParser().parseFromString(policy.createHTML(withoutStyles(html)), 'text/html');
}

/** What this misses is left out, or complained about, later: nothing here makes anything safe. */
export function withoutStyles(html: string): string {
    return html
        .replace(/<style\b[\s\S]*?(?:<\/style\s*>|$)/gi, '')
        .replace(/<[a-z](?:"[^"]*"|'[^']*'|[^'"<>])*>/gi, (tag) => tag.replace(/([\s"'/])style(\s*=)/gi, '$1data-css$2').replace(/([\s"'/])on(?=\w+\s*=)/gi, '$1data-on'))
        .replace(/<(?:base|meta|link)\b[^>]*>/gi, '');
}
