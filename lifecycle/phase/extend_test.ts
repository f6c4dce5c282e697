import assert from "node:assert/strict";
import { quietContext } from "../../registry/context.ts";
import { type Image, type Layer, makeImage } from "../../registry/image.ts";
import { rewriteLayer } from "../../registry/layer/rewrite.ts";
import { readTar } from "../../registry/layer/tar_reader.ts";
import type { Sample } from "../../registry/layer/tar_testing.ts";
import { Digester } from "../../registry/oci/digest.ts";
import type { ContainerConfig } from "../../registry/oci/config.ts";
import { parseDockerfile } from "../dockerfile/parse.ts";
import { LifecycleError } from "../error.ts";
import { openLayerCache, pruneLayerCache } from "../extend/layer_cache.ts";
import { openUnpackedRoot } from "../extend/unpacked_root.ts";
import { busyboxLayer, missingBusybox } from "../sandbox/busybox_testing.ts";
import { compiledHelper, skipped } from "../sandbox/helper_testing.ts";
import type { Entry } from "../sandbox/entry.ts";
import { openTree } from "../platform/trees.ts";
import { extend } from "./extend.ts";
import type { ExtendInput } from "./extend_types.ts";

const HOUR = 3_600_000;

/** A base image and a place to extend it. */
class Workshop implements AsyncDisposable {
  /** What commands printed. */
  output = "";
  /** Warnings and lines. */
  readonly lines: string[] = [];
  /** How often the root was opened. */
  opened = 0;
  /** How the root is entered. */
  entry: Entry | undefined;
  /** Whether it is a copy where an overlay would do. */
  copy = false;
  readonly #stack = new AsyncDisposableStack();

  constructor(readonly dir: string, readonly base: Image, readonly helper: string) {}

  static async make(
    config: Partial<ContainerConfig> = {},
    more: readonly Sample[] = [],
  ): Promise<Workshop | undefined> {
    const missing = await missingBusybox();
    if (missing) {
      skipped(`apt-get install ${missing}`);
      return undefined;
    }
    const layer = await busyboxLayer(...more);
    const base = makeImage({
      os: "linux",
      architecture: "amd64",
      config: { User: "1000:1000", Env: ["PATH=/bin", "BASE=1"], ...config },
      rootfs: { type: "layers", diff_ids: [] },
      history: [{ created_by: "busybox" }, { created_by: "CMD", empty_layer: true }],
    }, [layer]);
    const dir = await Deno.makeTempDir({ prefix: "wherry-extend-" });
    await Deno.mkdir(`${dir}/context/sub`, { recursive: true });
    return new Workshop(dir, base, await compiledHelper());
  }

  /** Extends with Dockerfiles given without their first two lines. */
  async extend(dockerfiles: readonly string[], change: Partial<ExtendInput> = {}): Promise<Image> {
    const keep = (level: string) => (line: string) => void this.lines.push(`${level}: ${line}`);
    const ctx = quietContext({
      log: { debug: () => {}, info: keep("info"), warn: keep("warn"), error: keep("error") },
    });
    await using stack = new AsyncDisposableStack();
    const { image } = await extend({
      kind: "run",
      base: this.base,
      dockerfiles: dockerfiles.map((text, at) => ({
        extension: `ext/${at}`,
        path: `/gen/ext_${at}/run.Dockerfile`,
        dockerfile: parseDockerfile(
          `ARG base_image\nFROM \${base_image}\n${text}`,
          "run.Dockerfile",
        ),
        args: [{ name: "given", value: "from outside" }],
        context: `${this.dir}/context`,
      })),
      openRoot: async () => {
        this.opened++;
        return stack.use(
          await openUnpackedRoot({
            helper: this.helper,
            layers: this.base.layers,
            copy: this.copy,
            openTree: async (owner) =>
              stack.use(
                await openTree(this.base, {
                  helper: this.helper,
                  owner,
                  dir: `${this.dir}/unpacked`,
                }, ctx),
              ).path,
            scratchDir: this.dir,
            network: this.entry?.mode === "chroot" ? "host" : "none",
            entry: this.entry,
            signal: ctx.signal,
          }),
        );
      },
      cache: openLayerCache(`${this.dir}/cache`, HOUR, () => new Date()),
      applyAll: false,
      buildId: "id-1",
      output: (chunk) => this.output += new TextDecoder().decode(chunk),
      ...change,
    }, ctx);
    return image;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
    await Deno.remove(this.dir, { recursive: true });
  }
}

