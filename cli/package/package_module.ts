/** `wherry buildpack package` and `wherry extension package`. */
import { dirname, join, resolve } from "node:path";
import type { Image } from "../../registry/image.ts";
import { formatPlatform } from "../../registry/oci/platform.ts";
import { readDocument } from "../../lifecycle/file/document.ts";
import { oddKeysOfBuildpack } from "../../lifecycle/file/buildpack_toml.ts";
import { parsePackageToml } from "../../lifecycle/file/package_toml.ts";
import type { Target } from "../../lifecycle/file/module.ts";
import {
  type FoundModule,
  locateParts,
  withoutTwins,
} from "../../lifecycle/platform/package/locate.ts";
import {
  keyOf,
  type ModuleKind,
  type PackagedModule,
} from "../../lifecycle/platform/package/module.ts";
import {
  layModules,
  type ModuleDir,
  readModuleDir,
  withTree,
} from "../../lifecycle/platform/package/module_dir.ts";
import { unpackArchive } from "../../lifecycle/platform/archive_root.ts";
import { makePackage } from "../../lifecycle/platform/package/package.ts";
import { writeOciArchive } from "../../registry/store/oci_archive.ts";
import { collectLabels } from "./labels.ts";
import type { CommonFlags } from "../common.ts";
import { readDestination, refuseSeveral } from "../destination.ts";
import { isAddress } from "../../lifecycle/platform/address.ts";
import { downloadFile } from "../download.ts";
import { UsageError } from "../exit.ts";
import type { Io } from "../io.ts";
import { Session } from "../session.ts";
import { unpackFlattened } from "./flatten.ts";
import { putImages } from "./image_output.ts";
import { moduleSources, scratchDir } from "./sources.ts";
import { parseTarget, platformsOf, type WantedPlatform } from "./targets.ts";
import type { PullPolicy } from "../pull_policy.ts";

/** Flags of the command. */
export interface PackageFlags extends CommonFlags {
  readonly path?: string;
  readonly config?: string;
  readonly format?: string;
  readonly publish?: boolean;
  readonly tag?: readonly string[];
  readonly label?: readonly string[];
  readonly target?: readonly string[];
  readonly flatten?: boolean;
  readonly flattenExclude?: readonly string[];
  readonly pullPolicy?: PullPolicy;
  readonly buildpackRegistry?: string;
  readonly output: string;
}

/** What is to be packaged. */
interface Request {
  readonly kind: ModuleKind;
  /** The module's directory. */
  readonly dir: string;
  /** What names its parts. */
  readonly file: string;
  readonly dependencies: readonly { readonly uri: string }[];
  readonly targets: readonly Target[];
}

/** Packages a module for each of its platforms. */
export async function packageModule(
  io: Io,
  name: string,
  kind: ModuleKind,
  flags: PackageFlags,
): Promise<void> {
  await using session = new Session(io, flags);
  await using stack = new AsyncDisposableStack();
  // Nobody calls an image p.cnb; in a registry somebody might.
  const asFile = flags.format === undefined
    ? name.endsWith(".cnb") && !flags.publish
    : flags.format === "file";
  if (asFile && flags.publish) {
    throw new UsageError("Cannot use --publish with --format file: a file is not in a registry");
  }
  const file = `oci-archive:${name}`; // what a .cnb is
  const destination = await readDestination(session, asFile ? file : name, flags);
  collectLabels(flags.label);
  const request = await readRequest(session, kind, flags, stack);
  const platforms = platformsOf(request.targets);
  refuseSeveral(destination, platforms.length);
  await session.lendStore();
  const store = await session.store();
  stack.use(await store.lease());
  const images: { readonly image: Image; readonly wanted: WantedPlatform }[] = [];
  for (const wanted of platforms) {
    images.push({ image: await packageFor(session, request, wanted, flags, stack), wanted });
  }
  if (asFile) return await writeFiles(session, name, flags, images);
  const put = await putImages(
    session,
    destination,
    images.map(({ image }) => image),
    flags.publish,
  );
  session.log.info(
    `Packaged ${kind} ${
      images.length === 1 ? "" : `for ${images.length} platforms `
    }as ${put.name}`,
  );
  tell(session, flags, put.repositoryName, put.digest, images.map(({ image }) => image));
}

function tell(
  session: Session,
  flags: PackageFlags,
  name: string,
  digest: string,
  images: readonly Image[],
): void {
  session.io.stdout.write(
    flags.output === "json"
      ? JSON.stringify(
        {
          name,
          digest,
          platforms: images.map(({ config, raw }) => ({
            platform: formatPlatform(config),
            digest: raw.digest,
          })),
        },
        null,
        2,
      ) + "\n"
      : `${name}@${digest}\n`,
  );
}

