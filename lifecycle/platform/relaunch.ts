/** Another launcher in an image, without a build: one small layer and two labels, as a rebase exchanges the base. */
import type { Image, Layer } from "../../registry/image.ts";
import { makeImage } from "../../registry/image.ts";
import type { TreeEntry } from "../../registry/layer/entry.ts";
import { readTar } from "../../registry/layer/tar_reader.ts";
import { labelOf } from "../../registry/oci/config.ts";
import { ExitCode, LifecycleError } from "../error.ts";
import type { LauncherVersion } from "../file/build_metadata_label.ts";
import { goJson, parseJson } from "../file/json.ts";
import { type LifecycleMetadata, parseLifecycleLabel } from "../file/lifecycle_metadata.ts";
import { Label } from "../phase/export_labels.ts";
import { SBOM_LIMITS } from "../phase/restore_sbom.ts";

/** What an image's launcher is replaced with. */
export interface RelaunchParts {
  /** The layer with the new launcher. */
  readonly launcher: Layer;
  /** What it is, for the label. */
  readonly version: LauncherVersion;
  /** The layer of bills of materials, when the old one spoke of the old launcher. */
  readonly sbom?: Layer | undefined;
}

type Json = Record<string, unknown>;

/**
 * The image with another launcher. All else stays: config, other layers, history, other keys of the labels. An image that
 * has it already comes back as it is.
 *
 * @throws {LifecycleError} 72 when no buildpacks made the image, or its launcher is not a layer of its own.
 */
export function relaunchImage(image: Image, parts: RelaunchParts): Image {
  const { metadata, label } = launcherMetadata(image);
  const { launcher, version, sbom } = parts;
  const replace = new Map([[metadata.launcher.sha, launcher]]);
  if (sbom !== undefined && metadata.sbom) replace.set(metadata.sbom.sha, sbom);
  const changed = [...replace].some(([sha, layer]) => layer.diffId !== sha);
  const said = parseJson(
    labelOf(image.config, Label.build) ?? "{}",
    `label ${Label.build}`,
  ) as Json;
  const named = (said["launcher"] as Json | undefined)?.["version"];
  if (!changed && named === version.version) return image;
  const value = parseJson(label, `label ${Label.lifecycle}`) as Json;
  value["launcher"] = { ...value["launcher"] as Json, sha: launcher.diffId };
  if (sbom !== undefined && value["sbom"]) {
    value["sbom"] = { ...value["sbom"] as Json, sha: sbom.diffId };
  }
  said["launcher"] = {
    version: version.version,
    source: { git: { repository: version.repository, commit: version.commit } },
  };
  const layers = image.layers.map((layer) => replace.get(layer.diffId) ?? layer);
  return makeImage(
    {
      ...image.config,
      config: {
        ...image.config.config,
        Labels: {
          ...image.config.config.Labels,
          [Label.lifecycle]: goJson(value),
          [Label.build]: goJson(said),
        },
      },
    },
    layers,
    image,
  );
}

/** The label of an image whose launcher can be replaced. */
export function launcherMetadata(
  image: Image,
): { readonly metadata: LifecycleMetadata; readonly label: string } {
  const refused = (why: string) =>
    new LifecycleError(
      ExitCode.rebase,
      `Cannot replace the launcher of ${image.raw.digest}: ${why}`,
    );
  const label = labelOf(image.config, Label.lifecycle);
  if (label === undefined) throw refused("no buildpacks made it");
  const metadata = parseLifecycleLabel(label);
  const { sha } = metadata.launcher;
  if (!sha) throw refused("its label names no launcher");
  if (!image.layers.some(({ diffId }) => diffId === sha)) {
    throw refused(`its label names launcher ${sha}, which is not in it`);
  }
  return { metadata, label };
}

const OLD = /^\/?layers\/sbom\/launch\/buildpacksio_lifecycle\/launcher(\/|$)/;

/**
 * The entries of the layer of bills of materials with those of the launcher replaced by `document` (SB-6): scanners would
 * go on to find the faults of a launcher that is gone.
 *
 * @returns `undefined` when the layer says nothing of a launcher: then it stays.
 */
export async function launcherSbomEntries(
  layer: Layer,
  document: Uint8Array<ArrayBuffer>,
  signal?: AbortSignal,
): Promise<readonly TreeEntry[] | undefined> {
  const entries: TreeEntry[] = [];
  let spoken = false;
  const stream = await (await layer.blob()).open({ signal });
  for await (
    const { header, body } of readTar(stream, {
      limits: SBOM_LIMITS,
      signal,
      keep: () => true,
    })
  ) {
    const { mode, uid, gid, type } = header;
    const name = `/${header.name.split("/").filter((step) => step && step !== ".").join("/")}`;
    if (OLD.test(name) && type !== "directory") {
      if (!spoken) {
        const path = `${name.slice(0, name.indexOf("/launcher") + 9)}/sbom.cdx.json`;
        entries.push({
          name: path,
          type: "file",
          mode: 0o644,
          uid,
          gid,
          size: document.byteLength,
          body: document,
        });
      }
      spoken = true;
      continue;
    }
    if (type === "link") throw new SyntaxError(`Cannot read ${name}: want no hard links there`);
    entries.push({
      name,
      type,
      mode,
      uid,
      gid,
      size: body?.byteLength ?? 0,
      ...(type === "symlink" ? { linkName: header.linkName } : {}),
      ...(body === undefined ? {} : { body }),
    });
  }
  return spoken ? entries : undefined;
}
