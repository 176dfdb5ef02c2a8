// A stand-in for mshttpd, for work on the front end alone: 100,000 made-up messages in memory, as much of JMAP as the web mail uses.
//
//   node web/dev/server.mjs [--port N] [--assets DIR] [--count N]     user `anna`, any password; `code` asks for 123456; `wrong` is refused
//
// POST /dev/deliver puts a new message into the inbox; POST /dev/expire ends the session; POST /dev/fail?type=overQuota makes the next Email/set fail.

import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { message as content, PEOPLE } from './messages.mjs';

const option = (name, otherwise) => (process.argv.includes(name) ? process.argv[process.argv.indexOf(name) + 1] : otherwise);
const assets = option('--assets', join(dirname(fileURLToPath(import.meta.url)), '../../crates/http-server/assets'));
const COUNT = Number(option('--count', 100_000));
const TYPES = { '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.html': 'text/html; charset=utf-8' };
const CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; frame-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";
const FRAME_CSP = "sandbox allow-same-origin allow-popups allow-popups-to-escape-sandbox; default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'; frame-ancestors 'self'";
const RIGHTS = { mayReadItems: true, mayAddItems: true, mayRemoveItems: true, maySetSeen: true, maySetKeywords: true, mayCreateChild: true, mayRename: true, mayDelete: true, maySubmit: true };

let modseq = 1;
let session = 1;
let failure;
let preferences = { id: 'singleton', viewSize: 100, language: null };
const streams = new Set();
const changes = []; // [modseq, id, kind]
const mailboxes = new Map();
const emails = new Map();
const threads = new Map();

function addMailbox(id, name, role = null, parentId = null) {
    mailboxes.set(id, { id, name, role, parentId, sortOrder: mailboxes.size, isSubscribed: true, myRights: { ...RIGHTS, mayRename: !role, mayDelete: !role } });
}
[['inbox', 'INBOX', 'inbox'], ['drafts', 'Drafts', 'drafts'], ['sent', 'Sent', 'sent'], ['archive', 'Archive', 'archive'], ['junk', 'Junk', 'junk'], ['trash', 'Trash', 'trash'], ['projects', 'Projects'], ['harbour', 'Harbour renewal', null, 'projects'], ['permits', 'Permits', null, 'harbour'], ['regatta', 'Regatta 2027', null, 'projects'], ['lists', 'Mailing lists'], ['travel', 'Travel and a name of a folder that is long']].forEach((one) => addMailbox(...one));

function addEmail(n, mailbox, keywords, receivedAt) {
    const id = `M${n}`;
    const made = content(n);
    const threadId = made.thread ?? (n >= 40 && n % 10 < 3 ? `T${Math.floor(n / 10)}` : `T-${n}`);
    const email = { id, n, threadId, mailboxIds: { [mailbox]: true }, keywords, receivedAt, subject: made.subject, from: made.from, to: made.to ?? [{ name: 'Anna Lindqvist', email: 'anna@example.com' }], cc: made.cc ?? [], size: made.size ?? 2000 + ((n * 7919) % 90_000), preview: made.preview, hasAttachment: (made.attachments ?? []).length > 0 };
    emails.set(id, email);
    threads.set(threadId, [...(threads.get(threadId) ?? []), id]);
    return email;
}
const start = Date.now();
for (let n = COUNT - 1; n >= 0; n -= 1) addEmail(n, 'inbox', { ...(n % 7 === 2 || n < 3 ? {} : { $seen: true }), ...(n % 41 === 5 ? { $flagged: true } : {}), ...(n % 13 === 4 ? { $answered: true } : {}) }, new Date(start - n * 1_260_000 - ((n * 37) % 1000) * 1000).toISOString());
for (let n = 0; n < 30; n += 1) addEmail(200_000 + n, ['sent', 'harbour', 'lists', 'junk', 'drafts'][n % 5], n % 5 === 4 ? { $draft: true, $seen: true } : n % 3 ? { $seen: true } : {}, new Date(start - n * 40_000_000).toISOString());