/** Reads `package.toml`, or takes a directory as it is. */
async function readRequest(
  session: Session,
  kind: ModuleKind,
  flags: PackageFlags,
  stack: AsyncDisposableStack,
): Promise<Request> {
  if (flags.config !== undefined && flags.path !== undefined) {
    throw new UsageError("Cannot use --config and --path at once: want one of them");
  }
  const file = flags.config === undefined
    ? join(session.path(flags.path ?? "."), "package.toml")
    : session.path(flags.config);
  const described = await readDocument(file, parsePackageToml);
  if (described === undefined && flags.config !== undefined) {
    throw new UsageError(`Cannot read --config ${file}: no such file`);
  }
  if (described?.module !== undefined && described.module.kind !== kind) {
    throw new UsageError(
      `Cannot package ${file} as ${kind}: it is for ${described.module.kind}s (see: wherry ${described.module.kind} package)`,
    );
  }
  const base = dirname(file);
  const uri = described?.module?.uri ?? ".";
  if (/^[a-z]+:/.test(uri) && !uri.startsWith("file:") && !isAddress(uri)) {
    throw new UsageError(
      `Cannot use ${kind}.uri ${
        JSON.stringify(uri)
      } of ${file}: want a directory, an archive of one, or the address of such an archive`,
    );
  }
  const asked = (flags.target ?? []).map(parseTarget);
  const fromFile = described?.targets ?? [];
  const dir = await directoryOf(session, uri, base, flags, stack);
  if (kind === "buildpack") {
    const odd = await readDocument(join(dir, "buildpack.toml"), oddKeysOfBuildpack);
    for (const line of odd ?? []) session.log.warn(line);
  }
  const own = asked.length + fromFile.length > 0
    ? []
    : (await readModuleDir(dir, kind)).info.targets;
  const os = described?.platformOs ?? "";
  const targets = [asked, fromFile, own].find((list) => list.length > 0) ??
    (os === "" ? [] : [{ os, arch: "", variant: "", distros: [] }]);
  return { kind, dir, file, dependencies: described?.dependencies ?? [], targets };
}

/** The directory of the module itself, out of an archive where it is in one. */
async function directoryOf(
  session: Session,
  uri: string,
  base: string,
  { pullPolicy }: PackageFlags,
  stack: AsyncDisposableStack,
): Promise<string> {
  const path = isAddress(uri)
    ? await downloadFile(session, uri, pullPolicy)
    : resolve(base, uri.replace(/^file:\/\//, ""));
  const stat = await Deno.stat(path).catch(() => undefined);
  if (stat?.isDirectory) return path;
  if (stat === undefined) throw new UsageError(`Cannot package ${path}: no such directory`);
  const { root } = await unpackArchive(
    path,
    await scratchDir(session, stack),
    uri,
    `Cannot package ${uri}: it is no (compressed) tar that can be read`,
  );
  return root;
}

async function packageFor(
  session: Session,
  request: Request,
  wanted: WantedPlatform,
  flags: PackageFlags,
  stack: AsyncDisposableStack,
): Promise<Image> {
  const { kind, dir, file, dependencies } = request;
  const self = await withTree(await readModuleDir(dir, kind), wanted.trees, request.targets);
  const sources = await moduleSources(session, flags, {
    cwd: dirname(file),
    platform: wanted.platform,
    stack,
  });
  const parts = await locateParts(dependencies, file, sources, kind, 0, dir);
  const all = withoutTwins([self, ...parts]);
  const flat = flags.flatten ? all.map(({ info }) => keyOf(info)) : [];
  const out = new Set(flags.flattenExclude);
  const modules = await unpackFlattened(
    all,
    flat.filter((key) => !out.has(key)),
    sources.scratch,
    session.ctx.signal,
  );
  const store = await session.store();
  const place = { store, repository: "wherry-scratch/package" };
  const laid = await layModules(groups(modules, flags), place, session.ctx);
  return makePackage({
    main: self.info,
    modules: [...laid, ...modules.filter((one): one is PackagedModule => "layer" in one)],
    platform: wanted.platform,
    labels: collectLabels(flags.label),
  });
}

/** `--flatten`: all in one layer, but for those of `--flatten-exclude`. */
function groups(modules: readonly FoundModule[], flags: PackageFlags): readonly ModuleDir[][] {
  const dirs = modules.filter((one): one is ModuleDir => "dirs" in one);
  if (!flags.flatten) return dirs.map((one) => [one]);
  const out = new Set(flags.flattenExclude);
  const flat = dirs.filter(({ info }) => !out.has(keyOf(info)));
  const alone = dirs.filter(({ info }) => out.has(keyOf(info)));
  return [...(flat.length > 0 ? [flat] : []), ...alone.map((one) => [one])];
}

/** One a platform: pack reads no other. */
async function writeFiles(
  session: Session,
  name: string,
  flags: PackageFlags,
  images: readonly { readonly image: Image; readonly wanted: WantedPlatform }[],
): Promise<void> {
  const { signal } = session.ctx;
  const stem = name.replace(/\.cnb$/, "");
  const files: { name: string; digest: string; platform: string }[] = [];
  for (const { image, wanted: { platform } } of images) {
    const { os, architecture } = platform;
    const file = images.length === 1 ? `${stem}.cnb` : `${stem}-${os}-${architecture}.cnb`;
    await writeOciArchive(session.path(file), [{ image, names: [] }], { signal });
    files.push({ name: file, digest: image.raw.digest, platform: formatPlatform(image.config) });
  }
  session.io.stdout.write(
    flags.output === "json"
      ? JSON.stringify({ files }, null, 2) + "\n"
      : files.map((one) => `${one.name}@${one.digest}\n`).join(""),
  );
}
