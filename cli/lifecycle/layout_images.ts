/** Images as OCI layouts on disk, where `-layout-dir` says (19). */
import { join } from "node:path";
import type { AccessCheck } from "../../lifecycle/phase/analyze_types.ts";
import { memoryRegistry } from "../../registry/memory.ts";
import { wantedOf } from "../../registry/oci/reference.ts";
import { LAYOUT_REPOSITORY, openLayout } from "../../registry/store/layout.ts";
import { badInputs } from "./fail.ts";
import { type OpenedImage, type PhaseImages, readName } from "./images.ts";

/** Where the image `name` lies below the layout directory (OL-1). */
export function layoutPath(name: string): string {
  const reference = readName(name);
  const last = reference.digest?.replace(":", "/") ?? reference.tag ?? "latest";
  return `${reference.registry}/${reference.repository}/${last}`;
}

/**
 * Images below `dir`.
 *
 * @throws {PhaseFailure} 3 when there is no `dir`.
 */
export function openLayouts(dir: string): PhaseImages {
  if (dir === "") throw badInputs("-layout-dir is required with -layout");
  return new LayoutImages(dir);
}

class LayoutImages implements PhaseImages {
  readonly #dir: string;

  constructor(dir: string) {
    this.#dir = dir;
  }

  async open(name: string, forWriting = false): Promise<OpenedImage> {
    const path = join(this.#dir, layoutPath(name));
    return await openAt(path, wantedOf(readName(name)), name, forWriting);
  }

  /** `<path>@<digest>` (OL-3). */
  async openReference(reference: string): Promise<OpenedImage> {
    const at = reference.lastIndexOf("@");
    const [path, digest] = at < 0
      ? [reference, ""]
      : [reference.slice(0, at), reference.slice(at + 1)];
    return await openAt(path, digest, reference, false);
  }

  async readable(name: string): Promise<boolean> {
    try {
      await Deno.stat(join(this.#dir, layoutPath(name), "index.json"));
      return true;
    } catch {
      return false;
    }
  }

  /** Nobody refuses here: who may write the directory shows when it is written (OL-4). */
  access(name: string, mode: "read" | "read/write"): AccessCheck {
    return { name, mode, check: () => Promise.resolve() };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

async function openAt(
  path: string,
  wanted: string,
  name: string,
  forWriting: boolean,
): Promise<OpenedImage> {
  const there = await Deno.stat(join(path, "index.json")).then(() => true, () => false);
  if (!there && !forWriting) {
    // Looking for an image that is not there leaves nothing behind.
    const registry = memoryRegistry(path);
    return {
      registry,
      repository: LAYOUT_REPOSITORY,
      reference: wanted,
      name,
      repositoryName: path,
    };
  }
  const registry = await openLayout(path, { create: true });
  let reference = wanted;
  if (await registry.stat(LAYOUT_REPOSITORY, wanted).catch(() => undefined) === undefined) {
    // A layout here holds one image, whatever whoever wrote it called it.
    reference = await onlyManifest(path) ?? wanted;
  }
  return { registry, repository: LAYOUT_REPOSITORY, reference, name, repositoryName: path };
}

async function onlyManifest(path: string): Promise<string | undefined> {
  try {
    const index: unknown = JSON.parse(await Deno.readTextFile(join(path, "index.json")));
    const { manifests } = index as { readonly manifests?: readonly { digest?: unknown }[] };
    const digest = manifests?.length === 1 ? manifests[0]?.digest : undefined;
    return typeof digest === "string" ? digest : undefined;
  } catch {
    return undefined;
  }
}
