/** Fetching what the executable is made of: Deno from npm, libraries from Debian; each checked against its pin. */
import { DT, fileOffset, onlyEntry, readDynamic, readElf, textAt } from "./elf.ts";
import { type Arch, type DebianPin, PINS } from "./pins.ts";
import { runTool, sha256 } from "./tool.ts";

/** Something that went into the executable, as `wherry version -o json` shows it. */
export interface InputRecord {
  readonly name: string;
  readonly version: string;
  /** SHA-256 of the bytes that were used, lower-case hex. */
  readonly sha256: string;
  /** Bytes. */
  readonly size: number;
}

/** Says something to the person who builds. */
export type Say = (line: string) => void;

/** A file that was fetched and checked. */
export interface Fetched {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly record: InputRecord;
}

async function readIfThere(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
  try {
    return await Deno.readFile(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/**
 * Deno's ELF file for `arch`: the running program if it is that file, else the cache, else npm.
 *
 * Throws Error when npm's file does not have the pinned SHA-256.
 */
export async function fetchDeno(arch: Arch, cache: string, say: Say): Promise<Fetched> {
  const pin = PINS[arch].deno;
  const record = (bytes: Uint8Array) => ({
    name: pin.package,
    version: pin.version,
    sha256: pin.sha256,
    size: bytes.length,
  });
  const kept = `${cache}/deno-${pin.version}-${arch}`;
  for (const path of [kept, Deno.execPath()]) {
    const bytes = await readIfThere(path);
    if (bytes && await sha256(bytes) === pin.sha256) return { bytes, record: record(bytes) };
  }
  say(`fetching ${pin.package}@${pin.version} from npm`);
  const folder = await Deno.makeTempDir({ dir: cache });
  try {
    // --ignore-scripts and pack: nothing of the package runs here.
    await runTool(
      "npm",
      ["pack", "--silent", "--ignore-scripts", `${pin.package}@${pin.version}`],
      {
        cwd: folder,
      },
    );
    const archive = [...Deno.readDirSync(folder)].find((file) => file.name.endsWith(".tgz"));
    if (!archive) throw new Error(`Cannot fetch ${pin.package}: npm pack wrote no archive`);
    await runTool("tar", ["-xzf", archive.name, "package/deno"], { cwd: folder });
    const bytes = await Deno.readFile(`${folder}/package/deno`);
    const seen = await sha256(bytes);
    if (seen !== pin.sha256) {
      throw new Error(
        `Cannot use ${pin.package}@${pin.version}: its program has SHA-256 ${seen}, wanted ${pin.sha256}`,
      );
    }
    await Deno.rename(`${folder}/package/deno`, kept);
    return { bytes, record: record(bytes) };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The loader and libraries of one processor, and the copyright texts that belong to them. */
export interface Libraries {
  /** File name to bytes: the loader and every needed library. */
  readonly files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
  readonly records: readonly InputRecord[];
  /** Package name to its copyright file. */
  readonly copyrights: ReadonlyMap<string, string>;
}

/** Fetches the pinned Debian packages for `arch` and takes the libraries out of them. */
export async function fetchLibraries(arch: Arch, cache: string, say: Say): Promise<Libraries> {
  const pins = PINS[arch];
  const folder = await Deno.makeTempDir({ dir: cache });
  try {
    const root = `${folder}/root`;
    const records: InputRecord[] = [];
    const unpack = async (pin: DebianPin) => {
      const deb = await fetchDebian(arch, pin, cache, say);
      records.push(deb.record);
      await Deno.writeFile(`${folder}/package.deb`, deb.bytes);
      await runTool("dpkg-deb", ["-x", `${folder}/package.deb`, root]);
    };
    const [base, ...others] = pins.debian.toReversed();
    for (const pin of others.toReversed()) await unpack(pin);
    // libgcc-s1 keeps its copyright in gcc's base package, whose name has a version in it.
    const baseName = await Deno.readLink(`${root}/usr/share/doc/libgcc-s1`);
    await unpack(
      base?.package === baseName ? base : { package: baseName, version: "", sha256: "" },
    );

    const files = new Map<string, Uint8Array<ArrayBuffer>>();
    for (const name of [pins.loader, ...pins.libraries]) {
      // Newer Debian packages have /usr/lib only.
      const bytes = await readIfThere(`${root}/${pins.libraryFolder}/${name}`) ??
        await Deno.readFile(`${root}/usr/${pins.libraryFolder}/${name}`);
      checkLibrary(bytes, name, pins.machine);
      files.set(name, bytes);
    }
    const copyrights = new Map<string, string>();
    for (const name of ["libc6", baseName]) {
      copyrights.set(name, await Deno.readTextFile(`${root}/usr/share/doc/${name}/copyright`));
    }
    return { files, records, copyrights };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** The loader finds a library that it already has by its SONAME, so that must be the name others ask for. */
function checkLibrary(bytes: Uint8Array, name: string, machine: number): void {
  const elf = readElf(bytes, name);
  const dynamic = readDynamic(elf);
  const strings = fileOffset(elf, onlyEntry(dynamic, DT.STRTAB).value);
  const soname = textAt(bytes, strings + onlyEntry(dynamic, DT.SONAME).value);
  if (elf.machine !== machine || soname !== name) {
    throw new Error(
      `Cannot use ${name}: it is ${soname} for machine ${elf.machine}, wanted ${name} for ${machine}`,
    );
  }
}

async function fetchDebian(arch: Arch, pin: DebianPin, cache: string, say: Say): Promise<Fetched> {
  const kept = `${cache}/${pin.package}_${pin.version}_${arch}.deb`;
  const record = (version: string, hash: string, size: number) => ({
    name: `${pin.package}:${arch}`,
    version,
    sha256: hash,
    size,
  });
  const cached = await readIfThere(kept);
  if (cached && await sha256(cached) === pin.sha256) {
    return { bytes: cached, record: record(pin.version, pin.sha256, cached.length) };
  }
  const apt = await openApt(arch, cache, say);
  let version = pin.version;
  let bytes = version === "" ? undefined : await apt.download(pin.package, version);
  if (bytes === undefined) {
    version = await apt.candidate(pin.package);
    if (pin.version !== "") {
      say(
        `WARNING: Debian here has no ${pin.package} ${pin.version} for ${arch}; using ${version}. This ` +
          "executable will differ from other builds of the same commit: update scripts/onefile/pins.ts",
      );
    }
    bytes = await apt.download(pin.package, version);
    if (bytes === undefined) throw new Error(`Cannot fetch ${pin.package} ${version} for ${arch}`);
    return { bytes, record: record(version, await sha256(bytes), bytes.length) };
  }
  const seen = await sha256(bytes);
  if (seen !== pin.sha256) {
    throw new Error(
      `Cannot use ${pin.package} ${version} for ${arch}: its SHA-256 is ${seen}, wanted ${pin.sha256}`,
    );
  }
  await Deno.writeFile(kept, bytes);
  return { bytes, record: record(version, seen, bytes.length) };
}

/** The newest `name` that Debian has for `arch`. */
export async function newestDeb(
  arch: Arch,
  name: string,
  cache: string,
  say: Say,
): Promise<Uint8Array<ArrayBuffer>> {
  const apt = await openApt(arch, cache, say);
  const version = await apt.candidate(name);
  const bytes = await apt.download(name, version);
  if (bytes === undefined) throw new Error(`Cannot fetch ${name} ${version} for ${arch}`);
  return bytes;
}

interface Apt {
  /** The package's bytes, or undefined when the archive does not have this version. */
  download(name: string, version: string): Promise<Uint8Array<ArrayBuffer> | undefined>;
  /** The version apt would install. */
  candidate(name: string): Promise<string>;
}

const opened = new Map<string, Promise<Apt>>();

/** apt with lists of its own and the host's sources: the host's package state is not touched. */
function openApt(arch: Arch, cache: string, say: Say): Promise<Apt> {
  const known = opened.get(arch);
  if (known) return known;
  const fresh = (async (): Promise<Apt> => {
    const home = `${cache}/apt-${arch}`;
    await Deno.mkdir(`${home}/lists/partial`, { recursive: true });
    await Deno.mkdir(`${home}/cache/archives/partial`, { recursive: true });
    await Deno.writeTextFile(`${home}/status`, "");
    const settings = {
      "Dir::State": home,
      "Dir::State::lists": `${home}/lists`,
      "Dir::State::status": `${home}/status`,
      "Dir::Cache": `${home}/cache`,
      "APT::Architecture": arch,
      "APT::Architectures": arch,
      "APT::Sandbox::User": "",
      "Acquire::Languages": "none",
    };
    const options = Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
    say(`reading Debian's package lists for ${arch}`);
    await runTool("apt-get", [...options, "-q", "update"], { env: { LC_ALL: "C" } });
    return {
      async download(name, version) {
        const folder = await Deno.makeTempDir({ dir: cache });
        try {
          await runTool("apt-get", [...options, "-q", "download", `${name}:${arch}=${version}`], {
            cwd: folder,
            env: { LC_ALL: "C" },
          });
          const deb = [...Deno.readDirSync(folder)].find((file) => file.name.endsWith(".deb"));
          return deb && await Deno.readFile(`${folder}/${deb.name}`);
        } catch (error) {
          if (error instanceof Error && /Version .* was not found/.test(error.message)) {
            return undefined;
          }
          throw error;
        } finally {
          await Deno.remove(folder, { recursive: true });
        }
      },
      async candidate(name) {
        const text = await runTool("apt-cache", [...options, "policy", `${name}:${arch}`], {
          env: { LC_ALL: "C" },
        });
        const version = /Candidate: (\S+)/.exec(text)?.[1];
        if (version === undefined || version === "(none)") {
          throw new Error(`Cannot find Debian's package ${name} for ${arch}: apt has no candidate`);
        }
        return version;
      },
    };
  })();
  opened.set(arch, fresh);
  return fresh;
}
