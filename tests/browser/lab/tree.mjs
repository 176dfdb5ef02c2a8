// Two readings of a message's page: as it is written, tag by tag, with nothing mended; and as the browser made it. Where both are
// the same tree, the browser sees what the cleaning looked at, and no difference of parsers hides anything in between (W3).

const VOID = new Set('area base br col embed hr img input link meta source track wbr'.split(' '));
/** The references that the cleaning writes; others are not plain. */
const REFERENCES = { '&#39;': "'", '&#96;': '`', '&amp;': '&', '&lt;': '<', '&gt;': '>', '&quot;': '"', '&nbsp;': '\u00a0' };
const TAG = /<(\/?)([a-z][a-z0-9]*)((?: [a-z][a-z-]*="[^"]*")*)>/y;

const unescaped = (text) => text.replace(/&#?\w+;|&/g, (reference) => REFERENCES[reference] ?? `a reference that is not known: ${reference}`);

/** The tree of a text of tags that are all written out: a line for each node, with its depth. Throws where it is not so plain. */
export function written(source) {
  const lines = [];
  const open = [];
  const text = (raw) => {
    if (raw !== '') lines.push(`${open.length} ${JSON.stringify(open.at(-1) === 'style' ? raw : unescaped(raw))}`);
  };
  let at = source.startsWith('<!doctype html>') ? '<!doctype html>'.length : 0;
  while (at < source.length) {
    const next = source.indexOf('<', at);
    text(source.slice(at, next < 0 ? source.length : next));
    if (next < 0) break;
    TAG.lastIndex = next;
    const [all, closes, name, attributes] = TAG.exec(source) ?? [];
    if (!all) throw new Error(`no plain tag: ${source.slice(next, next + 80)}`);
    if (closes) {
      if (open.pop() !== name) throw new Error(`</${name}> closes another element`);
    } else {
      const list = [...attributes.matchAll(/ ([a-z-]+)="([^"]*)"/g)].map(([, key, value]) => `${key}=${JSON.stringify(unescaped(value))}`);
      lines.push([open.length, name, ...list].join(' '));
      if (!VOID.has(name)) open.push(name);
    }
    at = next + all.length;
    if (!closes && name === 'pre' && source[at] === '\n') at += 1; // which is not of the text (WHATWG HTML section 13.1.2.5)
  }
  if (open.length > 0) throw new Error(`never closed: ${open}`);
  return lines;
}

/** The tree of a frame's document in the same form. */
export function seen(frame) {
  return frame.evaluate(() => {
    const lines = [];
    const walk = (node, depth) => {
      if (node.nodeType === Node.TEXT_NODE) lines.push(`${depth} ${JSON.stringify(node.data)}`);
      else if (node.nodeType === Node.ELEMENT_NODE) {
        const attributes = [...node.attributes].map(({ name, value }) => `${name}=${JSON.stringify(value)}`);
        lines.push([depth, node.localName, ...attributes].join(' '));
        for (const child of (node instanceof HTMLTemplateElement ? node.content : node).childNodes) walk(child, depth + 1);
      } else lines.push(`${depth} a node of type ${node.nodeType}`);
    };
    walk(document.documentElement, 0);
    return lines;
  });
}
