/** Writes what {@linkcode prepareRebase} computed: base layers by name, config, manifests, and at last the tags. */
import { copy } from "../../registry/copy.ts";
import type { TagExpectation } from "../../registry/expectation.ts";
import type { RegistryClient } from "../../registry/client/options.ts";
import type { Digest } from "../../registry/oci/digest.ts";
import { isOciError } from "../../registry/oci/error.ts";
import type { Registry } from "../../registry/registry.ts";
import { Row } from "../../registry/row.ts";
import { bytesSource } from "../../registry/source.ts";
import { type BaseLayers, type Bringing, isRemote, once, pushAll } from "./rebase_layers.ts";
import type { PreparedRebase, RebasedImage } from "./rebase_read.ts";

/** A name the result gets. */
export interface RebaseTarget {
  /** The repository in the place. */
  readonly repository: string;
  /** The tag; without one the result is there by its digest. */
  readonly tag?: string | undefined;
  /** What the tag has to name for it to move: nobody's change is lost (demand 30). */
  readonly expect?: TagExpectation["is"] | undefined;
}

/**
 * Writes the result into the repositories of `targets`, then sets their tags, in order. No tag moves before all it
 * needs is there; the registry itself sees to that where it was seen to, and the manifest follows right behind. With nothing
 * to change, a tag that is where the image was read is left alone.
 *
 * @param to The one place all targets are in.
 * @returns How many tags were set.
 * @throws {OciError} `PRECONDITION_FAILED` when a tag is not where it was expected.
 */
export async function writeRebase(
  prepared: PreparedRebase,
  to: Registry,
  targets: readonly RebaseTarget[],
  bases: BaseLayers,
  signal: AbortSignal,
): Promise<number> {
  const { source, old, made } = prepared;
  let set = 0;
  for (const repository of new Set(targets.map((target) => target.repository))) {
    const home = (source.registry as unknown) === to && source.repository === repository;
    const tags = targets.filter((target) =>
      target.repository === repository &&
      !(home && old === made && (target.tag ?? source.reference) === source.reference)
    );
    if (tags.length === 0) continue;
    const single = home && !isIndex(prepared) ? prepared.images[0]! : undefined;
    const way = () => single && bases.way(to, repository, single.base);
    let brings = false;
    // What the tags are is asked while the last bytes are on their way, where it is not known to look by itself. An image whose
    // config had to be asked for, too, is not asked for once more if it was read a moment ago: that is the sixth request.
    let glanced = false;
    const glance = () => {
      if (!isRemote(to) || glanced) return;
      glanced = true;
      const spare = single?.asked === true && (!brings || way() === "believed");
      for (const { tag, expect } of tags) {
        if (tag !== undefined && expect !== undefined) {
          to.glance(repository, tag, { signal, spare });
        }
      }
    };
    const bring = async (more: Partial<Bringing> = {}) => {
      const onLeft = more.onLeft ?? glance;
      const onBase = () => void (brings = true);
      await pushContents(prepared, to, repository, home, bases, {
        signal,
        ...more,
        onLeft,
        onBase,
      });
    };
    // What we believed to be there was collected meanwhile: brought again, once.
    const bringAgain = async () => {
      for (const { base } of prepared.images) bases.forget(to, repository, base);
      await bring();
    };
    const surely = async (act: () => Promise<void>) => {
      try {
        await act();
      } catch (error) {
        if (!isOciError(error, "MANIFEST_BLOB_UNKNOWN")) throw error;
        await bringAgain();
        if (act !== bring) await act();
      }
    };
    let rest: readonly RebaseTarget[] = tags;
    if (single !== undefined && canFollow(to, prepared)) {
      if (!single.asked) glance(); // nobody waits for it then
      const put = (row: Row) => {
        glance();
        return putTop(prepared, to, tags[0]!, signal, row);
      };
      if (await bringAndPut(bring, put, signal)) rest = tags.slice(1);
      else if (way() === "believed") await bringAgain();
      else if (way() === "mounted") to.facts.inOrder = false;
    } else if (single !== undefined && canProbe(to, prepared, bases)) {
      await bringAfterProbe(prepared, to, repository, bring, signal);
    } else await surely(bring);
    bases.note(to);
    for (const target of rest) await surely(() => putTop(prepared, to, target, signal));
    set += tags.length;
  }
  return set;
}

/** A manifest that comes too early is refused there, and requests that stand in a row are not known to be mixed up. */
function canFollow(to: Registry, { images: [first] }: PreparedRebase): to is RegistryClient {
  return isRemote(to) && to.facts.refuses === true && to.facts.inOrder !== false &&
    // Long bodies stand in no row: of layers that have to be sent the last byte comes late.
    first!.base.layers.every(({ origin }) => (origin?.registry as unknown) === to);
}

/**
 * Sends the contents, and the manifest right behind them: a wait less.
 *
 * @returns `false` when the manifest was refused since something was not there; the contents are.
 */
