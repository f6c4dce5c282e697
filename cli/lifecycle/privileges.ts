/** Who a phase runs as (PRIV-1 to PRIV-4). */
import { lchown, lstat, readdir } from "node:fs/promises";
import process from "node:process";
import { ExitCode } from "../../lifecycle/error.ts";
import { becomeIds } from "../../registry/layer/libc.ts";
import { failing, messageOf, PhaseFailure } from "./fail.ts";

/** A numeric user and group. */
export interface Ids {
  /** User. */
  readonly uid: number;
  /** Group. */
  readonly gid: number;
}

/**
 * Refuses to run foreign code as root (PRIV-1).
 *
 * @throws {PhaseFailure} 1.
 */
export function refuseRoot(phase: "detect" | "build", user: Ids): void {
  if (user.uid === 0) throw new PhaseFailure(ExitCode.failure, phase, "refusing to run as root");
}

/**
 * Gives `directories` to `ids` where they could not write them, and becomes them for good (PRIV-3). A directory
 * that is theirs already is not walked. Nothing happens when we are them.
 *
 * @throws {PhaseFailure} 1 when this takes rights we lack.
 */
export async function becomeUser(
  ids: Ids,
  user: Ids,
  directories: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  await failing("chown volumes", ExitCode.failure, signal, async () => {
    for (const directory of directories) if (directory !== "") await ensureOwner(directory, ids);
  });
  if (ids.uid === user.uid && ids.gid === user.gid) return;
  if (becomeIds(ids.uid, ids.gid)) return;
  try {
    // Says what is wrong.
    process.setgid!(ids.gid);
    process.setuid!(ids.uid);
  } catch (cause) {
    throw new PhaseFailure(
      ExitCode.failure,
      `exec as user ${ids.uid}:${ids.gid}`,
      messageOf(cause),
      { cause },
    );
  }
}

async function ensureOwner(directory: string, ids: Ids): Promise<void> {
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(directory);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    throw error;
  }
  const mode = info.mode ?? 0;
  const writable = info.uid === ids.uid || (info.gid === ids.gid && (mode & 0o020) !== 0) ||
    (mode & 0o002) !== 0;
  if (writable) return;
  await Deno.chown(directory, ids.uid, ids.gid);
  await chownBelow(directory, ids);
}

/** Links are given away, not what they lead to. */
async function chownBelow(directory: string, ids: Ids): Promise<void> {
  for (const name of await readdir(directory)) {
    const path = `${directory}/${name}`;
    await lchown(path, ids.uid, ids.gid);
    if ((await lstat(path)).isDirectory()) await chownBelow(path, ids);
  }
}

/**
 * HOME and USER of a numeric user, from the lines of a passwd file (PRIV-4).
 *
 * @returns `undefined` when it has no such user.
 */
export function homeOf(
  passwd: string,
  uid: number,
): { readonly HOME: string; readonly USER: string } | undefined {
  for (const line of passwd.split("\n")) {
    const fields = line.split(":");
    if (fields.length >= 6 && fields[2] === String(uid)) {
      return { HOME: fields[5]!, USER: fields[0]! };
    }
  }
  return undefined;
}
