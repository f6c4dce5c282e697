/** One run of a command: its log, its registries, its store; all of them made only when they are used. */
import { isAbsolute, join, resolve } from "node:path";
import type { CarriedDependency } from "../lifecycle/platform/bundle_dependencies.ts";
import type { Context } from "../registry/context.ts";
import type { Bundle } from "../registry/bundle/read.ts";
import type { RegistryClient, RetryOptions } from "../registry/client/options.ts";
import type { Digest } from "../registry/oci/digest.ts";
import {
  formatReference,
  parseReference,
  type Reference,
  sameRepository,
} from "../registry/oci/reference.ts";
import type { Reader } from "../registry/registry.ts";
import type { Store } from "../registry/store/store.ts";
import { flaggedCerts } from "./ca_certs.ts";
import { type CommonFlags, levelOf } from "./common.ts";
import { UsageError } from "./exit.ts";
import type { Connected } from "./connect.ts";
import type { Io } from "./io.ts";
import { Known } from "./known.ts";
import { type TerminalLog, terminalLog } from "./ui/log.ts";
import { type Progress, startProgress } from "./ui/progress.ts";
import { VERSION } from "./version.ts";

/** For somebody who waits for an answer: a port where nobody listens is tried once more, not for seconds. */
export const LOOK: RetryOptions = { connectTries: 2 };

/** What a command works with. Dispose it: it takes bars off the screen and closes what was opened. */
export class Session implements AsyncDisposable {
  /** The process. */
  readonly io: Io;
  /** The common flags. */
  readonly flags: CommonFlags;
  /** Lines for people, on stderr. */
  readonly log: TerminalLog;
  /** For everything below the CLI. */
  readonly ctx: Context;
  readonly #progress: Progress;
  readonly #retry: RetryOptions;
  #store: Promise<Store> | undefined;
  #temporary: string | undefined;
  #registries: Promise<Connected> | undefined;
  #known: Known | undefined;
  #bundle: Promise<Bundle> | undefined;

  /**
   * Makes the log; opens nothing.
   *
   * @param retry How registries are asked again; {@linkcode LOOK} for a command that only looks.
   * @throws {UsageError} When a flag that all commands have cannot be meant.
   */
  constructor(io: Io, flags: CommonFlags, retry: RetryOptions = {}) {
    this.io = io;
    this.#retry = retry;
    this.flags = flags;
    flaggedCerts(io.cwd, flags);
    const now = () => new Date();
    const noColor = flags.color === false || (io.env["NO_COLOR"] ?? "") !== "";
    this.log = terminalLog(io.stderr, {
      level: levelOf(flags),
      color: flags.forceColor === true || (io.stderr.isTerminal && !noColor),
      timestamps: flags.timestamps ?? false,
      now,
    });
    this.#progress = startProgress(io.stderr, this.log, flags.quiet ?? false);
    this.ctx = {
      signal: io.signal,
      log: this.log,
      now,
      meter: (label, total) => this.#progress.meter(label, total),
    };
  }

  /** An absolute path of what the user typed. */
  path(text: string): string {
    return resolve(this.io.cwd, text);
  }

  /** Where the store is: `--store`, `$WHERRY_STORE`, `$XDG_DATA_HOME/wherry`, `~/.local/share/wherry`. */
  storeDir(): string {
    const { env } = this.io;
    const asked = this.flags.store ?? env["WHERRY_STORE"];
    if (asked) return this.path(asked);
    const data = env["XDG_DATA_HOME"];
    if (data && isAbsolute(data)) return join(data, "wherry");
    if (env["HOME"]) return join(env["HOME"], ".local/share/wherry");
    if (this.#temporary !== undefined) return this.#temporary;
    throw new UsageError(
      "Cannot find the store: there is no HOME; want --store DIR or WHERRY_STORE",
    );
  }

  /**
   * Where there is no place for a store, makes one that ends with the command: for acts whose result goes elsewhere.
   */
  async lendStore(): Promise<void> {
    const { env } = this.io;
    const has = this.flags.store ?? env["WHERRY_STORE"] ?? env["XDG_DATA_HOME"] ?? env["HOME"];
    if (has) return;
    const dir = env["TMPDIR"]?.startsWith("/") ? env["TMPDIR"] : "/tmp";
    this.#temporary = await Deno.makeTempDir({ dir, prefix: "wherry-store-" });
    this.log.warn(
      "There is no HOME: layers and cache are forgotten when this ends; want --store DIR",
    );
  }

  /** The local store, opened once. */
  store(): Promise<Store> {
    return this.#store ??= import("../registry/store/store.ts").then(({ openStore }) =>
      openStore(this.storeDir(), { orReadOnly: true })
    );
  }

