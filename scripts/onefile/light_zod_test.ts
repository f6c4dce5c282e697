import assert from "node:assert/strict";
import { stop, transform } from "esbuild";
import * as zod from "zod";
import { standIn } from "./lazy_zod.ts";

type Z = typeof zod;
type Schema = zod.ZodType;

/** Numbers that are the same each time. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor(state / 2 ** 32 * below);
  };
}

/** A schema grown from `next`: the same for both `z` when both have the same numbers. */
function grow(z: Z, next: (below: number) => number, depth: number): Schema {
  const inner = () => grow(z, next, depth - 1);
  const fields = (): Record<string, Schema> =>
    Object.fromEntries(KEYS.slice(0, 1 + next(3)).map((key) => [key, inner()]));
  const leaves: readonly (() => Schema)[] = [
    () => z.string(),
    () => z.string().min(1),
    () => z.string().regex(/^a/),
    () => z.boolean(),
    () => z.number().int(),
    () => z.int().nonnegative(),
    () => z.literal("a"),
    () => z.enum(["a", "b"]),
    () => z.unknown(),
    () => z.bigint(),
    () => z.custom<number>((value) => typeof value === "number"),
    () => z.preprocess((value) => value ?? "a", z.string()),
    () => z.string().catch("caught"),
    () =>
      z.string().transform((text, ctx) => {
        if (text === "a") ctx.issues.push({ code: "custom", message: "not a", input: text });
        return text;
      }),
  ];
  const branches: readonly (() => Schema)[] = [
    () => z.object(fields()),
    () => z.strictObject(fields()),
    () => z.looseObject(fields()),
    () => z.object(fields()).extend(fields()),
    () => z.object(fields()).strict(),
    () => z.array(inner()),
    () => inner().array(),
    () => z.record(z.string(), inner()),
    () => z.union([inner(), inner()]),
    () => z.lazy(inner),
    () => inner().optional(),
    () => inner().nullable(),
    () => inner().nullish(),
    () => (inner() as zod.ZodString).default(VALUES[next(VALUES.length)] as string),
    () => (inner() as zod.ZodString).prefault(VALUES[next(VALUES.length)] as string),
    () => inner().transform((value) => [value]),
    () => inner().refine((value) => value !== null),
    () => inner().readonly(),
  ];
  const list = depth > 0 && next(4) > 0 ? branches : leaves;
  return list[next(list.length)]!();
}

const KEYS = ["a", "b", "toString"];
const VALUES: readonly unknown[] = [
  ...[undefined, null, "", "a", "b", true, 0, -1, 1.5, NaN, 7n, [], {}, ["a"], [1], new Date(0)],
  ...[{ a: "a" }, { a: undefined }, { a: 1, b: "a" }, { b: null, c: 1 }, { a: [], b: {} }],
  ...[JSON.parse('{"__proto__":{"a":1},"a":"a"}'), Object.assign(Object.create(null), { a: "a" })],
  ...[{ a: { a: "a" }, b: [{ a: "b" }] }, [{ a: "a" }, {}], { toString: "a" }],
];

Deno.test({
  name: "what is judged without zod is what zod makes of it, for any schema and value",
  sanitizeOps: false,
  sanitizeResources: false, // esbuild keeps its service process
  fn: async () => {
    const { code } = await transform(standIn(zod), { format: "cjs" });
    await stop();
    let without = 0;
    for (let seed = 1; seed <= 250; seed++) {
      let asked = false;
      const module = { exports: {} };
      const require = () => {
        asked = true;
        return zod;
      };
      (0, eval)(`(function (require, module, exports) {${code}})`)(require, module, module.exports);
      // A lazy part is grown when it is asked for, and only one of the two may be asked: it has numbers of its own.
      const grown = (z: Z) => {
        const lazy = z.lazy;
        let parts = 0;
        const own = {
          ...z,
          lazy: () => {
            const part = seed * 100 + parts++;
            return lazy(() => grow({ ...z, lazy: z.lazy }, numbers(part), 0));
          },
        } as Z;
        return grow(own, numbers(seed), 3);
      };
      const theirs = grown(zod);
      const ours = grown(module.exports as Z);
      for (const value of VALUES) {
        asked = false;
        const want = theirs.safeParse(value);
        const got = ours.safeParse(value);
        assert.deepEqual(got.data, want.data, `seed ${seed}`);
        assert.deepEqual(got.error?.issues, want.error?.issues, `seed ${seed}`);
        if (want.success && !asked) without++;
      }
    }
    assert(without > 400, `${without} judged without zod`);
  },
});