/** `name mode uid:gid [-> symlink] [=> hard link] [+cap] [= text]` of each entry. */
async function show(layer: Layer): Promise<string[]> {
  const source = await layer.blob();
  const lines: string[] = [];
  for await (const { header, body } of readTar(await source.open(), { keep: () => true })) {
    const text = header.type === "file" ? ` = ${new TextDecoder().decode(body)}` : "";
    const arrow = header.type === "symlink" ? "->" : "=>";
    const link = header.linkName === "" ? "" : ` ${arrow} ${header.linkName}`;
    const hasRights = header.pax.has("SCHILY.xattr.security.capability") ? " +cap" : "";
    lines.push(
      `${header.name} ${
        header.mode.toString(8)
      } ${header.uid}:${header.gid}${link}${hasRights}${text}`
        .trimEnd(),
    );
  }
  return lines;
}

const added = (image: Image) => image.layers.slice(1);
const history = (image: Image) => image.config.history!.map(({ created_by }) => created_by);

Deno.test("XT-2 XT-4 XT-6 one layer for each instruction that changes files, with its history", async () => {
  await using shop = await Workshop.make();
  if (!shop) return;
  await Deno.writeTextFile(`${shop.dir}/context/sub/file`, "copied");
  await Deno.chmod(`${shop.dir}/context/sub/file`, 0o640);
  const image = await shop.extend([
    `USER root
ARG given
ENV MADE="a \${given}" BASE=2
RUN mkdir -p /opt/x && echo "$MADE" >/opt/x/made && rm -r /home/cnb && chmod 600 /etc/group
RUN true
COPY sub /opt/copied
WORKDIR /srv/app
RUN echo "$PWD $HOME $(id -u)" >here
LABEL some.label="x y"
ARG user_id
USER \${user_id}`,
    `RUN id -u; echo second >/tmp/t; echo "$given|$BASE"
SHELL ["/bin/sh", "-ec"]`,
  ]);
  assert.deepEqual(history(image), [
    "busybox",
    "Layer: 'RUN mkdir -p /opt/x && echo \"$MADE\" >/opt/x/made && rm -r /home/cnb && chmod 600 /etc/group', Created by extension: ext/0",
    "Layer: 'COPY sub /opt/copied', Created by extension: ext/0",
    "Layer: 'WORKDIR /srv/app', Created by extension: ext/0",
    "Layer: 'RUN echo \"$PWD $HOME $(id -u)\" >here', Created by extension: ext/0",
    "Layer: 'RUN id -u; echo second >/tmp/t; echo \"$given|$BASE\"', Created by extension: ext/1",
  ]);
  assert.deepEqual(await Promise.all(added(image).map(show)), [
    [
      "/etc 755 0:0",
      "/etc/group 600 0:0 = root:x:0:\ncnb:x:1000:",
      "/home 755 0:0",
      "/home/.wh.cnb 0 0:0 =",
      "/opt 755 0:0",
      "/opt/x 755 0:0",
      "/opt/x/made 644 0:0 = a from outside",
    ],
    ["/opt 755 0:0", "/opt/copied 755 0:0", "/opt/copied/file 640 0:0 = copied"],
    ["/srv 755 0:0", "/srv/app 755 0:0"],
    ["/srv 755 0:0", "/srv/app 755 0:0", "/srv/app/here 644 0:0 = /srv/app /root 0"],
    ["/tmp 1777 0:0", "/tmp/t 644 1000:1000 = second"],
  ]);
  const { config } = image.config;
  assert.deepEqual(config.Env, ["PATH=/bin", "BASE=2", "MADE=a from outside"]);
  assert.equal(config.User, "1000");
  assert.equal(config.WorkingDir, "/srv/app");
  assert.deepEqual(config["Shell"], ["/bin/sh", "-ec"]);
  assert.deepEqual(config.Labels, { "some.label": "x y", "io.buildpacks.rebasable": "false" });
  // An argument is declared anew in each Dockerfile.
  assert.equal(shop.output, "1000\n|2\n");
  assert.equal(shop.lines.filter((line) => line.startsWith("warn")).length, 0);
});

