/** A builder, and every way to build in it: what `docs/builders.md` calls isolation modes. */
import assert from "node:assert/strict";
import { CNB_ID } from "./base_image_testing.ts";
import { contain, type Container, unpack } from "./container_testing.ts";
import { DOCKER_CAPABILITIES } from "./seccomp_testing.ts";
import {
  type BuildResult,
  type Outcome,
  type Running,
  type Scene,
  WHERRY,
} from "./wherry_testing.ts";

/** Where the scene's `share` lies in containers. */
const SHARED = "/builds";

type Place = Pick<Way, "store" | "layers" | "start">;

/** What the container is like, where there is one. */
type How = Pick<Container, "engine" | "sharedProcesses">;

/** One way to build. */
export interface Way {
  /** As `--isolation` has it. */
  readonly mode: "namespaces" | "takeover" | "chroot" | "in-place";
  /** The mode, and who. */
  readonly where: string;
  /** Where the store is, on this machine. */
  readonly store: string;
  /** Where layers are made, on this machine, or a directory above it. */
  readonly layers: string;
  /** Starts any command line there; in a container with an engine's filter of system calls, Docker's by default. */
  start(args: readonly string[], how?: How): Promise<Running>;
  /** Runs one to its end. */
  run(args: readonly string[], how?: How): Promise<Outcome>;
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

  const asRoot = (rootfs: string, layers: string): Place => ({
    store: `${rootfs}/root/store`,
    layers: `${rootfs}${layers}`,
    start: (args, how) =>
      contain(`${scene.dir}/bundle`, {
        ...how,
        ...{ rootfs, uid: 0, gid: 0, capabilities: DOCKER_CAPABILITIES },
        args: ["/wherry", ...args],
        env: { PATH: "/usr/bin:/bin", HOME: "/root", WHERRY_STORE: "/root/store" },
        mounts: { [SHARED]: share },
      }),
  });
  const user = await place(scene, "user", 0o755);
  await Deno.chown(user, CNB_ID, CNB_ID);
  const inBuilder = {
    rootfs: builder.rootfs,
    env: { ...builderEnv, WHERRY_STORE: "/scratch/store", TMPDIR: "/scratch" },
  };
  const places: Readonly<Record<Way["mode"] | "in-place as root", Place>> = {
    "namespaces": {
      ...{ store: `${user}/store`, layers: user },
      start: (args) => {
        const words = args.map((word) => word.replaceAll(SHARED, share));
        const who = { uid: CNB_ID, store: `${user}/store`, env: { HOME: user } };
        return Promise.resolve(scene.start(words, who));
      },
    },
    "chroot": asRoot(systemRoot, "/root"),
    "takeover": asRoot(emptyRoot, "/layers"),
    "in-place": {
      ...{ store: `${scene.dir}/scratch/store`, layers: `${scene.dir}/layers` },
      start: (args, how) =>
        contain(`${scene.dir}/bundle`, {
          ...how,
          ...{ ...inBuilder, uid: 1_000_680_000, gid: 0, capabilities: [], readonly: true },
          args: ["/cnb/lifecycle/lifecycle", ...args],
          mounts: {
            [SHARED]: share,
            "/scratch": `${scene.dir}/scratch`,
            "/layers": `${scene.dir}/layers`,
            "/workspace": `${scene.dir}/workspace`,
          },
        }),
    },
    "in-place as root": {
      ...{ store: `${scene.dir}/root-scratch/store`, layers: `${builder.rootfs}/layers` },
      start: async (args, how) =>
        await contain(`${scene.dir}/bundle`, {
          ...how,
          ...{ ...inBuilder, uid: 0, gid: 0, capabilities: DOCKER_CAPABILITIES },
          args: ["/cnb/lifecycle/lifecycle", ...args],
          mounts: { [SHARED]: share, "/scratch": await place(scene, "root-scratch", 0o755) },
        }),
    },
  };
  return Object.entries(places).map(([where, { start, ...rest }]): Way => ({
    ...{ where, start, ...rest },
    mode: where.replace(/ .*/, "") as Way["mode"],
    run: async (args, how) => await (await start(args, how)).ended,
    async build(app, runImage, words) {
      const { mode } = this;
      const name = `${where.replaceAll(" ", "-")}-${app.replace(/\..*/, "")}`;
      const { code, stdout, stderr } = await this.run([
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
