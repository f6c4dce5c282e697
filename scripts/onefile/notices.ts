/** The text `wherry licenses` prints: what is inside, under which licence, and where its source is. */
import { resolve } from "node:path";
import type { Arch } from "./pins.ts";
import { PINS } from "./pins.ts";

/** What the notices are made from. */
export interface NoticesInput {
  readonly arch: Arch;
  /** The checkout, for LICENSE and the npm packages' own files. */
  readonly root: string;
  /** The Debian packages the libraries are from, with versions. */
  readonly debian: readonly string[];
  /** Debian package name to its copyright file. */
  readonly copyrights: ReadonlyMap<string, string>;
  /** npm package folders in the bundle, relative to `root`, sorted. */
  readonly packages: readonly string[];
}

const RULE = "=".repeat(78);

/** The notices, ending with a newline. Depends only on its input. */
export async function writeNotices(input: NoticesInput): Promise<string> {
  const own = (name: string) => Deno.readTextFile(new URL(`./licences/${name}`, import.meta.url));
  const pins = PINS[input.arch];
  const libraries = [pins.loader, ...pins.libraries].join(", ");
  const sections: [string, string][] = [
    ["wherry - Apache License 2.0", await Deno.readTextFile(resolve(input.root, "LICENSE"))],
    [
      `Deno ${pins.deno.version} (npm ${pins.deno.package}) - MIT`,
      "Its program is carried with a few header bytes changed, and a few hundred of its node:vm; WHERRY_UNPACK=DIR writes it\n" +
      "back unchanged.\n" +
      "It contains V8 (BSD-3-Clause), ICU (Unicode License), SQLite (public domain) and Rust libraries under\n" +
      "MIT, Apache-2.0, BSD, ISC, MPL-2.0 and similar licences, listed in Cargo.lock of\n" +
      `https://github.com/denoland/deno at tag v${pins.deno.version}.\n\n` +
      await own("deno-MIT.txt"),
    ],
    [
      `The GNU C library and libgcc (Debian's ${input.debian.join(", ")})`,
      `${libraries}\nare carried unmodified as separate files. glibc is under the GNU Lesser General Public License,\n` +
      "version 2.1 or later; libgcc_s.so.1 under the GNU General Public License, version 3, with the GCC Runtime\n" +
      "Library Exception. Their source is in Debian's source packages of these versions: glibc, and the\n" +
      "gcc-N that the base package names (apt-get source glibc).\n\n" +
      "To run wherry with another build of these libraries: WHERRY_UNPACK=DIR wherry writes every part into DIR and\n" +
      "prints the command line that starts it from there.",
    ],
  ];
  const libdeflate = "lifecycle/sandbox/helper/libdeflate/COPYING";
  sections.push([
    "libdeflate 1.25 - MIT",
    "Its fastest compressor is part of the sandbox helper; what was changed is marked.\n\n" +
    await Deno.readTextFile(resolve(input.root, libdeflate)),
  ]);
  for (const [name, text] of input.copyrights) {
    sections.push([`Debian's copyright file of ${name}`, text]);
  }
  for (const folder of input.packages) {
    const manifest = JSON.parse(
      await Deno.readTextFile(resolve(input.root, folder, "package.json")),
    );
    const file = [...Deno.readDirSync(resolve(input.root, folder))].map((each) => each.name)
      .filter((name) => /^licen[cs]e/i.test(name)).sort()[0];
    const text = file === undefined
      ? `(the package has no licence file; its package.json says "${manifest.license}")`
      : await Deno.readTextFile(resolve(input.root, folder, file));
    sections.push([`npm ${manifest.name} ${manifest.version} - ${manifest.license}`, text]);
  }
  sections.push(["GNU Lesser General Public License, version 2.1", await own("LGPL-2.1.txt")]);
  sections.push(["GNU General Public License, version 3", await own("GPL-3.txt")]);
  return sections.map(([title, text]) => `${RULE}\n${title}\n${RULE}\n\n${text.trimEnd()}\n`).join(
    "\n",
  );
}
