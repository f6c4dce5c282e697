/**
 * Which parts of the machine a build may see when the machine itself is the build image. An allow
 * list: CI systems keep secrets in too many places (/builds, /run/secrets, /kaniko, /tekton) for
 * anything else.
 */

import { isAbsolute, join, normalize } from "node:path";

/** Top-level trees of the system, those of them that exist. Links among them stay links. */
const TREES = [
  "bin",
  "etc",
  "gnu",
  "lib",
  "lib32",
  "lib64",
  "libx32",
  "nix",
  "opt",
  "sbin",
  "usr",
];

/** What tools read under /var, which otherwise is not shown. */
const STATE = [
  "/var/cache/fontconfig",
  "/var/lib/alternatives",
  "/var/lib/ca-certificates",
  "/var/lib/dpkg",
  "/var/lib/gems",
  "/var/lib/ghc",
  "/var/lib/rpm",
];

/** Links in /etc that often lead out of it: /run/systemd/resolve, /var/lib. */
const LINKED = ["/etc/resolv.conf", "/etc/hosts", "/etc/hostname", "/etc/localtime"];

/** Secrets inside the trees above, hidden even where their modes would let a build read them. */
const SECRETS = [
  "/etc/containers/auth.json",
  "/etc/docker",
  "/etc/gshadow",
  "/etc/kubernetes",
  "/etc/pki/tls/private",
  "/etc/rancher",
  "/etc/shadow",
  "/etc/ssl/private",
];

/** What of the machine is shown, as paths of the machine. */
export interface Machine {
  /** Top-level directories, e.g. `/usr`. */
  readonly trees: readonly string[];
  /** Top-level links, e.g. `/bin` with target `usr/bin`. */
  readonly links: readonly { readonly path: string; readonly target: string }[];
  /** Directories and files shown besides: state under /var, what links lead to, parts of PATH. */
  readonly extras: readonly string[];
  /** Inside those, what is hidden. */
  readonly secrets: readonly string[];
}

/** What decides about the parts that differ between machines. */
export interface MachineOptions {
  /** The search path that builds get; its directories under hidden trees are shown. */
  readonly path: string;
  /** HOME of the caller: neither it nor a parent of it is ever shown. */
  readonly home: string | undefined;
  /** Directories of ours that are never shown, nor anything below: store, credentials. */
  readonly hide: readonly string[];
  /** Builds run as root as far as files go, so modes keep nothing from them: whatever under /etc
   * others may not read is hidden. */
  readonly asRoot: boolean;
  /** Directories that are shown by other means, so need no showing here. */
  readonly taken: readonly string[];
}

/** Looks at the machine. Costs some forty `lstat`s. */
export async function lookAtMachine(options: MachineOptions): Promise<Machine> {
  const trees: string[] = [];
  const links: { path: string; target: string }[] = [];
  for (const name of TREES) {
    const path = `/${name}`;
    const found = await lstat(path);
    if (found?.isSymlink) links.push({ path, target: await Deno.readLink(path) });
    else if (found?.isDirectory) trees.push(path);
  }
  const extras = new Set<string>();
  for (const path of STATE) if (await lstat(path)) extras.add(path);
  for (const path of LINKED) {
    const target = await realPath(path);
    if (target && !isUnderAny(target, trees)) extras.add(target);
  }
  for (const path of await searchable(options, [...trees, ...links.map((link) => link.path)])) {
    extras.add(path);
  }
  const secrets = options.asRoot ? await closedToOthers("/etc") : [];
  for (const path of SECRETS) {
    if (!isUnderAny(path, secrets) && await lstat(path)) secrets.push(path);
  }
  for (const path of options.hide) {
    const real = await realPath(path);
    if (real && isUnderAny(real, [...trees, ...extras])) secrets.push(real);
  }
  return { trees, links, extras: [...extras].sort(), secrets };
}

/** Files and directories in `dir` that users other than owner and group may not read. */
async function closedToOthers(dir: string): Promise<string[]> {
  const closed: string[] = [];
  for await (const entry of Deno.readDir(dir)) {
    const path = join(dir, entry.name);
    const about = await lstat(path);
    if (about === undefined || about.isSymlink) continue;
    if (((about.mode ?? 0) & 0o004) === 0) closed.push(path);
    else if (about.isDirectory) closed.push(...await closedToOthers(path));
  }
  return closed;
}

/** Directories of PATH that lie in trees which are not shown, e.g. `/root/.cargo/bin`. */
async function searchable(options: MachineOptions, shown: readonly string[]): Promise<string[]> {
  const hide = await realPaths(options.hide);
  const home = await realPaths(options.home ? [options.home] : []);
  const taken = await realPaths(options.taken);
  const result: string[] = [];
  for (const entry of options.path.split(":")) {
    if (!isAbsolute(entry)) continue;
    const path = normalize(entry).replace(/(?<=.)\/$/, "");
    const real = await realPath(path);
    if (real === undefined || !(await lstat(real))?.isDirectory) continue;
    // A top-level directory is a whole tree: /tmp or /home in PATH must not open them.
    if (path.lastIndexOf("/") === 0 || real.lastIndexOf("/") === 0) continue;
    if (isUnderAny(path, shown) || isUnderAny(path, taken) || isUnderAny(real, hide)) continue;
    if ([...hide, ...home, ...taken].some((inner) => isUnder(inner, real))) continue;
    if (/^\/(proc|sys|dev)\//.test(real) || /^\/(proc|sys|dev)\//.test(path)) continue;
    result.push(path);
  }
  return result;
}

/**
 * Paths that together cover `tree` without any of `holes`: for Landlock, which can allow but not
 * except. The directories above a hole are not covered themselves, so cannot be listed.
 */
export async function carve(tree: string, holes: readonly string[]): Promise<string[]> {
  const real = await realPath(tree);
  if (real === undefined || isUnderAny(real, holes)) return [];
  if (!holes.some((hole) => isUnder(hole, real))) return [tree];
  const parts: string[] = [];
  for await (const entry of Deno.readDir(real)) {
    parts.push(...await carve(join(real, entry.name), holes));
  }
  return parts;
}

/** Whether `path` is `tree` or lies in it. Both absolute and normal. */
export function isUnder(path: string, tree: string): boolean {
  return path === tree || path.startsWith(tree === "/" ? "/" : `${tree}/`);
}

function isUnderAny(path: string, trees: readonly string[]): boolean {
  return trees.some((tree) => isUnder(path, tree));
}

async function lstat(path: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.lstat(path);
  } catch {
    return undefined;
  }
}

async function realPath(path: string): Promise<string | undefined> {
  try {
    return await Deno.realPath(path);
  } catch {
    return undefined;
  }
}

async function realPaths(paths: readonly string[]): Promise<string[]> {
  const real = await Promise.all(paths.map(realPath));
  return real.filter((path) => path !== undefined);
}
