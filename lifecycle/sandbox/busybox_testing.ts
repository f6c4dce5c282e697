/** For tests: a root file system of one static busybox, small enough to unpack in no time. */
import type { Layer } from "../../registry/image.ts";
import { encodeHeader } from "../../registry/layer/tar_encode.ts";
import { padded } from "../../registry/layer/tar_format.ts";
import { joined, type Sample, tarOf } from "../../registry/layer/tar_testing.ts";
import { layerOfTar } from "./unpack_testing.ts";

const APPLETS = (
  "sh ls cat id env echo mkdir rm mv cp ln chmod chown touch test true false sleep ps kill mount hostname " +
  "grep sed find head wc stat readlink printf sort tr cut date df dd tail basename dirname nc wget mknod setsid nohup tee uname"
).split(" ");

/** Whether this machine has what {@linkcode busyboxLayer} needs; else the Debian package that brings it. */
export async function missingBusybox(): Promise<string | undefined> {
  return await Deno.stat("/bin/busybox").then(() => undefined, () => "busybox-static");
}

/** `/bin` with busybox and its names, users `root` and `cnb` (1000:1000), usual directories, and `more`. */
export async function busyboxLayer(...more: readonly Sample[]): Promise<Layer> {
  const dir = (name: string, mode = 0o755): Sample => ({ name, type: "directory", mode });
  const samples: readonly Sample[] = [
    ...APPLETS.map((name): Sample => ({
      name: `bin/${name}`,
      type: "symlink",
      linkName: "busybox",
    })),
    ...["etc", "usr", "usr/bin", "var", "root"].map((name) => dir(name)),
    dir("tmp", 0o1777),
    dir("home"),
    { ...dir("home/cnb"), uid: 1000, gid: 1000 },
    { name: "usr/bin/env", type: "symlink", linkName: "../../bin/busybox" },
    {
      name: "etc/passwd",
      text: "root:x:0:0::/root:/bin/sh\ncnb:x:1000:1000::/home/cnb:/bin/sh\n",
      mode: 0o644,
    },
    { name: "etc/group", text: "root:x:0:\ncnb:x:1000:\n", mode: 0o644 },
    { name: "etc/shadow", text: "root:secret\n", mode: 0o600 },
    ...more,
  ];
  return layerOfTar(joined(await fileEntry("bin/busybox", "/bin/busybox"), tarOf(...samples)));
}

/** One file of this machine as an entry, executable, of root. */
async function fileEntry(name: string, path: string): Promise<Uint8Array> {
  const body = await Deno.readFile(path);
  const header = encodeHeader({
    ...{ name, type: "file", mode: 0o755, uid: 0, gid: 0, mtime: 0, size: body.byteLength },
  });
  return joined(header, body, new Uint8Array(padded(body.byteLength) - body.byteLength));
}
