// Builds the web mail into crates/http-server/assets/, which mshttpd embeds; what is built is committed, so that cargo alone builds mshttpd.
//
//   node web/build.mjs            builds and writes
//   node web/build.mjs --check    builds and compares with what is committed; exits 1 and says what differs
//   node web/build.mjs --out DIR  builds into another folder
//   node web/build.mjs --test     runs the unit tests of web/tests/
//
// The same sources give the same bytes: names carry the hash of the content, no time and no path of the machine goes in.
// Compressed forms may differ between versions of node, and are compared by what they hold.

import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync, mkdirSync, existsSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { basename, dirname, extname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, brotliDecompressSync, constants, gunzipSync, gzipSync } from 'node:zlib';

const web = dirname(fileURLToPath(import.meta.url));
const outAt = process.argv.indexOf('--out');
const out = outAt > 0 ? resolve(process.argv[outAt + 1]) : join(web, '../crates/http-server/assets');
const MEDIA_TYPES = { '.js': 'text/javascript; charset=utf-8', '.css': 'text/css; charset=utf-8', '.html': 'text/html; charset=utf-8', '.svg': 'image/svg+xml' };

// What a first visit may weigh, in bytes of gzip: the page and all it loads by itself.
const BUDGETS = [
    { what: 'sign-in page', limit: 15 * 1024, names: ['index', 'main', 'base', 'icon', 'chunk:main'] },
    { what: 'first view of the mailbox', limit: 80 * 1024, names: ['index', 'main', 'base', 'icon', 'app', 'chunk:app', 'app.en'] },
    { what: 'compose', limit: 35 * 1024, names: ['compose', 'compose.en'] },
    { what: 'settings', limit: 30 * 1024, names: ['settings', 'settings.en'] },
];
const LOCALE_LIMIT = 10 * 1024;

const common = {
    absWorkingDir: web,
    bundle: true,
    minify: true,
    charset: 'utf8',
    legalComments: 'none',
    target: ['chrome111', 'firefox115', 'safari16.4'],
    outdir: out,
    write: false,
    metafile: true,
    logLevel: 'warning',
};

/** Name and bytes of every file, plain. */
async function buildAll() {
    const files = new Map();
    const styles = await build({ ...common, entryPoints: names('src/styles', '.css').filter((name) => !basename(name).startsWith('_')), entryNames: '[name].[hash]' });
    const styleUrls = {};
    for (const file of styles.outputFiles) {
        files.set(basename(file.path), Buffer.from(file.contents));
        styleUrls[stem(file.path)] = '/assets/' + basename(file.path);
    }
    const icon = readFileSync(join(web, 'src/icon.svg'));
    const iconName = `icon.${hash(icon).slice(0, 8).toUpperCase()}.svg`;
    files.set(iconName, icon);

    const scripts = await build({
        ...common,
        entryPoints: ['src/main.ts'],
        entryNames: '[name].[hash]',
        chunkNames: '[name].[hash]',
        format: 'esm',
        splitting: true,
        // A string: an object would be a module of its own, and a request of every page.
        define: { STYLE_URLS: JSON.stringify(JSON.stringify(styleUrls)) },
    });
    for (const file of scripts.outputFiles) files.set(basename(file.path), Buffer.from(file.contents));

    const main = [...files.keys()].find((name) => /^main\.[A-Z0-9]+\.js$/.test(name));
    const needed = imports(scripts.metafile, main);
    const html = readFileSync(join(web, 'src/index.html'), 'utf8')
        .replace('%BASE%', styleUrls.base)
        .replace('%ICON%', '/assets/' + iconName)
        .replace('%PRELOAD%', needed.map((name) => `<link rel="modulepreload" href="/assets/${name}">`).join(''))
        .replace('%MAIN%', '/assets/' + main);
    files.set('index.html', Buffer.from(html));
    return { files, metafile: scripts.metafile };
}

/** Names of the chunks that `entry` imports before it runs. */
function imports(metafile, entry) {
    const found = new Set();
    const visit = (path) => {
        for (const { path: next, kind } of metafile.outputs[path]?.imports ?? []) {
            if (kind !== 'import-statement' || found.has(basename(next))) continue;
            found.add(basename(next));
            visit(next);
        }
    };
    visit(Object.keys(metafile.outputs).find((path) => basename(path) === entry));
    return [...found].sort();
}

function names(directory, extension) {
    return readdirSync(join(web, directory)).filter((name) => name.endsWith(extension)).sort().map((name) => join(directory, name));
}

const hash = (bytes) => createHash('sha256').update(bytes).digest('hex');
/** `app.de.HASH.js` -> `app.de` */
const stem = (path) => basename(path).split('.').slice(0, -2).join('.') || 'index';
const gzip = (bytes) => gzipSync(bytes, { level: 9 });
const brotli = (bytes) => brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } });

