import assert from "node:assert/strict";
import { stop, transform } from "esbuild";
import * as zod from "zod";
import { standIn } from "./lazy_zod.ts";

/** The stand-in as the executable has it, and how often it asked for zod. */
async function loaded(): Promise<{ readonly z: typeof zod; readonly asked: () => number }> {
  const { code } = await transform(standIn(zod), { format: "cjs" });
  await stop();
  let asked = 0;
  const module = { exports: {} };
  const require = () => (asked++, zod);
  (0, eval)(`(function (require, module, exports) {${code}})`)(require, module, module.exports);
  return { z: module.exports as typeof zod, asked: () => asked };
}

Deno.test({
  name: "zod is loaded when the first document is read, and says the same as ever",
  sanitizeOps: false,
  sanitizeResources: false, // esbuild keeps its service process
  fn: async () => {
    const { z: lazy, asked } = await loaded();
    const make = (z: typeof zod) => {
      const name = z.string().refine((text) => text !== "no", { message: "not that" });
      const part: zod.ZodType = z.lazy(() =>
        z.looseObject({ name, parts: z.array(part).nullish().transform((all) => all ?? []) })
      );
      return {
        part,
        kinds: z.union([z.literal("a"), z.enum(["b", "c"])]),
        strict: z.strictObject({ size: z.int().nonnegative().default(7), part: part.optional() }),
        more: z.object({ a: z.boolean() }).extend({ b: z.record(z.string(), name) }),
        text: z.preprocess((value) => String(value), z.string().min(2)),
        own: z.custom<number>((value) => typeof value === "number"),
        never: z.string().transform((_, ctx) => {
          ctx.issues.push({ code: "custom", message: "never", input: _ });
          return z.NEVER;
        }),
      };
    };
    const ours = make(lazy);
    const theirs = make(zod);
    assert.equal(asked(), 0);
    const values = [
      undefined,
      null,
      "a",
      "c",
      "no",
      3,
      { name: "x", parts: [{ name: "no" }] },
      { name: "x", parts: null, other: 1 },
      { size: -1 },
      { part: { name: "y" } },
      { a: true, b: { k: "v" } },
      { a: true, b: { k: "no" }, c: 1 },
    ];
    for (const [key, schema] of Object.entries(theirs)) {
      for (const value of values) {
        const want = schema.safeParse(value);
        const got = ours[key as keyof typeof ours].safeParse(value);
        assert.deepEqual(got.data, want.data, key);
        assert.deepEqual(got.error?.issues, want.error?.issues, key);
      }
    }
    assert.equal(asked(), 1);
  },
});
