/** A builder, and every way to build in it: what `docs/builders.md` calls isolation modes. */
import assert from "node:assert/strict";
import { CNB_ID } from "./base_image_testing.ts";
import { contain, unpack } from "./container_testing.ts";
import { DOCKER_CAPABILITIES, type Engine } from "./seccomp_testing.ts";
import { type BuildResult, type Outcome, type Scene, WHERRY } from "./wherry_testing.ts";

/** Where the scene's `share` lies in containers. */
const SHARED = "/builds";

/** One way to build. */
export interface Way {
  /** As `--isolation` has it. */
  readonly mode: "namespaces" | "takeover" | "chroot" | "in-place";
  /** The mode, and who. */
  readonly where: string;
  /** Runs any command line there; in a container with an engine's filter of system calls, Docker's by default. */
  run(args: readonly string[], engine?: Engine): Promise<Outcome>;
  /** Builds `apps/NAME` to `out/MODE-NAME` of the scene's `share`. */
  build(app: string, runImage: string, words: readonly string[]): Promise<Built>;
}

/** A build that ended well. */
export interface Built extends BuildResult {
  /** The layout it is in, tagged `app`. */
  readonly layout: string;
  /** What was said meanwhile. */
  readonly log: string;
}

/** The line that tells how buildpacks ran. */
const TOLD = {
  "namespaces": /^isolation: namespaces, the image's own root \(user and mount namespaces/m,
  "takeover": /^isolation: takeover, the builder unpacked over this container /m,
  "chroot": /^isolation: chroot, the image's own root /m,
  "in-place": /^isolation: in-place, on this machine's own tree /m,
};

/**
 * The ways into the builder `oci:builder:1` of the scene's `share`: a plain user with namespaces; root in a container of
 * Docker's, once a system that survives and once nothing but wherry; and a container whose image is the builder, once a locked
 * pod and once with root.
 */
export async function waysInto(scene: Scene): Promise<readonly Way[]> {
  const share = `${scene.dir}/share`;
  await Deno.mkdir(`${share}/out`, { recursive: true });
  await Deno.chmod(`${share}/out`, 0o777);
  const systemRoot = await rootWithWherry(scene, "system");
  await Deno.mkdir(`${systemRoot}/etc`);
  await Deno.writeTextFile(`${systemRoot}/etc/passwd`, "root:x:0:0:root:/root:/bin/sh\n");
  const emptyRoot = await rootWithWherry(scene, "empty");
  const builder = await unpack(`${share}/builder`, "1", `${scene.dir}/builder`);
  const config = JSON.parse(await Deno.readTextFile(`${scene.dir}/builder/config.json`));
  const builderEnv = Object.fromEntries(
    (config.process.env as string[]).map((line) => line.split(/=(.*)/s).slice(0, 2)),
  );
  for (const name of ["scratch", "layers", "workspace"]) await place(scene, name, 0o777);

  const asRoot = (rootfs: string) => async (args: readonly string[], engine?: Engine) =>
    await (await contain(`${scene.dir}/bundle`, {
      engine,
      ...{ rootfs, uid: 0, gid: 0, capabilities: DOCKER_CAPABILITIES },
      args: ["/wherry", ...args],
      env: { PATH: "/usr/bin:/bin", HOME: "/root", WHERRY_STORE: "/root/store" },
      mounts: { [SHARED]: share },
    })).ended;
  const user = await place(scene, "user", 0o755);
  await Deno.chown(user, CNB_ID, CNB_ID);
  const inBuilder = {
    rootfs: builder.rootfs,
    env: { ...builderEnv, WHERRY_STORE: "/scratch/store", TMPDIR: "/scratch" },
  };
  type Place = Way["mode"] | "in-place as root";
  const run: Readonly<Record<Place, Way["run"]>> = {
    "namespaces": (args) =>
      scene.run(args.map((word) => word.replaceAll(SHARED, share)), {
        ...{ uid: CNB_ID, store: `${user}/store`, env: { HOME: user } },
      }),
    "chroot": asRoot(systemRoot),
    "takeover": asRoot(emptyRoot),
    "in-place": async (args, engine) =>
      await (await contain(`${scene.dir}/bundle`, {
        engine,
        ...{ ...inBuilder, uid: 1_000_680_000, gid: 0, capabilities: [], readonly: true },
        args: ["/cnb/lifecycle/lifecycle", ...args],
        mounts: {
          [SHARED]: share,
          "/scratch": `${scene.dir}/scratch`,
          "/layers": `${scene.dir}/layers`,
          "/workspace": `${scene.dir}/workspace`,
        },
      })).ended,
    "in-place as root": async (args, engine) =>
      await (await contain(`${scene.dir}/bundle`, {
        engine,
        ...{ ...inBuilder, uid: 0, gid: 0, capabilities: DOCKER_CAPABILITIES },
        args: ["/cnb/lifecycle/lifecycle", ...args],
        mounts: { [SHARED]: share, "/scratch": await place(scene, "root-scratch", 0o755) },
      })).ended,
  };
  return (Object.keys(run) as Place[]).map((where) => ({
    where,
    mode: where.replace(/ .*/, "") as Way["mode"],
    run: run[where],
    async build(app, runImage, words) {
      const { mode } = this;
      const name = `${where.replaceAll(" ", "-")}-${app.replace(/\..*/, "")}`;
      const { code, stdout, stderr } = await run[where]([
        ...["build", `oci:${SHARED}/out/${name}:app`, "--path", `${SHARED}/apps/${app}`],
        ...["--isolation", mode, "--run-image", runImage, "-o", "json"],
        ...mode === "in-place" ? [] : ["--builder", `oci:${SHARED}/builder:1`],
        ...words,
      ]);
      assert.equal(code, 0, `${name}: ${stderr}`);
      assert.match(stderr, TOLD[mode]);
      return { ...JSON.parse(stdout) as BuildResult, layout: `${share}/out/${name}`, log: stderr };
    },
  }));
}

/** Where runs of images are named, in every way. */
export const inShare = (name: string): string => `oci:${SHARED}/${name}`;

async function place(scene: Scene, name: string, mode: number): Promise<string> {
  await Deno.mkdir(`${scene.dir}/${name}`, { recursive: true });
  await Deno.chmod(`${scene.dir}/${name}`, mode);
  return `${scene.dir}/${name}`;
}

async function rootWithWherry(scene: Scene, name: string): Promise<string> {
  const root = await place(scene, name, 0o755);
  await Deno.mkdir(`${root}/root`, { mode: 0o700 });
  await Deno.copyFile(WHERRY, `${root}/wherry`);
  await Deno.chmod(`${root}/wherry`, 0o755);
  return root;
}
