/** wherry as the lifecycle of a builder: this very executable under the names of the phases (BI-1). */
import { dirname, join } from "node:path";
import { BUILDPACK_APIS, PLATFORM_APIS } from "../../lifecycle/api.ts";
import type { BuilderLifecycle } from "../../lifecycle/platform/package/create_builder.ts";
import type { TreeEntry } from "../../registry/layer/entry.ts";
import { executableFile, launcherBytes } from "../assets.ts";
import { UsageError } from "../exit.ts";
import { machinePlatform } from "../platform.ts";
import { VERSION } from "../version.ts";

const PHASES = [
  "analyzer",
  "builder",
  "creator",
  "detector",
  "exporter",
  "extender",
  "rebaser",
  "restorer",
];
const ROOT = { uid: 0, gid: 0 };

/**
 * The lifecycle for a processor.
 *
 * @param files Executables to choose from, one a processor; default this one, or `wherry-<arch>` beside it.
 * @throws {UsageError} When there is none for `arch`.
 */
export function ownLifecycle(arch: string, files: readonly string[]): BuilderLifecycle {
  if (arch !== "amd64" && arch !== "arm64") {
    throw new UsageError(`Cannot make a builder for ${arch}: wherry is there for amd64 and arm64`);
  }
  // Of several the one that fits; one alone has to.
  const named = files.length === 1 ? files[0]! : files.find((file) => elfMachine(file) === arch) ??
    ownFile(arch);
  let path: string;
  try {
    path = Deno.realPathSync(named); // the packer follows no symlink, and /proc/self/exe is one
  } catch {
    throw new UsageError(
      `Cannot make a builder for ${arch}: ${named} is not there; want --lifecycle FILE with wherry for ${arch}`,
    );
  }
  const stat = Deno.statSync(path);
  const machine = elfMachine(path);
  if (machine !== arch) {
    throw new UsageError(
      `Cannot make a builder for ${arch}: ${path} is ${
        machine === undefined ? "no executable" : `for ${machine}`
      }`,
    );
  }
  const launcher = launcherBytes(arch);
  const body = { path, dev: stat.dev, ino: stat.ino ?? 0 };
  const common = { ...ROOT, mode: 0o755, size: 0 };
  const link = (name: string, linkName: string): TreeEntry => ({
    ...common,
    name,
    type: "symlink",
    mode: 0o777,
    linkName,
  });
  return {
    version: VERSION,
    apis: {
      buildpack: { deprecated: [], supported: BUILDPACK_APIS },
      platform: { deprecated: [], supported: PLATFORM_APIS },
    },
    entries: () => [
      { ...common, name: "/cnb", type: "directory" },
      { ...common, name: "/cnb/lifecycle", type: "directory" },
      ...[
        ...PHASES.map((name) => link(`/cnb/lifecycle/${name}`, "lifecycle")),
        {
          ...common,
          name: "/cnb/lifecycle/launcher",
          type: "file" as const,
          size: launcher.byteLength,
          body: launcher,
        },
        {
          ...common,
          name: "/cnb/lifecycle/lifecycle",
          type: "file" as const,
          size: stat.size,
          body,
        },
      ].sort((a, b) => a.name < b.name ? -1 : 1),
      link("/lifecycle", "/cnb/lifecycle"),
    ],
  };
}

function ownFile(arch: string): string {
  const own = executableFile();
  if (arch === machinePlatform().architecture) return own;
  return join(dirname(own), `wherry-${arch}`);
}

/** The processor an ELF file is for; undefined when it is none. */
function elfMachine(path: string): string | undefined {
  const head = new Uint8Array(20);
  let got: number | null = null;
  try {
    using file = Deno.openSync(path);
    got = file.readSync(head);
  } catch {
    // It is not there: said by whoever chose it.
  }
  if (got !== 20 || head[0] !== 0x7f || head[1] !== 0x45) return undefined;
  const machine = head[18]! + head[19]! * 256;
  return machine === 62 ? "amd64" : machine === 183 ? "arm64" : `machine ${machine}`;
}