Deno.test("XT-4 the cache: unchanged instructions are not run, and what follows a change is", async () => {
  await using shop = await Workshop.make();
  if (!shop) return;
  await Deno.writeTextFile(`${shop.dir}/context/file`, "1");
  const text = (command: string) =>
    `USER root\nRUN echo one >/one; rm /etc/shadow; ln -s one /link\nCOPY file /\nRUN ${command} >/two\nUSER 1000`;
  const first = await shop.extend([text("cat /one /file /link")]);
  const again = await shop.extend([text("cat /one /file /link")]);
  assert.equal(shop.opened, 1, "nothing to carry out, nothing unpacked");
  assert.equal(again.raw.digest, first.raw.digest);
  // What came from the cache is there for what is new.
  const changed = await shop.extend([text("(cat /one /link; ls /etc)")]);
  assert.equal(shop.opened, 2);
  assert.deepEqual(
    changed.layers.slice(0, 3).map(({ diffId }) => diffId),
    first.layers.slice(0, 3).map(({ diffId }) => diffId),
  );
  assert.deepEqual(await show(changed.layers[3]!), [
    "/two 644 0:0 = one\none\ngroup\nhostname\nhosts\npasswd\nresolv.conf",
  ]);
  await Deno.writeTextFile(`${shop.dir}/context/file`, "2");
  const copied = await shop.extend([text("cat /one /file /link")]);
  assert.equal(copied.layers[1]!.diffId, first.layers[1]!.diffId);
  assert.deepEqual(await show(copied.layers[2]!), ["/file 644 0:0 = 2"]);
  // The age counts, and so does the content.
  const old = openLayerCache(`${shop.dir}/cache`, HOUR, () => new Date(Date.now() + 2 * HOUR));
  await shop.extend([text("cat /one /file /link")], { cache: old });
  assert.equal(shop.opened, 4);
  const later = () => new Date(Date.now() + 2 * HOUR);
  await pruneLayerCache(`${shop.dir}/cache`, 3 * HOUR, later);
  assert.ok([...Deno.readDirSync(`${shop.dir}/cache/blobs`)].length > 0);
  for (const { name } of Deno.readDirSync(`${shop.dir}/cache/blobs`)) {
    await Deno.writeTextFile(`${shop.dir}/cache/blobs/${name}`, "damaged");
  }
  const anew = await shop.extend([text("cat /one /file /link")]);
  assert.equal(anew.raw.digest, copied.raw.digest);
  await pruneLayerCache(`${shop.dir}/cache`, HOUR, () => new Date(Date.now() + 4 * HOUR));
  assert.deepEqual([...Deno.readDirSync(`${shop.dir}/cache/blobs`)], []);
  assert.deepEqual([...Deno.readDirSync(`${shop.dir}/cache`)].map(({ name }) => name), ["blobs"]);
});

