/**
 * Exactly what the executable is made of. A build with other bytes is another product, so every input
 * is named by version and SHA-256; `wherry version -o json` repeats what was really used.
 */

/** A processor the executable is assembled for, in OCI's spelling. */
export type Arch = "amd64" | "arm64";

/** Deno's program, taken from its npm package. */
export interface DenoPin {
  /** npm package that holds the ELF file as `package/deno`. */
  readonly package: string;
  /** Exact version. */
  readonly version: string;
  /** SHA-256 of the ELF file, lower-case hex. */
  readonly sha256: string;
}

/** One Debian binary package. */
export interface DebianPin {
  /** Package name. */
  readonly package: string;
  /** Exact Debian version. */
  readonly version: string;
  /** SHA-256 of the .deb, lower-case hex. */
  readonly sha256: string;
}

/** What differs between processors. */
export interface Pins {
  /** Deno's program. */
  readonly deno: DenoPin;
  /** Debian packages with the loader, the libraries and their copyright files. */
  readonly debian: readonly DebianPin[];
  /** Folder of the libraries inside those packages. */
  readonly libraryFolder: string;
  /** The dynamic loader's file name, which is also its SONAME. */
  readonly loader: string;
  /** Every other name in Deno's DT_NEEDED, in its order. */
  readonly libraries: readonly string[];
  /** Alignment of what is mapped: the largest page size the kernel may use. */
  readonly alignment: number;
  /** ELF e_machine. */
  readonly machine: number;
}

const GLIBC = "2.36-9+deb12u14";
const GCC = "12.2.0-14+deb12u1";

/** Pinned inputs by processor. */
export const PINS: Readonly<Record<Arch, Pins>> = {
  amd64: {
    deno: {
      package: "@deno/linux-x64-glibc",
      version: "2.9.6",
      sha256: "bceb5b6a6239b0b010418406d8c77a508f67cf4337d94288f1c19fe71304aab0",
    },
    debian: [
      {
        package: "libc6",
        version: GLIBC,
        sha256: "ba4f88f73dbc3ae9055f3c20f4523bfdbaf1ad13ff95e258924f77d20b4fbedf",
      },
      {
        package: "libgcc-s1",
        version: GCC,
        sha256: "3016e62cb4b7cd8038822870601f5ed131befe942774d0f745622cc77d8a88f7",
      },
      {
        package: "gcc-12-base",
        version: GCC,
        sha256: "1896a2aacf4ad681ff5eacc24a5b0ca4d5d9c9b9c9e4b6de5197bc1e116ea619",
      },
    ],
    libraryFolder: "lib/x86_64-linux-gnu",
    loader: "ld-linux-x86-64.so.2",
    libraries: [
      "libdl.so.2",
      "libgcc_s.so.1",
      "librt.so.1",
      "libpthread.so.0",
      "libm.so.6",
      "libc.so.6",
    ],
    alignment: 0x1000,
    machine: 62,
  },
  arm64: {
    // npm has no 2.9.6 of this package where we build; the build says so aloud.
    deno: {
      package: "@deno/linux-arm64-glibc",
      version: "2.9.5",
      sha256: "e1a70c5eb03b0ebaf761077029ef86b9ba22d50e2b54ca45ce5437457f701b63",
    },
    debian: [
      {
        package: "libc6",
        version: GLIBC,
        sha256: "01f4330719fd4f65580e16ea5a0527f372fca750e8f588d26deaf09f2d3b1cf4",
      },
      {
        package: "libgcc-s1",
        version: GCC,
        sha256: "576926b283613db80168ddf76380a3bd877602778cf0d226caa7bfbfa71eacf3",
      },
      {
        package: "gcc-12-base",
        version: GCC,
        sha256: "674cf6cba6d432bd200c45fe866c1652c7a53523cc2e7a613e05bc4abf7b5440",
      },
    ],
    libraryFolder: "lib/aarch64-linux-gnu",
    loader: "ld-linux-aarch64.so.1",
    libraries: ["libdl.so.2", "libgcc_s.so.1", "libpthread.so.0", "libm.so.6", "libc.so.6"],
    alignment: 0x10000,
    machine: 183,
  },
};

/** The Deno that `deno task build` must run under: the one whose modules the amd64 program has. */
export const DENO_VERSION = "2.9.6";
