/** The container we stand in as the root that is changed: what the lifecycle's own extender does (XT-1). */
import { StartError } from "../sandbox/executor.ts";
import { runPlain } from "../sandbox/run.ts";
import { type ExtendRoot, type RootCommand, watchWhole } from "./root.ts";
import { NO_IMAGE } from "./snapshot.ts";

/**
 * The root of this container. What is mounted into it is no part of the image, nor is `ignore`.
 *
 * @throws {Error} When we are not its root, or in no container: it would be the machine that is changed.
 */
export async function openMachineRoot(
  ignore: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<ExtendRoot> {
  if (Deno.uid() !== 0) {
    throw new Error(
      `an image is extended in its own container as root, this is user ${Deno.uid()}`,
    );
  }
  if (!await inContainer(env)) {
    throw new Error("this is no container: the machine itself would be changed");
  }
  const mounts = mountPoints(await Deno.readTextFile("/proc/self/mountinfo").catch(() => ""));
  const scope = { root: "/", ignore: new Set([...NO_IMAGE, ...mounts, ...ignore]) };
  return {
    ...scope,
    ...watchWhole(scope, true),
    realOwners: true,
    async run({ user, ...command }: RootCommand) {
      try {
        return await runPlain(command, user);
      } catch (error) {
        if (!(error instanceof StartError)) throw error;
        throw new Error(error.message, { cause: error });
      }
    },
  };
}

/** Directories and files something is mounted on, the root left out. */
function mountPoints(mountinfo: string): readonly string[] {
  return mountinfo.split("\n").map((line) => line.split(" ")[4] ?? "")
    .map((path) =>
      path.replaceAll(/\\([0-7]{3})/g, (_, octal) => String.fromCharCode(Number.parseInt(octal, 8)))
    )
    .filter((path) => path !== "" && path !== "/");
}

/** What engines leave for those who ask. */
async function inContainer(env: Readonly<Record<string, string>>): Promise<boolean> {
  if (env["KUBERNETES_SERVICE_HOST"] || env["container"]) return true;
  for (const path of ["/.dockerenv", "/run/.containerenv"]) {
    if (await Deno.stat(path).then(() => true, () => false)) return true;
  }
  const groups = await Deno.readTextFile("/proc/1/cgroup").catch(() => "");
  return /docker|kubepods|containerd|libpod|lxc|garden/.test(groups);
}
