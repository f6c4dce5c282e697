/** Engines that pull and unpack an image, each into places of its own: what wherry's builder is measured beside. */
import { join } from "node:path";
import { run, timed } from "./registry_testing.ts";

/** What an act took, in milliseconds; of a daemon's work the processors' part is not known. */
export interface Took {
  /** By the clock. */
  readonly wall: number;
  /** Of the processors, children included. */
  readonly cpu?: number;
}

/** One of them. */
export interface Engine extends AsyncDisposable {
  /** For the table. */
  readonly name: string;
  /** From a registry to a root file system that can be entered, with nothing there before. */
  cold(image: string, round: number): Promise<Took>;
  /** The same again, with what `cold` of that round left. */
  warm(image: string, round: number): Promise<Took>;
}

const nothing = { [Symbol.asyncDispose]: () => Promise.resolve() };

/** wherry: `run`, which pulls into the store, unpacks once and starts `true`. */
export function wherryEngine(wherry: string, root: string): Engine {
  const act = (image: string, round: number) =>
    timed(wherry, [
      ...["run", image, "--quiet", "--store", join(root, `wherry-${round}`)],
      ...["--pull-policy", "always", "--entrypoint", "/bin/true"],
    ]);
  return { name: "wherry run", cold: act, warm: act, ...nothing };
}

/** skopeo into an OCI layout, then umoci into a directory; again: umoci alone, which knows no other way to a fresh root. */
export async function umociEngine(root: string): Promise<Engine | string> {
  if (!await has("umoci") || !await has("skopeo")) return "umoci or skopeo is not installed";
  const unpack = (round: number, to: string) =>
    timed("umoci", [
      ...["unpack", "--image", `${join(root, `umoci-${round}`)}:1`],
      join(root, `umoci-${round}-${to}`),
    ]);
  return {
    name: "skopeo + umoci unpack",
    async cold(image, round) {
      const layout = `oci:${join(root, `umoci-${round}`)}:1`;
      const pulled = await timed("skopeo", [
        ...["copy", "--quiet", "--src-tls-verify=false", `docker://${image}`, layout],
      ]);
      const unpacked = await unpack(round, "cold");
      return { wall: pulled.wall + unpacked.wall, cpu: pulled.cpu + unpacked.cpu };
    },
    warm: (_, round) => unpack(round, "warm"),
    ...nothing,
  };
}

/** `podman pull` into a root of its own, as overlay where it can. */
export async function podmanEngine(root: string): Promise<Engine | string> {
  if (!await has("podman")) return "podman is not installed";
  const act = (image: string, round: number) =>
    timed("podman", [
      ...["--root", join(root, `podman-${round}`), "--runroot", join(root, `podman-run-${round}`)],
      ...["pull", "--quiet", "--tls-verify=false", image],
    ]);
  const overlays = async () => {
    // The engine leaves a mount of its own directory behind.
    for (const round of [0, 1, 2]) {
      await new Deno.Command("umount", {
        args: ["-q", join(root, `podman-${round}`, "overlay")],
        stderr: "null",
      }).output();
    }
  };
  return { name: "podman pull", cold: act, warm: act, [Symbol.asyncDispose]: overlays };
}

/** `docker pull`, where a daemon can be started. */
export async function dockerEngine(root: string): Promise<Engine | string> {
  if (!await has("dockerd") || !await has("docker")) return "docker is not installed";
  const dir = await Deno.makeTempDir({ dir: "/tmp", prefix: "wd-" }); // names of sockets are short
  const host = `unix://${dir}/s`;
  const daemon = new Deno.Command("dockerd", {
    args: [
      ...["--data-root", join(root, "docker"), "--exec-root", `${dir}/x`, "--pidfile", `${dir}/p`],
      ...["-H", host, "--iptables=false", "--ip6tables=false", "--bridge=none"],
    ],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  const listening = Promise.withResolvers<boolean>();
  const reading = (async () => {
    const lines = daemon.stderr.pipeThrough(new TextDecoderStream());
    for await (const text of lines) if (text.includes("API listen on")) listening.resolve(true);
    listening.resolve(false);
  })();
  const timer = setTimeout(() => listening.resolve(false), START_MS);
  const end = async () => {
    clearTimeout(timer);
    try {
      daemon.kill("SIGTERM");
    } catch {
      // It ended by itself.
    }
    await Promise.allSettled([daemon.status, reading]);
    await Deno.remove(dir, { recursive: true });
  };
  if (!await listening.promise) {
    await end();
    return "dockerd does not start here";
  }
  const pull = (image: string) => timed("docker", ["-H", host, "pull", "--quiet", image]);
  return {
    name: "docker pull",
    async cold(image) {
      await new Deno.Command("docker", { args: ["-H", host, "rmi", "-f", image] }).output();
      return { wall: (await pull(image)).wall };
    },
    warm: async (image) => ({ wall: (await pull(image)).wall }),
    [Symbol.asyncDispose]: end,
  };
}

/** A daemon that takes longer does not start. */
const START_MS = 60_000;

async function has(program: string): Promise<boolean> {
  return await run("sh", ["-c", `command -v ${program} || true`]).then((out) => out !== "");
}
