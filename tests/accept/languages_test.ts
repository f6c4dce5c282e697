/** The example buildpacks for languages: built from the app and started by crun; rebuilt without doing things twice. */
import assert from "node:assert/strict";
import { cycloneValidator } from "../../lifecycle/bom/cyclone_schema_testing.ts";
import { tempDir } from "../../registry/temp_testing.ts";
import { canMakeBase, writeLibraryBase } from "./base_image_testing.ts";
import { answers, canRun, unpack } from "./container_testing.ts";
import { copyDir, EXAMPLES, installed, makeScene, type Scene, tool } from "./wherry_testing.ts";

const buildpack = (name: string) => ["-b", `${EXAMPLES}/buildpacks/${name}`];

interface Built {
  readonly digest: string;
  readonly layers: readonly {
    readonly id?: string;
    readonly diffId: string;
    readonly how: string;
  }[];
}

async function build(scene: Scene, app: string, name: string): Promise<Built> {
  return await scene.json([
    ...["build", `oci:${scene.dir}/out:app`, "--path", app, "--run-image", "oci:base:1"],
    ...buildpack(name),
  ]);
}

interface Component {
  readonly name: string;
  readonly version?: string;
  readonly purl?: string;
  readonly hashes?: readonly unknown[];
  readonly licenses?: readonly {
    readonly expression?: string;
    readonly license?: { readonly name?: string; readonly id?: string };
  }[];
}

const valid = await cycloneValidator();

/**
 * Components of all bills of materials of the image, as `name@version licence`. Each bill is valid as its buildpack wrote it;
 * each component has a hash, and each that is a package somewhere a licence.
 */
async function components(scene: Scene): Promise<readonly string[]> {
  const dir = `${scene.dir}/bills`;
  await scene.ok(["sbom", "download", `oci:${scene.dir}/out:app`, "--output-dir", dir]);
  const found: Component[] = [];
  for (const path of (await tool("find", [dir, "-name", "sbom.cdx.json"])).trim().split("\n")) {
    const bill = JSON.parse(await Deno.readTextFile(path));
    valid(bill);
    found.push(...bill.components as Component[]);
  }
  return found.map(({ name, version, purl, hashes = [], licenses = [] }) => {
    const [first] = licenses;
    const licence = first?.expression ?? first?.license?.name ?? first?.license?.id;
    assert(hashes.length > 0, `${name} has no hash`);
    assert(purl === undefined || licence !== undefined, `${name} has no licence`);
    return `${name}@${version} ${licence}`;
  });
}

const ready = canRun && canMakeBase();

Deno.test({
  name: "node: an app with a packed dependency, built offline, starts; a rebuild is the same image",
  ignore: !ready || !installed("node") || !installed("npm"),
  async fn() {
    await using scene = await makeScene();
    await writeLibraryBase(`${scene.dir}/base`);
    await copyDir(`${EXAMPLES}/node-app`, `${scene.dir}/app`);
    const first = await build(scene, "app", "node");
    const [hello, version] = await answers(
      await unpack(`${scene.dir}/out`, "app", `${scene.dir}/b`),
    );
    assert.equal(hello, "hello from node\n");
    assert.match(version!, /^v\d+/);
    const again = await build(scene, "app", "node");
    assert.equal(again.digest, first.digest);
    assert.deepEqual(new Set(again.layers.map(({ how }) => how)), new Set(["reused"]));
    assert((await components(scene)).includes("greeting@1.0.0 MIT"));
  },
});

Deno.test({
  name: "python: an app with a wheel, built offline, starts; a rebuild is the same image",
  ignore: !ready || !installed("python3"),
  async fn() {
    await using scene = await makeScene();
    await writeLibraryBase(`${scene.dir}/base`);
    await copyDir(`${EXAMPLES}/python-app`, `${scene.dir}/app`);
    const first = await build(scene, "app", "python");
    const [hello, version] = await answers(
      await unpack(`${scene.dir}/out`, "app", `${scene.dir}/b`),
    );
    assert.equal(hello, "hello from python\n");
    assert.match(version!, /^3\./);
    assert.equal((await build(scene, "app", "python")).digest, first.digest);
    assert((await components(scene)).includes("greeting@1.0.0 MIT"));
  },
});

