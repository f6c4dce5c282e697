/** A previous image and a cache as an attacker would leave them for the next build. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { gzipSync } from "node:zlib";
import { openDirCache } from "../../lifecycle/cache/dir_cache.ts";
import { LifecycleError } from "../../lifecycle/error.ts";
import { parseBuildLabel } from "../../lifecycle/file/build_metadata_label.ts";
import { FileError } from "../../lifecycle/error.ts";
import {
  formatCacheMetadata,
  parseLifecycleLabel,
} from "../../lifecycle/file/lifecycle_metadata.ts";
import { analyze } from "../../lifecycle/phase/analyze.ts";
import { EMPTY_METADATA } from "../../lifecycle/phase/analyze_types.ts";
import { restore } from "../../lifecycle/phase/restore.ts";
import { quietContext } from "../../registry/context.ts";
import { makeImage, pushImage } from "../../registry/image.ts";
import { tarOf } from "../../registry/layer/tar_testing.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import type { Reader } from "../../registry/registry.ts";
import { bytesSource } from "../../registry/source.ts";
import { HOSTILE_ARCHIVES, hostileTar } from "./archives_testing.ts";
import { type Box, untouched } from "./untouched_testing.ts";

const AMD64 = { os: "linux", architecture: "amd64" };
const GROUP = [{ id: "x/bp", version: "1", api: "0.10", homepage: "" }];
const METADATA = "io.buildpacks.lifecycle.metadata";
const FLAGS = { launch: true, build: false, cache: false };

/** The first two phases over an image with this label and these layers; fails as a build may. */
async function lookAndRestore(
  box: Box,
  label: string,
  tar: Uint8Array = new Uint8Array(1024),
): Promise<readonly string[]> {
  const registry = memoryRegistry();
  const blob = new Uint8Array(gzipSync(tar));
  const image = makeImage(
    {
      ...AMD64,
      config: { Labels: { [METADATA]: label } },
      rootfs: { type: "layers", diff_ids: [] },
    },
    [{
      diffId: digestOf(tar),
      descriptor: {
        mediaType: MediaType.ociLayerGzip,
        digest: digestOf(blob),
        size: blob.byteLength,
      },
      blob: () => Promise.resolve(bytesSource(blob)),
    }],
  );
  await pushImage(image, registry, "app", { tags: ["1"] });
  const asked = new Set<string>();
  const watched: Reader = new Proxy(registry, {
    get: (target, key) => {
      const value = Reflect.get(target, key);
      if (typeof value !== "function") return value;
      return (...all: unknown[]) => {
        asked.add(String(all[0]));
        return Reflect.apply(value, target, all);
      };
    },
  });
  const layers = { inside: "/layers", outside: box.inside };
  try {
    const { analyzed } = await analyze({
      previous: {
        registry: watched,
        repository: "app",
        reference: "1",
        name: "app:1",
        repositoryName: "app",
      },
      run: "scratch",
      platform: AMD64,
      owner: { uid: 1000, gid: 1000 },
      layers,
    }, quietContext());
    await restore({
      group: GROUP,
      app: analyzed.metadata,
      layers,
      capability: { launchMetadataFromCache: true },
    }, quietContext());
  } catch (error) {
    ok(error instanceof LifecycleError, String(error));
    ok(!error.message.includes("\n"));
  }
  return [...asked];
}

const NAMES = [
  "../x",
  "../../outside/x",
  "/etc/x",
  "a/b",
  "..",
  ".",
  "",
  "__proto__",
  "constructor",
]
  .concat(["launch", "build", "store", "a\0b", "\u001b[2J", "x".repeat(5000)]);

Deno.test("M-09 names of layers in a previous image's label stay names", () =>
  untouched(async (box) => {
    const layers = NAMES.map((name) =>
      `${JSON.stringify(name)}:{"sha":"sha256:../../x","launch":true,"data":{"__proto__":{"a":1}}}`
    );
    const key = JSON.stringify("x/bp");
    for (const all of [layers.slice(0, -1), ...layers.map((one) => [one])]) {
      const label = `{"buildpacks":[{"key":${key},"layers":{${all.join()}},` +
        `"store":{"metadata":{"__proto__":{"x":1}}}}],"sbom":{"sha":"sha256:../../x"}}`;
      await lookAndRestore(box, label.replace(',"sbom":{"sha":"sha256:../../x"}', ""));
      await lookAndRestore(box, label);
    }
    const made = (await Array.fromAsync(Deno.readDir(`${box.inside}/x_bp`))).map(({ name }) =>
      name
    );
    ok(!made.includes("launch.toml") && !made.includes("build.toml"), made.join());
    equal(({} as Record<string, unknown>)["a"], undefined);
    equal(({} as Record<string, unknown>)["x"], undefined);
  }));

Deno.test("M-09 keys of buildpacks in a label lead nowhere", () =>
  untouched(async (box) => {
    for (const key of ["../../outside", "/", "", "__proto__", "x/../bp"]) {
      await lookAndRestore(
        box,
        JSON.stringify({ buildpacks: [{ key, layers: { l: { sha: "", ...FLAGS } } }] }),
      );
    }
    deepEqual(await Array.fromAsync(Deno.readDir(box.inside)), []);
  }));

