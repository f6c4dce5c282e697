/** Buildpacks, lifecycles and indexes that lie on web servers: fetched once, and kept in the store for the next time. */
import { join } from "node:path";
import { isLoopbackName } from "../registry/client/address.ts";
import { listed } from "../registry/client/dial.ts";
import type { TransportResponse } from "../registry/client/exchange.ts";
import { download } from "../registry/client/plain_download.ts";
import { Transport } from "../registry/client/transport.ts";
import { TransportError } from "../registry/client/transport_error.ts";
import { redactUrl, type Target } from "../registry/client/url.ts";
import { type Digest, Digester, digestOf, hexOf, isDigest } from "../registry/oci/digest.ts";
import { OciError } from "../registry/oci/error.ts";
import { transportOptions } from "./connect.ts";
import { UsageError } from "./exit.ts";
import type { PullPolicy } from "./pull_policy.ts";
import type { Session } from "./session.ts";
import { formatSize } from "./ui/size.ts";
import { VERSION } from "./version.ts";

/** No buildpack is larger; a server that never ends is. */
const MAX_BYTES = 4 * 2 ** 30;
/** What nobody used for so long is forgotten, in milliseconds. */
const KEPT_MS = 60 * 24 * 60 * 60 * 1000;
const TRIES = 3;

/** What is known of a file that was fetched. */
interface Note {
  readonly etag: string;
  readonly digest: Digest;
}

/** Files by address. A command asks for each once. */
const asked = new WeakMap<Session, Map<string, Promise<string>>>();

/**
 * The file behind `url`, on this machine. Nobody is sent a password; http is for this machine and `--insecure-registry`.
 *
 * @param policy As for images: without a word the server is asked, which need not send again what is here.
 * @returns Its path, which stays as long as the command.
 * @throws {UsageError} When it is not there, or must not be asked for.
 */
export function downloadFile(
  session: Session,
  url: string,
  policy?: PullPolicy,
): Promise<string> {
  const files = asked.get(session) ?? new Map<string, Promise<string>>();
  asked.set(session, files);
  const found = files.get(url) ?? fetchFile(session, url, policy);
  files.set(url, found);
  return found;
}

/**
 * A small text behind `url`, asked for each time.
 *
 * @returns `undefined` when the server has none.
 */
export async function downloadText(
  session: Session,
  url: string,
  limit: number,
): Promise<string | undefined> {
  const answer = await ask(session, url, { also: [404, 410] }).catch((cause) => blame(url, cause));
  try {
    if (answer.response.status !== 200) {
      await answer.response.body.cancel();
      return undefined;
    }
    return new TextDecoder().decode(await answer.response.bytes(limit));
  } finally {
    await answer[Symbol.asyncDispose]();
  }
}

async function fetchFile(session: Session, url: string, policy?: PullPolicy): Promise<string> {
  const dir = join(session.storeDir(), "cache", "downloads-1");
  const key = hexOf(digestOf(new TextEncoder().encode(url)));
  const place = (digest: Digest) => join(dir, `${key}-${hexOf(digest)}`);
  const notePath = join(dir, `${key}.json`);
  const note = await readNote(notePath, place);
  const shown = redactUrl(url);
  if (note !== undefined && policy !== undefined && policy !== "always") {
    return await use(place(note.digest));
  }
  if (policy === "never") {
    throw new UsageError(
      `Cannot use ${shown}: it was not downloaded before, and --pull-policy is never`,
    );
  }
  for (let tried = 1;; tried++) {
    try {
      const etag = note?.etag || undefined;
      await using answer = await ask(session, url, { etag, also: [304, 404, 410] });
      const { response } = answer;
      if (response.status === 304 && note !== undefined) {
        await response.body.cancel();
        session.log.info(`${shown} is what it was (${note.digest})`);
        return await use(place(note.digest));
      }
      if (response.status !== 200) {
        await response.body.cancel();
        throw new UsageError(`Cannot find ${shown}: the server says ${response.status}`);
      }
      const { digest, size, path } = await keep(session, response, shown, dir);
      await Deno.rename(path, place(digest));
      const etagNow = response.headers.get("etag") ?? "";
      await writeNote(notePath, { etag: etagNow, digest });
      session.log.info(`Downloaded ${shown} (${formatSize(size)}, ${digest})`);
      await sweep(dir);
      return place(digest);
    } catch (cause) {
      session.ctx.signal.throwIfAborted();
      const cut = cause instanceof TransportError && cause.fault === "reset" && tried < TRIES;
      if (!cut) blame(url, cause);
    }
  }
}

