import type { Target } from "../../file/module.ts";

/** A target for people, as it is written on the command line: `linux/arm64/v8:ubuntu@22.04`. */
export function formatTarget({ os, arch, variant, distros }: Target): string {
  const system = [os || "any", ...(arch ? [arch] : []), ...(variant ? [variant] : [])].join("/");
  const names = distros.map(({ name, version }) => version ? `${name}@${version}` : name);
  return names.length === 0 ? system : `${system}:${names.join(";")}`;
}
