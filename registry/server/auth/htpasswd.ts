/** Password files: `user:hash` lines, bcrypt only. */
import { createHmac, randomBytes } from "node:crypto";
import { compare } from "bcryptjs";

/** The users of one file. */
export interface Htpasswd {
  /** Hash by user. */
  readonly hashes: ReadonlyMap<string, string>;
  /**
   * Hashes nobody's password has, as costly as the others, one for each. An unknown user always gets the same one, so
   * how long an answer takes does not say who is known, whatever costs there are.
   */
  readonly dummies: readonly string[];
}

const HASH = /^\$2[aby]\$([0-9]{2})\$[./A-Za-z0-9]{53}$/;
/** Beyond this one login takes a minute of the only thread. */
const MAX_COST = 15;

/**
 * Reads a password file. Empty lines and lines that start with `#` are skipped.
 *
 * @param file For messages; no message shows a hash.
 * @throws {SyntaxError} Naming file and line: no bcrypt, a user twice, a cost over 15.
 */
export function parseHtpasswd(text: string, file: string): Htpasswd {
  const hashes = new Map<string, string>();
  const dummies: string[] = [];
  text.split(/\r?\n/).forEach((line, at) => {
    const fail = (why: string) => new SyntaxError(`Cannot read ${file}: line ${at + 1} ${why}`);
    if (line.trim() === "" || line.startsWith("#")) return;
    const colon = line.indexOf(":");
    if (colon < 1) throw fail("is not user:hash");
    const user = line.slice(0, colon);
    const hash = line.slice(colon + 1).trim();
    const match = HASH.exec(hash);
    if (match === null) {
      throw fail("has no bcrypt hash: want $2b$ or $2y$, as htpasswd -B makes it");
    }
    if (Number(match[1]) < 4 || Number(match[1]) > MAX_COST) {
      throw fail(`has the bcrypt cost ${match[1]}: want 4 to ${MAX_COST}`);
    }
    if (hashes.has(user)) throw fail(`names ${JSON.stringify(user)} a second time`);
    dummies.push(dummyHash(Number(match[1])));
    hashes.set(user, hash);
  });
  return { hashes, dummies: dummies.length > 0 ? dummies : [dummyHash(10)] };
}

const ALPHABET = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** Not made from a password: random letters, whose password nobody knows. */
function dummyHash(cost: number): string {
  const letters = [...crypto.getRandomValues(new Uint8Array(52))].map((byte) =>
    ALPHABET[byte % 64]
  );
  return `$2b$${String(cost).padStart(2, "0")}$${letters.join("")}O`;
}

const key = randomBytes(32);

/** Which one it is cannot be foretold outside this process. */
function dummyOf(user: string, dummies: readonly string[]): string {
  const number = createHmac("sha256", key).update(user).digest().readUInt32BE();
  return dummies[number % dummies.length]!;
}

/** More than people type, less than what keeps a server busy. bcrypt itself reads 72 bytes. */
const MAX_PASSWORD = 1024;

/**
 * Checks a password, always at the price of one comparison.
 *
 * An empty password never fits, nor one with a NUL, which other programs' bcrypt would stop at.
 */
export async function checkPassword(
  { hashes, dummies }: Htpasswd,
  user: string,
  password: string,
): Promise<boolean> {
  const hash = hashes.get(user);
  const usable = password !== "" && password.length <= MAX_PASSWORD && !password.includes("\0");
  const same = await compare(usable ? password : "x", hash ?? dummyOf(user, dummies));
  return same && usable && hash !== undefined;
}
