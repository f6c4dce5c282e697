import type { Descriptor } from "../oci/descriptor.ts";
import { algorithmOf, type Digest, digestOf, hexOf } from "../oci/digest.ts";
import { OciError } from "../oci/error.ts";
import { type Document, type Index, parseDocument } from "../oci/manifest.ts";
import { bareMediaType, MediaType } from "../oci/media_type.ts";
import type { CallOptions } from "../registry.ts";
import { discard } from "./api_request.ts";
import type { Session } from "./session.ts";
import { getManifest, putManifest } from "./manifest.ts";
import type { ManifestPlace, Place } from "./place.ts";
import { pages } from "./listing.ts";
import { repositoryScope } from "./scope.ts";

/** Manifests that speak of `digest`: from the API, or from the tag that stands in for it (C-REFR-01, 02). */
export async function listReferrers(
  session: Session,
  place: Place,
  digest: Digest,
  { signal, artifactType }: CallOptions & { readonly artifactType?: string | undefined } = {},
): Promise<readonly Descriptor[]> {
  const filter = artifactType === undefined
    ? ""
    : `?artifactType=${encodeURIComponent(artifactType)}`;
  const found = await fromApi(session, place, digest, filter, signal) ??
    (await fallbackIndex(session, fallbackPlace(place, digest), signal))?.manifests ?? [];
  return found.filter((entry) => artifactType === undefined || entry.artifactType === artifactType);
}

/** The tag under which clients keep referrers where the registry has no API for them. */
function fallbackTag(digest: Digest): string {
  const clean = (text: string) => text.replace(/[^A-Za-z0-9._-]/g, "-");
  return `${clean(algorithmOf(digest).slice(0, 32))}-${clean(hexOf(digest).slice(0, 64))}`;
}

type Change = { readonly add: Descriptor } | { readonly remove: Digest };

/** The indexes that stand in for the API where there is none. Changes of one come one after the other. */
export class Fallbacks {
  readonly #session: Session;
  readonly #changing = new Map<string, Promise<void>>();

  /** Changes nothing yet. */
  constructor(session: Session) {
    this.#session = session;
  }

  /** Adds a manifest to the fallback index of its subject, or takes it away (C-REFR-03, 04). */
  async change(
    place: Place,
    subject: Digest,
    change: Change,
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const key = `${place.repository}@${subject}`;
    const before = this.#changing.get(key) ?? Promise.resolve();
    const mine = before.catch(() => {}).then(() =>
      changeFallback(this.#session, place, subject, change, signal)
    );
    this.#changing.set(key, mine);
    try {
      await mine;
    } finally {
      if (this.#changing.get(key) === mine) this.#changing.delete(key);
    }
  }
}

async function changeFallback(
  session: Session,
  place: Place,
  subject: Digest,
  change: Change,
  signal?: AbortSignal,
): Promise<void> {
  const where = fallbackPlace(place, subject);
  const old = await fallbackIndex(session, where, signal);
  const named = "add" in change ? change.add.digest : change.remove;
  const others = (old?.manifests ?? []).filter((entry) => entry.digest !== named);
  if ("remove" in change && others.length === (old?.manifests.length ?? 0)) return;
  const manifests = "add" in change ? [...others, change.add] : others;
  const index = {
    ...(old ?? { schemaVersion: 2, mediaType: MediaType.ociIndex }),
    manifests: manifests.toSorted((a, b) => a.digest < b.digest ? -1 : 1),
  };
  const bytes = new TextEncoder().encode(JSON.stringify(index));
  await putManifest(
    session,
    where,
    { mediaType: MediaType.ociIndex, bytes },
    digestOf(bytes),
    { signal },
  );
}

/** How a manifest shows among the referrers of its subject. */
export function asReferrer(document: Document, descriptor: Descriptor): Descriptor {
  const { artifactType, annotations } = document.kind === "index"
    ? document.index
    : document.manifest;
  const type = artifactType ||
    (document.kind === "manifest" ? document.manifest.config.mediaType : undefined);
  return {
    ...descriptor,
    ...(type === undefined ? {} : { artifactType: type }),
    ...(annotations === undefined ? {} : { annotations }),
  };
}

function fallbackPlace(place: Place, digest: Digest): ManifestPlace {
  return { ...place, reference: fallbackTag(digest) };
}

async function fromApi(
  session: Session,
  { name, repository }: Place,
  digest: Digest,
  filter: string,
  signal: AbortSignal | undefined,
): Promise<readonly Descriptor[] | undefined> {
  const found: Descriptor[] = [];
  const request = {
    act: `list referrers of ${name}@${digest}`,
    method: "GET",
    to: `/v2/${repository}/referrers/${digest}${filter}`,
    repository,
    scopes: [repositoryScope(repository, "pull")],
    headers: { accept: MediaType.ociIndex },
    expect: [200, 400, 404, 405, 406, 501],
    signal,
  };
  for await (const { answer, json } of pages(session, request)) {
    const type = bareMediaType(answer.headers.get("content-type") ?? "");
    if (json === undefined || type !== MediaType.ociIndex) {
      await discard(answer);
      return undefined;
    }
    const document = parseDocument(new TextEncoder().encode(JSON.stringify(json)), type);
    if (document.kind === "index") found.push(...document.index.manifests);
  }
  return found;
}

async function fallbackIndex(
  session: Session,
  place: ManifestPlace,
  signal: AbortSignal | undefined,
): Promise<Index | undefined> {
  const raw = await getManifest(session, place, { signal });
  if (raw === undefined) return undefined;
  const document = parseDocument(raw.bytes, raw.mediaType);
  if (document.kind === "index") return document.index;
  throw new OciError(
    "MANIFEST_INVALID",
    `Cannot use ${place.name}:${place.reference}: want an index of referrers, it is an image`,
  );
}
