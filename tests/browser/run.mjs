// Runs every *.test.mjs of this folder and of lab/ in one process, so that they share one browser.
// MAILBOAT_BROWSER_TESTS: only the files whose name contains this.
import { readdirSync } from 'node:fs';

const here = new URL('.', import.meta.url);
const wanted = process.env.MAILBOAT_BROWSER_TESTS ?? '';
const files = readdirSync(here, { recursive: true }).filter((name) => name.endsWith('.test.mjs') && name.includes(wanted));
if (files.length === 0) throw new Error(`no file of tests is called ${wanted}`);
for (const name of files.sort()) await import(new URL(name, here));