Deno.test("XT-2 build_id is another each time, and defeats the cache of what declares it", async () => {
  await using shop = await Workshop.make();
  if (!shop) return;
  const text = "USER root\nRUN echo a >/a\nARG build_id\nRUN echo $build_id >/id\nUSER 1000";
  const [first, second] = [
    await shop.extend([text]),
    await shop.extend([text], { buildId: "id-2" }),
  ];
  assert.equal(first.layers[1]!.diffId, second.layers[1]!.diffId);
  assert.deepEqual(await show(first.layers[2]!), ["/id 644 0:0 = id-1"]);
  assert.deepEqual(await show(second.layers[2]!), ["/id 644 0:0 = id-2"]);
});

Deno.test("XT-5 XT-7 rebasable only if all say so; the last user must not be root", async () => {
  const label = "io.buildpacks.rebasable";
  const rows: [string | undefined, string[], string][] = [
    [undefined, ["ENV A=1"], "false"],
    ["true", ["ENV A=1"], "true"],
    ["true", ["ENV A=1", `LABEL ${label}=false`], "false"],
    ["true", [`LABEL ${label}=false`, `LABEL ${label}=true`], "false"],
    [undefined, [`LABEL ${label}=true`, "ENV A=1"], "true"],
    ["false", [`LABEL ${label}=1`], "true"],
    ["true", [`LABEL ${label}=odd`], "false"],
  ];
  for (const [before, dockerfiles, wanted] of rows) {
    await using shop = await Workshop.make(before ? { Labels: { [label]: before } } : {});
    if (!shop) return;
    const { config } = (await shop.extend(dockerfiles)).config;
    assert.equal(config.Labels?.[label], wanted, JSON.stringify([before, dockerfiles]));
    assert.equal(shop.opened, 0, "nothing of it takes files");
  }
  await using shop = await Workshop.make();
  if (!shop) return;
  await assert.rejects(
    shop.extend(["USER ${user_id}"]),
    /the final user ID is 0/,
    "an argument that was not declared is nothing, and nothing is root",
  );
  await assert.rejects(
    shop.extend(["USER 0"]),
    (error) =>
      error instanceof LifecycleError && error.exitCode === 102 &&
      error.message ===
        "the final user ID is 0 (root); please add another extension that resets the user to non-root",
  );
  assert.match(shop.lines.at(-1)!, /^warn: Extension from \S+ changed the user ID from 1000 to 0;/);
  await shop.extend(["USER 0"], { kind: "build" });
  await shop.extend(["USER 7"]);
  assert.match(shop.lines.at(-1)!, /The original user ID was 1000 but .* set to 7\.$/);
});

Deno.test("XT-4 what cannot be carried out ends with 102, the Dockerfile and the line", async () => {
  await using shop = await Workshop.make();
  if (!shop) return;
  const rows: [string, RegExp][] = [
    [
      "USER root\nRUN echo before; exit 3",
      /run\.Dockerfile:4, RUN\): the command exited with status 3$/,
    ],
    ['RUN ["nope"]', /:3, RUN\): "nope" is in no directory of PATH \(\/bin\)$/],
    ["COPY nope /", /"nope" is not in the build context/],
    ["COPY ../../etc/passwd /", /"\.\.\/\.\.\/etc\/passwd" is not in the build context/],
    ["COPY out /", /"out" is not in the build context/],
    ["ADD https://example.invalid/x /", /is not fetched/],
    ["USER nobody-knows\nRUN true", /the image has no user "nobody-knows"/],
    ["COPY --chown=x:y sub /", /the image has no user "x"/],
    ["COPY --chmod=u+x sub /", /is no mode/],
    ['ENV A="${b:?want b}"', /ENV\): b: want b/],
    ["WORKDIR /etc/passwd/x", /is no directory/],
    [
      "USER root\nRUN touch /tmp/$(printf 'a\\377')",
      /RUN\): "\/tmp\/a\ufffd" cannot be part of a layer: its name is not UTF-8$/,
    ],
  ];
  await Deno.symlink("/etc/passwd", `${shop.dir}/context/out`);
  for (const [at, [text, wanted]] of [...rows, rows.at(-1)!].entries()) {
    shop.copy = at === rows.length;
    await assert.rejects(shop.extend([text]), (error) => {
      assert.ok(error instanceof LifecycleError, String(error));
      assert.equal(error.exitCode, 102);
      assert.match(error.message, /^Cannot extend the run image \(\/gen\/ext_0\/run\.Dockerfile:/);
      assert.match(error.message, wanted);
      return true;
    });
  }
  assert.deepEqual(
    [...Deno.readDirSync(shop.dir)].map(({ name }) => name).sort(),
    ["context", "unpacked"],
    "nothing stays but what is shared",
  );
});

