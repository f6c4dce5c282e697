/** What the files of a machine say about registries: wherry's own settings and those of other engines. */
import { join } from "node:path";
import { parseDaemonJson, parseHostsToml } from "../registry/client/mirror_foreign_conf.ts";
import type { MirrorTable } from "../registry/client/mirror_table.ts";
import {
  parseRegistriesConf,
  parseRegistrySettings,
  type RegistrySettings,
} from "../registry/client/registries_conf.ts";
import { UsageError } from "./exit.ts";

/** The settings of one run. */
export interface MachineSettings extends RegistrySettings {
  /** wherry's own file, whether it is there or not. */
  readonly path: string | undefined;
}

/** `config.toml` of wherry; `undefined` when there is no home to have it in. */
export function settingsPath(env: Readonly<Record<string, string>>): string | undefined {
  const home = env["HOME"];
  const base = env["XDG_CONFIG_HOME"] || (home && `${home}/.config`);
  return base ? join(base, "wherry/config.toml") : undefined;
}

/**
 * Reads all of them into one table; for each prefix the first of these counts: wherry's own file, then those of
 * containers' tools, the user's before the machine's, then containerd's, then Docker's.
 *
 * Every command does this at its start, so it does not wait: each of these small files would cost the turn of a thread.
 *
 * @param etc Where the machine's files are.
 * @throws {UsageError} When a file cannot be read, naming it and the key.
 * @see containers-registries.conf(5), containers-registries.conf.d(5)
 */
export function readRegistrySettings(
  env: Readonly<Record<string, string>>,
  etc = "/etc",
): MachineSettings {
  const path = settingsPath(env);
  const text = path && readOptional(path, true);
  const own = said(() => parseRegistrySettings(text ?? "", path ?? "config.toml"));
  const table: MirrorTable[] = [own.mirrors];
  for (const file of registriesConfs(env, `${etc}/containers`)) {
    const found = readOptional(file);
    if (found !== undefined) table.push(said(() => parseRegistriesConf(found, file)));
  }
  for (const name of namesIn(`${etc}/containerd/certs.d`)) {
    const file = `${etc}/containerd/certs.d/${name}/hosts.toml`;
    const found = readOptional(file);
    if (found !== undefined) table.push(said(() => parseHostsToml(found, name, file)));
  }
  const daemon = `${etc}/docker/daemon.json`;
  const docker = readOptional(daemon);
  if (docker !== undefined) table.push(said(() => parseDaemonJson(docker, daemon)));
  return { ...own, mirrors: table.flat(), path };
}

/** Most important first: of drop-ins the last in order of names, and the main file behind them. */
function registriesConfs(
  env: Readonly<Record<string, string>>,
  system: string,
): readonly string[] {
  const named = env["CONTAINERS_REGISTRIES_CONF"] || env["REGISTRIES_CONFIG_PATH"];
  if (named) return [named];
  const home = env["HOME"];
  const settings = env["XDG_CONFIG_HOME"] || (home && `${home}/.config`);
  const user = settings && `${settings}/containers`;
  const main = [...(user ? [`${user}/registries.conf`] : []), `${system}/registries.conf`];
  const files: string[] = [];
  for (const dir of [...(user ? [user] : []), system]) {
    const names = namesIn(`${dir}/registries.conf.d`);
    files.push(
      ...names.filter((name) => name.endsWith(".conf")).toReversed()
        .map((name) => `${dir}/registries.conf.d/${name}`),
    );
  }
  // The user's main file takes the place of the machine's.
  for (const file of main) {
    if (exists(file)) return [...files, file];
  }
  return files;
}

function said<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof TypeError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/** Sorted; none when the directory is not there or not for us. */
function namesIn(dir: string): readonly string[] {
  try {
    return Array.from(Deno.readDirSync(dir), ({ name }) => name).sort();
  } catch (error) {
    if (isAbsent(error) || error instanceof Deno.errors.PermissionDenied) return [];
    throw error;
  }
}

/** Of other engines' files those that are not for us count as absent; our own, where it can be seen, must be readable. */
function readOptional(path: string, own = false): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch (error) {
    if (isAbsent(error)) return undefined;
    if (error instanceof Deno.errors.PermissionDenied && (!own || isClosed(path))) {
      return undefined;
    }
    throw new UsageError(`Cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
}

/** A home we may not even look into is another user's: platforms leave HOME at root's for a build that is not. */
function isClosed(path: string): boolean {
  try {
    Deno.statSync(path);
    return false;
  } catch (error) {
    return error instanceof Deno.errors.PermissionDenied;
  }
}

function isAbsent(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory;
}
