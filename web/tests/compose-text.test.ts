import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withoutStyles } from '../src/compose/inert.ts';
import { type NodeLike, clean, readStyle, safeHref } from '../src/compose/clean.ts';
import { htmlDocument, isEmpty, emptyDraft, fromEmail, toEmail, type DraftEmail } from '../src/compose/message.ts';
import { textTree, answerText, quoteText, signatureText, signatureTree, speaksOfAttachment, swapSignature, withoutSignature } from '../src/compose/quote.ts';
import { type Tree, element, fromText, toHtml, toText } from '../src/compose/tree.ts';

// ---------------------------------------------------------------- a document to clean, without a browser

function node(tag: string, attrs: Record<string, string> = {}, ...children: (NodeLike | string)[]): NodeLike {
    const kids = children.map((child) => (typeof child === 'string' ? { nodeType: 3, nodeName: '#text', nodeValue: child, childNodes: [] } : child));
    return { nodeType: 1, nodeName: tag.toUpperCase(), nodeValue: null, childNodes: kids, getAttribute: (name) => attrs[name] ?? null };
}
const paste = (...children: (NodeLike | string)[]): string => toHtml(clean(node('body', {}, ...children), { looks: 'paste', image: () => null }));
const mail = (...children: (NodeLike | string)[]): string =>
    toHtml(clean(node('body', {}, ...children), { looks: 'mail', image: (src) => (src.startsWith('cid:') ? src : null) }));

test('what could run, load or cover does not come through', () => {
    const nasty = [
        node('script', {}, 'alert(1)'),
        node('style', {}, '*{}'),
        node('svg', {}, node('a', { href: 'javascript:alert(1)' }, 'x')),
        node('math', {}, node('mtext', {}, 'x')),
        node('iframe', { srcdoc: '<b>' }),
        node('img', { src: 'https://t.example/1.gif', onerror: 'alert(1)' }),
        node('noscript', {}, '<img src=x>'),
        node('template', {}, 'x'),
    ];
    assert.equal(mail(...nasty), '');
    assert.equal(paste(...nasty), '');
    assert.equal(mail(node('a', { href: 'java\tscript:alert(1)', onclick: 'x' }, 'link')), '<a>link</a>');
    assert.equal(mail(node('p', { style: 'position:fixed;color:red;background-color:u\\72l(x);width:url(x)', id: 'x', class: 'y' }, 'a')), '<p>a</p>');
    assert.equal(mail(node('p', { style: 'position:fixed; color:red' }, 'a')), '<p style="color: red">a</p>');
    assert.equal(mail(node('b', { title: '"><script>' }, '<script>&')), '<b>&lt;script&gt;&amp;</b>');
});

test('style declarations', () => {
    assert.deepEqual(
        [...readStyle('color: RED !important; font-family: "A B", serif; background: url(x); margin-left: -9px')],
        [
            ['color', 'RED'],
            ['font-family', '"A B", serif'],
        ],
    );
    assert.equal(readStyle('width: expression(alert(1)); color: red').size, 0);
    assert.equal(readStyle('color: var(--x); width: url(x)').size, 0);
    assert.equal(readStyle('color/**/:red').size, 0);
    assert.equal(readStyle(`color:red;${'x'.repeat(20_000)}`).size, 0);
});

test('addresses of links', () => {
    for (const good of ['https://x.example/', 'http://x', 'mailto:a@x', 'tel:+49', 'HTTPS://X']) assert.equal(safeHref(good), good);
    for (const bad of [
        'javascript:x',
        'JaVa\nScript:x',
        ' \u0001javascript:x',
        'data:text/html,x',
        'vbscript:x',
        'file:///x',
        '//x',
        'x',
        '',
        'https://',
        null,
    ])
        assert.equal(safeHref(bad), null, String(bad));
});

test('a paste from Word keeps its meaning and loses its looks', () => {
    const item = (level: number, bullet: string, text: string): NodeLike =>
        node(
            'p',
            { class: 'MsoListParagraph', style: `margin-left:36pt;mso-list:l0 level${level} lfo1` },
            node('span', { style: 'font-family:Symbol' }, node('span', { style: 'mso-list:Ignore' }, bullet, node('span', {}, '\u00a0\u00a0 '))),
            text,
            node('o:p', {}),
        );
    assert.equal(
        paste(
            node('p', { class: 'MsoNormal', style: 'color:red' }, node('span', { style: 'font-weight:bold' }, 'Plan')),
            item(1, '·', 'one'),
            '\n',
            item(2, 'o', 'inner'),
            item(1, '·', 'two'),
            node('p', {}, 'after'),
            item(1, '1.', 'first'),
            item(1, '2.', 'second'),
        ),
        '<p><b>Plan</b></p><ul><li>one<ul><li>inner</li></ul></li><li>two</li></ul><p>after</p><ol><li>first</li><li>second</li></ol>',
    );
});

