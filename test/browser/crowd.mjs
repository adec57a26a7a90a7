// Many orders at once, see crowd/main.go.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));

/** Lets a crowd loose on a shop without sagas, and says what it did. */
export async function crowd(shop, flags) {
  const { stdout } = await promisify(execFile)('go', ['run', './test/browser/crowd', '-postgres', shop.endpoints.postgres, ...flags], { cwd: root });
  return JSON.parse(stdout);
}
