/** Every way out of a directory, by every way in. */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import fc from "../../registry/oci/property_testing.ts";
import { extractLayer, untarTo } from "../../registry/layer/extract.ts";
import { type Sample, streamOf, tarOf } from "../../registry/layer/tar_testing.ts";
import type { TarType } from "../../registry/layer/tar_format.ts";
import { unzipTo } from "../../registry/layer/unzip.ts";
import { prepareApp } from "../../lifecycle/platform/app_source.ts";
import { HOSTILE_ARCHIVES, hostileTar, hostileZip, zipOf } from "./archives_testing.ts";
import { untouched } from "./untouched_testing.ts";

/** An error a caller can show: of ours, one line. */
function refusal(error: unknown): true {
  ok(error instanceof Error);
  ok(
    error instanceof TypeError || error instanceof SyntaxError || error instanceof RangeError,
    String(error),
  );
  return true;
}

async function expect(refused: boolean, act: Promise<unknown>): Promise<void> {
  if (refused) await rejects(act, refusal);
  else await act;
}

for (const archive of HOSTILE_ARCHIVES) {
  const { name, refused, entries } = archive;
  // Layers to restore hold no hard links, so those cases end sooner there.
  Deno.test(`${name}: a restored layer stays inside`, () =>
    untouched(async ({ inside, outside }) => {
      const tar = hostileTar(archive, outside, "/layers/");
      await expect(
        refused,
        extractLayer(streamOf(tar), { directories: { "/layers": inside } }),
      );
    }));
  Deno.test(`${name}: an unpacked tar stays inside`, () =>
    untouched(async ({ inside, outside }) => {
      await expect(refused, untarTo(inside, streamOf(hostileTar(archive, outside))));
    }));
  if (entries.some(({ type }) => type === "link")) continue;
  Deno.test(`${name}: an unpacked zip stays inside`, () =>
    untouched(async ({ top, inside, outside }) => {
      await Deno.writeFile(`${top}/a.zip`, hostileZip(archive, outside)!);
      // A zip has no empty name, and back slashes in its names are refused.
      const odd = /EmptyFilename|odd names/.test(name);
      const act = unzipTo(inside, `${top}/a.zip`);
      await (odd ? act.catch(refusal) : expect(refused, act));
    }));
}

Deno.test("X-06 whiteouts are names like any other: nothing is deleted for them", () =>
  untouched(async ({ inside }) => {
    await Deno.writeTextFile(`${inside}/there`, "kept");
    await untarTo(
      inside,
      streamOf(
        tarOf({ name: "x", text: "kept" }, { name: ".wh.x" }, { name: ".wh.there" }, {
          name: ".wh..wh..opq",
        }),
      ),
    );
    equal(await Deno.readTextFile(`${inside}/there`), "kept");
    equal(await Deno.readTextFile(`${inside}/x`), "kept");
  }));

Deno.test("X-08 setuid, setgid and extended attributes of an archive do not reach the host", () =>
  untouched(async ({ inside, top }) => {
    const entry: Sample = { name: "su", text: "x", mode: 0o6755 };
    await untarTo(inside, streamOf(tarOf(entry)));
    equal((await Deno.lstat(`${inside}/su`)).mode! & 0o7777, 0o755);
    await Deno.remove(`${inside}/su`);
    await Deno.writeFile(`${top}/a.zip`, zipOf([entry]));
    await unzipTo(inside, `${top}/a.zip`);
    equal((await Deno.lstat(`${inside}/su`)).mode! & 0o7777, 0o755);
  }));