test('a paste from Google, from Gmail, from a page', () => {
    assert.equal(
        paste(node('b', { style: 'font-weight:normal' }, node('p', {}, node('span', { style: 'font-weight:700;font-style:italic;color:#333' }, 'x')))),
        '<p><i><b>x</b></i></p>',
    );
    assert.equal(
        paste(node('div', {}, node('font', { color: 'red' }, 'a'), node('strong', {}, 'b'), node('a', { href: 'javascript:x' }, 'c'))),
        '<div>a<b>b</b>c</div>',
    );
    assert.equal(paste(' ', node('span', {}, 'word'), ' '), 'word');
    assert.equal(
        paste(node('table', { border: '1', width: '500' }, node('tr', {}, node('td', { colspan: '2', style: 'color:red' }, 'x')))),
        '<table><tr><td colspan="2">x</td></tr></table>',
    );
});

test('a deep document is cut off in depth, and keeps its words', () => {
    let deep: NodeLike = node('div', {}, 'core');
    for (let i = 0; i < 20_000; i++) deep = node('div', {}, deep);
    assert.match(mail(deep), /core/);
});

test('formatted text to plain text', () => {
    const trees: Tree[] = [
        element('div', ['Hello ', element('b', ['world']), '  again']),
        element('div', [element('br')]),
        element('ul', [element('li', ['one', element('ol', [element('li', ['a']), element('li', ['b'])])]), element('li', ['two'])]),
        element('blockquote', [element('div', ['quoted']), element('blockquote', [element('div', ['deeper'])])], { type: 'cite' }),
        element('div', [element('a', ['here'], { href: 'https://x.example/' }), ' ', element('a', ['https://y.example'], { href: 'https://y.example/' })]),
        element('pre', ['a  b\n  c']),
        element('p', ['para']),
        element('p', ['graph']),
    ];
    assert.equal(
        toText(trees),
        'Hello world again\n\n* one\n  1. a\n  2. b\n* two\n> quoted\n> > deeper\nhere <https://x.example/> https://y.example\na  b\n  c\n\npara\n\ngraph',
    );
});

test('plain text to formatted text and back', () => {
    const text = 'Hi,\n\n  indented  twice\n> quoted\n> > deeper\n> again\nsee https://x.example/a_(b), or ann@x.example.\n-- \nAnn <b>';
    assert.equal(toText(fromText(text)), text.replace('> > deeper', '> > deeper'));
    assert.match(toHtml(fromText(text)), /<a href="https:\/\/x\.example\/a_\(b\)">https:\/\/x\.example\/a_\(b\)<\/a>, or <a href="mailto:ann@x\.example">/);
    assert.match(toHtml(fromText(text)), /Ann &lt;b&gt;/);
    assert.doesNotMatch(toHtml(fromText('see "https://x.example/"onmouseover="alert(1)')), /<[^>]*onmouseover/);
});

test('quoting and signatures', () => {
    assert.equal(quoteText('a\n\n> b\n-- \nsig'), '> a\n>\n>> b');
    assert.equal(withoutSignature(`a\n-- \n${'long\n'.repeat(20)}`), `a\n-- \n${'long\n'.repeat(20)}`.trimEnd());
    assert.equal(signatureText('Ann\n'), '-- \nAnn');
    assert.equal(signatureText('-- \nAnn'), '-- \nAnn');
    assert.equal(signatureText('  \n'), '');
    assert.equal(
        toHtml([signatureTree('<b>Ann</b>\n"x"') as Tree]),
        '<div class="signature"><div>-- </div><div>&lt;b&gt;Ann&lt;/b&gt;</div><div>"x"</div></div>',
    );
    assert.equal(swapSignature('text\n\n-- \nAnn\n', 'Ann', 'Bob'), 'text\n\n-- \nBob\n');
    assert.equal(swapSignature('text\n\n-- \nAnn changed\n', 'Ann W', 'Bob'), 'text\n\n-- \nAnn changed\n');
    assert.equal(swapSignature('text', '', 'Bob'), 'text\n\n-- \nBob');
    assert.equal(answerText('', 'Ann wrote:', '> a'), '\n\nAnn wrote:\n> a\n');
});

test('a signature in plain text is one when the text is formatted', () => {
    assert.equal(toHtml(textTree('a\n\n-- \nAnn\n> q', 'Ann')), '<div>a</div><div><br></div><div class="signature"><div>-- </div><div>Ann</div></div><blockquote type="cite"><div>q</div></blockquote>');
    assert.equal(toHtml(textTree('a', 'Ann')), '<div>a</div>');
});

test('styles and handlers have other names before a document is parsed', () => {
    assert.equal(withoutStyles('<p title="a>b" STYLE="x" onclick=y/onfocus=z>a style=b</p><style>p{}</style>c'), '<p title="a>b" data-css="x" data-onclick=y/data-onfocus=z>a style=b</p>c');
    assert.equal(withoutStyles('a<style>never ends'), 'a');
    const before = performance.now();
    withoutStyles('<a"'.repeat(150_000));
    withoutStyles('<style '.repeat(60_000));
    withoutStyles('<a '.repeat(150_000));
    assert.ok(performance.now() - before < 5000);
});

