// The journeys, and what each looks like, out of the sources of the tests: `node journeys.mjs` writes JOURNEYS.md.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

const here = new URL('.', import.meta.url);

/** [{file, title, looks}]: the tests that name their looks, in the order of the files. */
export function journeys() {
  const files = readdirSync(here).filter((name) => name.endsWith('.test.mjs') && name !== 'harness.test.mjs');
  return files.sort().flatMap((file) => {
    const source = readFileSync(new URL(file, here), 'utf8');
    const found = source.matchAll(/^test\('((?:[^'\\]|\\.)*)', \{ looks: (?:'([^']*)'|\[([^\]]*)\])/gm);
    return [...found].map(([, title, one, several]) => ({ file, title, looks: one ? [one] : [...several.matchAll(/'([^']*)'/g)].map(([, look]) => look) }));
  });
}

/** The list as JOURNEYS.md has it. */
export function listed() {
  const all = journeys();
  const runs = all.flatMap(({ looks }) => looks);
  const names = [...new Set(runs)].sort();
  return [
    '# The journeys and their looks',
    '',
    'Made by `node journeys.mjs`; `harness.test.mjs` fails when it is not what the tests say. A look is the size of the window, the theme and',
    'the direction; `rtl` is English from right to left (`ar-XB`), so that the same steps read the same words. Arabic itself is in',
    'the tests of screens (`mail-screens`, `settings`, `compose`, `lab`), which are not counted here.',
    '',
    `${all.length} journeys, ${runs.length} runs:`,
    '',
    '| look | runs |',
    '| --- | --- |',
    ...names.map((name) => `| ${name} | ${runs.filter((one) => one === name).length} |`),
    '',
    '| file | journey | looks |',
    '| --- | --- | --- |',
    ...all.map(({ file, title, looks }) => `| ${file.replace('.test.mjs', '')} | ${title} | ${looks.join('; ')} |`),
    '',
  ].join('\n');
}

if (process.argv[1] === new URL(import.meta.url).pathname) writeFileSync(new URL('JOURNEYS.md', here), listed());
