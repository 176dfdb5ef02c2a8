// The suite that tests/tests/webmail.rs started for this run, and what it is reached by.
import { createRequire } from 'node:module';
import { join } from 'node:path';

if (!process.env.MAILBOAT_WORLD) {
  throw new Error('run by tests/tests/webmail.rs: MAILBOAT_WORLD is not set (see README.md)');
}

/**
 * @type {{url: string|null, address: string, smtp: number, submission: number, imap: number,
 *         users: string[], modules: string, artefacts: string, root: string, web: number|null}}
 * url: where mshttpd listens, with no slash at its end, or null when it is not built. address: the instance's own loopback
 * address. users: names that no test has yet; a password is the name with `-secret`, the domain is example.test.
 * modules: the folder of node_modules. artefacts: where screenshots of failed tests go. root: the instance's folder. web: the
 * process of mshttpd.
 */
export const world = JSON.parse(process.env.MAILBOAT_WORLD);

/** Packages of package.json: they are installed under target/, not beside the tests. */
export const requireInstalled = createRequire(join(world.modules, 'here.cjs'));

/** A user's password and address. */
export const password = (user) => `${user}-secret`;
export const address = (user) => `${user}@example.test`;