function mailboxState() {
    for (const mailbox of mailboxes.values()) Object.assign(mailbox, { totalEmails: 0, unreadEmails: 0, totalThreads: 0, unreadThreads: 0 });
    for (const email of emails.values()) {
        for (const id of Object.keys(email.mailboxIds)) {
            const mailbox = mailboxes.get(id);
            mailbox.totalEmails += 1;
            mailbox.totalThreads += 1;
            if (!email.keywords.$seen) (mailbox.unreadEmails += 1), (mailbox.unreadThreads += 1);
        }
    }
}

const lower = (text) => String(text ?? '').toLowerCase();
const people = (list) => lower((list ?? []).map((one) => `${one.name} ${one.email}`).join(' '));
function matches(email, filter) {
    if (!filter) return true;
    if (filter.operator === 'AND') return filter.conditions.every((one) => matches(email, one));
    if (filter.operator === 'OR') return filter.conditions.some((one) => matches(email, one));
    if (filter.operator === 'NOT') return !filter.conditions.some((one) => matches(email, one));
    const tests = {
        inMailbox: (id) => email.mailboxIds[id],
        inMailboxOtherThan: (ids) => Object.keys(email.mailboxIds).some((id) => !ids.includes(id)),
        from: (text) => people(email.from).includes(lower(text)),
        to: (text) => people(email.to).includes(lower(text)),
        cc: (text) => people(email.cc).includes(lower(text)),
        subject: (text) => lower(email.subject).includes(lower(text)),
        body: (text) => lower(email.preview).includes(lower(text)),
        text: (text) => lower(email.subject + ' ' + email.preview).includes(lower(text)) || people(email.from).includes(lower(text)),
        hasKeyword: (key) => email.keywords[key],
        notKeyword: (key) => !email.keywords[key],
        hasAttachment: (on) => email.hasAttachment === on,
        before: (date) => email.receivedAt < date,
        after: (date) => email.receivedAt >= date,
        minSize: (size) => email.size >= size,
        maxSize: (size) => email.size < size,
    };
    return Object.entries(filter).every(([key, value]) => tests[key]?.(value));
}

const sorted = new Map();
function query({ filter, sort, collapseThreads, position = 0, limit = 5000 }) {
    const key = JSON.stringify([modseq, filter, sort, collapseThreads]);
    if (!sorted.has(key)) {
        const [{ property, isAscending, keyword }] = sort?.length ? sort : [{ property: 'receivedAt', isAscending: false }];
        const value = (email) => (property === 'from' ? people(email.from) : property === 'hasKeyword' ? (email.keywords[keyword] ? 1 : 0) : property === 'subject' ? lower(email.subject) : email[property]);
        let found = [...emails.values()].filter((email) => matches(email, filter));
        found.sort((a, b) => (value(a) < value(b) ? -1 : value(a) > value(b) ? 1 : a.receivedAt < b.receivedAt ? -1 : 1) * (isAscending ? 1 : -1));
        if (collapseThreads) {
            const seen = new Set();
            found = found.filter((email) => !seen.has(email.threadId) && seen.add(email.threadId));
        }
        sorted.clear();
        sorted.set(key, found.map((email) => email.id));
    }
    const ids = sorted.get(key);
    return { queryState: String(modseq), canCalculateChanges: false, position, total: ids.length, ids: ids.slice(position, position + limit) };
}

