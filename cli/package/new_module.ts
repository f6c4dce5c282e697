/** `wherry buildpack new`: a skeleton that detects and builds. */
import { join } from "node:path";
import { isModuleId } from "../../lifecycle/file/module.ts";
import { formatToml } from "../../lifecycle/file/toml.ts";
import { BUILDPACK_APIS } from "../../lifecycle/api.ts";
import type { ModuleKind } from "../../lifecycle/platform/package/module.ts";
import type { CommonFlags } from "../common.ts";
import { UsageError } from "../exit.ts";
import type { Io } from "../io.ts";
import { Session } from "../session.ts";
import { parseTarget } from "./targets.ts";

/** Flags of the command. */
export interface NewFlags extends CommonFlags {
  readonly path?: string;
  readonly version: string;
  readonly api: string;
  readonly target?: readonly string[];
}

const HEAD = "#!/usr/bin/env bash\nset -eu\n\n";

const SCRIPTS: Readonly<Record<ModuleKind, Readonly<Record<string, string>>>> = {
  buildpack: {
    detect: `${HEAD}# exit 0: take part in the build; 100: this app is not for us.\nexit 0\n`,
    build:
      `${HEAD}layers=$CNB_LAYERS_DIR\n\n# Make layers below "$layers", and say how the app starts in launch.toml.\necho "---> ID"\n\ncat >"$layers/launch.toml" <<END\n[[processes]]\ntype = "web"\ncommand = ["bash", "-c", "echo hello"]\ndefault = true\nEND\n`,
  },
  extension: {
    detect: `${HEAD}# exit 0: take part in the build; 100: this app is not for us.\nexit 0\n`,
    generate:
      `${HEAD}# Write run.Dockerfile or build.Dockerfile below "$CNB_OUTPUT_DIR".\ncat >"$CNB_OUTPUT_DIR/build.Dockerfile" <<'END'\nARG base_image\nFROM \${base_image}\n\nUSER root\nRUN echo ID\nARG user_id\nUSER \${user_id}\nEND\n`,
  },
};

/** Writes the skeleton; touches nothing that is there. */
export async function newModule(
  io: Io,
  id: string,
  kind: ModuleKind,
  flags: NewFlags,
): Promise<void> {
  await using session = new Session(io, flags);
  if (!isModuleId(id)) {
    throw new UsageError(
      `Cannot make ${kind} ${
        JSON.stringify(id)
      }: want letters, digits, '.', '/' and '-', for example samples/hello`,
    );
  }
  if (!(BUILDPACK_APIS as readonly string[]).includes(flags.api)) {
    throw new UsageError(
      `Cannot use --api ${JSON.stringify(flags.api)}: want one of ${BUILDPACK_APIS.join(", ")}`,
    );
  }
  const dir = session.path(flags.path ?? id.split("/").at(-1)!);
  if (await Deno.lstat(dir).catch(() => undefined) !== undefined) {
    throw new UsageError(`Cannot write ${dir}: it exists; want --path with a new directory`);
  }
  const targets = (flags.target ?? []).map(parseTarget);
  const descriptor = {
    api: flags.api,
    [kind]: { id, version: flags.version, name: id },
    targets: (targets.length > 0 ? targets : [parseTarget("linux/amd64")]).map((target) => ({
      os: target.os || undefined,
      arch: target.arch || undefined,
      variant: target.variant || undefined,
      distros: target.distros.length === 0 ? undefined : target.distros.map((distro) => ({
        name: distro.name,
        version: distro.version || undefined,
      })),
    })),
  };
  await Deno.mkdir(join(dir, "bin"), { recursive: true });
  await Deno.writeTextFile(join(dir, `${kind}.toml`), formatToml(descriptor));
  const files = [`${kind}.toml`];
  for (const [name, text] of Object.entries(SCRIPTS[kind])) {
    const file = join(dir, "bin", name);
    await Deno.writeTextFile(file, text.replaceAll("ID", id));
    await Deno.chmod(file, 0o755);
    files.push(`bin/${name}`);
  }
  for (const file of files) session.log.info(`create ${file}`);
  io.stdout.write(`${dir}\n`);
}
