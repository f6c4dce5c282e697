/** COPY and ADD: files of a build context come into the root. */
import { join } from "node:path";
import ignore from "ignore";
import { Digester } from "../../registry/oci/digest.ts";
import { untarTo } from "../../registry/layer/extract.ts";
import { decompress, isCompressed } from "../../registry/layer/decompress.ts";
import { parseGlob } from "../../registry/layer/glob.ts";
import { compareBytes } from "../../registry/compare_bytes.ts";
import { findContained, readContained } from "../file/contained.ts";
import { locate } from "../sandbox/tree_files.ts";
import { type ExtendRoot, makeDirectoryIn } from "./root.ts";
import { lchown } from "node:fs/promises";

/** A file, link or directory of a context. */
interface ContextEntry {
  /** Relative to what is copied; empty for itself. */
  readonly path: string;
  /** Where it lies on this machine. */
  readonly outside: string;
  readonly info: Deno.FileInfo;
}

/** Something to copy, looked up. */
export interface CopySource {
  /** Its last name, for a target that is a directory. */
  readonly name: string;
  /** Itself first, then what is below it, in byte order. */
  readonly entries: readonly ContextEntry[];
  /** Text of a here-document, instead of entries. */
  readonly text?: string | undefined;
}

/** What the directory `dir` offers to COPY. */
export interface BuildContext {
  /**
   * What `pattern` names: a path or a glob, relative to the context. Links in the names are followed inside of it.
   *
   * @throws {TypeError} When nothing is there, or it leads out.
   */
  find(pattern: string): Promise<readonly CopySource[]>;
}

