/** Reading through mirrors. Writing goes to the place that was named, always. */
import { handedOn } from "../handed_on.ts";
import { addStats } from "./counter.ts";
import { MirrorReads } from "./mirror_reads.ts";
import { concerns, type MirrorTable } from "./mirror_table.ts";
import { Mirrors, type MirrorsOptions } from "./mirrors.ts";
import type { HostStats, RegistryClient } from "./options.ts";

/** Registries by host, as {@linkcode Registries} has them. */
export interface Connections extends AsyncDisposable {
  /** The registry of a Reference's host; the same object every time. */
  client(host: string): RegistryClient;
  /** What went over the wire so far, by host. */
  stats(): Readonly<Record<string, HostStats>>;
}

/**
 * `registries` with reads that try the mirrors of `table` first, in order, and the place itself last. What one does
 * not have or cannot say, the next is asked. Credentials are those of the host that is asked, never of the one it
 * stands in for.
 *
 * Use the result for images one reads from, and `registries` for those one writes to: whether a destination holds
 * something, no mirror can say. A host that no row concerns is the same object in both.
 */
export function mirrored(
  registries: Connections,
  table: MirrorTable,
  options: MirrorsOptions,
): Connections {
  const made = new Map<string, RegistryClient>();
  const mirrors = new Mirrors(options);
  const readsOf = (primary: RegistryClient) =>
    new MirrorReads({
      ...{ primary, mirrors, table },
      client: (host) => registries.client(host),
      log: options.log,
    });
  return {
    client(host) {
      const primary = registries.client(host);
      const registry = primary.name;
      if (!concerns(table, registry)) return primary;
      const known = made.get(registry) ??
        mirroredRegistry(primary, readsOf(primary), mirrors);
      made.set(registry, known);
      return known;
    },
    stats: () => addStats([registries.stats(), mirrors.stats()]),
    async [Symbol.asyncDispose]() {
      await mirrors[Symbol.asyncDispose]();
      await registries[Symbol.asyncDispose]();
    },
  };
}

/** One registry, read through mirrors. */
function mirroredRegistry(
  primary: RegistryClient,
  reads: MirrorReads,
  mirrors: Mirrors,
): RegistryClient {
  const stat: RegistryClient["stat"] = async (repository, reference, options) =>
    await reads.read(
      repository,
      reference,
      (client, name) => client.stat(name, reference, options),
      options,
    );
  return {
    ...handedOn(primary),
    standsFor: primary,
    stat,
    manifest: async (repository, reference, options) =>
      await reads.read(
        repository,
        reference,
        (client, name) => client.manifest(name, reference, options),
        options,
      ),
    blob: async (repository, digest, options) => await reads.blob(repository, digest, options),
    async referrers(repository, digest, options) {
      const found = await reads.read(repository, digest, async (client, name) => {
        const list = await client.referrers(name, digest, options);
        return list.length > 0 ? list : undefined;
      }, options);
      return found ?? [];
    },
    async *tags(repository, options) {
      const at = reads.lister(repository);
      yield* at.client.tags(at.repository, options);
    },
    async checkAccess(repository, access, options = {}) {
      if (access === "write") return await primary.checkAccess(repository, access, options);
      await stat(repository, options.reference ?? "latest", options);
    },
    foresee: (wants) => primary.foresee(wants),
    glance: (...args) => primary.glance(...args),
    begin: () => Promise.resolve(),
    get facts() {
      return primary.facts;
    },
    get challenged() {
      return primary.challenged;
    },
    stats: () => addStats([primary.stats(), mirrors.stats()]),
    // Its connections belong to the Connections it came from.
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
