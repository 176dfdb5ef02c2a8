// The objects of RFC 8621 (and of our own capability), as far as the web mail uses them.

import type { Id } from './jmap.ts';

export type Role = 'inbox' | 'drafts' | 'sent' | 'trash' | 'junk' | 'archive' | 'all' | 'flagged' | 'important' | null;

export interface Mailbox {
    id: Id;
    name: string;
    parentId: Id | null;
    role: Role;
    sortOrder: number;
    totalEmails: number;
    unreadEmails: number;
    totalThreads: number;
    unreadThreads: number;
    isSubscribed: boolean;
    myRights: {
        mayReadItems: boolean;
        mayAddItems: boolean;
        mayRemoveItems: boolean;
        maySetSeen: boolean;
        maySetKeywords: boolean;
        mayCreateChild: boolean;
        mayRename: boolean;
        mayDelete: boolean;
        maySubmit: boolean;
    };
}

/** A new version of a draft comes, marked as one, and the one before goes. */
export const mayKeepDrafts = ({ mayAddItems, mayRemoveItems, maySetKeywords }: Mailbox['myRights']): boolean => mayAddItems && mayRemoveItems && maySetKeywords;

export interface EmailAddress {
    name: string | null;
    email: string;
}

export interface BodyPart {
    partId: string | null;
    blobId: Id | null;
    size: number;
    name: string | null;
    type: string;
    charset?: string | null;
    disposition: string | null;
    cid: string | null;
    subParts?: BodyPart[] | null;
}

export interface EmailHeader {
    name: string;
    value: string;
}

/** What a list shows. */
export interface EmailRow {
    id: Id;
    threadId: Id;
    mailboxIds: Record<Id, true>;
    keywords: Record<string, true>;
    from: EmailAddress[] | null;
    to: EmailAddress[] | null;
    subject: string | null;
    preview: string;
    receivedAt: string;
    size: number;
    hasAttachment: boolean;
}

/** Addresses to post to, of a message of a mailing list (RFC 2369). */
export const LIST_POST = 'header:List-Post:asURLs';

/** What reading needs beside. */
export interface Email extends EmailRow {
    blobId: Id;
    cc: EmailAddress[] | null;
    bcc: EmailAddress[] | null;
    replyTo: EmailAddress[] | null;
    sender: EmailAddress[] | null;
    sentAt: string | null;
    messageId: string[] | null;
    inReplyTo: string[] | null;
    references: string[] | null;
    textBody: BodyPart[];
    htmlBody: BodyPart[];
    attachments: BodyPart[];
    bodyValues?: Record<string, { value: string; isTruncated: boolean; isEncodingProblem: boolean }>;
    headers?: EmailHeader[];
    [LIST_POST]?: string[] | null;
}

export const ROW_PROPERTIES = ['id', 'threadId', 'mailboxIds', 'keywords', 'from', 'to', 'subject', 'preview', 'receivedAt', 'size', 'hasAttachment'] as const;
/** What of a message may be another later (RFC 8621 §4.1.1). */
export const CHANGING_PROPERTIES = ['id', 'mailboxIds', 'keywords'] as const;
export const EMAIL_PROPERTIES = [
    ...ROW_PROPERTIES,
    'blobId', 'cc', 'bcc', 'replyTo', 'sender', 'sentAt', 'messageId', 'inReplyTo', 'references', 'textBody', 'htmlBody', 'attachments', LIST_POST,
] as const;

export interface FilterCondition {
    inMailbox?: Id;
    inMailboxOtherThan?: Id[];
    before?: string;
    after?: string;
    minSize?: number;
    maxSize?: number;
    hasKeyword?: string;
    notKeyword?: string;
    hasAttachment?: boolean;
    text?: string;
    from?: string;
    to?: string;
    cc?: string;
    bcc?: string;
    subject?: string;
    body?: string;
    header?: string[];
}
export interface FilterOperator {
    operator: 'AND' | 'OR' | 'NOT';
    conditions: Filter[];
}
export type Filter = FilterCondition | FilterOperator;

export interface Comparator {
    property: 'receivedAt' | 'sentAt' | 'size' | 'from' | 'to' | 'subject' | 'hasKeyword';
    isAscending: boolean;
    keyword?: string;
}

export interface Thread {
    id: Id;
    emailIds: Id[];
}

/** RFC 9425 §4. */
export interface Quota {
    id: Id;
    resourceType: 'count' | 'octets';
    used: number;
    hardLimit: number;
    warnLimit?: number | null;
    softLimit?: number | null;
    scope: 'account' | 'domain' | 'global';
    name: string;
}

export interface QuotaState {
    used: number;
    limit: number;
    share: number;
    level: 'fine' | 'warn' | 'high' | 'full';
}
