/** The C library: the only native code wherry calls. For what the kernel knows of a file and Deno rounds off. */

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const STATX_BASIC_STATS_AND_BTIME = 0xfff;
/** `struct statx`, and where in it lie owner, mode, inode, size; then times of birth, change, content; then the device. */
const SIZE = 256;
const KEPT = [[20, 48], [80, 128], [136, 144]] as const;
const CTIME = 96;

/** What the kernel says of a file, to the nanosecond. */
export interface ExactStat {
  /**
   * Owner, mode, inode, size, time of birth, of the last change of anything and of the last change of the contents, device:
   * 84 bytes whose meaning does not matter, only whether they are the same. Valid until the next call.
   */
  readonly bytes: Uint8Array;
  /** Time of the last change of anything, nanoseconds since 1970. Nobody can set it, but for who sets the clock. */
  readonly changed: bigint;
}

/** Looks at files, links not followed. Close it. */
export interface ExactLook extends Disposable {
  /** @throws {Deno.errors.NotFound} When it cannot be looked at, for whatever reason. */
  (path: string): ExactStat;
  /** Milliseconds of the kernel's own clock, the same in every process. Nobody can set it. */
  monotonic(): number;
  /** The kernel's number for the kind of file system that `path` is on; 0 when it cannot be told. */
  fileSystem(path: string): number;
}

/** Opens the C library; `undefined` where there is none that we can call. */
export function openExactLook(): ExactLook | undefined {
  let libc: Deno.DynamicLibrary<typeof LOOKING>;
  try {
    libc = Deno.dlopen("libc.so.6", LOOKING);
  } catch {
    return undefined;
  }
  const encoder = new TextEncoder();
  const name = new Uint8Array(3 * 4096 + 1);
  const found = new Uint8Array(SIZE);
  const view = new DataView(found.buffer);
  const bytes = new Uint8Array(KEPT.reduce((sum, [from, to]) => sum + to - from, 0));
  const look = (path: string): ExactStat => {
    const { written, read } = encoder.encodeInto(path, name);
    name[written] = 0;
    const failed = read < path.length || written >= name.byteLength || path.includes("\0") ||
      libc.symbols.statx(
          AT_FDCWD,
          name,
          AT_SYMLINK_NOFOLLOW,
          STATX_BASIC_STATS_AND_BTIME,
          found,
        ) !== 0;
    if (failed) throw new Deno.errors.NotFound(`Cannot look at ${path}`);
    let at = 0;
    for (const [from, to] of KEPT) {
      bytes.set(found.subarray(from, to), at);
      at += to - from;
    }
    const changed = view.getBigInt64(CTIME, true) * 1_000_000_000n +
      BigInt(view.getUint32(CTIME + 8, true));
    return { bytes, changed };
  };
  const monotonic = () => {
    const time = new BigInt64Array(2);
    libc.symbols.clock_gettime(CLOCK_MONOTONIC, time);
    return Number(time[0]!) * 1000 + Number(time[1]!) / 1e6;
  };
  const fileSystem = (path: string) => {
    const about = new BigInt64Array(STATFS_SIZE / 8);
    const failed = libc.symbols.statfs(encoder.encode(`${path}\0`), about) !== 0;
    return failed ? 0 : Number(about[0]!); // its first word is the type
  };
  return Object.assign(look, { monotonic, fileSystem, [Symbol.dispose]: () => libc.close() });
}

const CAPABILITY = new TextEncoder().encode("security.capability\0");
/** A capability of any version has 24 bytes at most. */
const MOST_CAPABILITY = 64;

/** Rights that files give to whoever runs them (`setcap`), as the kernel keeps them. Close it. */
export interface FileCapabilities extends Disposable {
  /** Of a file, links not followed; `undefined` when it has none, or we may not know. */
  get(path: string): Uint8Array | undefined;
  /** @throws {Deno.errors.PermissionDenied} When it cannot be set, for whatever reason. */
  set(path: string, value: Uint8Array): void;
}

