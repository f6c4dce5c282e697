/** Reads what extensions generated for one of the images. */
import type { PlatformCapabilities } from "../api.ts";
import { parseDockerfile } from "../dockerfile/parse.ts";
import { findContained, readContained } from "../file/contained.ts";
import { EMPTY_EXTEND_CONFIG, parseExtendConfig } from "../file/extend_config.ts";
import type { GroupMember } from "../file/group_toml.ts";
import { escapeId } from "../file/module.ts";
import type { Dir } from "../sandbox/executor.ts";
import type { ExtensionDockerfile } from "./extend_types.ts";
import type { ExtendKind } from "./generate_types.ts";

/**
 * The Dockerfiles of `extensions` for the image `kind`, in their order; extensions without one, and Dockerfiles that
 * have no effect (`.ignore`), are left out (XT-2, XT-3).
 *
 * @param appDir What COPY copies from where an extension brings no context along, on this machine.
 * @throws {FileError} When one cannot be read.
 */
export async function readDockerfiles(
  extensions: readonly GroupMember[],
  kind: ExtendKind,
  generated: Dir,
  appDir: string,
  { stableExtensions }: PlatformCapabilities,
): Promise<readonly ExtensionDockerfile[]> {
  const found: ExtensionDockerfile[] = [];
  for (const { id } of extensions) {
    const dir = stableExtensions
      ? `${generated.inside}/${escapeId(id)}`
      : `${generated.inside}/${kind}/${escapeId(id)}`;
    const path = `${dir}/${stableExtensions ? `${kind}.Dockerfile` : "Dockerfile"}`;
    const source = await readContained(path, [generated]);
    if (source === undefined) continue;
    const configPath = `${dir}/extend-config.toml`;
    const text = await readContained(configPath, [generated]);
    const config = text === undefined ? EMPTY_EXTEND_CONFIG : parseExtendConfig(text, configPath);
    let context = appDir;
    for (const name of stableExtensions ? ["context", `context.${kind}`] : []) {
      const own = await findContained(`${dir}/${name}`, [generated]);
      if (own?.info.isDirectory) context = own.outside;
    }
    const dockerfile = parseDockerfile(source, path);
    found.push({ extension: id, path, dockerfile, args: config[kind], context });
  }
  return found;
}