/** What mshttpd reads: `manifest.json` for people and checks, `table.rs` for the compiler. */
function describe(files) {
    const entries = [...files].sort(([a], [b]) => (a < b ? -1 : 1));
    const manifest = {
        index: 'index.html',
        files: Object.fromEntries(entries.map(([name, bytes]) => [name, { type: MEDIA_TYPES[extname(name)], bytes: bytes.length, sha256: hash(bytes) }])),
    };
    const table = [
        '// Made by web/build.mjs. Every file of the web mail, sorted by name: plain, gzip, brotli.',
        '&[',
        ...entries.map(
            ([name, bytes]) =>
                `    Asset { name: "${name}", media_type: "${MEDIA_TYPES[extname(name)]}", sha256: "${hash(bytes)}", ` +
                `plain: include_bytes!("${name}"), gzip: include_bytes!("${name}.gz"), brotli: include_bytes!("${name}.br") },`,
        ),
        ']',
        '',
    ].join('\n');
    return { 'manifest.json': JSON.stringify(manifest, null, 2) + '\n', 'table.rs': table };
}

/** Says what each budget holds, and which is exceeded. */
function weigh({ files, metafile }) {
    const sizes = new Map([...files].map(([name, bytes]) => [name, gzip(bytes).length]));
    const named = (wanted) => [...files.keys()].filter((name) => stem(name) === wanted || name === `${wanted}.html`);
    let good = true;
    const already = new Set();
    for (const { what, limit, names: wanted } of BUDGETS) {
        const members = new Set();
        for (const name of wanted) {
            if (name.startsWith('chunk:')) {
                for (const entry of named(name.slice(6)).filter((file) => file.endsWith('.js'))) for (const chunk of imports(metafile, entry)) members.add(chunk);
            } else for (const file of named(name)) members.add(file);
        }
        const total = [...members].reduce((sum, name) => sum + sizes.get(name), 0);
        console.log(`${what}: ${(total / 1024).toFixed(1)} KiB of ${limit / 1024}, ${members.size} files`);
        if (total > limit) good = false;
        for (const name of members) already.add(name);
    }
    for (const [name, size] of sizes) {
        if (/\.(en|de|fr|ja|ar)\.[A-Z0-9]+\.js$/.test(name) && size > LOCALE_LIMIT) {
            console.log(`${name}: ${size} bytes, more than a language may have`);
            good = false;
        }
    }
    return good;
}

function write({ files }) {
    rmSync(out, { recursive: true, force: true });
    mkdirSync(out, { recursive: true });
    for (const [name, bytes] of files) {
        writeFileSync(join(out, name), bytes);
        writeFileSync(join(out, name + '.gz'), gzip(bytes));
        writeFileSync(join(out, name + '.br'), brotli(bytes));
    }
    for (const [name, text] of Object.entries(describe(files))) writeFileSync(join(out, name), text);
}

/** Says what differs from the committed files; true when nothing does. */
function compare({ files }) {
    const wanted = new Map(files);
    for (const [name, text] of Object.entries(describe(files))) wanted.set(name, Buffer.from(text));
    const differences = [];
    for (const [name, bytes] of wanted) {
        const same = (path, unpack) => existsSync(join(out, path)) && unpack(readFileSync(join(out, path))).equals(bytes);
        if (!same(name, (held) => held)) differences.push(name);
        if (!files.has(name)) continue;
        if (!same(name + '.gz', gunzipSync)) differences.push(name + '.gz');
        if (!same(name + '.br', brotliDecompressSync)) differences.push(name + '.br');
    }
    const committed = existsSync(out) ? readdirSync(out) : [];
    for (const name of committed) if (!wanted.has(name) && !wanted.has(name.replace(/\.(gz|br)$/, ''))) differences.push(name + ' (not built any more)');
    for (const name of differences) console.error(`differs: ${name}`);
    return differences.length === 0;
}

async function runTests() {
    const directory = mkdtempSync(join(tmpdir(), 'web-tests-'));
    try {
        await build({
            ...common,
            entryPoints: names('tests', '.test.ts'),
            outdir: directory,
            outExtension: { '.js': '.mjs' },
            write: true,
            minify: false,
            platform: 'node',
            target: 'node20',
            format: 'esm',
            // What modules look at when they are loaded; what they do later, the tests give them.
            banner: { js: "globalThis.navigator ??= { platform: '', languages: ['en'] }; globalThis.addEventListener ??= () => {}; globalThis.localStorage ??= { getItem: () => null, setItem: () => {}, removeItem: () => {} };" },
            define: { STYLE_URLS: '"{}"' },
        });
        const files = readdirSync(directory).map((name) => join(directory, name));
        return spawnSync(process.execPath, ['--test', ...files], { stdio: 'inherit' }).status === 0;
    } finally {
        rmSync(directory, { recursive: true, force: true });
    }
}

const [mode] = process.argv.slice(2);
let good;
if (mode === '--test') {
    good = await runTests();
} else {
    const built = await buildAll();
    good = weigh(built);
    if (mode === '--check') good = compare(built) && good;
    else write(built);
}
process.exit(good ? 0 : 1);