async function bringAndPut(
  bring: (how: Pick<Bringing, "row" | "onLeft">) => Promise<void>,
  put: (row: Row) => Promise<void>,
  signal: AbortSignal,
): Promise<boolean> {
  const row = new Row();
  const left = Promise.withResolvers<void>();
  const bringing = bring({ row, onLeft: left.resolve });
  await Promise.race([left.promise, bringing]);
  const [brought, done] = await Promise.allSettled([bringing, put(row)]);
  signal.throwIfAborted();
  const taken = done.status === "fulfilled";
  if (!taken && !isOciError(done.reason, "MANIFEST_BLOB_UNKNOWN")) throw done.reason;
  // That it was taken says nothing where something went wrong before: with certainty, then.
  if (brought.status === "rejected") await bring({});
  return taken;
}

/** Whether to learn if the registry refuses what is incomplete: the next runs can rely on it. */
function canProbe(
  to: Registry,
  { images: [first] }: PreparedRebase,
  bases: BaseLayers,
): to is RegistryClient {
  return isRemote(to) && bases.learns && to.facts.refuses === undefined &&
    // With tokens the first act has requests enough.
    !to.challenged && first!.made.manifest.subject === undefined;
}

/**
 * Puts the manifest by its digest right before what it needs: a registry that takes it would take anything. It is the one that
 * the tag is to name in a moment, so nothing is left behind either way. Once a day for each registry, in an act that
 * waits for other requests anyway.
 */
async function bringAfterProbe(
  { made }: PreparedRebase,
  to: RegistryClient,
  repository: string,
  bring: (how: Pick<Bringing, "configRow">) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  to.facts.refuses = false; // nobody else asks meanwhile
  const row = new Row();
  const { mediaType, bytes } = made;
  const probing = to.pushManifest(repository, { mediaType, bytes }, { signal, row, once: true })
    .catch(() => {}); // that it was refused the client has noted
  await Promise.race([row.begun, probing]);
  await Promise.all([bring({ configRow: row }), probing]);
}

async function putTop(
  { made }: PreparedRebase,
  to: Registry,
  { repository, tag, expect }: RebaseTarget,
  signal: AbortSignal,
  row?: Row,
): Promise<void> {
  await to.pushManifest(repository, { mediaType: made.mediaType, bytes: made.bytes }, {
    signal,
    row,
    ...(tag === undefined ? {} : { tags: [tag] }),
    ...(tag === undefined || expect === undefined ? {} : { expect: [{ tag, is: expect }] }),
    ...digestOption(made.digest),
  });
}

/** It is an index, or an image of a place of its own in one. */
function isIndex({ images, made }: PreparedRebase): boolean {
  return !(images.length === 1 && images[0]!.made.raw === made);
}

async function pushContents(
  prepared: PreparedRebase,
  to: Registry,
  repository: string,
  home: boolean,
  bases: BaseLayers,
  how: Bringing,
): Promise<void> {
  const { source, images, kept } = prepared;
  const { signal } = how;
  for (const child of home ? [] : kept) {
    await copy(source.registry, source.repository, child.digest, to, repository, {
      signal,
      tags: [],
    });
  }
  await Promise.all(images.map(async (image) => {
    if (home && image.old === image.made) return;
    if (!isIndex(prepared)) return await pushImage(image, to, repository, home, bases, how);
    await pushImage(image, to, repository, home, bases, { signal });
    const { raw } = image.made;
    await to.pushManifest(repository, { mediaType: raw.mediaType, bytes: raw.bytes }, {
      signal,
      ...digestOption(raw.digest),
    });
  }));
}

async function pushImage(
  { made, base }: RebasedImage,
  to: Registry,
  repository: string,
  home: boolean,
  bases: BaseLayers,
  { signal, row, configRow = row, onLeft, onBase }: Bringing,
): Promise<void> {
  const own = { ...made, layers: made.layers.slice(base.layers.length) };
  let left = home ? 2 : 3;
  const part = { signal, row, onLeft: () => --left === 0 && onLeft?.() };
  const onConfigLeft = once(part.onLeft);
  // Made this moment, so nobody has it.
  const pushConfig = () =>
    to.pushBlob(repository, made.manifest.config, bytesSource(made.rawConfig), {
      ...part,
      row: configRow,
      onLeft: onConfigLeft,
      fresh: true,
      manifestFollows: true,
    });
  const acts = [
    bases.ensure(to, repository, base, { ...part, onBase }),
    ...(home ? [] : [pushAll(own, own.layers.length, to, repository, part)]),
    isRemote(to)
      ? bases.config(to, repository, made.manifest.config.digest, pushConfig, onConfigLeft)
      : pushConfig(),
  ];
  const done = await Promise.allSettled(acts);
  for (const result of done) if (result.status === "rejected") throw result.reason;
}

/** Said only when it is not the usual one. */
function digestOption(digest: Digest): { readonly digest?: Digest } {
  return digest.startsWith("sha256:") ? {} : { digest };
}
