/**
 * Corrupt, partial and hostile caches, in both formats: a build goes on, makes the image it makes without a cache, and
 * leaves a cache that the next build can use.
 */
import { deepStrictEqual, match, ok, strictEqual } from "node:assert/strict";
import { encodeJson, makeImage, pushImage } from "../../registry/image.ts";
import { connectRegistry } from "../../registry/client/client.ts";
import { type Sample, tarOf } from "../../registry/layer/tar_testing.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { MediaType } from "../../registry/oci/media_type.ts";
import { bytesSource } from "../../registry/source.ts";
import type { PhaseName } from "../../cli/lifecycle/inputs_table.ts";
import { type Scene, scene } from "./scene_testing.ts";

const METADATA = "io.buildpacks.lifecycle.cache.metadata";

/** Makes the same whatever is restored; what a cache brought besides would be in the image. */
const BUILD = `
ls -A "$1" | tr '\\n' ' '; echo
rm -rf "$1/tool" && mkdir -p "$1/tool" "$1/both" && echo tool > "$1/tool/file" && echo both > "$1/both/file"
printf '[types]\\ncache = true\\nbuild = true\\n' > "$1/tool.toml"
printf '[types]\\ncache = true\\nlaunch = true\\n' > "$1/both.toml"`;

/** The phases behind analysis and detection; what they said. */
async function rebuild(at: Scene, cache: string): Promise<string> {
  const steps: [PhaseName, readonly string[]][] = [
    ["analyze", [`${at.host}/app`]],
    ["detect", []],
    ["restore", [cache]],
    ["build", []],
    ["export", [cache, `-launcher=${at.root}/launcher`, `${at.host}/app`]],
  ];
  let said = "";
  await Deno.remove(`${at.root}/layers`, { recursive: true });
  await Deno.mkdir(`${at.root}/layers`);
  for (const [name, words] of steps) {
    const { code, text } = await at.phase(name, words);
    strictEqual(code, 0, `${name}: ${text}`);
    said += text;
  }
  return said;
}

/** A tar and what a cache says of it: its digest is right. */
function hostile(at: Scene, ...samples: readonly Sample[]): { bytes: Uint8Array<ArrayBuffer> } {
  const own = `${at.root}/layers/some_bp`;
  return {
    bytes: tarOf(
      { name: own, type: "directory", mode: 0o755 },
      { name: `${own}/tool`, type: "directory", mode: 0o755 },
      { name: `${own}/tool/early`, text: "early" },
      ...samples,
    ),
  };
}

const layerOf = (sha: string, data: unknown = null) => ({
  sha,
  data,
  launch: false,
  build: true,
  cache: true,
});

/** A document that names `tool` by `sha`. */
const saying = (sha: string, data: unknown = null) => ({
  sbom: { sha: "" },
  buildpacks: [{ key: "some/bp", version: "1", layers: { tool: layerOf(sha, data) } }],
});

/** Archives whose digest is what the cache says: only what they hold gives them away. */
const ARCHIVES: readonly (readonly [string, (at: Scene) => readonly Sample[]])[] = [
  ["leaves the layers directory", (at) => [{ name: `${at.root}/evil`, text: "x" }]],
  ["climbs out", (at) => [{ name: `${at.root}/layers/some_bp/tool/../../../evil`, text: "x" }]],
  ["writes group.toml", (at) => [{ name: `${at.root}/layers/group.toml`, text: "x" }]],
  ["writes another layer", (at) => [{ name: `${at.root}/layers/some_bp/both/evil`, text: "x" }]],
  ["writes launch.toml", (at) => [{ name: `${at.root}/layers/some_bp/launch.toml`, text: "x=1" }]],
  ["is a link, then a file through it", (at) => [
    { name: `${at.root}/layers/some_bp/tool/up`, type: "symlink", linkName: at.root },
    { name: `${at.root}/layers/some_bp/tool/up/evil`, text: "x" },
  ]],
  ["holds a hard link", (at) => [{
    name: `${at.root}/layers/some_bp/tool/hard`,
    type: "link",
    linkName: "/etc/passwd",
  }]],
  ["holds a device", (at) => [
    { name: `${at.root}/layers/some_bp/tool/null`, type: "char", devMajor: 1, devMinor: 3 },
  ]],
];

