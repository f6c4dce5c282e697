/** A store whose files were damaged: an answer is right, or there is a clear error, and it never gives wrong bytes. */
import assert from "node:assert/strict";
import { digestOf } from "../../registry/oci/digest.ts";
import { OciError } from "../../registry/oci/error.ts";
import { pushSampleImage } from "../../registry/registry_suite_testing.ts";
import { readAll } from "../../registry/source.ts";
import { openStore } from "../../registry/store/store.ts";
import { childrenOf, parseDocument } from "../../registry/oci/manifest.ts";
import { type Next, rounds } from "./seeded.ts";
import type { Span } from "../../registry/span_testing.ts";

/** Flips bits in, or cuts, a few files of a store, then reads all of it. */
export async function fuzzStore(span: Span, seed: number): Promise<number> {
  const dir = await Deno.makeTempDir({ prefix: "wherry-fuzz-" });
  try {
    const known = new Set<string>();
    {
      await using store = await openStore(`${dir}/good`);
      for (let at = 0; at < 8; at++) {
        const size = at % 3 === 0 ? 80_000 : 400;
        const { digest } = await pushSampleImage(store, `app${at % 2}`, {
          seed: at,
          size,
          tags: [`t${at}`, "moving"],
        });
        known.add(digest);
      }
    }
    const files = await filesIn(`${dir}/good`, "");
    let log: string[] = [];
    return await rounds(
      span,
      seed,
      async (next) => {
        log = [];
        await copyTree(`${dir}/good`, `${dir}/bad`);
        for (let left = 1 + next(3); left > 0; left--) {
          log.push(await damage(`${dir}/bad`, files, next));
        }
        try {
          await look(`${dir}/bad`, known);
        } finally {
          await Deno.remove(`${dir}/bad`, { recursive: true });
        }
      },
      () => log,
      20_000,
    );
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function look(dir: string, known: ReadonlySet<string>): Promise<void> {
  try {
    await using store = await openStore(dir);
    for await (const repository of store.repositories()) {
      for await (const tag of store.tags(repository)) {
        try {
          const raw = await store.manifest(repository, tag);
          if (raw === undefined) continue;
          assert.equal(digestOf(raw.bytes), raw.digest);
          assert.ok(known.has(raw.digest), `${repository}:${tag} became ${raw.digest}`);
          for (const { digest } of childrenOf(parseDocument(raw.bytes, raw.mediaType))) {
            const blob = await store.blob(repository, digest);
            if (blob !== undefined) assert.equal(digestOf(await readAll(blob, 1 << 20)), digest);
          }
        } catch (error) {
          clear(error);
        }
      }
    }
  } catch (error) {
    clear(error);
  }
}

function clear(error: unknown): void {
  if (!(error instanceof OciError)) throw error;
  assert.ok(/^Cannot /.test(error.message), error.message);
}

async function damage(dir: string, files: readonly string[], next: Next): Promise<string> {
  const name = files[next(files.length)]!;
  const path = `${dir}/${name}`;
  const bytes = await Deno.readFile(path);
  if (bytes.length === 0) return `${name} is empty`;
  if (next(4) === 0) {
    const size = next(bytes.length);
    await Deno.truncate(path, size);
    return `${name} cut to ${size}`;
  }
  const at = next(bytes.length);
  bytes[at]! ^= 1 << next(8);
  const { mode } = await Deno.stat(path);
  await Deno.chmod(path, 0o600);
  await Deno.writeFile(path, bytes);
  await Deno.chmod(path, mode! & 0o777);
  return `${name}: bit in byte ${at}`;
}

async function filesIn(root: string, under: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory, isFile } of Deno.readDir(`${root}/${under}`)) {
    if (isDirectory) found.push(...await filesIn(root, `${under}${name}/`));
    else if (isFile) found.push(under + name);
  }
  return found.sort();
}

async function copyTree(from: string, to: string): Promise<void> {
  const { success } = await new Deno.Command("cp", { args: ["-a", from, to] }).output();
  assert.ok(success);
}