Deno.test("M-09 labels of another shape are read as none, or refused in one line", () => {
  const deep = "[".repeat(200_000);
  const texts = ["", "null", "[]", "7", '"x"', "{", "\ufeff{}", deep, `{"a":${deep}`]
    .concat(['{"app":7}', '{"buildpacks":{"0":1}}', '{"buildpacks":[[]]}', '{"runImage":[]}'])
    .concat(['{"app":[{"sha":{}}]}', '{"sbom":"x"}', '{"runImage":{"mirrors":"x"}}', "\ud800"])
    .concat([`{"x":${"[".repeat(200_000)}${"]".repeat(200_000)}}`]);
  for (const text of texts) {
    for (const read of [parseLifecycleLabel, parseBuildLabel]) {
      try {
        read(text);
      } catch (error) {
        ok(error instanceof FileError, `${text.slice(0, 40)}: ${error}`);
        ok(!error.message.includes("\n"));
      }
    }
  }
});

Deno.test("M-09, M-10 nothing an image names is asked for: its run image, mirrors and references are data", () =>
  untouched(async (box) => {
    const inner = "169.254.169.254/latest/meta-data";
    const asked = await lookAndRestore(
      box,
      JSON.stringify({
        runImage: { topLayer: "x", reference: inner, image: inner, mirrors: ["evil.example/run"] },
        stack: { runImage: { image: inner, mirrors: [inner] } },
      }),
    );
    deepEqual(asked, ["app"]);
  }));

for (const archive of HOSTILE_ARCHIVES) {
  Deno.test(`${archive.name}: as the bill of materials of a previous image`, () =>
    untouched(async (box) => {
      const tar = hostileTar(archive, box.outside, "/layers/sbom/");
      await lookAndRestore(box, JSON.stringify({ sbom: { sha: digestOf(tar) } }), tar);
      // Also one that wants the layers directory beside it.
      const above = hostileTar(archive, box.outside, "/layers/");
      await lookAndRestore(box, JSON.stringify({ sbom: { sha: digestOf(above) } }), above);
      equal(await Deno.lstat(`${box.inside}/x_bp`).catch(() => undefined), undefined);
    }));
}

Deno.test("R-12, M-02 a poisoned cache is noticed and left aside, and the build goes on", () =>
  untouched(async (box) => {
    const dir = `${box.top}/cache`;
    const good = tarOf({ name: "/layers/x_bp/l/f", text: "good" });
    const evil = tarOf({ name: "/layers/x_bp/l/f", text: "evil" });
    for (const sha of [digestOf(good), "sha256:../../../etc/passwd", "", "__proto__"]) {
      await Deno.mkdir(`${dir}/committed`, { recursive: true });
      await Deno.writeFile(`${dir}/committed/${digestOf(good)}.tar`, evil);
      await Deno.writeTextFile(
        `${dir}/committed/io.buildpacks.lifecycle.cache.metadata`,
        formatCacheMetadata({
          sbom: { sha },
          buildpacks: [{
            key: "x/bp",
            version: "1",
            layers: {
              l: { sha, data: null, build: true, launch: false, cache: true },
              "../../outside/dir": { sha, data: null, build: true, launch: false, cache: true },
            },
          }],
        }),
      );
      const { contents } = await restore({
        group: GROUP,
        app: EMPTY_METADATA,
        cache: await openDirCache(dir),
        layers: { inside: "/layers", outside: box.inside },
        capability: { launchMetadataFromCache: true },
      }, quietContext());
      deepEqual(contents, []);
      equal(await Deno.lstat(`${box.inside}/x_bp/l`).catch(() => undefined), undefined);
    }
  }));

Deno.test("R-12 links and special files in a cache are not layers", () =>
  untouched(async (box) => {
    const dir = `${box.top}/cache`;
    const good = tarOf({ name: "/layers/x_bp/l/f", text: "good" });
    await Deno.mkdir(`${dir}/committed`, { recursive: true });
    await Deno.writeFile(`${box.top}/elsewhere`, good);
    await Deno.symlink(`${box.top}/elsewhere`, `${dir}/committed/${digestOf(good)}.tar`);
    const cache = await openDirCache(dir);
    await cache.layer(digestOf(good)).then(
      () => ok(false, "a link was read"),
      (error) => ok(error.message.startsWith("Cannot use cache layer"), String(error)),
    );
  }));

Deno.test("X-11 a bill of materials that is a bomb ends at its limit", () =>
  untouched(async (box) => {
    const block = tarOf({ name: "/layers/sbom/d", type: "directory", mode: 0o755 }).slice(0, 512);
    const end = tarOf({ name: "/layers/sbom/behind", text: "x" });
    const tar = new Uint8Array(100_000 * 512 + end.length);
    for (let at = 0; at < 100_000; at++) tar.set(block, at * 512);
    tar.set(end, 100_000 * 512);
    await lookAndRestore(box, JSON.stringify({ sbom: { sha: digestOf(tar) } }), tar);
    const made = await Array.fromAsync(Deno.readDir(`${box.inside}/sbom`));
    deepEqual(made.map(({ name }) => name), ["d"]);
  }));
