// deno-lint-ignore-file no-console
/** `deno task bench [what] [MiB, or images]`: what is start, launcher, layer, builder, build, lifecycle, registry, query, fleet, latency or all. Ratios, because machines are noisy. */
import { benchBuild } from "./build.ts";
import { benchBuilder } from "./builder.ts";
import { benchFleet } from "./fleet.ts";
import { reportLauncher } from "./launcher.ts";
import { benchLatency } from "./latency.ts";
import { benchLayer } from "./layer.ts";
import { benchLifecycle } from "./lifecycle.ts";
import { benchQuery } from "./query.ts";
import { benchRegistry } from "./registry.ts";
import { benchStartup } from "./startup.ts";

const what = Deno.args[0] ?? "all";
const mib = Number(Deno.args[1] ?? (what === "fleet" ? "30000" : "1024"));
const wherry = Deno.env.get("WHERRY") ?? new URL("../../dist/wherry", import.meta.url).pathname;

const BENCHES: Readonly<Record<string, () => Promise<unknown>>> = {
  start: () => benchStartup(),
  launcher: () => reportLauncher(),
  layer: () => benchLayer({ mib }),
  builder: () => benchBuilder({ wherry }),
  build: () => benchBuild({ mib, wherry }),
  lifecycle: () => benchLifecycle({ mib, wherry }),
  query: () => benchQuery(),
  fleet: () =>
    benchFleet({
      images: what === "fleet" ? mib : 30_000,
      wherry,
      chart: Deno.args.includes("--chart"),
      storeOnly: Deno.args.includes("--store"),
    }),
  latency: () => benchLatency(wherry),
  registry: () => benchRegistry({ mib, wherry }),
};

const chosen = what === "all" ? Object.keys(BENCHES) : [what];
if (chosen.some((name) => !(name in BENCHES)) || !(mib > 0)) {
  console.error(`usage: deno task bench [all|${Object.keys(BENCHES).join("|")}] [MiB]`);
  Deno.exit(3);
}
console.log(
  `Deno ${Deno.version.deno}, ${navigator.hardwareConcurrency} processors, load ${
    Deno.loadavg()[0]
  }`,
);
for (const name of chosen) {
  console.log(`\n== ${name}`);
  await BENCHES[name]!();
}
