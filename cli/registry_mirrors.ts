/** `wherry config registry-mirrors`. */
import { dirname } from "node:path";
import { bundleFiles, isBundleEndpoint } from "../registry/client/bundle_endpoint.ts";
import { type PullMode, routeOf } from "../registry/client/mirror_table.ts";
import { checkedName, parseRegistrySettings } from "../registry/client/registries_conf.ts";
import { familiarName } from "../registry/oci/reference.ts";
import type { CommonFlags } from "./common.ts";
import { UsageError } from "./exit.ts";
import type { Io } from "./io.ts";
import { type MirrorEntry, withMirror, withoutMirror } from "./mirror_config.ts";
import type { OutputFormat } from "./output.ts";
import { readName } from "./places.ts";
import { readRegistrySettings, settingsPath } from "./registry_settings.ts";
import { Session } from "./session.ts";
import { formatTable } from "./ui/table.ts";

/** Flags of `add`. */
export interface AddFlags extends CommonFlags {
  readonly mirror: readonly string[];
  readonly fallback: boolean;
  readonly pull: string;
  readonly insecure?: boolean;
}

const PULLS: readonly PullMode[] = ["all", "digest-only", "tag-only"];

/** Writes the mirrors of one registry; those it had in wherry's own file are replaced. */
export async function addMirrors(io: Io, text: string, flags: AddFlags): Promise<void> {
  await using session = new Session(io, flags);
  const prefix = nameOf(text, "the registry", true);
  const pull = PULLS.find((mode) => mode === flags.pull);
  if (pull === undefined) {
    throw new UsageError(
      `Cannot use --pull ${JSON.stringify(flags.pull)}: want ${PULLS.join(", ")}`,
    );
  }
  const entry: MirrorEntry = {
    prefix,
    endpoints: flags.mirror.map((mirror) =>
      isBundleEndpoint(mirror) ? bundleOf(session, mirror) : nameOf(mirror, "--mirror", false)
    ),
    fallback: flags.fallback,
    pull,
    insecure: flags.insecure ?? false,
  };
  const path = await changeSettings(io, (before) => withMirror(before, entry));
  session.log.info(
    `${prefix} is read from ${entry.endpoints.join(", then ")}${
      entry.fallback ? `, then from itself` : " only"
    } (${path})`,
  );
}

/** Takes them away again. */
export async function removeMirrors(io: Io, text: string, flags: CommonFlags): Promise<void> {
  await using session = new Session(io, flags);
  const prefix = nameOf(text, "the registry", true);
  let found = false;
  const path = await changeSettings(io, (before) => {
    const after = withoutMirror(before, prefix);
    found = after !== undefined;
    return after;
  });
  if (!found) throw new UsageError(`Cannot remove mirrors of ${prefix}: ${path} names none`);
  session.log.info(`${prefix} has no mirrors in ${path} any more`);
}

/** Shows the one table that all files make, in the order in which rows count. */
export async function listMirrors(io: Io, flags: CommonFlags, format: OutputFormat): Promise<void> {
  await using session = new Session(io, flags);
  const { mirrors } = readRegistrySettings(io.env);
  if (format === "json") {
    const rows = mirrors.map((
      { prefix, location, mirrors, fallback, blocked, insecure, origin },
    ) => ({
      prefix,
      ...(location === undefined ? {} : { location }),
      mirrors,
      fallback,
      blocked,
      insecure,
      file: origin,
    }));
    io.stdout.write(JSON.stringify(rows, null, 2) + "\n");
    return;
  }
  if (mirrors.length === 0) {
    session.log.info("No mirrors are set; wherry config registry-mirrors add sets one");
    return;
  }
  const cells = mirrors.map(({ prefix, location, mirrors, fallback, blocked, origin }) => [
    prefix,
    blocked ? "-" : [
      ...mirrors.map(({ location, pull }) => location + (pull === "all" ? "" : ` (${pull})`)),
      ...(fallback ? [location ?? "itself"] : []),
    ].join(", "),
    blocked ? "blocked" : "",
    origin,
  ]);
  io.stdout.write(formatTable(["REGISTRY", "READ FROM", "", "FILE"], cells));
}

/** Says which places are asked for an image, in order; dials nothing. */
export async function explainMirrors(
  io: Io,
  name: string,
  flags: CommonFlags,
  format: OutputFormat,
): Promise<void> {
  await using session = new Session(io, flags);
  const reference = readName(name);
  const { mirrors } = readRegistrySettings(io.env);
  const { tries, rule } = routeOf(mirrors, reference.registry, reference.repository);
  const mode = reference.digest === undefined ? "tag-only" : "digest-only";
  const places = tries.map(({ host, repository, pull, primary }) => ({
    name: isBundleEndpoint(host)
      ? host
      : familiarName({ ...reference, registry: host, repository }),
    mirror: !primary,
    asked: pull === "all" || pull === mode,
    pull,
  }));
  if (format === "json") {
    const blocked = rule?.blocked ?? false;
    io.stdout.write(
      JSON.stringify({ name, tries: places, blocked, file: rule?.origin ?? null }, null, 2) + "\n",
    );
    return;
  }
  if (rule === undefined) session.log.info("No file names mirrors for it");
  else {
    session.log.info(
      `${rule.origin} ${rule.blocked ? "blocks" : "decides, with"} ${JSON.stringify(rule.prefix)}`,
    );
  }
  for (const { name, asked, pull } of places) {
    io.stdout.write(asked ? `${name}\n` : `${name} (${pull}: for its manifest it is not asked)\n`);
  }
}

/** A bundle among `--mirror`, its paths as they are from anywhere. */
function bundleOf(session: Session, text: string): string {
  return `bundle:${bundleFiles(text).map((file) => session.path(file)).join(",")}`;
}

function nameOf(text: string, what: string, wild: boolean): string {
  try {
    const name = checkedName(text, what, wild);
    const host = name.split("/")[0]!;
    if (/[.:*]/.test(host) || host === "localhost") return name;
    throw new TypeError(
      `Cannot read ${what}: ${JSON.stringify(text)} wants a host, such as docker.io`,
    );
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new UsageError(error.message.replace(/^Cannot read/, "Cannot use"), { cause: error });
  }
}

/** Replaces the file whole, if it is still good afterwards; `undefined` leaves it as it is. */
async function changeSettings(
  io: Io,
  change: (text: string) => string | undefined,
): Promise<string> {
  const path = settingsPath(io.env);
  if (path === undefined) {
    throw new UsageError("Cannot keep settings: there is no HOME; want XDG_CONFIG_HOME");
  }
  const target = await Deno.realPath(path).catch(() => path);
  const before = await Deno.readTextFile(target).catch((error) => {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  });
  let after: string | undefined;
  try {
    parseRegistrySettings(before, path);
    after = change(before);
    if (after === undefined) return path;
    parseRegistrySettings(after, path);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    const { message } = error;
    throw new UsageError(
      message.startsWith("Cannot") ? message : `Cannot change ${path}: ${message}`,
      { cause: error },
    );
  }
  await Deno.mkdir(dirname(target), { recursive: true });
  const mode = await Deno.stat(target).then(({ mode }) => (mode ?? 0o644) & 0o777, () => 0o644);
  const temporary = `${target}.${crypto.randomUUID()}`;
  try {
    await Deno.writeTextFile(temporary, after, { createNew: true, mode });
    await Deno.rename(temporary, target);
  } catch (error) {
    await Deno.remove(temporary).catch(() => {});
    throw error;
  }
  return path;
}
