import { deepEqual, equal } from "node:assert/strict";
import { join } from "node:path";
import { digestOf } from "../registry/oci/digest.ts";
import { openStore } from "../registry/store/store.ts";
import { tempDir } from "../registry/temp_testing.ts";
import { Known } from "./known.ts";

const bytes = new TextEncoder().encode('{"config":{}}');
const digest = digestOf(bytes);
const base = digestOf(new TextEncoder().encode("base"));
const PLACE = "registry.example/app";

async function inDirectory(act: (dir: string) => Promise<void>): Promise<void> {
  await using temp = await tempDir();
  const dir = temp.path;
  await act(`${dir}/store`);
}

async function files(dir: string): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(dir)) {
    const path = join(dir, name);
    if (isDirectory) found.push(...await files(path));
    else found.push(path);
  }
  return found;
}

/** What one command notes, until its end. */
async function noting(dir: string, act: (known: Known) => void): Promise<void> {
  await using known = new Known(dir);
  act(known);
}

Deno.test("P4 a document is known to the next command, and not believed when it was changed on the disk", async () => {
  await inDirectory(async (dir) => {
    equal(await new Known(dir).document(digest), undefined);
    await noting(dir, (known) => known.keep(digest, bytes));
    deepEqual(await new Known(dir).document(digest), bytes);
    const [file] = await files(dir);
    equal((await Deno.stat(file!)).mode! & 0o777, 0o600);
    await Deno.writeTextFile(file!, '{"config":{"User":"root"}}');
    equal(await new Known(dir).document(digest), undefined);
    // A directory with nothing but what is known becomes a store.
    await (await openStore(dir))[Symbol.asyncDispose]();
  });
});

Deno.test("P4 that a base is there is believed for ten minutes, longer where a registry refuses what is incomplete", async () => {
  await inDirectory(async (dir) => {
    await noting(dir, (known) => known.add(PLACE, base));
    const known = new Known(dir);
    equal(await known.has(PLACE, base, false), true);
    equal(await known.has("registry.example/other", base, true), false);
    const [file] = await files(dir);
    const aged = async (minutes: number) => {
      const then = new Date(Date.now() - minutes * 60_000);
      await Deno.utime(file!, then, then);
    };
    await aged(11);
    equal(await known.has(PLACE, base, false), false);
    equal(await known.has(PLACE, base, true), true);
    await aged(8 * 24 * 60);
    equal(await known.has(PLACE, base, true), false);
    await aged(0);
    await noting(dir, (known) => known.remove(PLACE, base));
    equal(await known.has(PLACE, base, true), false);
  });
});

Deno.test("P4 what was said to be wrong is not believed by the same command, though it is noted again meanwhile", async () => {
  await inDirectory(async (dir) => {
    await noting(dir, (known) => known.add(PLACE, base));
    await using known = new Known(dir);
    known.remove(PLACE, base);
    known.add(PLACE, base);
    equal(await known.has(PLACE, base, true), false);
  });
});

Deno.test("what nobody made for two months is forgotten, in the directories that are written to", async () => {
  await inDirectory(async (dir) => {
    await noting(dir, (known) => known.keep(digest, bytes));
    const [file] = await files(dir);
    const then = new Date(Date.now() - 61 * 24 * 3_600_000);
    const old = join(file!, "..", "0".repeat(64));
    await Deno.writeTextFile(old, "");
    await Deno.utime(old, then, then);
    await noting(dir, (known) => known.keep(digest, bytes));
    deepEqual(await files(dir), [file]);
  });
});

Deno.test("what a registry was seen to do is believed of its host alone, and for a day", async () => {
  await inDirectory(async (dir) => {
    const seen = { refuses: true, singlePost: false, inOrder: undefined };
    await noting(dir, (known) => known.keepFacts("registry.example:5000", seen));
    const known = new Known(dir);
    deepEqual(await known.facts("registry.example:5000"), seen);
    const none = { refuses: undefined, singlePost: undefined, inOrder: undefined };
    deepEqual(await known.facts("registry.example"), none);
    const [file] = await files(dir);
    const then = new Date(Date.now() - 25 * 60 * 60_000);
    await Deno.utime(file!, then, then);
    deepEqual(await known.facts("registry.example:5000"), none);
    await Deno.writeTextFile(file!, '{"refuses":"yes"}');
    equal((await known.facts("registry.example:5000")).refuses, undefined);
    await Deno.writeTextFile(file!, "no JSON");
    deepEqual(await known.facts("registry.example:5000"), none);
  });
});

Deno.test("C-AUTH-15 where a registry sends for tokens is believed of its host alone, and for a day", async () => {
  await inDirectory(async (dir) => {
    const realm = { realm: "https://auth.example/token", service: "registry.example" };
    await noting(dir, (known) => known.keepRealm("registry.example", realm));
    const known = new Known(dir);
    deepEqual(await known.realm("Registry.example"), realm);
    equal(await known.realm("registry.example:5000"), undefined);
    const [file] = await files(dir);
    equal((await Deno.stat(file!)).mode! & 0o777, 0o600);
    await Deno.writeTextFile(file!, '{"realm":7}');
    equal(await known.realm("registry.example"), undefined);
    await Deno.writeTextFile(file!, JSON.stringify(realm));
    const then = new Date(Date.now() - 25 * 60 * 60_000);
    await Deno.utime(file!, then, then);
    equal(await known.realm("registry.example"), undefined);
    await noting(dir, (known) => known.keepRealm("registry.example", realm));
    await noting(dir, (known) => known.forgetRealm("registry.example"));
    equal(await known.realm("registry.example"), undefined);
  });
});
