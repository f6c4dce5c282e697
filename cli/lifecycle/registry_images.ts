/** Images in registries, with all that takes: loaded when a phase asks for one. */
import { isBundleEndpoint } from "../../registry/client/bundle_endpoint.ts";
import type { AccessCheck } from "../../lifecycle/phase/analyze_types.ts";
import type { CredentialSource, RegistryClient } from "../../registry/client/options.ts";
import type { Log } from "../../registry/context.ts";
import { parseReference, type Reference, wantedOf } from "../../registry/oci/reference.ts";
import { connect, type Connected } from "../connect.ts";
import type { Io } from "../io.ts";
import { VERSION } from "../version.ts";
import { type OpenedImage, type PhaseImages, readName } from "./images.ts";

/** What {@linkcode openRegistries} starts from. */
export interface RegistriesInput {
  /** The process. */
  readonly io: Io;
  /** Gets warnings. */
  readonly log: Log;
  /** `-insecure-registry`: prefixes of names (IS-2). */
  readonly insecure: readonly string[];
  /** All names the phase may use, as given. */
  readonly names: readonly string[];
  /** Those it writes. Their repositories are read from the place itself, all others through mirrors (C-MIRROR). */
  readonly written: readonly string[];
}

/**
 * Images in registries. Secrets of `names` are looked up now, since afterwards the process may be a user that
 * cannot read them (PRIV-2).
 *
 * @throws {TypeError} When `CNB_REGISTRY_AUTH` cannot be read.
 */
export async function openRegistries(input: RegistriesInput): Promise<PhaseImages> {
  const { io, log, insecure, names, written } = input;
  const references = names.filter((name) => name !== "").map((name) => ({
    name,
    reference: parseReference(name),
  }));
  const hosts = references.filter(({ name, reference }) =>
    insecure.some((prefix) => prefix !== "" && name.startsWith(prefix)) ||
    isPrivateAddress(reference.registry)
  ).map(({ reference }) => reference.registry);
  let ask: CredentialSource = () => Promise.resolve(undefined);
  // Here its entries are prefixes of names, which the input has; elsewhere they are hosts.
  const { CNB_INSECURE_REGISTRIES: _, ...env } = io.env;
  const registries = await connect(
    { ...io, env },
    { insecureRegistry: [...new Set(hosts)] },
    log,
    VERSION,
    (source) => ask = remembering(source),
  );
  for (const { reference: { registry, repository } } of references) {
    await ask(registry, repository);
    for (const { host, repository: there } of registries.readFrom(registry, repository)) {
      if (isBundleEndpoint(host)) continue;
      await ask(host, there);
    }
  }
  return new RegistryImages(registries, written);
}

/** Registries at private addresses may speak plain http, as they may to the Go lifecycle (IS-1). */
export function isPrivateAddress(host: string): boolean {
  return /^(10\.|192\.168\.|172\.(1[6-9]|2\d|3[01])\.)[\d.]+(:\d+)?$/.test(host);
}

function repositoryOf(name: string): string {
  const { registry, repository } = readName(name);
  return `${registry}/${repository}`;
}

/** A source that is asked once for each repository. */
function remembering(source: CredentialSource): CredentialSource {
  const known = new Map<string, ReturnType<CredentialSource>>();
  return (registry, repository) => {
    const key = `${registry}/${repository ?? ""}`;
    let answer = known.get(key);
    if (answer === undefined) known.set(key, answer = source(registry, repository));
    return answer;
  };
}

class RegistryImages implements PhaseImages {
  readonly #registries: Connected;
  readonly #written: ReadonlySet<string>;

  constructor(registries: Connected, written: readonly string[]) {
    this.#registries = registries;
    this.#written = new Set(written.filter((name) => name !== "").map(repositoryOf));
  }

  /** Whether a destination holds something, no mirror can say. */
  #client({ registry, repository }: Reference): RegistryClient {
    return this.#written.has(`${registry}/${repository}`)
      ? this.#registries.client(registry)
      : this.#registries.sources.client(registry);
  }

  open(name: string): Promise<OpenedImage> {
    const reference = readName(name);
    return Promise.resolve({
      registry: this.#client(reference),
      repository: reference.repository,
      reference: wantedOf(reference),
      name,
      // Spelled out, as Go writes it: what one wrote the other reads back.
      repositoryName: repositoryOf(name),
    });
  }

  openReference(reference: string): Promise<OpenedImage> {
    return this.open(reference);
  }

  async readable(name: string): Promise<boolean> {
    const { registry, repository, reference } = await this.open(name);
    const found = await registry.stat(repository, reference).catch(() => undefined);
    return found !== undefined;
  }

  access(name: string, mode: "read" | "read/write"): AccessCheck {
    const reference = readName(name);
    const client = this.#client(reference);
    return {
      name,
      mode,
      check: async (signal) =>
        await client.checkAccess(
          reference.repository,
          mode === "read" ? "read" : "write",
          mode === "read" ? { signal, reference: wantedOf(reference) } : { signal },
        ),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#registries[Symbol.asyncDispose]();
  }
}
