// deno-lint-ignore-file no-console
/** How long one rebase takes of a registry that is far away: 50 ms more for each request, process start included. */
import { connectRegistry } from "../../registry/client/client.ts";
import { type DelayProxy, delayProxy } from "../../registry/client/delay_testing.ts";
import {
  dockerRegistry,
  startDockerRegistry,
} from "../../registry/client/docker_registry_testing.ts";
import { madeApp, madeBase, makeScene, put } from "../../cli/rebase/rebase_testing.ts";

/** Added to each request, as the goals have it. */
const DELAY_MS = 50;
const ROUNDS = 7;

/** Prints the table. Goals: at most 0.3 s cold and 0.2 s warm. */
export async function benchLatency(wherry: string): Promise<void> {
  await Deno.stat(wherry);
  const start = await best(() => timed(wherry, ["version"], "/tmp"));
  console.log(`  start of the process, wherry version: ${start.toFixed(0)} ms`);
  {
    await using ours = await makeScene();
    await measure("wherry serve", wherry, ours.host);
  }
  if (dockerRegistry === undefined) return console.log("  skipped: want docker-registry");
  await using theirs = await startDockerRegistry();
  await measure("docker-registry", wherry, theirs.host);
}

async function best(act: () => Promise<number>): Promise<number> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) times.push(await act());
  return times.sort((a, b) => a - b)[0]!;
}

async function measure(what: string, wherry: string, host: string): Promise<void> {
  const bases = [madeBase("1"), madeBase("2"), madeBase("3")] as const;
  await using proxy = delayProxy(host, DELAY_MS);
  const run = `${proxy.host}/run`;
  {
    await using client = connectRegistry(host);
    for (const [at, base] of bases.entries()) await put(client, "run", String(at + 1), base);
    for (let at = 0; at < ROUNDS; at++) {
      const app = madeApp(bases[0], `app ${at}`, { run: `${run}:2` });
      await put(client, `cold${at}`, "1", app);
      for (const tag of ["1", "2"]) {
        await put(
          client,
          `warm${at}`,
          tag,
          madeApp(bases[0], `app ${at} ${tag}`, { run: `${run}:2` }),
        );
      }
    }
  }
  const rebase = (home: string, name: string, tag: string) =>
    timed(wherry, [
      ...[
        "rebase",
        `${proxy.host}/${name}`,
        "--publish",
        "--force",
        "--run-image",
        `${run}:${tag}`,
      ],
      "-q",
    ], home);
  const rows: [string, () => Promise<number>][] = [];
  let at = 0;
  rows.push(["cold", async () => {
    const home = await Deno.makeTempDir({ prefix: "wherry-latency-" });
    const ms = await rebase(home, `cold${at++}:1`, "2");
    await Deno.remove(home, { recursive: true });
    return ms;
  }]);
  const home = await Deno.makeTempDir({ prefix: "wherry-latency-" });
  rows.push(["another image of the repository", async () => {
    await rebase(home, `warm${at}:1`, "2");
    proxy.take();
    return await rebase(home, `warm${at++}:2`, "2");
  }]);
  rows.push(["the same image, a base that is known", async () => {
    await rebase(home, `warm${at}:1`, "3");
    await rebase(home, `warm${at}:1`, "2");
    proxy.take();
    return await rebase(home, `warm${at++}:1`, "3");
  }]);
  for (const [name, act] of rows) {
    at = 0;
    const ms = await best(() => {
      proxy.take();
      return act();
    });
    tell(`${what}, ${name}`, ms, proxy);
  }
  await Deno.remove(home, { recursive: true });
}

function tell(what: string, ms: number, proxy: DelayProxy): void {
  const { requests, depth } = proxy.take();
  console.log(
    `  ${what.padEnd(58)} ${
      ms.toFixed(0).padStart(5)
    } ms  ${requests.length} requests, ${depth} in a row`,
  );
  if (Deno.env.has("VERBOSE")) console.log(requests.map((one) => `      ${one}`).join("\n"));
}

async function timed(wherry: string, args: readonly string[], home: string): Promise<number> {
  const start = performance.now();
  const { success, stderr } = await new Deno.Command(wherry, {
    args: [...args],
    env: { HOME: home, PATH: "/usr/bin:/bin" },
    clearEnv: true,
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  const ms = performance.now() - start;
  if (!success) throw new Error(`Cannot measure wherry: ${new TextDecoder().decode(stderr)}`);
  return ms;
}

if (import.meta.main) await benchLatency(Deno.args[0] ?? "dist/wherry");
