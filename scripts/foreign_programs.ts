/** Static busybox and bash of the other processor, from Debian's packages, kept where builds keep what they fetch. */
import type { Programs } from "../tests/accept/base_image_testing.ts";
import { newestDeb } from "./onefile/inputs.ts";
import type { Arch } from "./onefile/pins.ts";
import { runTool } from "./onefile/tool.ts";

const PACKAGES = { "busybox-static": "bin/busybox", "bash-static": "bin/bash-static" } as const;

/**
 * Where they are; fetched when they are not there yet, which nothing else on this machine notices.
 *
 * @throws {Error} When apt cannot have them.
 */
export async function foreignPrograms(): Promise<Programs> {
  const arch: Arch = Deno.build.arch === "aarch64" ? "amd64" : "arm64";
  const cache = `${
    Deno.env.get("XDG_CACHE_HOME") || `${Deno.env.get("HOME") ?? "/tmp"}/.cache`
  }/wherry-build`;
  const home = `${cache}/static-${arch}`;
  if (!await Deno.stat(home).then(() => true, () => false)) {
    await Deno.mkdir(cache, { recursive: true });
    const work = await Deno.makeTempDir({ dir: cache });
    try {
      for (const [name, path] of Object.entries(PACKAGES)) {
        const deb = `${work}/${name}.deb`;
        await Deno.writeFile(deb, await newestDeb(arch, name, cache, () => {}));
        await runTool("dpkg-deb", ["-x", deb, `${work}/${name}`]);
        await Deno.mkdir(`${work}/all/bin`, { recursive: true });
        const [file] = [path, `usr/${path}`].map((one) => `${work}/${name}/${one}`).filter(isFile);
        await Deno.rename(file ?? `${work}/${name}/${path}`, `${work}/all/${path}`);
      }
      await Deno.rename(`${work}/all`, home).catch((error) => {
        if (!(error instanceof Error && /not empty|exists/i.test(error.message))) throw error;
      });
    } finally {
      await Deno.remove(work, { recursive: true });
    }
  }
  return { "/bin/bash": `${home}/bin/bash-static`, "/bin/busybox": `${home}/bin/busybox` };
}

function isFile(path: string): boolean {
  try {
    return Deno.lstatSync(path).isFile;
  } catch {
    return false;
  }
}
