/** How a key that means nothing is told, in whatever file it stands: with the one that was meant, else all there are. */
import type { z } from "zod";
import { nearestWord } from "./nearest_word.ts";
import type { Path } from "./toml_line.ts";

/** `unknown key a.b, want c`: what comes near the last word of `path`, else all of `known`. */
export function tellUnknownKey(path: Path, known: readonly string[]): string {
  const want = nearestWord(String(path.at(-1)), known) ?? listOf(known);
  return `unknown key ${formatPath(path)}, want ${want}`;
}

/** The keys that `schema` knows in the table at `path`; none where it knows no table. */
export function keysAt(schema: z.core.$ZodType, path: Path): readonly string[] {
  let here = schema;
  let at = 0;
  for (;;) {
    const { def } = here._zod as { readonly def: Partial<Definition> };
    const inner = def.getter?.() ?? def.innerType ??
      (def.in?._zod.def.type === "transform" ? def.out : def.in);
    if (inner !== undefined) {
      here = inner;
      continue;
    }
    if (at === path.length) return Object.keys(def.shape ?? {});
    const next = def.element ?? def.shape?.[String(path[at])];
    if (next === undefined) return [];
    here = next;
    at++;
  }
}

/** What a schema may be made of. */
interface Definition {
  readonly getter: () => z.core.$ZodType;
  readonly innerType: z.core.$ZodType;
  readonly in: z.core.$ZodType;
  readonly out: z.core.$ZodType;
  readonly element: z.core.$ZodType;
  readonly shape: Readonly<Record<string, z.core.$ZodType>>;
}

/** A path for people: `order[0].group[1].id`. */
export function formatPath(path: Path): string {
  let out = "";
  for (const step of path) {
    if (typeof step === "number") out += `[${step}]`;
    else out += (out === "" ? "" : ".") + (/^[\w-]+$/.test(step) ? step : JSON.stringify(step));
  }
  return out;
}

function listOf(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;
}