test('who speaks of an attachment', () => {
    const words = ['attached', 'Anhang', '添付'];
    assert.ok(speaksOfAttachment('See the attached file', words));
    assert.ok(speaksOfAttachment('Im Anhang', words));
    assert.ok(speaksOfAttachment('資料を添付します', words));
    assert.ok(!speaksOfAttachment('unattached people', words));
    assert.ok(!speaksOfAttachment('fine\n> the attached file\n-- \nattached', words));
});

test('the Email object of a draft and of what is sent', () => {
    const draft = {
        ...emptyDraft(),
        to: [{ name: null, email: 'a@x' }],
        subject: 's',
        priority: 'high' as const,
        receipt: true,
        body: { format: 'rich' as const, trees: [element('div', ['x', element('img', [], { src: 'cid:1' })])] },
        attached: [
            { blobId: 'B1', name: 'i.png', type: 'image/png', size: 1, cid: '1' },
            { blobId: 'B2', name: 'unused.png', type: 'image/png', size: 1, cid: '2' },
            { blobId: 'B3', name: 'f.pdf', type: 'application/pdf', size: 1, cid: null },
        ],
    };
    const sender = { name: 'Me', email: 'me@x', replyTo: [{ name: null, email: 'r@x' }], bcc: [{ name: null, email: 'log@x' }] };
    const sent = toEmail(draft, sender, 'M', true) as Record<string, any>;
    assert.deepEqual(sent['keywords'], { $draft: true, $seen: true });
    assert.deepEqual(sent['header:X-Priority:asText'], '1 (Highest)');
    assert.deepEqual(sent['header:Disposition-Notification-To:asAddresses'], [{ name: 'Me', email: 'me@x' }]);
    assert.deepEqual(sent['bcc'], [{ name: null, email: 'log@x' }]);
    assert.equal(sent['header:X-Mailboat-Draft:asText'], undefined);
    const shape = (part: any): any => (part.subParts ? [part.type, ...part.subParts.map(shape)] : (part.blobId ?? part.partId));
    assert.deepEqual(shape(sent['bodyStructure']), ['multipart/mixed', ['multipart/alternative', 'text', ['multipart/related', 'html', 'B1']], 'B3']);
    const stored = toEmail({ ...draft, vCard: true, answers: [{ id: 'E1', keyword: '$answered' }] }, sender, 'M', false) as Record<string, any>;
    assert.equal(stored['bcc'], undefined);
    const back = fromEmail({
        id: 'D',
        from: null,
        to: stored['to'],
        cc: null,
        bcc: null,
        subject: 's',
        inReplyTo: null,
        references: null,
        textBody: [],
        htmlBody: [],
        attachments: [],
        'header:X-Mailboat-Draft:asText': stored['header:X-Mailboat-Draft:asText'],
        'header:X-Priority:asText': ' 1 (Highest)',
    } as DraftEmail);
    assert.deepEqual([back.vCard, back.priority, back.answers], [true, 'high', [{ id: 'E1', keyword: '$answered' }]]);
    // Who goes on with it writes versions of their own: those that another writes from the same version are not among them.
    assert.ok(stored['header:X-Mailboat-Draft:asText'].includes(`"key":"${draft.key}"`));
    assert.match(back.key, /^[a-z0-9]+$/);
    assert.notEqual(back.key, draft.key);
});

test('a draft field that somebody else wrote is not believed', () => {
    const read = (field: string) =>
        fromEmail({
            id: 'D',
            from: null,
            to: null,
            cc: null,
            bcc: null,
            subject: null,
            inReplyTo: null,
            references: null,
            textBody: [],
            htmlBody: [],
            attachments: [],
            'header:X-Mailboat-Draft:asText': field,
        } as DraftEmail);
    for (const field of [
        '{',
        'null',
        '[]',
        '{"answers":[{"id":"../x","keyword":"$answered"},{"id":"E","keyword":"$seen"},null],"vCard":"yes","identityId":7}',
    ]) {
        const { answers, vCard, identityId } = read(field);
        assert.deepEqual([answers, vCard, identityId], [[], false, null]);
    }
});

test('when there is nothing to miss', () => {
    assert.ok(isEmpty({ ...emptyDraft(), body: { format: 'plain', text: '\n\n-- \nAnn' } }, 'Ann'));
    assert.ok(!isEmpty({ ...emptyDraft(), body: { format: 'plain', text: 'x\n-- \nAnn' } }, 'Ann'));
    assert.ok(!isEmpty({ ...emptyDraft(), subject: 'x' }, ''));
    assert.match(htmlDocument([element('blockquote', ['x'], { type: 'cite' })]), /<blockquote type="cite" style="margin/);
});
