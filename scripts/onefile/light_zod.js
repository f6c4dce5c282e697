// What the executable has for zod while documents are as usual: the same answer for what a schema takes, in a hundredth of the
// code. What is not taken at once, or not known here, is left to zod, which alone has words for what is wrong. Part of the
// stand-in of lazy_zod.ts.

/** Instead of a value: zod has to judge. */
export const REFUSED = Symbol("refused");

/**
 * A schema as it is known here. `run` gives what zod would, or REFUSED. `exact`: what it refuses, zod refuses. `absent` and
 * `omitted` are zod's `optin` and `optout`: whether a key may be missing, and whether nothing comes of it then.
 */
const simple = (accepts, more) => ({
  run: (value) => accepts(value) ? value : REFUSED,
  exact: true,
  ...more,
});

const isTable = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

function isPlain(value) {
  if (!isTable(value) || Object.hasOwn(value, "__proto__")) return false;
  const proto = Object.getPrototypeOf(value);
  return proto === Object.prototype || proto === null;
}

function copyOf(value) {
  if (typeof value === "function") return value();
  return Array.isArray(value) ? [...value] : isPlain(value) ? { ...value } : value;
}

function object(shape, others) {
  const fields = Object.entries(shape).map(([key, schema]) => [key, checkOf(schema)]);
  if (fields.some(([key, check]) => check === undefined || key === "__proto__")) return undefined;
  const known = new Set(Object.keys(shape));
  const run = (value) => {
    if (!isPlain(value)) return REFUSED;
    const out = {};
    for (const [key, check] of fields) {
      const there = Object.hasOwn(value, key);
      if (!there) {
        if (key in value || check.absent === undefined) return REFUSED;
        if (check.absent === "optional" && check.omitted) continue;
      }
      const made = check.run(value[key]);
      if (made === REFUSED) return REFUSED;
      if (made !== undefined || there || (check.absent === "defaulted" && !check.omitted)) {
        out[key] = made;
      }
    }
    if (others === "dropped") return out;
    for (const key of Object.keys(value)) {
      if (known.has(key)) continue;
      if (others === "refused") return REFUSED;
      out[key] = value[key];
    }
    return out;
  };
  return { run, object: { shape, others } };
}

/** What the makers of schemas make, by name; undefined for what is not known here. */
const MAKERS = {
  string: () => simple((value) => typeof value === "string", { sized: true, text: true }),
  boolean: () => simple((value) => typeof value === "boolean"),
  bigint: () => simple((value) => typeof value === "bigint"),
  number: () => simple((value) => Number.isFinite(value), { number: true }),
  int: () => simple((value) => Number.isSafeInteger(value), { number: true }),
  unknown: () => simple(() => true),
  literal: (wanted) => {
    const all = Array.isArray(wanted) ? wanted : [wanted];
    return simple((value) => all.includes(value));
  },
  enum: (words) =>
    Array.isArray(words)
      ? simple((value) => typeof value === "string" && words.includes(value))
      : undefined,
  custom: (test) => test?.length <= 1 ? simple((value) => Boolean(test(value))) : undefined,
  object: (shape = {}) => object(shape, "dropped"),
  strictObject: (shape) => object(shape, "refused"),
  looseObject: (shape) => object(shape, "kept"),
  array: (schema) => {
    const check = checkOf(schema);
    return check && {
      run: (value) => {
        if (!Array.isArray(value)) return REFUSED;
        const out = value.map(check.run);
        return out.includes(REFUSED) ? REFUSED : out;
      },
      exact: check.exact,
      sized: true,
    };
  },
  record: (names, schema) => {
    const key = checkOf(names);
    const check = schema && checkOf(schema);
    return check && key?.text && {
      run: (value) => {
        if (!isPlain(value)) return REFUSED;
        const out = {};
        for (const name of Object.keys(value)) {
          const made = key.run(name) === REFUSED ? REFUSED : check.run(value[name]);
          if (made === REFUSED) return REFUSED;
          out[name] = made;
        }
        return out;
      },
    };
  },
  union: (schemas) => {
    const checks = schemas.map(checkOf);
    if (checks.includes(undefined)) return undefined;
    return {
      run: (value) => {
        for (const { run, exact } of checks) {
          const made = run(value);
          if (made !== REFUSED || !exact) return made;
        }
        return REFUSED;
      },
      exact: checks.every(({ exact }) => exact),
    };
  },
  preprocess: (act, schema) => {
    const check = act.length > 1 ? undefined : checkOf(schema);
    return check && {
      run: (value) => check.run(act(value)),
      exact: check.exact,
      absent: "optional",
      omitted: check.omitted,
    };
  },
  lazy: (getter) => {
    let found;
    const check = () => found ??= checkOf(getter()) ?? { run: () => REFUSED };
    return {
      run: (value) => check().run(value),
      get absent() {
        return check().absent;
      },
      get omitted() {
        return check().omitted;
      },
    };
  },
};

