/** `--cache`, `--cache-image`, `--clear-cache`: where what buildpacks keep for the next build is. */
import { dirname, join } from "node:path";
import type { Cache } from "../lifecycle/cache/cache.ts";
import { openDirCache } from "../lifecycle/cache/dir_cache.ts";
import { openImageCache } from "../lifecycle/cache/image_cache.ts";
import { refuseNames } from "../lifecycle/phase/export_names.ts";
import type { AccessCheck, ImagePlace } from "../lifecycle/phase/analyze_types.ts";
import { formatPlatform } from "../registry/oci/platform.ts";
import { familiarName } from "../registry/oci/reference.ts";
import type { BuildTarget } from "./build_target.ts";
import type { BuildFlags } from "./build_flags.ts";
import type { Destination } from "./destination.ts";
import { UsageError } from "./exit.ts";
import { inRegistry, readName } from "./places.ts";
import type { Session } from "./session.ts";
import { machinePlatform, platformOf } from "./platform.ts";

/** A cache that is opened when it is needed. */
export interface LaterCache {
  /** Opens it. */
  readonly openCache: () => Promise<Cache>;
  /** What a registry has to allow, asked before any work. */
  readonly access: readonly AccessCheck[];
}

/** Where the flags say a cache is. */
export type CachePlace = { readonly dir: string } | { readonly image: string };

/**
 * Reads the flags about the cache; opens nothing.
 *
 * @returns `undefined` for the directory in the store that every image has.
 * @throws {UsageError} For a flag that makes no sense.
 */
export function readCacheFlags(
  session: Session,
  flags: BuildFlags,
  { references }: Destination,
): CachePlace | undefined {
  const places = [
    ...(flags.cache ?? []).flatMap((spec) => readSpec(session, spec) ?? []),
    ...(flags.cacheImage === undefined ? [] : [{ image: flags.cacheImage }]),
  ];
  const [place, another] = places;
  if (another !== undefined) {
    throw new UsageError("Cannot use two build caches: want one of --cache and --cache-image");
  }
  if (place === undefined || !("image" in place)) return place;
  const { image } = place;
  readName(image);
  refuseNames(references.map(familiarName), [image], "cache image");
  if (!flags.clearCache) return place;
  throw new UsageError(
    `Cannot use --clear-cache with cache image ${image}: want another name, or remove it in its registry`,
  );
}

/**
 * The cache of a build.
 *
 * @param asked What {@linkcode readCacheFlags} gave.
 * @param part A build of several platforms gives each of them a cache of its own below the one that is named.
 */
export async function openCacheOf(
  session: Session,
  flags: BuildFlags,
  asked: CachePlace | undefined,
  target: BuildTarget,
  part: string | undefined,
  stack: AsyncDisposableStack,
): Promise<LaterCache> {
  const own = join(session.storeDir(), "cache", `${target.cacheName}${foreignName(flags)}`);
  const place = asked ?? { dir: own };
  if ("image" in place) {
    const image = part === undefined ? place.image : `${withTag(place.image)}-${part}`;
    return await openImage(session, flags, image, stack);
  }
  const dir = part === undefined || place.dir === own ? place.dir : join(place.dir, part);
  if (flags.clearCache) {
    for (const part of ["committed", "staging", "committed-backup"]) {
      await Deno.remove(join(dir, part), { recursive: true }).catch((error) => {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      });
    }
  }
  return {
    access: [],
    openCache: async () => {
      await Deno.mkdir(dirname(dir), { recursive: true, mode: 0o700 });
      await Deno.mkdir(dir, { recursive: true, mode: 0o700 });
      return await openDirCache(dir, { signal: session.ctx.signal });
    },
  };
}

/** What another processor's programs left would be wrong for this one's, under whatever name they are. */
function foreignName(flags: BuildFlags): string {
  const platform = formatPlatform(platformOf(flags));
  return platform === formatPlatform(machinePlatform()) ? "" : `.${platform.replaceAll("/", "-")}`;
}

function withTag(name: string): string {
  const { tag = "latest" } = readName(name);
  return name.endsWith(`:${tag}`) ? name : `${name}:${tag}`;
}

const KEYS = ["type", "format", "source", "name"];

function readSpec(session: Session, spec: string): CachePlace | undefined {
  const words = new Map(
    spec.split(";").filter((word) => word !== "").map((word) => {
      const [key = "", ...value] = word.split("=");
      return [key.trim(), value.join("=").trim()] as const;
    }),
  );
  const bad = (why: string) => new UsageError(`Cannot use --cache ${JSON.stringify(spec)}: ${why}`);
  if (/,\s*(type|format|source|name)=/.test(spec)) throw bad('want ";" between its parts');
  const odd = [...words.keys()].find((key) => !KEYS.includes(key));
  if (odd !== undefined) throw bad(`${JSON.stringify(odd)} is none of ${KEYS.join(", ")}`);
  const type = words.get("type") ?? "build";
  if (type === "launch") {
    session.log.warn(
      "--cache type=launch has no meaning here: there is no daemon to keep layers from",
    );
    return undefined;
  }
  if (type !== "build") throw bad(`type is ${JSON.stringify(type)}, want build or launch`);
  const format = words.get("format") ?? "volume";
  const source = words.get("source");
  const named = words.get("name");
  if (format === "bind" && source) {
    const dir = session.path(source);
    if (isNoDirectory(dir)) throw bad(`${source} is not a directory`);
    return { dir };
  }
  if (format === "volume" && named && /^[\w.-]+$/.test(named)) {
    return { dir: join(session.storeDir(), "cache", `volume-${named}`) };
  }
  if (format === "volume" && named === undefined && words.size > 0) return undefined; // pack's default
  if (format === "image" && named) return { image: named };
  throw bad(
    "want type=build and format=bind;source=DIR, format=volume;name=NAME or format=image;name=NAME",
  );
}

function isNoDirectory(path: string): boolean {
  try {
    return !Deno.statSync(path).isDirectory;
  } catch {
    return false; // it will be made
  }
}

async function openImage(
  session: Session,
  flags: BuildFlags,
  name: string,
  stack: AsyncDisposableStack,
): Promise<LaterCache> {
  const place = await inRegistry(session, readName(name));
  const { ctx, log } = session;
  return {
    access: [...accessOf(place, "read"), ...accessOf(place, "write")],
    openCache: async () => {
      const tmp = session.io.env["TMPDIR"];
      const scratch = await Deno.makeTempDir({
        dir: tmp?.startsWith("/") ? tmp : "/tmp",
        prefix: "wherry-cache-",
      });
      stack.defer(() => Deno.remove(scratch, { recursive: true }));
      const platform = platformOf(flags);
      return await openImageCache({ place, platform, scratch, deleteOld: false, log }, ctx.signal);
    },
  };
}

/** Asks a registry whether the user may do something there; nothing for places that have no such question. */
export function accessOf(
  place: ImagePlace | undefined,
  mode: "read" | "write",
): readonly AccessCheck[] {
  const client = place?.registry;
  if (place === undefined || client === undefined || !("checkAccess" in client)) return [];
  const check = (client as { checkAccess: CheckAccess }).checkAccess.bind(client);
  return [{
    name: place.name,
    mode: mode === "read" ? mode : "read/write",
    check: async (signal) =>
      await check(place.repository, mode, { signal, reference: place.reference }),
  }];
}

type CheckAccess = (
  repository: string,
  access: "read" | "write",
  options: { readonly signal: AbortSignal; readonly reference?: string },
) => Promise<void>;