/** Opens the C library; `undefined` where there is none that we can call. */
export function openFileCapabilities(): FileCapabilities | undefined {
  let libc: Deno.DynamicLibrary<{ lgetxattr: typeof GET; lsetxattr: typeof SET }>;
  try {
    libc = Deno.dlopen("libc.so.6", { lgetxattr: GET, lsetxattr: SET });
  } catch {
    return undefined;
  }
  const encoder = new TextEncoder();
  const found = new Uint8Array(MOST_CAPABILITY);
  const { lgetxattr, lsetxattr } = libc.symbols;
  return {
    get(path) {
      const size = Number(
        lgetxattr(encoder.encode(`${path}\0`), CAPABILITY, found, BigInt(found.length)),
      );
      return size > 0 ? found.slice(0, size) : undefined;
    },
    set(path, value) {
      const bytes = new Uint8Array(value);
      if (
        lsetxattr(encoder.encode(`${path}\0`), CAPABILITY, bytes, BigInt(bytes.length), 0) === 0
      ) return;
      throw new Deno.errors.PermissionDenied(`Cannot set the capabilities of ${path}`);
    },
    [Symbol.dispose]: () => libc.close(),
  };
}

/** Whether files have an extended attribute. Close it. */
export interface AttributeLook extends Disposable {
  /** Links not followed. */
  has(path: string): boolean;
}

/** Opens the C library; `undefined` where there is none that we can call. */
export function openAttributeLook(name: string): AttributeLook | undefined {
  let libc: Deno.DynamicLibrary<{ lgetxattr: typeof GET }>;
  try {
    libc = Deno.dlopen("libc.so.6", { lgetxattr: GET });
  } catch {
    return undefined;
  }
  const encoder = new TextEncoder();
  const attribute = encoder.encode(`${name}\0`);
  const none = new Uint8Array(1);
  return {
    has: (path) => libc.symbols.lgetxattr(encoder.encode(`${path}\0`), attribute, none, 0n) >= 0,
    [Symbol.dispose]: () => libc.close(),
  };
}

const GET = { parameters: ["buffer", "buffer", "buffer", "usize"], result: "isize" } as const;
const SET = { parameters: ["buffer", "buffer", "buffer", "usize", "i32"], result: "i32" } as const;

const CLOCK_MONOTONIC = 1;
/** Of `struct statfs`, in bytes. */
const STATFS_SIZE = 120;

const LOOKING = {
  statx: { parameters: ["i32", "buffer", "i32", "u32", "buffer"], result: "i32" },
  clock_gettime: { parameters: ["i32", "buffer"], result: "i32" },
  statfs: { parameters: ["buffer", "buffer"], result: "i32" },
} as const;

const IDS = {
  setgid: { parameters: ["u32"], result: "i32" },
  setuid: { parameters: ["u32"], result: "i32" },
} as const;

/**
 * Makes the process `uid` and `gid` for good, all of its threads. Node's functions for it take three times as long to load as Deno takes
 * to start.
 *
 * @returns Whether it is them now; if not, there may be no C library to call, or no right to.
 */
export function becomeIds(uid: number, gid: number): boolean {
  let libc: Deno.DynamicLibrary<typeof IDS>;
  try {
    libc = Deno.dlopen("libc.so.6", IDS);
  } catch {
    return false;
  }
  try {
    // Group first: afterwards there would be no right to.
    return libc.symbols.setgid(gid) === 0 && libc.symbols.setuid(uid) === 0;
  } finally {
    libc.close();
  }
}

const DESCRIPTORS = {
  open: { parameters: ["buffer", "i32", "u32"], result: "i32" },
  close: { parameters: ["i32"], result: "i32" },
  read: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  write: { parameters: ["i32", "buffer", "usize"], result: "isize" },
  fchmod: { parameters: ["i32", "u32"], result: "i32" },
} as const;

/** The C library for the calls that take or give a descriptor. */
export type DescriptorLibrary = Deno.DynamicLibrary<typeof DESCRIPTORS>;

/** Those calls, each below 0 when it failed. */
export type DescriptorCalls = DescriptorLibrary["symbols"];

/** Opens it; `undefined` where there is none that we can call. The caller's to close. */
export function openDescriptorLibrary(): DescriptorLibrary | undefined {
  try {
    return Deno.dlopen("libc.so.6", DESCRIPTORS);
  } catch {
    return undefined;
  }
}