/** Opens a context; `.dockerignore` in it counts. */
export async function openContext(dir: string): Promise<BuildContext> {
  const roots = [{ inside: "/", outside: dir }];
  const text = await readContained("/.dockerignore", roots);
  // Its patterns begin at the top of the context, those of git anywhere.
  const rules = text === undefined ? undefined : ignore().add(
    text.split(/\r?\n/).map((line) => line.trim()).filter((line) => line && !line.startsWith("#"))
      .map((line) => line.replace(/^(!?)\/?/, "$1/")),
  );
  const isKept = (path: string, isDirectory: boolean) =>
    path === "" || !rules?.ignores(isDirectory ? `${path}/` : path);
  return {
    async find(pattern) {
      const clean = cleanPath(pattern);
      const paths = /[*?[\\]/.test(clean) ? await expandGlob(dir, clean) : [clean];
      const sources: CopySource[] = [];
      for (const path of paths) {
        const found = await findContained(`/${path}`, roots);
        if (found === undefined || !isKept(path, found.info.isDirectory)) continue;
        const entries: ContextEntry[] = [{ path: "", ...found }];
        if (found.info.isDirectory) {
          await collect(found.outside, "", path, isKept, entries);
        }
        sources.push({ name: path.slice(path.lastIndexOf("/") + 1), entries });
      }
      if (sources.length === 0) {
        throw new TypeError(`${JSON.stringify(pattern)} is not in the build context ${dir}`);
      }
      return sources;
    },
  };
}

function cleanPath(path: string): string {
  const steps: string[] = [];
  for (const step of path.split("/")) {
    if (step === "..") steps.pop();
    else if (step !== "" && step !== ".") steps.push(step);
  }
  return steps.join("/");
}

async function expandGlob(dir: string, pattern: string): Promise<readonly string[]> {
  const matches = parseGlob(pattern);
  const depth = pattern.split("/").length;
  const found: string[] = [];
  const walk = async (path: string, level: number) => {
    for await (const { name, isDirectory } of Deno.readDir(`${dir}/${path}`)) {
      const at = path === "" ? name : `${path}/${name}`;
      if (level === depth && matches(at)) found.push(at);
      if (level < depth && isDirectory) await walk(at, level + 1);
    }
  };
  await walk("", 1);
  return found.sort(compareBytes);
}

async function collect(
  outside: string,
  path: string,
  inContext: string,
  isKept: (path: string, isDirectory: boolean) => boolean,
  into: ContextEntry[],
): Promise<void> {
  const names = await Array.fromAsync(Deno.readDir(outside), ({ name }) => name);
  for (const name of names.sort(compareBytes)) {
    const at = path === "" ? name : `${path}/${name}`;
    const context = inContext === "" ? at : `${inContext}/${at}`;
    const info = await Deno.lstat(`${outside}/${name}`);
    // Of a directory that is ignored something inside may be kept.
    if (info.isDirectory) {
      const before = into.length;
      into.push({ path: at, outside: `${outside}/${name}`, info });
      await collect(`${outside}/${name}`, at, inContext, isKept, into);
      if (!isKept(context, true) && into.length === before + 1) into.pop();
    } else if (isKept(context, false)) {
      into.push({ path: at, outside: `${outside}/${name}`, info });
    }
  }
}

/** What decides whether a copy is the same as another time: names, kinds, modes and contents. */
export async function digestSources(sources: readonly CopySource[]): Promise<string> {
  const hash = new Digester();
  const encoder = new TextEncoder();
  const say = (...words: readonly unknown[]) =>
    hash.update(encoder.encode(JSON.stringify(words) + "\n"));
  for (const { name, entries, text } of sources) {
    say("source", name, text ?? null);
    for (const { path, outside, info } of entries) {
      say(path, kindOf(info), (info.mode ?? 0) & 0o7777, info.isFile ? info.size : 0);
      if (info.isSymlink) say(await Deno.readLink(outside));
      if (!info.isFile) continue;
      using file = await Deno.open(outside);
      for await (const chunk of file.readable) hash.update(chunk);
    }
  }
  return hash.digest();
}

function kindOf(info: Deno.FileInfo): string {
  return info.isFile ? "file" : info.isDirectory ? "directory" : info.isSymlink ? "link" : "other";
}

/** How to copy. */
export interface CopyOptions {
  /** Where to, absolute, as the image calls it. */
  readonly target: string;
  /** The target is a directory, whether it is there or not: it was written with a slash at its end. */
  readonly isDirectory: boolean;
  /** Owner of what is made. */
  readonly owner: { readonly uid: number; readonly gid: number };
  /** Mode of files and directories; default: as in the context. */
  readonly mode?: number | undefined;
  /** Archives are unpacked instead (ADD). */
  readonly unpack: boolean;
}

/**
 * Copies.
 *
 * @throws {TypeError} When something is in the way.
 */
export async function copyInto(
  root: ExtendRoot,
  sources: readonly CopySource[],
  options: CopyOptions,
): Promise<void> {
  const { target, owner } = options;
  const there = locate(root.root, target);
  const intoDirectory = options.isDirectory || sources.length > 1 ||
    (there !== undefined && (await Deno.lstat(there)).isDirectory);
  for (const source of sources) {
    const [first] = source.entries;
    if (options.unpack && first?.info.isFile && await isArchive(first.outside)) {
      const dir = await makeDirectoryIn(root, target, owner);
      using file = await Deno.open(first.outside);
      await untarTo(dir, file.readable, { keepSetuid: true });
      continue;
    }
    const parent = first?.info.isDirectory || intoDirectory ? target : parentOf(target);
    const dir = await makeDirectoryIn(root, parent, owner);
    const name = intoDirectory ? source.name : target.slice(target.lastIndexOf("/") + 1);
    const base = first?.info.isDirectory ? dir : join(dir, name);
    if (source.text !== undefined) {
      await removeFile(base);
      await Deno.writeTextFile(base, source.text);
      await finish(root, base, options.mode ?? 0o644, owner);
    }
    for (const entry of source.entries) {
      await copyEntry(root, entry, join(base, entry.path), options);
    }
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

async function copyEntry(
  root: ExtendRoot,
  { path, outside: from, info }: ContextEntry,
  to: string,
  { owner, mode }: CopyOptions,
): Promise<void> {
  const bits = mode ?? (info.mode ?? 0o644) & 0o7777;
  if (info.isDirectory) {
    const there = await Deno.stat(to).catch(() => undefined);
    if (there !== undefined && !there.isDirectory) {
      throw new TypeError(`${to} is no directory, the context has one there`);
    }
    // A directory of the image keeps its mode, as does the target itself.
    if (there !== undefined) return;
    await Deno.mkdir(to);
    await finish(root, to, bits, owner);
  } else if (info.isSymlink && path !== "") {
    await removeFile(to);
    await Deno.symlink(await Deno.readLink(from), to);
    await own(root, to, owner);
  } else if (info.isFile) {
    await removeFile(to);
    await Deno.copyFile(from, to);
    await finish(root, to, bits, owner);
  } else {
    throw new TypeError(`${from} is no file, directory or link`);
  }
}

async function removeFile(path: string): Promise<void> {
  const info = await Deno.lstat(path).catch(() => undefined);
  if (info === undefined) return;
  if (info.isDirectory) throw new TypeError(`${path} is a directory, the context has a file there`);
  await Deno.remove(path);
}

async function finish(
  root: ExtendRoot,
  path: string,
  mode: number,
  owner: CopyOptions["owner"],
): Promise<void> {
  // Owner first: a change of owner takes setuid away.
  await own(root, path, owner);
  await Deno.chmod(path, mode);
}

async function own(
  root: ExtendRoot,
  path: string,
  { uid, gid }: CopyOptions["owner"],
): Promise<void> {
  if (root.realOwners) await lchown(path, uid, gid);
}

/** A tar, also a compressed one. */
async function isArchive(path: string): Promise<boolean> {
  using file = await Deno.open(path);
  const head = new Uint8Array(512);
  const size = await file.read(head) ?? 0;
  if (isTar(head)) return true;
  const magic = new TextDecoder("latin1").decode(head.subarray(0, 6));
  if (magic.startsWith("BZh") || magic === "\xfd7zXZ\0") {
    throw new TypeError(`${path} is packed with bzip2 or xz, want gzip or zstd`);
  }
  if (!isCompressed(head.subarray(0, size))) return false;
  using again = await Deno.open(path);
  let first = new Uint8Array();
  for await (const chunk of decompress(again.readable)) {
    first = new Uint8Array([...first, ...chunk.subarray(0, 512)]);
    if (first.byteLength >= 512) break;
  }
  return isTar(first);
}

function isTar(head: Uint8Array): boolean {
  return new TextDecoder("latin1").decode(head.subarray(257, 262)) === "ustar";
}
