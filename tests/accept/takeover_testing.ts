/** An expendable container: a root that holds nothing but the executable, entered in a mount namespace of its own. */
import type { Shell } from "../../cli/shell_testing.ts";
import { type Running, startProcess, WHERRY } from "./wherry_testing.ts";

/** Runs a program as root of `root`, with a `/proc` and a few devices, in a mount namespace that ends with it. */
const ENTER = `set -e
mount --bind "$1" "$1"
cd "$1" && shift
mkdir -p proc dev sys tmp
mount -t proc proc proc
mount -t tmpfs dev dev
for node in null zero full random urandom; do : >dev/$node; mount --bind /dev/$node dev/$node; done
exec chroot . "$@"
`;

/** Moves builder, run image and app of a shell into a new root `root` in it. */
export async function expendableRoot(shell: Shell): Promise<string> {
  const root = `${shell.dir}/root`;
  await Deno.mkdir(`${root}/builds`, { recursive: true });
  await Deno.mkdir(`${root}/etc`);
  await Deno.writeTextFile(`${root}/etc/resolv.conf`, "# ours\n");
  await Deno.writeTextFile(`${root}/.dockerenv`, "");
  await Deno.copyFile(WHERRY, `${root}/wherry`);
  await Deno.chmod(`${root}/wherry`, 0o755);
  for (const name of ["builder", "base", "app"]) {
    await Deno.rename(`${shell.dir}/${name}`, `${root}/builds/${name}`);
  }
  return root;
}

/** Starts a build of the app in it, to `oci:/builds/out`. */
export function takeover(root: string, ...more: readonly string[]): Running {
  return startProcess("unshare", [
    ...["--mount", "--propagation", "private", "sh", "-c", ENTER, "sh", root],
    ...["/wherry", "build", "oci:/builds/out", "--store", "/root/store", "--isolation", "takeover"],
    ...["--builder", "oci:/builds/builder", "--run-image", "oci:/builds/base:1"],
    ...["--path", "/builds/app", ...more],
  ]);
}