/** Metadata that cannot be layer TOML, or that is no document of ours. */
const DOCUMENTS: readonly (readonly [string, string])[] = [
  ["no JSON", "{"],
  ["empty", ""],
  ["a list", "[]"],
  ["null", "null"],
  ["buildpacks are no list", '{"buildpacks":3}'],
  ["layers are no table", '{"buildpacks":[{"key":"some/bp","layers":[1]}]}'],
  ["sha is a path", JSON.stringify(saying("../../../etc/passwd"))],
  ["sha is a number", JSON.stringify(saying(7 as unknown as string))],
  ["sha of another algorithm", JSON.stringify(saying("sha512:" + "a".repeat(128)))],
  ["sha of nothing there", JSON.stringify(saying("sha256:" + "a".repeat(64)))],
  ["data with null", JSON.stringify(saying("sha256:" + "a".repeat(64), { a: null, b: [null, 1] }))],
  ["data is no table", JSON.stringify(saying("sha256:" + "a".repeat(64), [1, "x"]))],
  [
    "data is deep",
    JSON.stringify(saying("sha256:" + "a".repeat(64), 0)).replace(
      '"data":0',
      `"data":${'{"a":'.repeat(5000)}1${"}".repeat(5000)}`,
    ),
  ],
  [
    "layer names that are paths",
    '{"buildpacks":[{"key":"some/bp","layers":{"../../evil":{' +
    `"sha":"sha256:${"a".repeat(64)}","build":true,"cache":true,"launch":false}}}]}`,
  ],
  ["the SBOM's sha is a path", '{"sbom":{"sha":"../../x"},"buildpacks":[]}'],
];

Deno.test("CA-4 CA-5 RE-3 RE-21 a directory cache that is corrupt, partial or hostile: same image, usable again", async (t) => {
  await using at = await scene("0.13", "exit 0", BUILD);
  const dir = `${at.root}/cache`;
  const flag = `-cache-dir=${dir}`;
  await rebuild(at, flag);
  const want = (await at.image("app"))!.raw.digest;
  const committed = `${dir}/committed`;
  const tars = async () =>
    (await Array.fromAsync(Deno.readDir(committed))).map(({ name }) => name)
      .filter((name) => name.endsWith(".tar"));
  const plant = async (document: string, bytes?: Uint8Array) => {
    await Deno.remove(committed, { recursive: true });
    await Deno.mkdir(committed);
    await Deno.writeTextFile(`${committed}/${METADATA}`, document);
    if (bytes) await Deno.writeFile(`${committed}/${digestOf(bytes)}.tar`, bytes);
  };
  const mkfifo = async (path: string) => {
    await Deno.remove(path, { recursive: true });
    ok((await new Deno.Command("mkfifo", { args: [path] }).output()).success);
  };
  const damages: (readonly [string, () => Promise<unknown>])[] = [
    ["nothing wrong", () => Promise.resolve()],
    ["committed is gone", () => Deno.remove(committed, { recursive: true })],
    ["committed is a file", async () => {
      await Deno.remove(committed, { recursive: true });
      await Deno.writeTextFile(committed, "x");
    }],
    ["committed is a link to nowhere", async () => {
      await Deno.remove(committed, { recursive: true });
      await Deno.symlink("/nowhere", committed);
    }],
    ["staging is a file", () => Deno.writeTextFile(`${dir}/staging`, "x")],
    ["metadata is gone", () => Deno.remove(`${committed}/${METADATA}`)],
    ["metadata is a directory", async () => {
      await Deno.remove(`${committed}/${METADATA}`);
      await Deno.mkdir(`${committed}/${METADATA}/x`, { recursive: true });
    }],
    ["metadata is a pipe nobody writes", () => mkfifo(`${committed}/${METADATA}`)],
    ["layers are gone", async () => {
      for (const name of await tars()) await Deno.remove(`${committed}/${name}`);
    }],
    ["layers are cut", async () => {
      for (const name of await tars()) await Deno.truncate(`${committed}/${name}`, 700);
    }],
    ["layers are others' files", async () => {
      for (const name of await tars()) {
        await Deno.remove(`${committed}/${name}`);
        await Deno.symlink("/etc/passwd", `${committed}/${name}`);
      }
    }],
    ["layers are pipes", async () => {
      for (const name of await tars()) await mkfifo(`${committed}/${name}`);
    }],
    ["a build was killed in its commit", async () => {
      await Deno.rename(committed, `${dir}/committed-backup`);
      await Deno.mkdir(`${dir}/staging`);
      await Deno.writeTextFile(`${dir}/staging/adding-0`, "half");
    }],
    ...DOCUMENTS.map(([why, text]) => [`metadata: ${why}`, () => plant(text)] as const),
    ...ARCHIVES.map(([why, samples]) =>
      [`an archive that ${why}`, async () => {
        const { bytes } = hostile(at, ...samples(at));
        await plant(JSON.stringify(saying(digestOf(bytes))), bytes);
      }] as const
    ),
    ["an archive without end", async () => {
      const bytes = hostile(at).bytes.subarray(0, 1300);
      await plant(JSON.stringify(saying(digestOf(bytes))), bytes);
    }],
  ];
  for (const [why, damage] of damages) {
    await t.step(why, async () => {
      await damage();
      await rebuild(at, flag);
      strictEqual((await at.image("app"))!.raw.digest, want, "the image is that without a cache");
      ok(!(await Deno.stat(`${at.root}/evil`).then(() => true, () => false)));
      match(await rebuild(at, flag), /^Restoring data for "some\/bp:tool" from cache$/m);
      deepStrictEqual((await Array.fromAsync(Deno.readDir(dir))).map(({ name }) => name).sort(), [
        "committed",
        "wherry.lock",
      ]);
    });
  }
});

