/** This executable as part of a bundle. */
import type { LockedImage } from "../../registry/bundle/lock.ts";
import { makeImage } from "../../registry/image.ts";
import type { Descriptor } from "../../registry/oci/descriptor.ts";
import { digestOf } from "../../registry/oci/digest.ts";
import { bytesSource, fileSource, type Source } from "../../registry/source.ts";
import { executableFile } from "../assets.ts";
import { UsageError } from "../exit.ts";
import { machinePlatform } from "../platform.ts";
import { VERSION } from "../version.ts";
import { bare, describe } from "./content.ts";

const TOOL_TYPE = "application/vnd.wherry.tool.v1";

/** This executable as an artefact: `tar xf` finds it by the name in its annotation. */
export function toolImage(): {
  readonly locked: LockedImage;
  readonly content: Map<string, Source>;
} {
  const path = executableFile();
  let bytes: Uint8Array<ArrayBuffer>;
  try {
    bytes = Deno.readFileSync(path);
  } catch (cause) {
    throw new UsageError(`Cannot include the tool: ${path} is not there`, { cause });
  }
  const { os, architecture } = machinePlatform();
  const layer: Descriptor = {
    mediaType: TOOL_TYPE,
    digest: digestOf(bytes),
    size: bytes.byteLength,
    annotations: { "org.opencontainers.image.title": `wherry-${os}-${architecture}` },
  };
  const image = makeImage(
    { os, architecture, config: {}, rootfs: { type: "layers", diff_ids: [] } },
    [{ diffId: layer.digest, descriptor: layer, blob: () => Promise.resolve(bytesSource(bytes)) }],
  );
  const { config } = image.manifest;
  return {
    locked: {
      reference: `wherry.invalid/tool:${VERSION}-${architecture}`,
      role: "tool",
      descriptor: describe(image.raw),
      absent: [],
      content: [bare(layer), bare(config)].sort((a, b) => a.digest < b.digest ? -1 : 1),
    },
    content: new Map([
      [layer.digest as string, fileSource(path, bytes.byteLength)],
      [config.digest as string, bytesSource(image.rawConfig)],
      [image.raw.digest as string, bytesSource(image.raw.bytes)],
    ]),
  };
}