/** An answer with the connection it comes over. */
interface Answer extends AsyncDisposable {
  readonly response: TransportResponse;
}

async function ask(
  session: Session,
  url: string,
  options: { readonly etag?: string | undefined; readonly also: readonly number[] },
): Promise<Answer> {
  refuseUser(url);
  const { transport } = await transportOptions(session.io, session.flags, session.log, VERSION);
  const web = new Transport(transport);
  const check = (target: Target) => {
    const open = [...transport.insecureHosts ?? [], ...transport.plainHosts ?? []];
    if (target.secure || isLoopbackName(target.hostname) || listed(open, target)) return;
    throw new UsageError(
      `Cannot use ${
        redactUrl(url)
      }: it is not encrypted; want https://, or --insecure-registry ${target.host}`,
    );
  };
  try {
    const response = await download(web, url, { ...options, check, signal: session.ctx.signal });
    return { response, [Symbol.asyncDispose]: () => web[Symbol.asyncDispose]() };
  } catch (error) {
    await web[Symbol.asyncDispose]();
    throw error;
  }
}

function refuseUser(url: string): void {
  if (!/^[^:]+:\/\/[^/?#]*@/.test(url)) return;
  throw new UsageError(
    `Cannot use ${redactUrl(url)}: only registries are sent passwords; want it without a user`,
  );
}

function blame(url: string, cause: unknown): never {
  if (!(cause instanceof TransportError)) throw cause;
  const { host, why } = cause;
  const at = url.toLowerCase().includes(host) ? "" : `${host}: `; // where it was sent on to
  throw new OciError("UNAVAILABLE", `Cannot get ${redactUrl(url)}: ${at}${why}`, { cause });
}

/** Writes the body beside the others, under a name that nobody looks for. */
async function keep(session: Session, response: TransportResponse, shown: string, dir: string) {
  const said = Number(response.headers.get("content-length") ?? NaN);
  const tooLarge = () =>
    new UsageError(`Cannot use ${shown}: it is larger than ${formatSize(MAX_BYTES)}`);
  if (said > MAX_BYTES) {
    await response.body.cancel();
    throw tooLarge();
  }
  await Deno.mkdir(dir, { recursive: true, mode: 0o700 });
  const path = join(dir, `new-${crypto.randomUUID()}`);
  const meter = session.ctx.meter(
    `Downloading ${shown.slice(shown.lastIndexOf("/") + 1) || shown}`,
    Number.isSafeInteger(said) ? said : undefined,
  );
  const hash = new Digester();
  let size = 0;
  try {
    using file = await Deno.open(path, { write: true, createNew: true, mode: 0o600 });
    for await (const chunk of response.body) {
      size += chunk.byteLength;
      if (size > MAX_BYTES) throw tooLarge();
      hash.update(chunk);
      for (let at = 0; at < chunk.byteLength;) at += await file.write(chunk.subarray(at));
      meter.add(chunk.byteLength);
    }
    return { digest: hash.digest(), size, path };
  } catch (error) {
    await Deno.remove(path).catch(() => {});
    throw error;
  } finally {
    meter.end();
  }
}

/** What was changed on the disk is not believed. */
async function readNote(
  path: string,
  place: (digest: Digest) => string,
): Promise<Note | undefined> {
  try {
    const { etag, digest } = JSON.parse(await Deno.readTextFile(path));
    if (typeof etag !== "string" || !isDigest(digest)) return undefined;
    const hash = new Digester();
    using file = await Deno.open(place(digest));
    for await (const chunk of file.readable) hash.update(chunk);
    return hash.digest() === digest ? { etag, digest } : undefined;
  } catch {
    return undefined;
  }
}

async function writeNote(path: string, note: Note): Promise<void> {
  const temporary = `${path}.${crypto.randomUUID()}`;
  await Deno.writeTextFile(temporary, JSON.stringify(note), { mode: 0o600 });
  await Deno.rename(temporary, path);
}

async function use(path: string): Promise<string> {
  const now = new Date();
  await Deno.utime(path, now, now).catch(() => {});
  return path;
}

async function sweep(dir: string): Promise<void> {
  for await (const { name } of Deno.readDir(dir)) {
    const path = join(dir, name);
    const used = (await Deno.stat(path).catch(() => undefined))?.mtime?.getTime() ?? Date.now();
    if (Date.now() - used > KEPT_MS) await Deno.remove(path).catch(() => {});
  }
}
