/** Checking passwords for a server: remembered, queued, slowed down. */
import { createHmac, randomBytes } from "node:crypto";
import { checkPassword, type Htpasswd } from "./htpasswd.ts";
import { Throttle, type ThrottleOptions } from "./throttle.ts";
import type { WatchedFile } from "./watched_file.ts";

/** What became of a login. */
export type LoginResult =
  | { readonly kind: "right" }
  | { readonly kind: "wrong" }
  /** Not looked at: too many failures, or too many at once. */
  | { readonly kind: "later"; readonly seconds: number };

/** Options of {@linkcode Logins}. */
export interface LoginOptions extends ThrottleOptions {
  /** How long a right password is known to be right. Default five minutes; a changed file ends it at once. */
  readonly rememberMs?: number | undefined;
}

/** Comparisons that wait: more would only wait longer than clients do. */
const MAX_QUEUE = 64;
const MAX_REMEMBERED = 10_000;

/**
 * The logins of one server. bcrypt is slow on purpose and runs on the only thread, and with Basic authentication a
 * client sends its password with every request; so what was right is remembered, as an HMAC under a key of this
 * process over user, hash and password. One comparison runs at a time; equal ones share it.
 */
export class Logins {
  readonly #file: WatchedFile<Htpasswd>;
  readonly #options: LoginOptions;
  readonly #throttle: Throttle;
  readonly #key = randomBytes(32);
  readonly #right = new Map<string, number>();
  readonly #running = new Map<string, Promise<LoginResult>>();
  #last: Promise<unknown> = Promise.resolve();
  #queued = 0;

  /** Logins against `file`. */
  constructor(file: WatchedFile<Htpasswd>, options: LoginOptions = {}) {
    this.#file = file;
    this.#options = options;
    this.#throttle = new Throttle(options);
  }

  /** Whether `user` is (still) in the file. */
  async knows(user: string): Promise<boolean> {
    return (await this.#file.current()).hashes.has(user);
  }

  /** Checks a password that came from `remote`, an address. A wrong one is answered late. */
  async check(user: string, password: string, remote: string): Promise<LoginResult> {
    const users = await this.#file.current();
    const mark = this.#markOf(user, users.hashes.get(user), password);
    if ((this.#right.get(mark) ?? 0) > this.#now()) return { kind: "right" };
    const key = `${remote} ${mark}`;
    let running = this.#running.get(key);
    if (running === undefined) {
      running = this.#compare(users, user, password, remote, mark).finally(() =>
        this.#running.delete(key)
      );
      this.#running.set(key, running);
    }
    return await running;
  }

  async #compare(
    users: Htpasswd,
    user: string,
    password: string,
    remote: string,
    mark: string,
  ): Promise<LoginResult> {
    if (this.#queued >= MAX_QUEUE) return { kind: "later", seconds: 1 };
    this.#queued++;
    const turn = this.#last.then(async (): Promise<boolean | number> => {
      // Asked when it is our turn: those in front of us may have been the failures that lock.
      const seconds = this.#throttle.lockedFor(user, remote);
      return seconds > 0 ? seconds : await checkPassword(users, user, password);
    });
    this.#last = turn.catch(() => {});
    const result = await turn.finally(() => this.#queued--);
    if (typeof result === "number") return { kind: "later", seconds: result };
    if (!result) {
      await this.#throttle.failed(user, remote);
      return { kind: "wrong" };
    }
    this.#throttle.succeeded(user, remote);
    this.#right.set(mark, this.#now() + (this.#options.rememberMs ?? 300_000));
    if (this.#right.size > MAX_REMEMBERED) this.#right.delete(this.#right.keys().next().value!);
    return { kind: "right" };
  }

  #markOf(user: string, hash: string | undefined, password: string): string {
    return createHmac("sha256", this.#key).update(JSON.stringify([user, hash, password])).digest(
      "base64",
    );
  }

  #now(): number {
    return (this.#options.now ?? Date.now)();
  }
}

/** User and password of an `Authorization: Basic` value; `undefined` when it is none. */
export function readBasic(header: string): { user: string; password: string } | undefined {
  const match = /^basic +([A-Za-z0-9+/]+={0,2})$/i.exec(header);
  if (match === null) return undefined;
  try {
    const bytes = Uint8Array.from(atob(match[1]!), (char) => char.charCodeAt(0));
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    const colon = text.indexOf(":");
    return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
  } catch {
    return undefined;
  }
}