  /** The client of one registry: the same object for the same host, so that images can be mounted. */
  async registry(host: string): Promise<RegistryClient> {
    return (await this.#connected()).client(host);
  }

  /** As {@linkcode registry}, for images that are only read: mirrors are asked first. */
  async source(host: string): Promise<RegistryClient> {
    return (await this.#connected()).sources.client(host);
  }

  /** For people, where an image was looked for that is not there: `its registry`, or the mirrors and bundles in its place. */
  async askedFor({ registry, repository }: Reference): Promise<string> {
    const tries = (await this.#connected()).readFrom(registry, repository);
    return tries.every(({ primary }) => primary)
      ? "its registry"
      : tries.map(({ host, primary }) => primary ? "its registry" : host).join(", ");
  }

  /**
   * The manifest that a bundle of `--from` has under this name, and the bundle to read it from.
   *
   * @returns `undefined` without such a flag, or when no bundle has it.
   */
  async carried(
    reference: Reference,
  ): Promise<{ readonly reader: Reader; readonly digest: Digest } | undefined> {
    const files = this.flags.fromBundle;
    if (files === undefined) return undefined;
    const bundle = await (this.#bundle ??= this.#openBundle(files));
    const name = formatReference(reference);
    const found = bundle.images.find((image) => {
      const { tag, digest, ...place } = parseReference(image.reference);
      const at = { ...place, digest: image.descriptor.digest };
      return name === formatReference({ ...place, tag, digest }) ||
        name === formatReference(at) ||
        reference.digest === image.descriptor.digest && sameRepository(place, reference);
    });
    return found && { reader: bundle.reader, digest: found.descriptor.digest };
  }

  /** What the bundles of `--from` carry for buildpacks to find instead of downloading it. */
  async dependencies(): Promise<readonly CarriedDependency[]> {
    const files = this.flags.fromBundle;
    if (files === undefined) return [];
    const bundle = await (this.#bundle ??= this.#openBundle(files));
    const { carriedDependencies } = await import("./bundle/dependencies.ts");
    return await carriedDependencies(bundle);
  }

  async #openBundle(files: readonly string[]): Promise<Bundle> {
    const { openBundle } = await import("../registry/bundle/read.ts");
    return await openBundle(files.map((file) => this.path(file)), { signal: this.ctx.signal });
  }

  #connected(): Promise<Connected> {
    return this.#registries ??= import("./connect.ts").then(({ connect }) =>
      connect(this.io, this.flags, this.log, VERSION, undefined, this.#retry, this.known())
    );
  }

  /** What earlier commands saw, and this one notes; `undefined` where there is no place for a store. */
  known(): Known | undefined {
    try {
      return this.#known ??= new Known(this.storeDir());
    } catch {
      return undefined; // a container without HOME
    }
  }

  /** Closes everything. Never throws: what failed has been said already. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.log.flush();
    this.#progress.stop();
    const opened = await Promise.allSettled([this.#registries, this.#store, this.#bundle]);
    await Promise.allSettled(opened.map(async (one) => {
      if (one.status === "fulfilled") await one.value?.[Symbol.asyncDispose]();
    }));
    await this.#known?.[Symbol.asyncDispose]();
    if (this.#temporary !== undefined) {
      await Deno.remove(this.#temporary, { recursive: true }).catch(() => {});
    }
  }
}
