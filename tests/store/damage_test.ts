/** Bits flip and files end early: an answer is right, or there is a clear error, and a check tells (ST-05, ST-09). */
import { deepEqual, equal, ok } from "node:assert/strict";
import { join } from "node:path";
import { isOciError } from "../../registry/oci/error.ts";
import { pushSampleImage } from "../../registry/registry_suite_testing.ts";
import { checkStore } from "../../registry/store/fsck.ts";
import { openStore } from "../../registry/store/store.ts";
import { tempDir } from "../../registry/temp_testing.ts";
import { copyTree } from "./fault_acts_testing.ts";

const ROUNDS = Deno.env.get("WHERRY_FAULTS") === "all" ? 2000 : 60;
const TAGS = ["a", "b", "c", "moving"];
type Answers = Readonly<Record<string, string>>;

/** What the store says of every tag, by its own list and one by one; an error is `error`. */
async function ask(
  dir: string,
): Promise<{ answers: Answers; listed: readonly string[] | "error" }> {
  const answers: Record<string, string> = {};
  try {
    await using store = await openStore(dir);
    for (const tag of TAGS) {
      answers[tag] = await store.manifest("app", tag).then(
        (raw) => raw?.digest ?? "nothing",
        clear,
      );
    }
    const listed = await Array.fromAsync(store.tags("app")).catch(clear);
    return { answers, listed: listed as readonly string[] | "error" };
  } catch (error) {
    clear(error);
    return { answers: Object.fromEntries(TAGS.map((tag) => [tag, "error"])), listed: "error" };
  }
}

function clear(error: unknown): "error" {
  ok(isOciError(error), `no clear error: ${error}`);
  return "error";
}

async function faults(dir: string): Promise<number> {
  try {
    return (await checkStore(dir)).faults;
  } catch (error) {
    clear(error);
    return 1;
  }
}

/** A store with a log of its own, as a killed process leaves it, and each state it went through. */
async function make(dir: string): Promise<Answers[]> {
  const states: Answers[] = [];
  const store = await openStore(join(dir, "live"));
  const now: Record<string, string> = Object.fromEntries(TAGS.map((tag) => [tag, "nothing"]));
  states.push({ ...now });
  for (let turn = 0; turn < 12; turn++) {
    const tags = [TAGS[turn % 3]!, "moving"];
    const size = turn % 4 === 0 ? 80_000 : 500;
    const { digest } = await pushSampleImage(store, "app", { seed: turn + 1, size, tags });
    for (const tag of tags) now[tag] = digest;
    states.push({ ...now });
  }
  await copyTree(join(dir, "live"), join(dir, "killed"));
  await store[Symbol.asyncDispose]();
  return states;
}

function random(seed: number): (below: number) => number {
  let state = seed * 2654435761 >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
}

/** Flips a bit, or cuts the end off; says which. */
async function damage(path: string, next: (below: number) => number): Promise<string> {
  const bytes = await Deno.readFile(path);
  if (next(4) === 0) {
    const size = next(bytes.length);
    await Deno.truncate(path, size);
    return `cut to ${size}`;
  }
  const at = next(bytes.length);
  bytes[at]! ^= 1 << next(8);
  await Deno.writeFile(path, bytes);
  return `bit in byte ${at} flipped`;
}

Deno.test("store: ST-05 a damaged log loses its end and nothing else", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  const states = (await make(dir)).map((state) => JSON.stringify(state));
  for (let round = 0; round < ROUNDS; round++) {
    const path = join(dir, `wal-${round}`);
    await copyTree(join(dir, "killed"), path);
    await Deno.remove(join(path, "metadata.db-shm")).catch(() => {});
    const what = await damage(join(path, "metadata.db-wal"), random(round + 1));
    const { answers } = await ask(path);
    const error = Object.values(answers).every((answer) => answer === "error");
    ok(error || states.includes(JSON.stringify(answers)), `${what}: ${JSON.stringify(answers)}`);
    if (!error) equal(await faults(path), 0, what);
    await Deno.remove(path, { recursive: true });
  }
});

Deno.test("store: ST-05 ST-09 damaged metadata never names another image, and a check tells", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  const right = (await make(dir)).at(-1)!;
  let wrong = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const path = join(dir, `db-${round}`);
    await copyTree(join(dir, "live"), path);
    const what = await damage(join(path, "metadata.db"), random(round + 5000));
    const { answers, listed } = await ask(path);
    for (const [tag, answer] of Object.entries(answers)) {
      ok(["error", "nothing", right[tag]].includes(answer), `${what}: ${tag} is ${answer}`);
    }
    if (listed !== "error") ok(listed.every((tag) => TAGS.includes(tag)), `${what}: ${listed}`);
    const sound = JSON.stringify(answers) === JSON.stringify(right) && listed.length === 4;
    if (!sound) {
      wrong++;
      ok(await faults(path) > 0, `${what}: ${JSON.stringify(answers)} and no finding`);
    }
    await Deno.remove(path, { recursive: true });
  }
  ok(wrong > 0, "no damage was felt at all");
  deepEqual((await ask(join(dir, "live"))).answers, right);
});

/** A page that is noise, empty, another's, or partly so; noise in the middle; bits here and there. */
async function ruin(path: string, next: (below: number) => number): Promise<string> {
  const bytes = await Deno.readFile(path);
  const page = 4096 * next(bytes.length / 4096);
  const way = next(6);
  switch (way) {
    case 0:
      bytes.fill(0, page, page + 512 * (1 + next(8)));
      break;
    case 1:
      for (let at = page; at < page + 4096; at++) bytes[at] = next(256);
      break;
    case 2:
      bytes.copyWithin(page, 4096 * next(bytes.length / 4096), 4096);
      break;
    case 3: {
      const start = page + next(4096);
      for (let at = start; at < Math.min(bytes.length, start + 200); at++) bytes[at] = next(256);
      break;
    }
    default:
      for (let left = 4; left > 0; left--) bytes[next(bytes.length)]! ^= 1 << next(8);
  }
  await Deno.writeFile(path, bytes);
  return `way ${way} on page ${page / 4096 + 1}`;
}

Deno.test("store: ST-09 a repair that says all is well left nothing for the next check, and lost no tag", async () => {
  await using temp = await tempDir();
  const dir = temp.path;
  const right = (await make(dir)).at(-1)!;
  let clean = 0;
  for (let round = 0; round < ROUNDS / 2; round++) {
    const path = join(dir, `repair-${round}`);
    await copyTree(join(dir, "live"), path);
    const next = random(round + 9000);
    for (let skip = 0; skip < 3; skip++) next(2);
    const what = `round ${round}: ${await ruin(join(path, "metadata.db"), next)}`;
    const left = (await checkStore(path, { repair: true })).faults;
    const { faults } = await checkStore(path);
    const { answers } = await ask(path);
    if (left === 0) {
      clean++;
      equal(faults, 0, what);
      deepEqual(answers, right, what);
    }
    for (const [tag, answer] of Object.entries(answers)) {
      ok(["error", "nothing", right[tag]].includes(answer), `${what}: ${tag} is ${answer}`);
    }
    await Deno.remove(path, { recursive: true });
  }
  ok(clean * 6 > ROUNDS, `only ${clean} of ${ROUNDS / 2} were put right`);
});
