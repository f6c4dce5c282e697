/** The phases of a build with image extensions in one container, as Tekton or kpack would run them: no kaniko. */
import assert from "node:assert/strict";
import { missingBusybox } from "../../lifecycle/sandbox/busybox_testing.ts";
import { readTar } from "../../registry/layer/tar_reader.ts";
import type { Layer } from "../../registry/image.ts";
import { extensionRoot } from "./extension_root_testing.ts";
import { WHERRY } from "./wherry_testing.ts";

async function show(layer: Layer): Promise<string[]> {
  const lines: string[] = [];
  const source = await layer.blob();
  for await (const { header, body } of readTar(await source.open(), { keep: () => true })) {
    const text = header.type === "file" ? ` = ${new TextDecoder().decode(body).trimEnd()}` : "";
    const line = `${header.name} ${header.mode.toString(8)} ${header.uid}:${header.gid}${text}`;
    lines.push(line.trimEnd());
  }
  return lines;
}

const missing = await missingBusybox();
const possible = missing === undefined && Deno.uid() === 0 &&
  await Deno.stat(WHERRY).then(() => true, () => false);
// deno-lint-ignore no-console
if (!possible) console.log("skipped: the extender in a container: want root, busybox, dist/wherry");

Deno.test({
  name:
    "XT-1 XT-2 XT-3 XT-7 XT-8 XT-9 RE-2 PRIV-5 build and run image are extended in their containers",
  ignore: !possible,
  async fn() {
    await using at = await extensionRoot(WHERRY);
    const { host, root } = at;
    const ok = async (name: string, uid: number, ...args: readonly string[]) => {
      const { code, text } = await at.phase(name, uid, args);
      assert.equal(code, 0, `${name}: ${text}`);
      return text;
    };
    await ok("analyzer", 1000, `${host}/app`);
    await ok("detector", 1000);
    await ok("restorer", 1000, `-build-image=${host}/build:1`);
    const bases = [...Deno.readDirSync(`${root}/kaniko/cache/base`)].map(({ name }) => name);
    assert.equal(bases.length, 1, "both images are the same here");
    const built = await ok("extender", 0, "-kind=build");
    assert.match(built, /RUN mkdir \/opt\/bin/);
    assert.equal(await Deno.readTextFile(`${root}/layers/bp/l/said`), "tool says hello\n1000\n");
    const owner = await Deno.stat(`${root}/layers/config/metadata.toml`);
    assert.equal(owner.uid, 1000, "the builder ran as the user of the inputs");
    await ok("extender", 0, "-kind=run");
    const [extended] = [...Deno.readDirSync(`${root}/layers/extended/run`)];
    assert.match(extended!.name, /^sha256:[0-9a-f]{64}$/);
    await ok("exporter", 1000, "-launcher=/cnb/launcher", `${host}/app`);

    const image = await at.image("app");
    assert.deepEqual(image.config.history?.slice(0, 4).map(({ created_by }) => created_by), [
      "busybox",
      "Layer: 'RUN echo extended >/etc/extended && rm /opt/gone && mkdir /srv && chown 1000:1000 /srv', Created by extension: some/ext",
      "Layer: 'COPY copied /srv/copied', Created by extension: some/ext",
      "Layer: 'l', Created by buildpack: bp@1",
    ]);
    assert.deepEqual(await show(image.layers[1]!), [
      "/etc 755 0:0",
      "/etc/extended 644 0:0 = extended",
      "/opt 755 0:0",
      "/opt/.wh.gone 0 0:0 =",
      "/srv 755 1000:1000",
    ]);
    assert.deepEqual(await show(image.layers[2]!), [
      "/srv 755 1000:1000",
      "/srv/copied 644 0:0 = from the context",
    ]);
    const { Env, User, Labels } = image.config.config;
    assert.equal(User, "1000:1000");
    assert.ok(Env?.includes("EXTENDED=yes"));
    assert.equal(Labels?.["io.buildpacks.rebasable"], "true");

    // Once more: the build image is brought to where it was from the cache, without running anything.
    await Deno.remove(`${root}/opt/bin`, { recursive: true });
    await ok("analyzer", 1000, `${host}/app`);
    await ok("detector", 1000);
    await ok("restorer", 1000, `-build-image=${host}/build:1`);
    const again = await ok("extender", 0, "-kind=build");
    assert.match(again, /Using cached layer of RUN mkdir \/opt\/bin/);
    assert.ok(await Deno.stat(`${root}/opt/bin/tool`));
    assert.match(await ok("extender", 0, "-kind=run"), /Using cached layer of COPY/);
    await ok("exporter", 1000, "-launcher=/cnb/launcher", `${host}/again`);
    const second = await at.image("again");
    assert.deepEqual(
      second.layers.map(({ diffId }) => diffId),
      image.layers.map(({ diffId }) => diffId),
    );

    // The same with images as layouts on disk.
    const layout = ["-layout", "-layout-dir=/layouts"];
    const vars = { CNB_EXPERIMENTAL_MODE: "quiet" };
    await at.saveRun(`${root}/layouts/${host}/run/1`);
    const inLayouts = async (name: string, uid: number, ...args: readonly string[]) => {
      const { code, text } = await at.phase(name, uid, args, vars);
      assert.equal(code, 0, `${name} with layouts: ${text}`);
    };
    await inLayouts("analyzer", 1000, ...layout, `${host}/app`);
    await inLayouts("detector", 1000);
    await inLayouts("restorer", 1000, ...layout);
    await inLayouts("extender", 0, "-kind=run");
    await inLayouts("exporter", 1000, ...layout, "-launcher=/cnb/launcher", `${host}/app`);
    const written = await at.layoutImage(`${root}/layouts/${host}/app/latest`);
    assert.deepEqual(
      written.layers.slice(0, 3).map(({ diffId }) => diffId),
      image.layers.slice(0, 3).map(({ diffId }) => diffId),
    );

    // Who cannot says so.
    await Deno.remove(`${root}/kaniko/cache/layers`, { recursive: true });
    const asUser = await at.phase("extender", 1000, ["-kind=run"]);
    assert.equal(asUser.code, 102);
    assert.match(
      asUser.text,
      /RUN\): an image is extended in its own container as root, this is user 1000/,
    );
    await Deno.remove(`${root}/.dockerenv`);
    const outside = await at.phase("extender", 0, ["-kind=run"]);
    assert.equal(outside.code, 102);
    assert.match(outside.text, /this is no container: the machine itself would be changed/);
  },
});