Deno.test("XT-3 XT-4 COPY and ADD: targets, globs, owners, modes, links, archives, .dockerignore", async () => {
  await using shop = await Workshop.make({ WorkingDir: "/srv" }, [
    { name: "usr/lib", type: "directory", mode: 0o755 },
    { name: "lib", type: "symlink", linkName: "usr/lib" },
  ]);
  if (!shop) return;
  const context = `${shop.dir}/context`;
  for (const name of ["a.txt", "b.txt", "sub/c", "sub/skip.me"]) {
    await Deno.writeTextFile(`${context}/${name}`, name);
    await Deno.chmod(`${context}/${name}`, 0o644);
  }
  await Deno.symlink("c", `${context}/sub/link`);
  await Deno.writeTextFile(`${context}/.dockerignore`, "# why\n**/skip.*\n");
  const tar = new Deno.Command("tar", {
    args: ["-C", context, "--mode=0644", "-czf", `${context}/x.tgz`, "a.txt"],
  });
  assert.ok((await tar.output()).success);
  const image = await shop.extend([`COPY *.txt many/
COPY --chown=cnb:7 --chmod=750 a.txt one
COPY sub /lib/sub
ADD x.tgz a.txt /unpacked/
COPY <<end /made
n $BASE
end
RUN ["cat", "/made"]`]);
  const work = ["/srv 755 0:0"];
  assert.deepEqual(await Promise.all(added(image).map(show)), [
    [
      ...work,
      "/srv/many 755 0:0",
      "/srv/many/a.txt 644 0:0 = a.txt",
      "/srv/many/b.txt 644 0:0 = b.txt",
    ],
    [...work, "/srv/one 750 1000:7 = a.txt"],
    [
      "/usr 755 0:0",
      "/usr/lib 755 0:0",
      "/usr/lib/sub 755 0:0",
      "/usr/lib/sub/c 644 0:0 = sub/c",
      "/usr/lib/sub/link 777 0:0 -> c",
    ],
    ["/unpacked 755 0:0", "/unpacked/a.txt 644 0:0 = a.txt"],
    ["/made 644 0:0 = n 1"],
  ]);
  assert.equal(shop.output, "n 1\n");
});

Deno.test({
  name: "XT-4 RUN behind chroot(2), where there are no namespaces: the same layers, and no way out",
  ignore: Deno.uid() !== 0,
  async fn() {
    await using shop = await Workshop.make();
    if (!shop) return;
    const text = `USER root
RUN mkdir /srv && echo "$(id -u) $HOME" >/srv/who && chown 33:34 /srv/who && chmod 4755 /srv/who
USER 1000:1000
RUN id -u >/tmp/mine && ! echo x >/etc/passwd`;
    const usual = await shop.extend([text]);
    shop.entry = { mode: "chroot", owner: "real" };
    const cache = openLayerCache(`${shop.dir}/other`, HOUR, () => new Date());
    const image = await shop.extend([text], { cache });
    assert.deepEqual(
      added(image).map(({ diffId }) => diffId),
      added(usual).map(({ diffId }) => diffId),
    );
    assert.deepEqual(await show(added(image)[0]!), [
      "/srv 755 0:0",
      "/srv/who 4755 33:34 = 0 /root",
    ]);
    const out = `USER root
RUN mkdir /d && for try in "chroot /d /bin/sh" "mount -t tmpfs t /d" "mknod /d/n b 8 0"; do busybox $try && exit 9; done; true
USER 1000`;
    await shop.extend([out]);
    assert.match(shop.output, /chroot: .*not permitted/);
    assert.match(shop.output, /mount: permission denied/);
    assert.match(shop.output, /mknod: .*not permitted/);
  },
});

