/**
 * A builder image as a directory that is entered with chroot: busybox, phases under `/cnb/lifecycle`, one buildpack and
 * one extension, and `/kaniko` as platforms mount it. Needs root.
 */
import { memoryRegistry } from "../../registry/memory.ts";
import { type Image, makeImage, pushImage, readImage } from "../../registry/image.ts";
import { createServer } from "../../registry/server/server.ts";
import { serve } from "../../registry/server/serve.ts";
import { LAYOUT_REPOSITORY, openLayout } from "../../registry/store/layout.ts";
import { busyboxLayer } from "../../lifecycle/sandbox/busybox_testing.ts";
import { compiledHelper } from "../../lifecycle/sandbox/helper_testing.ts";
import { unpackLayers } from "../../lifecycle/sandbox/unpack.ts";
import { writeFiles } from "./wherry_testing.ts";

/** What a phase ended with. */
export interface PhaseOutcome {
  /** Exit code. */
  readonly code: number;
  /** All it said. */
  readonly text: string;
}

/** The directory, and the registry it reaches. */
export interface ExtensionRoot extends AsyncDisposable {
  /** The root. */
  readonly root: string;
  /** Of the registry, which has `run:1` and `build:1`. */
  readonly host: string;
  /** Runs a phase in it. */
  phase(
    name: string,
    uid: number,
    args: readonly string[],
    env?: Readonly<Record<string, string>>,
  ): Promise<PhaseOutcome>;
  /** Writes the run image as a layout into a directory that is made. */
  saveRun(dir: string): Promise<void>;
  /** Reads the one image of a layout. */
  layoutImage(dir: string): Promise<Image>;
  /** Reads an image of the registry. */
  image(name: string): Promise<Image>;
}

const ID = 1000;

const GENERATE = `#!/bin/sh
mkdir "$CNB_OUTPUT_DIR/context"
echo "from the context" >"$CNB_OUTPUT_DIR/context/copied"
cat >"$CNB_OUTPUT_DIR/build.Dockerfile" <<'END'
ARG base_image
FROM \${base_image}
USER root
ARG said
RUN mkdir /opt/bin && printf '#!/bin/sh\\necho tool says %s\\n' "$said" >/opt/bin/tool && chmod 755 /opt/bin/tool
ENV PATH=/opt/bin:$PATH WITH=equals=sign
ARG user_id
USER \${user_id}
END
cat >"$CNB_OUTPUT_DIR/run.Dockerfile" <<'END'
ARG base_image
FROM \${base_image}
USER 0
RUN echo extended >/etc/extended && rm /opt/gone && mkdir /srv && chown 1000:1000 /srv
COPY copied /srv/copied
ENV EXTENDED=yes
ARG user_id
ARG group_id
USER \${user_id}:\${group_id}
END
printf '[[build.args]]\\nname = "said"\\nvalue = "hello"\\n' >"$CNB_OUTPUT_DIR/extend-config.toml"
`;

const BUILD = `#!/bin/sh
mkdir -p "$1/l"
tool >"$1/l/said"
id -u >>"$1/l/said"
printf '[types]\\nlaunch = true\\n' >"$1/l.toml"
`;

