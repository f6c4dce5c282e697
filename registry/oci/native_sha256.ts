/**
 * SHA-256 by the processor's instructions, of the C file that the sandbox helper has (`sha256.c`). Node's hash is as quick, but
 * takes 40 ms of processor time to load, and most commands hash a few small documents.
 */

/** The descriptor that holds the library in the executable; see `HELPER_FD`. */
export const HASH_FD = 240;

/** Room for `struct sha256`. */
const STATE = 120;
const DIGEST = 32;

const SYMBOLS = {
  sha256_possible: { parameters: [], result: "bool" },
  sha256_start: { parameters: ["buffer"], result: "void" },
  sha256_add: { parameters: ["buffer", "buffer", "usize"], result: "void" },
  sha256_bytes: { parameters: ["buffer", "buffer"], result: "void" },
  sha256_once: { parameters: ["buffer", "usize", "buffer"], result: "void" },
} as const;

type Calls = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** A library that was looked for. */
interface Found {
  /** `undefined` where there is none that can be loaded. */
  readonly calls: Calls | undefined;
  /** Whether the processor has instructions for it; Node's is quicker where it has not. */
  readonly fast: boolean;
}

/** What the executable's entry script offers; see `cli/assets.ts`. */
interface Executable {
  readonly hash: string;
}

function open(): Found {
  const executable = (globalThis as { readonly __wherry?: Executable }).__wherry;
  const arch = Deno.build.arch === "aarch64" ? "arm64" : "amd64";
  try {
    const path = executable?.hash ??
      new URL(`../../dist/native/${arch}/hash.so`, import.meta.url);
    const calls = Deno.dlopen(path, SYMBOLS).symbols;
    return { calls, fast: calls.sha256_possible() };
  } catch {
    return { calls: undefined, fast: false };
  }
}

// From source at once: a test that opens it by chance would seem to have forgotten to close it.
let found: Found | undefined = "__wherry" in globalThis ? undefined : open();

/** The library, where it is to be used: for little it is even where Node's hash is quicker. */
function callsFor(little: boolean): Calls | undefined {
  const { calls, fast } = found ??= open();
  return fast || little ? calls : undefined;
}

/** A running SHA-256. */
export interface NativeSha256 {
  /** Adds `bytes`; they may be reused afterwards. */
  update(bytes: Uint8Array): void;
  /** Lower-case hex digits. May be called once. */
  digest(encoding: "hex"): string;
}

/** Starts one; `undefined` where Node's is to be used. */
export function nativeSha256(): NativeSha256 | undefined {
  const calls = callsFor(false);
  if (calls === undefined) return undefined;
  const state = new Uint8Array(STATE);
  calls.sha256_start(state);
  return {
    update(bytes) {
      calls.sha256_add(state, bytes as Uint8Array<ArrayBuffer>, BigInt(bytes.byteLength));
    },
    digest() {
      calls.sha256_bytes(state, digest);
      return digest.toHex();
    },
  };
}

const LITTLE = 256 * 1024;
const digest = new Uint8Array(DIGEST); // memory of its own for each would cost more than a hash

/** The SHA-256 of `bytes` in lower-case hex digits; `undefined` where Node's is to be used. */
export function nativeSha256Of(bytes: Uint8Array): string | undefined {
  const { byteLength } = bytes;
  const calls = callsFor(byteLength <= LITTLE);
  if (calls === undefined) return undefined;
  calls.sha256_once(bytes as Uint8Array<ArrayBuffer>, BigInt(byteLength), digest);
  return digest.toHex();
}