Deno.test("X-13 absolute links of a distribution are unpacked as tar does", async () => {
  await untouched(async ({ top, inside }) => {
    const entries: readonly Sample[] = [
      { name: "usr", type: "directory", mode: 0o755 },
      { name: "usr/lib", type: "directory", mode: 0o755 },
      { name: "usr/lib/libc.so.6", text: "libc", mode: 0o755 },
      { name: "lib", type: "symlink", linkName: "usr/lib", mode: 0o777 },
      { name: "lib64", type: "symlink", linkName: "/usr/lib", mode: 0o777 },
      { name: "etc", type: "directory", mode: 0o755 },
      { name: "etc/alternatives", type: "directory", mode: 0o755 },
      { name: "etc/alternatives/java", type: "symlink", linkName: "/usr/lib/jvm/bin/java" },
      { name: "etc/mtab", type: "symlink", linkName: "../../../../proc/self/mounts" },
      { name: "usr/lib/libc.so", type: "link", linkName: "usr/lib/libc.so.6" },
      { name: "var", type: "directory", mode: 0o755 },
      { name: "var/run", type: "symlink", linkName: "/run" },
      { name: "tmp", type: "directory", mode: 0o1777 },
    ];
    const tar = tarOf(...entries);
    await untarTo(inside, streamOf(tar));
    await Deno.mkdir(`${top}/theirs`);
    await Deno.writeFile(`${top}/a.tar`, tar);
    const made = await new Deno.Command("tar", {
      args: ["-xpf", `${top}/a.tar`, "-C", `${top}/theirs`],
    }).output();
    ok(made.success);
    const list = async (dir: string) => {
      const args = [dir, "-mindepth", "1", "-printf", "%P %y %m %l %n\\n"];
      const { stdout } = await new Deno.Command("find", { args }).output();
      return new TextDecoder().decode(stdout).split("\n").sort();
    };
    deepEqual(await list(inside), await list(`${top}/theirs`));
  });
});

Deno.test("X-04 property: no zip and no app archive touches anything outside its directory", async () => {
  const step = fc.constantFrom("a", "b", "c", "..", ".", "");
  const name = fc.array(step, { minLength: 1, maxLength: 5 }).map((steps) => steps.join("/"));
  const sample = fc.record({
    name,
    type: fc.constantFrom<TarType>("file", "directory", "symlink", "link"),
    linkName: fc.oneof(name, fc.constantFrom("OUT", "OUT/dir", "OUT/file", "../outside", "..")),
    mode: fc.integer({ min: 0, max: 0o7777 }),
    text: fc.constantFrom("", "evil"),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(sample, { minLength: 1, maxLength: 8 }),
      (samples) =>
        untouched(async ({ top, inside, outside }) => {
          const entries = samples.map(({ linkName, ...rest }): Sample => ({
            ...rest,
            name: rest.name || "a",
            text: rest.type === "file" ? rest.text : "",
            ...(rest.type === "link" || rest.type === "symlink"
              ? { linkName: linkName.replace("OUT", outside) || "a" }
              : {}),
          }));
          await Deno.writeFile(
            `${top}/a.zip`,
            zipOf(entries.filter(({ type }) => type !== "link")),
          );
          await unzipTo(inside, `${top}/a.zip`).catch(() => {});
          await Deno.mkdir(`${inside}/second`, { recursive: true }).catch(() => {});
          await Deno.writeFile(`${top}/a.tar`, tarOf(...entries));
          await prepareApp(`${top}/a.tar`, `${inside}/second`, new AbortController().signal)
            .catch(() => {});
        }),
    ),
    { numRuns: 100 },
  );
});

Deno.test("X-11 a bomb ends at its limit, soon and in little memory", () =>
  untouched(async ({ inside }) => {
    const gzip = new CompressionStream("gzip");
    let asked = 0;
    const zeros = new Uint8Array(1024 * 1024);
    const endless = new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) =>
        controller.enqueue(tarOf({ name: "bomb", size: 2 ** 32 }).slice(0, 512)),
      pull: (controller) => {
        asked++;
        controller.enqueue(zeros);
      },
    }, { highWaterMark: 1 });
    await rejects(
      untarTo(inside, endless.pipeThrough(gzip), { limits: { maxBytes: 64 * 1024 * 1024 } }),
      RangeError,
    );
    ok((await Deno.lstat(`${inside}/bomb`)).size <= 66 * 1024 * 1024);
    // The memory of this process says nothing: other tests share it. What was not asked for lies nowhere.
    ok(asked < 300, `${asked} MiB`);
  }));

Deno.test("X-11 a tree without end is refused by its depth", () =>
  untouched(async ({ inside }) => {
    await rejects(
      untarTo(inside, streamOf(tarOf({ name: "d/".repeat(100_000) + "f" }))),
      refusal,
    );
  }));