function full(email, wanted) {
    const made = content(email.n);
    const all = {
        ...email, blobId: `B${email.n}`, bcc: [], replyTo: made.replyTo ?? [], sender: null, sentAt: email.receivedAt, messageId: [`${email.id}@example.com`], inReplyTo: null, references: null,
        textBody: [{ partId: '1', blobId: `B${email.n}.1`, type: made.html ? 'text/html' : 'text/plain', size: 100, name: null, disposition: null, cid: null }], htmlBody: [{ partId: '1', blobId: `B${email.n}.1`, type: made.html ? 'text/html' : 'text/plain', size: 100, name: null, disposition: null, cid: null }],
        attachments: (made.attachments ?? []).map((one, at) => ({ partId: String(at + 2), blobId: `A${email.n}.${at}`, type: one.type, name: one.name, size: one.data.length, disposition: 'attachment', cid: null })),
        headers: [['Return-Path', '<bounce@example.net>'], ['Received', 'from mx.example.net (mx.example.net [192.0.2.7]) by mail.example.com with ESMTPS'], ['From', people(email.from)], ['Subject', email.subject ?? ''], ['Authentication-Results', 'mail.example.com; dkim=pass; spf=pass']].map(([name, value]) => ({ name, value: ' ' + value })),
        bodyValues: { 1: { value: made.text ?? made.html, isTruncated: false, isEncodingProblem: false } },
    };
    return Object.fromEntries((wanted ?? Object.keys(all)).map((key) => [key, all[key] ?? null]));
}

function touch(id, kind) {
    modseq += 1;
    changes.push([modseq, id, kind]);
}

function patch(target, values) {
    for (const [path, value] of Object.entries(values)) {
        const [head, key] = path.split('/');
        if (key === undefined) target[head] = value;
        else if (value === null) (target[head] = { ...target[head] }), delete target[head][key];
        else target[head] = { ...target[head], [key]: value };
    }
}

const methods = {
    'Mailbox/get': () => (mailboxState(), { state: String(modseq), list: [...mailboxes.values()], notFound: [] }),
    'Mailbox/set': ({ create = {}, update = {}, destroy = [] }) => {
        const created = {};
        for (const [key, one] of Object.entries(create)) {
            const id = `new${mailboxes.size}`;
            addMailbox(id, one.name, null, one.parentId ?? null);
            created[key] = { id };
        }
        for (const [id, values] of Object.entries(update)) patch(mailboxes.get(id), values);
        for (const id of destroy) {
            mailboxes.delete(id);
            for (const [key, email] of emails) if (email.mailboxIds[id]) emails.delete(key);
        }
        modseq += 1;
        return { oldState: String(modseq - 1), newState: String(modseq), created, updated: Object.fromEntries(Object.keys(update).map((id) => [id, null])), destroyed: destroy };
    },
    'Email/query': query,
    'Email/get': ({ ids, properties }) => ({ state: String(modseq), list: ids.flatMap((id) => (emails.has(id) ? [full(emails.get(id), properties)] : [])), notFound: ids.filter((id) => !emails.has(id)) }),
    'Email/changes': ({ sinceState }) => {
        const after = changes.filter(([at]) => at > Number(sinceState));
        const of = (kind) => [...new Set(after.filter(([, , one]) => one === kind).map(([, id]) => id))];
        return { oldState: sinceState, newState: String(modseq), hasMoreChanges: false, created: of('created'), updated: of('updated'), destroyed: of('destroyed') };
    },
    'Email/set': ({ update = {}, destroy = [], create = {} }) => {
        const oldState = String(modseq);
        if (failure) {
            const type = failure;
            failure = undefined;
            return { oldState, newState: oldState, notUpdated: Object.fromEntries(Object.keys(update).map((id) => [id, { type }])) };
        }
        for (const [id, values] of Object.entries(update)) if (emails.has(id)) patch(emails.get(id), values), touch(id, 'updated');
        for (const id of destroy) emails.delete(id), touch(id, 'destroyed');
        return { oldState, newState: String(modseq), updated: Object.fromEntries(Object.keys(update).map((id) => [id, null])), destroyed: destroy, created: Object.fromEntries(Object.keys(create).map((key) => [key, { id: 'M200004' }])) };
    },
    'Thread/get': ({ ids }) => ({ state: String(modseq), list: [...new Set(ids)].map((id) => ({ id, emailIds: (threads.get(id) ?? []).filter((one) => emails.has(one)) })), notFound: [] }),
    'Quota/get': () => ({ state: '1', list: [{ id: 'q', resourceType: 'octets', scope: 'account', used: 8_830_000_000, hardLimit: 10_000_000_000, name: 'Mail' }], notFound: [] }),
    'Preferences/get': () => ({ state: '1', list: [preferences], notFound: [] }),
    'Preferences/set': ({ update }) => ((preferences = { ...preferences, ...update.singleton }), { oldState: '1', newState: '2', updated: { singleton: null } }),
    'Identity/get': () => ({ state: '1', list: [{ id: 'i1', name: 'Anna Lindqvist', email: 'anna@example.com', replyTo: null, bcc: null, textSignature: 'Anna', htmlSignature: '', mayDelete: false }], notFound: [] }),
    'VacationResponse/get': () => ({ state: '1', list: [{ id: 'singleton', isEnabled: false, fromDate: null, toDate: null, subject: null, textBody: '', htmlBody: null }], notFound: [] }),
    'Recipient/query': ({ text }) => ({ list: PEOPLE.filter((one) => lower(one.name + one.email).includes(lower(text))).slice(0, 8).map((one) => ({ ...one, source: 'directory' })) }),
};