const changed = (check, run, more) => ({ run, exact: check.exact, ...more });

const sized = (isGood) => (check, limit) =>
  check.sized || check.number
    ? narrowed(check, (made) => isGood(check.sized ? made.length : made, limit))
    : undefined;

/** As `check`, for less. */
function narrowed(check, isGood) {
  const run = (value) => {
    const made = check.run(value);
    return made !== REFUSED && isGood(made) ? made : REFUSED;
  };
  const { absent, omitted, sized, text, number } = check;
  return changed(check, run, { absent, omitted, sized, text, number });
}

/** What the methods of schemas make of one. */
const METHODS = {
  optional: (check) => {
    const absent = check.absent === "defaulted" ? "defaulted" : "optional";
    const run = (value) =>
      value === undefined && check.absent !== "defaulted" ? undefined : check.run(value);
    return changed(check, run, { absent, omitted: true });
  },
  nullable: (check) => {
    const { absent, omitted } = check;
    return changed(check, (value) => value === null ? null : check.run(value), { absent, omitted });
  },
  nullish: (check) => METHODS.optional(METHODS.nullable(check)),
  default: (check, other) => {
    const run = (value) => {
      const made = value === undefined ? undefined : check.run(value);
      return made === undefined ? copyOf(other) : made;
    };
    return changed(check, run, { absent: "defaulted" });
  },
  prefault: (check, other) =>
    changed(check, (value) => check.run(value === undefined ? copyOf(other) : value), {
      absent: "defaulted",
    }),
  transform: (check, act) => {
    const run = (value) => {
      const made = check.run(value);
      if (made === REFUSED) return REFUSED;
      const issues = [];
      const out = act(made, { value: made, issues, addIssue: (issue) => issues.push(issue) });
      return issues.length > 0 ? REFUSED : out;
    };
    return changed(check, run, { absent: check.absent });
  },
  refine: (check, test) => test.length <= 1 ? narrowed(check, test) : undefined,
  regex: (check, pattern) =>
    check.text && !pattern.global && !pattern.sticky
      ? narrowed(check, (text) => pattern.test(text))
      : undefined,
  int: (check) => check.number ? narrowed(check, Number.isSafeInteger) : undefined,
  positive: (check) => check.number ? narrowed(check, (value) => value > 0) : undefined,
  nonnegative: (check) => check.number ? narrowed(check, (value) => value >= 0) : undefined,
  min: sized((size, limit) => size >= limit),
  max: sized((size, limit) => size <= limit),
  length: (check, wanted) =>
    check.sized ? narrowed(check, ({ length }) => length === wanted) : undefined,
  nonempty: (check) => check.sized ? narrowed(check, ({ length }) => length > 0) : undefined,
  array: (_, schema) => MAKERS.array(schema),
  strict: (check) => check.object && object(check.object.shape, "refused"),
  loose: (check) => check.object && object(check.object.shape, "kept"),
  extend: (check, more) =>
    check.object && object({ ...check.object.shape, ...more }, check.object.others),
};

const checks = new WeakMap();

/** What is known here of a stand-in for a schema. */
function checkOf(schema) {
  return checks.get(schema)?.();
}

/** Notes what is known of `schema`, when somebody asks. */
function note(schema, find) {
  let found;
  let asked = false;
  checks.set(schema, () => {
    if (!asked) found = find();
    asked = true;
    return found;
  });
}

/** For the stand-in of `z.<name>(...args)`. */
export const noteMade = (schema, name, args) => note(schema, () => MAKERS[name]?.(...args));

/** For the stand-in of `before.<name>(...args)`. */
export const noteChained = (schema, before, name, args) =>
  note(schema, () => {
    const check = checkOf(before);
    if (check === undefined || !Object.hasOwn(METHODS, name)) return undefined;
    return METHODS[name](check, ...(name === "array" ? [before] : args));
  });

/** What `schema` makes of `value`, or REFUSED. */
export function take(schema, value) {
  const check = checkOf(schema);
  return check === undefined ? REFUSED : check.run(value);
}