Deno.test("CA-9 RE-3 RE-21 RG-9 a cache image that is corrupt, partial or hostile: same image, usable again", async (t) => {
  await using at = await scene("0.13", "exit 0", BUILD);
  const flag = `-cache-image=${at.host}/cache`;
  await rebuild(at, flag);
  const want = (await at.image("app"))!.raw.digest;
  await using registry = connectRegistry(at.host);
  const text = (value: string) => new TextEncoder().encode(value);
  const put = async (
    document: string,
    layers: readonly { readonly bytes: Uint8Array<ArrayBuffer>; readonly diffId?: string }[] = [],
  ) => {
    const made = layers.map(({ bytes, diffId = digestOf(bytes) }) => ({
      diffId: diffId as ReturnType<typeof digestOf>,
      descriptor: {
        mediaType: MediaType.ociLayer,
        digest: digestOf(bytes),
        size: bytes.byteLength,
      },
      blob: () => Promise.resolve(bytesSource(bytes)),
    }));
    const config = {
      os: "linux",
      architecture: "amd64",
      config: { Labels: { [METADATA]: document } },
      rootfs: { type: "layers" as const, diff_ids: [] },
    };
    await pushImage(makeImage(config, made), registry, "cache", { tags: ["latest"] });
  };
  const putManifest = async (config: Uint8Array<ArrayBuffer>, layers: readonly unknown[] = []) => {
    const descriptor = {
      mediaType: MediaType.ociConfig,
      digest: digestOf(config),
      size: config.byteLength,
    };
    await registry.pushBlob("cache", descriptor, bytesSource(config));
    const bytes = encodeJson({
      schemaVersion: 2,
      mediaType: MediaType.ociManifest,
      config: descriptor,
      layers,
    });
    await registry.pushManifest("cache", { mediaType: MediaType.ociManifest, bytes }, {
      tags: ["latest"],
    });
  };
  const damages: (readonly [string, () => Promise<unknown>])[] = [
    ["nothing wrong", () => Promise.resolve()],
    ["the config is no JSON", () => putManifest(text("{"))],
    ["the config is a list", () => putManifest(text("[]"))],
    ["the config is binary", () => putManifest(new Uint8Array([0xff, 0xfe, 0]))],
    ["more layers than diffIDs", async () => {
      const layer = { mediaType: MediaType.ociLayer, digest: digestOf(text("x")), size: 1 };
      await registry.pushBlob("cache", layer, bytesSource(text("x")));
      await putManifest(
        text('{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}'),
        [layer],
      );
    }],
    ["an index without this platform", async () => {
      const bytes = encodeJson({
        schemaVersion: 2,
        mediaType: MediaType.ociIndex,
        manifests: [],
      });
      await registry.pushManifest("cache", { mediaType: MediaType.ociIndex, bytes }, {
        tags: ["latest"],
      });
    }],
    ["an artifact", async () => {
      const empty = text("{}");
      await putManifest(empty);
    }],
    ["a layer that is something else", () => {
      const sha = "sha256:" + "b".repeat(64);
      return put(JSON.stringify(saying(sha)), [{ ...hostile(at), diffId: sha }]);
    }],
    ["a layer that is no gzip, by its first bytes", () => {
      const bytes = new Uint8Array([0x1f, 0x8b, 8, 0, 1, 2, 3]);
      const sha = "sha256:" + "c".repeat(64);
      return put(JSON.stringify(saying(sha)), [{ bytes, diffId: sha }]);
    }],
    ["one layer twice", () => {
      const layer = hostile(at);
      return put(JSON.stringify(saying(digestOf(layer.bytes))), [layer, layer]);
    }],
    ...DOCUMENTS.map(([why, document]) => [`metadata: ${why}`, () => put(document)] as const),
    ...ARCHIVES.map(([why, samples]) =>
      [`an archive that ${why}`, () => {
        const layer = hostile(at, ...samples(at));
        return put(JSON.stringify(saying(digestOf(layer.bytes))), [layer]);
      }] as const
    ),
  ];
  for (const [why, damage] of damages) {
    await t.step(why, async () => {
      await damage();
      await rebuild(at, flag);
      strictEqual((await at.image("app"))!.raw.digest, want, "the image is that without a cache");
      ok(!(await Deno.stat(`${at.root}/evil`).then(() => true, () => false)));
      match(await rebuild(at, flag), /^Restoring data for "some\/bp:tool" from cache$/m);
    });
  }
});
