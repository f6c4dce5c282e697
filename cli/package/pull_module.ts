/** `pull`, `register` and `yank` of buildpacks: packages and the index that lists them. */
import { copy } from "../../registry/copy.ts";
import { readImage } from "../../registry/image.ts";
import { familiarRepository } from "../../registry/oci/reference.ts";
import { lookUp, register, splitId, yank } from "../../lifecycle/platform/package/index_dir.ts";
import { keyOf, type ModuleKind } from "../../lifecycle/platform/package/module.ts";
import { readPackage } from "../../lifecycle/platform/package/package.ts";
import type { CommonFlags } from "../common.ts";
import { UsageError } from "../exit.ts";
import type { Io } from "../io.ts";
import { fromRegistry, inRegistry, inStore, type Located, readName } from "../places.ts";
import { machinePlatform } from "../platform.ts";
import { Session } from "../session.ts";
import { aKind } from "./inspect_module.ts";
import { indexToWrite, openIndex } from "./open_index.ts";

/** Flags of the three. */
export interface IndexFlags extends CommonFlags {
  readonly buildpackRegistry?: string;
  readonly undo?: boolean;
}

/** Copies a package into the store, after a look at what it is. */
export async function pullModule(
  io: Io,
  name: string,
  kind: ModuleKind,
  flags: IndexFlags,
): Promise<void> {
  await using session = new Session(io, flags);
  const text = await imageName(session, name, flags);
  const reference = readName(text);
  const from = await fromRegistry(session, reference);
  const { main } = readPackage(await published(session, from, "it is not there"), text);
  if (main.kind !== kind) {
    throw new UsageError(`Cannot pull ${kind} ${text}: it is a package of ${aKind(main.kind)}`);
  }
  const to = await inStore(session, reference);
  const { descriptor } = await copy(
    from.registry,
    from.repository,
    from.reference,
    to.registry,
    to.repository,
    { signal: session.ctx.signal, tags: to.reference.includes(":") ? [] : [to.reference] },
  );
  session.log.info(`Pulled ${keyOf(main)}`);
  io.stdout.write(`${to.repositoryName}@${descriptor.digest}\n`);
}

async function imageName(session: Session, name: string, flags: IndexFlags): Promise<string> {
  const urn = /^urn:cnb:registry:(.*)$/.exec(name);
  if (urn === null) return name.replace(/^docker:\/\//, "");
  if (flags.buildpackRegistry === undefined) {
    throw new UsageError(
      `Cannot look up ${name}: want a registry index (--buildpack-registry DIR, FILE.tar or https://...)`,
    );
  }
  const [id = "", version = ""] = urn[1]!.split("@");
  return (await lookUp(await openIndex(session, flags.buildpackRegistry), id, version)).addr;
}

/** The package where everybody gets it: what only the store has is in no index, and pulled from nowhere. */
async function published(
  session: Session,
  { registry, repository, reference, name }: Located,
  why: string,
) {
  const { signal } = session.ctx;
  const image = await readImage(registry, repository, reference, machinePlatform(), { signal });
  if (image !== undefined) return image;
  throw new UsageError(`Cannot find ${name}: ${why}`);
}

/** Adds a published package to an index, by its digest. */
export async function registerModule(io: Io, name: string, flags: IndexFlags): Promise<void> {
  await using session = new Session(io, flags);
  const dir = await indexToWrite(session, flags.buildpackRegistry!);
  const reference = readName(name);
  const located = await inRegistry(session, reference);
  const image = await published(
    session,
    located,
    "its registry has none (see: wherry push)",
  );
  const { main } = readPackage(image, name);
  const { registry, repository, reference: wanted } = located;
  const there = await registry.stat(repository, wanted, { signal: session.ctx.signal });
  const addr = `${familiarRepository(reference)}@${there?.digest ?? image.raw.digest}`;
  const { version } = main;
  await register(dir, {
    ...splitId(main.id),
    version,
    yanked: false,
    addr,
  });
  session.log.info(`Registered ${keyOf(main)} as ${addr}`);
  io.stdout.write(`${addr}\n`);
}

/** Marks a version, or takes the mark back. */
export async function yankModule(io: Io, name: string, flags: IndexFlags): Promise<void> {
  await using session = new Session(io, flags);
  const [id = "", version = ""] = name.split("@");
  if (version === "") throw new UsageError(`Cannot yank ${name}: want ID@VERSION`);
  const dir = await indexToWrite(session, flags.buildpackRegistry!);
  await yank(dir, id, version, flags.undo !== true);
  session.log.info(`${flags.undo ? "Unyanked" : "Yanked"} ${name}`);
  io.stdout.write(`${name}\n`);
}
