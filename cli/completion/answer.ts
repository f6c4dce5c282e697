/** `wherry completion words`: what shells ask at each tab. */
import { displayName } from "../../registry/store/name.ts";
import type { Io } from "../io.ts";
import { hasStore } from "../open_image.ts";
import { commandTree } from "../run.ts";
import { Session } from "../session.ts";
import { candidatesFor } from "./candidates.ts";

/** A store may hold more names than anybody reads. */
const MAX_NAMES = 200;

/** Writes the candidates for the last of `words`, one a line. */
export async function answerWords(io: Io, words: readonly string[]): Promise<void> {
  const current = words.at(-1) ?? "";
  const found = candidatesFor(await commandTree(io, words.slice(0, -1)), words);
  const lines = found.words.filter(({ word }) => word.startsWith(current))
    .map(({ word, about }) => `${word}\t${about}\n`);
  if (found.images) {
    for await (const name of namesOf(io, current)) {
      lines.push(`${name}\timage\n`);
    }
  }
  io.stdout.write(lines.join("") + (found.files ? ":\n" : ""));
}

/** Images of the store whose name begins so. Where there is no store, or it cannot be read, there are none. */
async function* namesOf(io: Io, prefix: string): AsyncGenerator<string> {
  let count = 0;
  try {
    await using session = new Session(io, {});
    if (!await hasStore(session)) return;
    const store = await session.store();
    for await (const repository of store.repositories()) {
      const name = displayName(repository);
      if (!name.startsWith(prefix) && !prefix.startsWith(name)) continue;
      for await (const tag of store.tags(repository)) {
        const whole = tag === "latest" ? name : `${name}:${tag}`;
        if (whole.startsWith(prefix)) yield whole;
        if (++count >= MAX_NAMES) return;
      }
    }
  } catch {
    // a tab has nowhere to put an error
  }
}