/** Makes one whose phases are `program`. */
export async function extensionRoot(program: string): Promise<ExtensionRoot> {
  const stack = new AsyncDisposableStack();
  const registry = memoryRegistry();
  const listening = stack.use(
    await serve(createServer(registry), { listen: { hostname: "127.0.0.1", port: 0 } }),
  );
  const { address } = listening;
  if (!("port" in address)) throw new Error("want a port");
  const host = `127.0.0.1:${address.port}`;
  const layer = await busyboxLayer(
    { name: "opt", type: "directory", mode: 0o755 },
    { name: "opt/gone", text: "old" },
  );
  const base = makeImage({
    os: "linux",
    architecture: Deno.build.arch === "aarch64" ? "arm64" : "amd64",
    config: {
      User: `${ID}:${ID}`,
      Env: ["PATH=/bin"],
      Labels: { "io.buildpacks.base.id": "busybox", "io.buildpacks.rebasable": "true" },
    },
    rootfs: { type: "layers", diff_ids: [] },
    history: [{ created_by: "busybox" }],
  }, [layer]);
  for (const name of ["run", "build"]) await pushImage(base, registry, name, { tags: ["1"] });
  const root = await Deno.makeTempDir({ prefix: "wherry-accept-extend-" });
  stack.defer(() => Deno.remove(root, { recursive: true }));
  await Deno.chmod(root, 0o755);
  await unpackLayers([layer], { helper: await compiledHelper(), into: root, owner: "real" });
  const module = (kind: string, id: string) =>
    `api = "0.10"\n[${kind}]\nid = "${id}"\nversion = "1"\n`;
  await writeFiles(root, {
    "layers": null,
    "platform/env": null,
    "kaniko": null,
    "proc": null,
    "dev": null,
    ".dockerenv": "",
    "workspace/file": "app",
    "cnb/launcher": "launcher",
    "cnb/run.toml": `[[images]]\nimage = "${host}/run:1"\n`,
    "cnb/order.toml": '[[order]]\n[[order.group]]\nid = "bp"\nversion = "1"\n' +
      '[[order-extensions]]\n[[order-extensions.group]]\nid = "some/ext"\nversion = "1"\n',
    "cnb/buildpacks/bp/1/buildpack.toml": module("buildpack", "bp"),
    "cnb/buildpacks/bp/1/bin/detect": "#!/bin/sh\nexit 0\n",
    "cnb/buildpacks/bp/1/bin/build": BUILD,
    "cnb/extensions/some_ext/1/extension.toml": module("extension", "some/ext"),
    "cnb/extensions/some_ext/1/bin/detect": "#!/bin/sh\nexit 0\n",
    "cnb/extensions/some_ext/1/bin/generate": GENERATE,
    "cnb/lifecycle": null,
  });
  for (const name of ["layers", "workspace", "kaniko"]) await Deno.chown(`${root}/${name}`, ID, ID);
  await Deno.copyFile(program, `${root}/cnb/lifecycle/program`);
  await Deno.chmod(`${root}/cnb/lifecycle/program`, 0o755);
  for (const name of ["analyzer", "detector", "restorer", "extender", "exporter"]) {
    await Deno.symlink("program", `${root}/cnb/lifecycle/${name}`);
  }
  return {
    root,
    host,
    async saveRun(dir) {
      await Deno.mkdir(dir, { recursive: true });
      await pushImage(base, await openLayout(dir, { create: true }), LAYOUT_REPOSITORY, {
        tags: ["1"],
      });
      await new Deno.Command("chown", { args: ["-R", `${ID}:${ID}`, `${root}/layouts`] }).output();
    },
    async layoutImage(dir) {
      const { manifests } = JSON.parse(await Deno.readTextFile(`${dir}/index.json`));
      const wanted = { os: "linux", architecture: base.config.architecture };
      const { digest } = manifests[0];
      return (await readImage(await openLayout(dir), LAYOUT_REPOSITORY, digest, wanted))!;
    },
    async phase(name, uid, args, env = {}) {
      const script = 'mount -t proc none "$ROOT/proc"; mount --rbind /dev "$ROOT/dev"; ' +
        'exec env -i $VARS unshare --root="$ROOT" --wd=/ -G "$ID" -S "$ID" "$@"';
      const { code, stdout, stderr } = await new Deno.Command("unshare", {
        args: ["-m", "-p", "-f", "sh", "-ec", script, "sh", `/cnb/lifecycle/${name}`, ...args],
        env: {
          ROOT: root,
          ID: `${uid}`,
          VARS: `PATH=/bin HOME=/root CNB_PLATFORM_API=0.13 CNB_USER_ID=${ID} CNB_GROUP_ID=${ID} ` +
            "CNB_NO_COLOR=true" +
            Object.entries(env).map(([name, value]) => ` ${name}=${value}`).join(""),
        },
        stdin: "null",
      }).output();
      const text = new TextDecoder();
      return { code, text: text.decode(stdout) + text.decode(stderr) };
    },
    async image(name) {
      const wanted = { os: "linux", architecture: base.config.architecture };
      const image = await readImage(registry, name, "latest", wanted);
      if (image === undefined) throw new Error(`the registry has no ${name}`);
      return image;
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}
