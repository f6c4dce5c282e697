/** Puts wherry's own bills of materials beside the buildpacks' (SB-6). */
import { ConfinedDirectory } from "../../registry/layer/confined.ts";
import type { Dir } from "../sandbox/executor.ts";
import type { OwnSbom } from "./export_types.ts";

const FOLDER: Readonly<Record<OwnSbom["of"], readonly string[]>> = {
  lifecycle: ["sbom", "build", "buildpacksio_lifecycle"],
  launcher: ["sbom", "launch", "buildpacksio_lifecycle", "launcher"],
};

/**
 * Writes each under `<layers>/sbom`: the launcher's goes into the image, the lifecycle's stays on disk. Links
 * that a buildpack may have planted there are not followed.
 *
 * @throws {TypeError} When a link, or a directory of that name, is in the way.
 */
export function writeOwnSboms(layers: Dir, sboms: readonly OwnSbom[]): void {
  if (sboms.length === 0) return;
  using target = new ConfinedDirectory(layers.outside);
  for (const { of, file, bytes } of sboms) {
    if (file === "" || file.includes("/") || file === "." || file === "..") {
      throw new TypeError(`Cannot write SBOM "${file}": want a plain file name`);
    }
    const out = target.makeFile([...FOLDER[of], file], 0o644);
    try {
      out.write(bytes);
      out.end();
    } finally {
      out.close();
    }
  }
}
