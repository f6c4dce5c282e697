/** What comes with a lifecycle and goes into the image: launcher and bills of materials (TA-9, SB-6). */
import type { Launcher, OwnSbom } from "../../lifecycle/phase/export_types.ts";
import { launcherBytes } from "../assets.ts";
import { VERSION } from "../version.ts";
import { messageOf } from "./fail.ts";
import { INPUTS } from "./inputs_table.ts";
import type { PhaseRun } from "./phase_run.ts";

/**
 * The launcher at `-launcher`; where there is none at the default place, wherry's own.
 *
 * @param architecture Of the run image, in OCI's spelling.
 * @throws {Error} When it cannot be read, or we have none for the architecture.
 */
export async function readLauncher(phase: PhaseRun, architecture: string): Promise<Launcher> {
  const { launcherPath } = phase.inputs;
  const own = () => {
    if (architecture !== "amd64" && architecture !== "arm64") {
      throw new Error(
        `Cannot add a launcher for "${architecture}": there is one for amd64 and arm64; want -launcher FILE`,
      );
    }
    return launcherBytes(architecture);
  };
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = await Deno.readFile(launcherPath);
  } catch (error) {
    const absent = error instanceof Deno.errors.NotFound &&
      launcherPath === INPUTS.launcherPath.fallback;
    if (!absent) throw new Error(`Cannot read launcher ${messageOf(error)}`, { cause: error });
    phase.log.debug(`There is no ${launcherPath}: wherry's own launcher is used`);
    bytes = own();
  }
  return { bytes, version: VERSION };
}

/** Where a builder image has them. */
const DEFAULT_DIR = INPUTS.launcherSbomDir.fallback;
const FORMATS = ["cdx", "spdx", "syft"] as const;

/** Bills of materials of lifecycle and launcher, each missing one told with a warning (SB-6). */
export async function readOwnSboms({ inputs, can, log }: PhaseRun): Promise<readonly OwnSbom[]> {
  if (!can.ownSboms) return [];
  const dir = inputs.launcherSbomDir;
  const found: OwnSbom[] = [];
  const custom = dir !== "" && dir !== DEFAULT_DIR;
  for (const of of custom ? ["lifecycle"] as const : ["lifecycle", "launcher"] as const) {
    for (const format of FORMATS) {
      const name = `${of}.sbom.${format}.json`;
      const bytes = await readIfThere(`${DEFAULT_DIR}/${name}`);
      if (bytes !== undefined) found.push({ of, file: `sbom.${format}.json`, bytes });
      else log.warn(`Did not find SBOM ${name} in ${DEFAULT_DIR}`);
    }
  }
  if (custom) {
    for (const name of await namesIn(dir)) {
      if (!FORMATS.some((format) => name.endsWith(`.sbom.${format}.json`))) continue;
      found.push({ of: "launcher", file: name, bytes: await Deno.readFile(`${dir}/${name}`) });
    }
  }
  return found;
}

async function readIfThere(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** A directory that was asked for must be there. */
async function namesIn(dir: string): Promise<readonly string[]> {
  return (await Array.fromAsync(Deno.readDir(dir), ({ name }) => name)).sort();
}
