/** Root file systems of Debian packages, as layers: what `base_images.ts` stands on. */
import { uploadTar, type WrittenLayer } from "../registry/layer/write_layer.ts";
import type { Registry } from "../registry/registry.ts";
import { LAYOUT_REPOSITORY } from "../registry/store/layout.ts";
import { openForeign } from "./foreign.ts";
import { BRING_NATIVE, DROP_NATIVE, NATIVE_ENV } from "./native_tools.ts";

/** User and group of the images. */
export const ID = 1000;

/** This machine's processor, in the words of Debian and OCI. */
export const HERE: "amd64" | "arm64" = Deno.build.arch === "aarch64" ? "arm64" : "amd64";

/** A date all files have, so that only packages change bytes. */
const EPOCH = "1735689600";

/** Not wanted in any image, or different each time: logs, caches, machine ids, the JVM's archive of classes, dates. */
const CLEAN = `rm -rf "$1"/var/log/* "$1"/var/cache/* "$1"/var/lib/apt/lists/* "$1"/etc/machine-id
  rm -f "$1"/usr/lib/jvm/*/lib/server/classes*.jsa
  "$DENO" run -A "$UNDATE" "$1"`;

/** The CNB user, where packages did not make a place for it. */
const USER = `grep -q ^cnb: "$1/etc/passwd" 2>/dev/null || {
    echo "cnb:x:${ID}:${ID}::/home/cnb:/bin/sh" >>"$1/etc/passwd"
    echo "cnb:x:${ID}:" >>"$1/etc/group"
    mkdir -p "$1/home/cnb" "$1/tmp" && chown ${ID}:${ID} "$1/home/cnb" && chmod 1777 "$1/tmp"
  }`;

/** A root, and what mmdebstrap makes it of. */
export interface DebianRoot {
  /** `extract` for packages that are only unpacked, their scripts not run. */
  readonly variant: "minbase" | "extract";
  /** Beside what the variant has. */
  readonly packages: readonly string[];
}

function options({ variant, packages }: DebianRoot, arch = HERE): string[] {
  return [
    "--quiet",
    "--mode=root",
    // Whether its programs start was seen to before.
    ...arch === HERE ? [] : [
      ...[`--architectures=${arch}`, "--skip=check/qemu"],
      ...[`--aptopt=DPkg::Path "${NATIVE_ENV.PATH}"`, `--extract-hook=${BRING_NATIVE}`],
    ],
    `--variant=${variant}`,
    `--include=${packages.join(",")}`,
    // Nobody loses a half-made root to a power cut; documentation is not for images, and Java's package wants its place.
    "--dpkgopt=force-unsafe-io",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-include=/usr/share/doc/*/copyright",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    ...variant === "minbase" ? ['--essential-hook=mkdir -p "$1/usr/share/man/man1"'] : [],
    `--customize-hook=${USER}`,
    `--customize-hook=${CLEAN}`,
    ...arch === HERE ? [] : [`--customize-hook=${DROP_NATIVE}`],
  ];
}

/** All that decides what a root is but the packages' versions. */
export function recipeOf(root: DebianRoot): readonly string[] {
  return [EPOCH, ...options(root)];
}

/** The sources of packages this machine has, whichever they are. */
async function aptSources(): Promise<string> {
  const texts: string[] = [];
  for await (const { name } of Deno.readDir("/etc/apt/sources.list.d")) {
    if (/^debian.*\.(list|sources)$/.test(name)) {
      texts.push(await Deno.readTextFile(`/etc/apt/sources.list.d/${name}`));
    }
  }
  texts.push(await Deno.readTextFile("/etc/apt/sources.list").catch(() => ""));
  return texts.join("\n");
}

/**
 * Streams what mmdebstrap makes into a layer of `layout`; nothing is written beside it.
 *
 * @throws {Error} With the end of what mmdebstrap said.
 */
export async function debianRoot(
  root: DebianRoot,
  arch: typeof HERE,
  layout: Registry,
): Promise<WrittenLayer> {
  await using foreign = arch === HERE ? undefined : await openForeign();
  if (foreign?.why !== undefined) throw new Error(`Cannot make images for ${arch}: ${foreign.why}`);
  const words = [...options(root, arch), "", "-", "-"];
  const [program, args] = foreign?.command("mmdebstrap", words) ?? ["mmdebstrap", words];
  const child = new Deno.Command(program, {
    args,
    env: {
      ...NATIVE_ENV,
      SOURCE_DATE_EPOCH: EPOCH,
      DENO: Deno.execPath(),
      UNDATE: decodeURIComponent(new URL("undate_cacerts.ts", import.meta.url).pathname),
    },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const said = child.stderr.text();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(await aptSources()));
  await writer.close();
  const upload = await layout.upload(LAYOUT_REPOSITORY);
  const written = await uploadTar(child.stdout, upload);
  if (!(await child.status).success) {
    const end = (await said).trim().split("\n").slice(-8).join("\n");
    throw new Error(`Cannot make a root file system: mmdebstrap failed:\n${end}`);
  }
  return written;
}