function pointer(value, path) {
    let found = [value];
    for (const step of path.split('/').slice(1)) found = found.flatMap((one) => (step === '*' ? one : (one?.[step] ?? [])));
    return path.includes('*') ? found.flat() : found.flat();
}

function api({ methodCalls }) {
    const responses = [];
    for (const [name, args, id] of methodCalls) {
        const resolved = {};
        for (const [key, value] of Object.entries(args)) {
            if (!key.startsWith('#')) resolved[key] = value;
            else resolved[key.slice(1)] = pointer(responses.find((one) => one[2] === value.resultOf)?.[1], value.path);
        }
        responses.push(methods[name] ? [name, { accountId: 'anna', ...methods[name](resolved) }, id] : ['error', { type: 'unknownMethod' }, id]);
    }
    return { methodResponses: responses, sessionState: '1' };
}

function announce(types = ['Email', 'Mailbox', 'EmailDelivery']) {
    const data = JSON.stringify({ '@type': 'StateChange', changed: { anna: Object.fromEntries(types.map((type) => [type, String(modseq)])) } });
    for (const stream of streams) stream.write(`event: state\nid: ${modseq}\ndata: ${data}\n\n`);
}

const signIn = () => ({ uid: 'anna', name: 'Anna Lindqvist', token: `token-${session}`, expires: new Date(Date.now() + 3_600_000).toISOString() });
const SESSION = {
    capabilities: { 'urn:ietf:params:jmap:core': { maxSizeUpload: 50_000_000, maxObjectsInGet: 500, maxObjectsInSet: 500, maxCallsInRequest: 16 }, 'urn:ietf:params:jmap:mail': {}, 'urn:ietf:params:jmap:quota': {}, 'urn:ietf:params:jmap:submission': {}, 'urn:ietf:params:jmap:vacationresponse': {}, 'urn:x-mailboat:jmap:account': {} },
    accounts: { anna: { name: 'anna@example.com', isPersonal: true, isReadOnly: false, accountCapabilities: {} } },
    primaryAccounts: { 'urn:ietf:params:jmap:mail': 'anna' }, username: 'anna@example.com', apiUrl: '/jmap/api', downloadUrl: '/jmap/download/{accountId}/{blobId}/{name}?type={type}', uploadUrl: '/jmap/upload/{accountId}', eventSourceUrl: '/jmap/events?types={types}&closeafter={closeafter}&ping={ping}', state: '1',
};

async function body(request) {
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    return Buffer.concat(pieces);
}