Deno.test("XT-4 hard links stay links, also to a file of the base and from the cache", async () => {
  await using shop = await Workshop.make({}, [{ name: "opt/old", text: "old" }]);
  if (!shop) return;
  const text = `USER root
RUN mkdir /srv && echo x >/srv/b && ln /srv/b /srv/a && ln /srv/b /srv/c && ln /opt/old /opt/new`;
  const first = await shop.extend([`${text}\nUSER 1000`]);
  assert.deepEqual(await show(added(first)[0]!), [
    "/opt 755 0:0",
    "/opt/new 644 0:0 = old",
    "/opt/old 644 0:0 => /opt/new",
    "/srv 755 0:0",
    "/srv/a 644 0:0 = x",
    "/srv/b 644 0:0 => /srv/a",
    "/srv/c 644 0:0 => /srv/a",
  ]);
  const second = await shop.extend([
    `${text}\nRUN stat -c '%n %h' /srv/a /srv/c /opt/old; echo y >/srv/c; cat /srv/a\nUSER 1000`,
  ]);
  assert.equal(shop.output, "/srv/a 3\n/srv/c 3\n/opt/old 2\ny\n");
  assert.deepEqual(await show(added(second)[1]!), [
    "/srv 755 0:0",
    "/srv/a 644 0:0 = y",
    "/srv/b 644 0:0 => /srv/a",
    "/srv/c 644 0:0 => /srv/a",
  ]);
});

Deno.test({
  name: "XT-4 capabilities of files are kept where real root reads them, also from the cache",
  ignore: Deno.uid() !== 0,
  async fn() {
    // cap_net_bind_service=ep, as the kernel has it.
    const rights = "\x01\0\0\x02\0\x04" + "\0".repeat(14);
    const pax = new Map([["SCHILY.xattr.security.capability", rights]]);
    await using shop = await Workshop.make({}, [{ name: "opt/tool", text: "x", pax }]);
    if (!shop) return;
    const text = "USER root\nRUN mv /opt/tool /opt/one";
    const first = await shop.extend([`${text}\nUSER 1000`]);
    const gone = "/opt/.wh.tool 0 0:0 =";
    const [layer] = added(first);
    assert.deepEqual(await show(layer!), ["/opt 755 0:0", gone, "/opt/one 644 0:0 +cap = x"]);
    const second = await shop.extend([`${text}\nRUN mv /opt/one /opt/two\nUSER 1000`]);
    assert.deepEqual(await show(added(second)[1]!), [
      "/opt 755 0:0",
      "/opt/.wh.one 0 0:0 =",
      "/opt/two 644 0:0 +cap = x",
    ]);
    // The exporter takes it as it is.
    const tar = rewriteLayer(await (await layer!.blob()).open());
    const digester = new Digester();
    for await (const chunk of tar) digester.update(chunk);
    assert.equal(digester.digest(), layer!.diffId);
  },
});

Deno.test("XT-4 a file that is changed within a second and dated back is part of the layer", async () => {
  await using shop = await Workshop.make({}, [{ name: "opt/old", text: "old" }]);
  if (!shop) return;
  const image = await shop.extend([`USER root
RUN touch -r /opt/old /tmp/date
RUN echo -n new >/opt/old && touch -r /tmp/date /opt/old
USER 1000`]);
  assert.deepEqual(await show(added(image)[1]!), ["/opt 755 0:0", "/opt/old 644 0:0 = new"]);
});
