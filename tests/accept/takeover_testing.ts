/** An expendable container: a root that holds nothing but the executable, entered in a mount namespace of its own. */
import type { Shell } from "../../cli/shell_testing.ts";
import { type Running, startProcess, WHERRY } from "./wherry_testing.ts";

/** Runs a program as root of `root`, with a `/proc` and a few devices, in a mount namespace that ends with it. */
const ENTER = `set -e
mount --rbind "$1" "$1"
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

const BUILD = [
  ...["/wherry", "build", "oci:/builds/out", "--store", "/root/store", "--isolation", "takeover"],
  ...["--builder", "oci:/builds/builder", "--run-image", "oci:/builds/base:1"],
  ...["--path", "/builds/app"],
];

/** Starts a build of the app in it, to `oci:/builds/out`. */
export function takeover(root: string, ...more: readonly string[]): Running {
  return startProcess("unshare", [
    ...["--mount", "--propagation", "private", "sh", "-c", ENTER, "sh", root],
    ...[...BUILD, ...more],
  ]);
}

/** What a disk of `$2` bytes holds is the root, wherry and builder beside it; then the disk has room. */
const TWICE = `enter=$1 root=$2 size=$3
shift 3
mkdir "$root/small" && mount -t tmpfs -o "size=$size" none "$root/small" && cd "$root/small" || exit 99
mkdir builds etc root && : >wherry && mount --bind "$root/builds" builds && mount --bind "$root/wherry" wherry || exit 99
sh -c "$enter" sh "$PWD" "$@"
echo "first: $?, left in the store: $(ls root/store/work root/store/ingest 2>/dev/null | grep -v :$)" >&2
mount -o "remount,size=64m" "$root/small" || exit 99
sh -c "$enter" sh "$PWD" "$@"
`;

/** Starts a build in it with a root of `size` bytes, and after that in the same one with more room. */
export function takeoverTwice(root: string, size: string): Running {
  const words = ["--mount", "--propagation", "private", "sh", "-c", TWICE, "sh"];
  return startProcess("unshare", [...words, ENTER, root, size, ...BUILD]);
}