const server = createServer(async (request, response) => {
    const url = new URL(request.url, 'http://here');
    const path = url.pathname;
    const send = (status, value, type = 'application/json', headers = {}) => response.writeHead(status, { 'Content-Type': type, ...headers }).end(typeof value === 'string' || Buffer.isBuffer(value) ? value : JSON.stringify(value));
    const signedIn = request.headers.cookie?.includes(`mailboat=s${session}`);
    if (path === '/') return send(200, readFileSync(join(assets, 'index.html')), 'text/html; charset=utf-8', { 'Content-Security-Policy': CSP });
    if (path.startsWith('/assets/')) {
        try {
            return send(200, readFileSync(join(assets, path.slice(8) + '.gz')), TYPES[extname(path)], { 'Content-Encoding': 'gzip', 'Cache-Control': 'max-age=31536000, immutable' });
        } catch {
            return send(404, {});
        }
    }
    if (path === '/auth/sign-in') {
        const { user, code } = JSON.parse(await body(request));
        if (user === 'wrong') return send(401, { type: 'refused' });
        if (user === 'code' && code !== '123456') return send(401, { type: 'code-required' });
        return send(200, signIn(), 'application/json', { 'Set-Cookie': `mailboat=s${session}; HttpOnly; SameSite=Strict; Path=/` });
    }
    if (path === '/dev/deliver') {
        const n = 300_000 + emails.size;
        const email = addEmail(n, 'inbox', {}, new Date().toISOString());
        touch(email.id, 'created');
        announce();
        return send(200, { id: email.id });
    }
    if (path === '/dev/expire') return (session += 1), send(200, {});
    if (path === '/dev/fail') return (failure = url.searchParams.get('type')), send(200, {});
    if (!signedIn) return send(401, { type: 'signed-out' });
    if (path === '/auth/session') return send(200, signIn());
    if (path === '/auth/sign-out') return send(200, {}, 'application/json', { 'Set-Cookie': 'mailboat=; Max-Age=0; Path=/' });
    if (path === '/jmap/session') return send(200, SESSION);
    if (path === '/jmap/api') {
        if (request.headers['x-mailboat-token'] !== `token-${session}`) return send(403, { type: 'token' });
        return send(200, api(JSON.parse(await body(request))));
    }
    if (path === '/jmap/events') {
        response.writeHead(200, { 'Content-Type': 'text/event-stream' });
        response.write(': here\n\n');
        streams.add(response);
        return request.on('close', () => streams.delete(response));
    }
    const frame = /^\/message\/[^/]+\/M(\d+)$/.exec(path);
    if (frame) {
        const made = content(Number(frame[1]));
        const html = made.html ?? `<pre style="white-space:pre-wrap;font:inherit;margin:0">${(made.text ?? made.preview).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll(/https?:\/\/\S+/g, (link) => `<a href="${link}" target="_blank" rel="noopener noreferrer">${link}</a>`)}</pre>`;
        const shown = url.searchParams.get('images') === '1' ? html.replaceAll(/data-remote="[^"]*"/g, 'src="/assets/' + 'none.png"') : html;
        return send(200, `<!doctype html><meta charset="utf-8"><html data-blocked="${made.remote ? 3 : 0}"><body style="margin:0;font:15px/1.5 system-ui,sans-serif">${shown}</body></html>`, 'text/html; charset=utf-8', { 'Content-Security-Policy': FRAME_CSP, 'X-Blocked-Images': made.remote ? '3' : '0' });
    }
    const blob = /^\/jmap\/download\/[^/]+\/A(\d+)\.(\d+)\//.exec(path);
    if (blob) return send(200, content(Number(blob[1])).attachments[Number(blob[2])].data, url.searchParams.get('type'));
    if (path.startsWith('/jmap/download/')) return send(200, 'Return-Path: <bounce@example.net>\r\nFrom: Someone <someone@example.net>\r\nTo: anna@example.com\r\nSubject: as it came\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nThe message, byte by byte.\r\n', 'text/plain; charset=utf-8');
    return send(404, { type: 'not-found' });
});
server.listen(Number(option('--port', 8090)), '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}/`));
