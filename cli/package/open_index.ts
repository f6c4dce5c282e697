/** `--buildpack-registry`: an index in a directory, in a (compressed) tar, or on a web server. */
import { directoryIndex, type RegistryIndex } from "../../lifecycle/platform/package/index_dir.ts";
import { readTar } from "../../registry/layer/tar_reader.ts";
import { isAddress } from "../../lifecycle/platform/address.ts";
import { downloadFile, downloadText } from "../download.ts";
import { UsageError } from "../exit.ts";
import type { PullPolicy } from "../pull_policy.ts";
import type { Session } from "../session.ts";

/** Of one name: thousands of versions. */
const MAX_FILE = 16 * 1024 * 1024;
const MAX_INDEX = { maxBytes: 2 ** 30, maxEntries: 1_000_000 };

/**
 * Opens an index.
 *
 * @param where `DIR`, `FILE.tar`, `FILE.tgz`, the address of such a file, or the address that names of files are put behind.
 * @param policy For an archive on a web server.
 * @throws {UsageError} When it is not there.
 */
export async function openIndex(
  session: Session,
  where: string,
  policy?: PullPolicy,
): Promise<RegistryIndex> {
  if (isAddress(where)) {
    if (isArchive(where)) {
      return archiveIndex(session, where, await downloadFile(session, where, policy));
    }
    const base = rawBase(where);
    return {
      name: where,
      read: async (path) => await downloadText(session, `${base}/${path}`, MAX_FILE),
    };
  }
  const path = session.path(where);
  const stat = await Deno.stat(path).catch(() => undefined);
  if (stat?.isDirectory) return directoryIndex(path);
  if (stat?.isFile) return archiveIndex(session, path, path);
  throw new UsageError(
    `Cannot use --buildpack-registry ${
      JSON.stringify(where)
    }: no such directory or file; want one, or https://...`,
  );
}

/**
 * The directory of an index that shall be changed.
 *
 * @throws {UsageError} For an archive or an address: those are only read.
 */
export async function indexToWrite(session: Session, where: string): Promise<string> {
  const path = session.path(where);
  const isFile = await Deno.stat(path).then((stat) => stat.isFile, () => false);
  if (!isAddress(where) && !isFile) return path;
  throw new UsageError(
    `Cannot change the registry index ${where}: want a directory, such as a checkout of it`,
  );
}

function isArchive(url: string): boolean {
  return /\.(tar|tgz|tar\.gz|tar\.zst)$/.test(url.replace(/[?#].*$/, ""));
}

/** People know a repository by the page of it; its files are elsewhere. */
function rawBase(url: string): string {
  const [, name] = /^https:\/\/github\.com\/([\w.-]+\/[\w.-]+?)(?:\.git)?\/?$/.exec(url) ?? [];
  return name === undefined
    ? url.replace(/\/+$/, "")
    : `https://raw.githubusercontent.com/${name}/HEAD`;
}

function archiveIndex(session: Session, name: string, file: string): RegistryIndex {
  return { name, read: (path) => readFromTar(session, name, file, path) };
}

/** The file at `path`, whatever directory of the archive the index is in. */
async function readFromTar(
  { ctx: { signal } }: Session,
  name: string,
  file: string,
  path: string,
): Promise<string | undefined> {
  using opened = await Deno.open(file);
  const keep = (header: { readonly name: string }) => `/${header.name}`.endsWith(`/${path}`);
  try {
    const options = { limits: MAX_INDEX, signal, keep };
    for await (const { header, body } of readTar(opened.readable, options)) {
      if (!keep(header) || header.type !== "file" || body === undefined) continue;
      if (body.byteLength <= MAX_FILE) return new TextDecoder().decode(body);
    }
  } catch (cause) {
    signal.throwIfAborted();
    throw new UsageError(
      `Cannot use --buildpack-registry ${name}: it is no (compressed) tar that can be read`,
      { cause },
    );
  }
  return undefined;
}