Deno.test({
  name:
    "java: a jar as Spring Boot packs it lies in slices; a change of one class moves one small layer",
  ignore: !ready || !installed("jlink") || !installed("javac") || !installed("unzip"),
  async fn() {
    await using scene = await makeScene();
    await writeLibraryBase(`${scene.dir}/base`);
    await copyDir(`${EXAMPLES}/java-app`, `${scene.dir}/source`);
    const jar = () => tool("sh", [`${scene.dir}/source/make-jar.sh`, `${scene.dir}/app.jar`]);
    await jar();
    const first = await build(scene, "app.jar", "java");
    const [hello, version] = await answers(
      await unpack(`${scene.dir}/out`, "app", `${scene.dir}/b`),
    );
    assert.equal(hello, "hello from java\n");
    assert.match(version!, /^\d+/);
    assert((await components(scene)).includes("greeting@1.0.0 Apache-2.0"));

    const shop = `${scene.dir}/source/src/shop/Shop.java`;
    await Deno.writeTextFile(
      shop,
      (await Deno.readTextFile(shop)).replace("exchange.close();", 'exchange.close(); // "new"\n')
        .replace('Greeting.of("java")', 'Greeting.of("another java")'),
    );
    await jar();
    const second = await build(scene, "app.jar", "java");
    assert.notEqual(second.digest, first.digest);
    const moved = second.layers.filter(({ how }) => how !== "reused");
    assert.equal(moved.length, 1, JSON.stringify(second.layers));
    const manifest = JSON.parse(
      await tool("skopeo", ["inspect", "--raw", `oci:${scene.dir}/out:app`]),
    );
    const sizes = manifest.layers.map(({ size }: { size: number }) => size);
    // Below the small layers of wherry: dependencies, loader, snapshots, application, the rest.
    assert(sizes.at(-4) < 10_000, `the application's slice: ${sizes}`);
  },
});

Deno.test({
  name:
    "executable-jar: licences and coordinates of jars as they come: folded lines, several, a text, without a pom",
  ignore: !installed("jar") || !installed("unzip"),
  async fn() {
    await using temp = await tempDir();
    const dir = temp.path;
    const jar = async (name: string, files: Record<string, string>, manifest = "") => {
      const root = `${dir}/${name}.d`;
      for (const [path, text] of Object.entries(files)) {
        await Deno.mkdir(`${root}/${path}`.replace(/\/[^/]*$/, ""), { recursive: true });
        await Deno.writeTextFile(`${root}/${path}`, text);
      }
      await Deno.writeTextFile(`${dir}/manifest`, `Manifest-Version: 1.0\n${manifest}`);
      await tool("jar", ["-cfm", `${dir}/app/${name}.jar`, `${dir}/manifest`, "-C", root, "."]);
    };
    await Deno.mkdir(`${dir}/app`);
    const both =
      "Bundle-License: http://www.eclipse.org/legal/epl-2.0, https://www.gnu.or\n g/software/classpath/license.html\n";
    await jar("two-1.0", { "a/b/C.class": "" }, both);
    const apache = "\n   Apache License\n   Version 2.0, January 2004\n";
    await jar("spring-web-6.2.12", { "META-INF/license.txt": apache });
    const pom = "groupId=g.h\r\nartifactId=real\r\nversion=3\r\n";
    await jar("other-9", { "META-INF/maven/g.h/real/pom.properties": pom });
    const script = `${EXAMPLES}/buildpacks/executable-jar/lib/sbom.sh`;
    const run = () => tool("sh", ["-c", `cd ${dir}/app && sh ${script}`]);
    const { components } = JSON.parse(await run());
    const seen = components.map((
      { purl, licenses = [] }: { purl: string; licenses?: { license: unknown }[] },
    ) => [purl, ...licenses.map(({ license }) => Object.values(license as object)[0])]);
    assert.deepEqual(seen, [
      ["pkg:maven/g.h/real@3"],
      ["pkg:maven/org.springframework/spring-web@6.2.12", "Apache-2.0"],
      ["pkg:maven/a.b/two@1.0", "EPL-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"],
    ]);
    await Deno.mkdir(`${dir}/app/META-INF`);
    const own = "Sbom-Format: CycloneDX\nSbom-Location: META-INF/own.json\n";
    await Deno.writeTextFile(`${dir}/app/META-INF/MANIFEST.MF`, `Manifest-Version: 1.0\n${own}`);
    await Deno.writeTextFile(`${dir}/app/META-INF/own.json`, '{"bomFormat":"CycloneDX"}');
    assert.equal(await run(), '{"bomFormat":"CycloneDX"}', "the one the app's build wrote");
  },
});

Deno.test({
  name: "static-binary: a program on scratch",
  ignore: !canRun || !installed("musl-gcc"),
  async fn() {
    await using scene = await makeScene();
    await Deno.mkdir(`${scene.dir}/app/bin`, { recursive: true });
    await tool("musl-gcc", [
      ...["-Os", "-static", "-o", `${scene.dir}/app/bin/server`, `${EXAMPLES}/hello/server.c`],
    ]);
    await scene.ok([
      ...["build", `oci:${scene.dir}/out:app`, "--path", "app", "--run-image", "scratch"],
      ...buildpack("static-binary"),
    ]);
    const image = await unpack(`${scene.dir}/out`, "app", `${scene.dir}/b`);
    assert.equal((await image.run({ args: ["--version"] })).stdout, "hello 1.0.0\n");
  },
});
