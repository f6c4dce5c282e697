/** Where modules that a command names are found. */
import { type Image, readImage } from "../../registry/image.ts";
import type { Platform } from "../../registry/oci/descriptor.ts";
import type { ModuleSources } from "../../lifecycle/platform/package/locate.ts";
import { downloadFile } from "../download.ts";
import { UsageError } from "../exit.ts";
import type { Session } from "../session.ts";
import { openIndex } from "./open_index.ts";
import { openPart } from "./part_image.ts";
import { suits } from "../platform.ts";
import type { PullPolicy } from "../pull_policy.ts";

/** Flags of every command that looks for modules. */
export interface SourceFlags {
  /** `--pull-policy`, of packages that are images. */
  readonly pullPolicy?: PullPolicy | undefined;
  /** `--buildpack-registry`: a directory, an archive or an address. */
  readonly buildpackRegistry?: string | undefined;
}

/** For whom {@linkcode moduleSources} looks. */
export interface SourceOptions {
  /** Relative names are relative to it. Default: where the command was called. */
  readonly cwd?: string | undefined;
  /** Chooses from packages for several platforms. */
  readonly platform: Platform;
  /** Closes what is opened. */
  readonly stack: AsyncDisposableStack;
}

/** Sources of one command; a directory for archives is made and removed with `stack`. */
export async function moduleSources(
  session: Session,
  { pullPolicy: policy, buildpackRegistry: index }: SourceFlags,
  { cwd = session.io.cwd, platform, stack }: SourceOptions,
): Promise<ModuleSources> {
  const scratch = await scratchDir(session, stack);
  return {
    cwd,
    platform,
    scratch,
    index: index === undefined ? undefined : await openIndex(session, index, policy),
    download: (url) => downloadFile(session, url, policy),
    image: async (name) => await openPart(session, name, { platform, policy, stack }),
    file: async (path) => await openPackageFile(path, platform, stack, session.ctx.signal),
  };
}

/** A directory for archives, removed with `stack`. */
export async function scratchDir(session: Session, stack: AsyncDisposableStack): Promise<string> {
  const tmp = session.io.env["TMPDIR"];
  const scratch = await Deno.makeTempDir({
    dir: tmp?.startsWith("/") ? tmp : "/tmp",
    prefix: "wherry-package-",
  });
  stack.defer(() => Deno.remove(scratch, { recursive: true }));
  return scratch;
}

/** The image in a package file. Several are told apart by platform. */
async function openPackageFile(
  path: string,
  platform: Platform,
  stack: AsyncDisposableStack,
  signal: AbortSignal,
): Promise<Image> {
  const { readOciArchive } = await import("../../registry/store/oci_archive.ts");
  const archive = stack.use(await readOciArchive(path));
  const found: Image[] = [];
  for (const { digest } of archive.images) {
    const image = await readImage(archive.reader, archive.repository, digest, platform, { signal });
    if (image !== undefined) found.push(image);
  }
  const [first] = found;
  const fits = found.find(({ config }) => suits(config, platform));
  if (fits ?? first) return (fits ?? first)!;
  throw new UsageError(`Cannot use package ${path}: it holds no image`);
}
