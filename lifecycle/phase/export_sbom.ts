/** Puts wherry's own bills of materials beside the buildpacks' (SB-6). */
import type { Dir } from "../sandbox/executor.ts";
import type { OwnSbom } from "./export_types.ts";

const FOLDER: Readonly<Record<OwnSbom["of"], string>> = {
  lifecycle: "sbom/build/buildpacksio_lifecycle",
  launcher: "sbom/launch/buildpacksio_lifecycle/launcher",
};

/** Writes each under `<layers>/sbom`: the launcher's goes into the image, the lifecycle's stays on disk. */
export async function writeOwnSboms(layers: Dir, sboms: readonly OwnSbom[]): Promise<void> {
  for (const { of, file, bytes } of sboms) {
    if (file === "" || file.includes("/") || file === "." || file === "..") {
      throw new TypeError(`Cannot write SBOM "${file}": want a plain file name`);
    }
    const folder = `${layers.outside}/${FOLDER[of]}`;
    await Deno.mkdir(folder, { recursive: true });
    await Deno.writeFile(`${folder}/${file}`, bytes);
  }
}
