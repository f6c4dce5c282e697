/** The policy file: which users may do what in which repositories. */
import { parse } from "smol-toml";
import { z } from "zod";
import { type Action, ACTIONS } from "./access.ts";
import { lineOf, type Path } from "../../toml_line.ts";
import { formatPath, keysAt, tellUnknownKey } from "../../unknown_key.ts";
import { parsePattern, type Pattern } from "./pattern.ts";

/** Rights by rules. What no rule allows is refused. */
export interface Policy {
  /** Whether `user` (`undefined`: somebody unknown) may do `action` in `repository`. */
  allows(user: string | undefined, repository: string, action: Action): boolean;
  /** Whether `user` may do `action` in every repository: then none needs to be looked at. */
  allowsEverywhere(user: string | undefined, action: Action): boolean;
  /** Whether there may be a repository in which `user` may do `action`. */
  allowsSomewhere(user: string | undefined, action: Action): boolean;
}

/** Everybody who proved who they are may do all, others nothing: what holds without a policy file. */
export const USERS_MAY_ALL: Policy = {
  allows: (user) => user !== undefined,
  allowsEverywhere: (user) => user !== undefined,
  allowsSomewhere: (user) => user !== undefined,
};

const words = z.array(z.string().min(1));
const ruleSchema = z.strictObject({
  repositories: words.min(1),
  actions: z.array(z.enum(["read", "create", "update", "delete", "*"])).min(1),
  users: words.default([]),
  groups: words.default([]),
  anonymous: z.boolean().default(false),
});
const policySchema = z.strictObject({
  groups: z.record(z.string(), words).default({}),
  rule: z.array(ruleSchema).default([]),
});

/**
 * Reads a policy. Rules add up: a request is allowed when any rule allows it.
 *
 * ```toml
 * [groups]
 * operators = ["carol"]
 *
 * [[rule]]                      # everybody may pull, logged in or not
 * repositories = ["**"]         # * is one part of a name or less, ** any number of parts
 * anonymous = true
 * actions = ["read"]
 *
 * [[rule]]
 * repositories = ["team/**"]
 * users = ["alice"]             # "*" is everybody who is logged in
 * groups = ["operators"]
 * actions = ["read", "create", "update"]   # or "delete", or "*"
 * ```
 *
 * @param file For messages.
 * @throws {SyntaxError} Naming the file, the line and the key, when it is not such a document.
 */
export function parsePolicy(text: string, file: string): Policy {
  const failAt = (path: Path, why: string, cause?: unknown) => {
    const line = lineOf(text, [...path, 0]);
    const where = line === undefined ? file : `${file}:${line}`;
    return new SyntaxError(`Cannot read policy ${where}: ${why}`, { cause });
  };
  const fail = (path: Path, why: string, cause?: unknown) =>
    failAt(path, path.length === 0 ? why : `${formatPath(path)} ${why}`, cause);
  let fields: unknown;
  try {
    fields = parse(text);
  } catch (cause) {
    // The library's message goes on with a picture of the text over several lines.
    const { line, message } = cause as { readonly line?: number; readonly message: string };
    const why = message.split("\n")[0]!.replace(/^Invalid TOML document: /, "");
    throw new SyntaxError(`Cannot read policy ${file}:${line ?? "?"}: ${why}`, { cause });
  }
  const read = policySchema.safeParse(fields);
  if (!read.success) {
    const issue = read.error.issues[0]!;
    const unknown = issue.code === "unrecognized_keys" ? issue.keys.slice(0, 1) : [];
    const path = [...issue.path, ...unknown].map((step) =>
      typeof step === "number" ? step : String(step)
    );
    throw unknown.length > 0
      ? failAt(path, tellUnknownKey(path, keysAt(policySchema, issue.path as Path)), read.error)
      : fail(path, `cannot be that: ${issue.message}`, read.error);
  }
  const { groups, rule } = read.data;
  return new Rules(rule.map((one, at) => {
    const unknown = one.groups.find((group) => !Object.hasOwn(groups, group));
    if (unknown !== undefined) {
      throw fail(
        ["rule", at, "groups"],
        `names ${JSON.stringify(unknown)}: there is no such group`,
      );
    }
    if (one.users.length === 0 && one.groups.length === 0 && !one.anonymous) {
      throw fail(["rule", at], "is for nobody: want users, groups or anonymous = true");
    }
    const users = new Set([...one.users, ...one.groups.flatMap((group) => groups[group] ?? [])]);
    return {
      repositories: one.repositories.map((pattern) => {
        try {
          return parsePattern(pattern);
        } catch (cause) {
          throw fail(
            ["rule", at, "repositories"],
            `cannot be used: ${(cause as Error).message}`,
            cause,
          );
        }
      }),
      everywhere: one.repositories.includes("**"),
      actions: new Set(one.actions.flatMap((word) => word === "*" ? ACTIONS : [word])),
      users,
      anyUser: users.has("*"),
      anonymous: one.anonymous,
    };
  }));
}

interface Rule {
  readonly repositories: readonly Pattern[];
  readonly everywhere: boolean;
  readonly actions: ReadonlySet<Action>;
  readonly users: ReadonlySet<string>;
  readonly anyUser: boolean;
  readonly anonymous: boolean;
}

class Rules implements Policy {
  readonly #rules: readonly Rule[];

  constructor(rules: readonly Rule[]) {
    this.#rules = rules;
  }

  allows(user: string | undefined, repository: string, action: Action): boolean {
    return this.#rules.some((rule) =>
      rule.actions.has(action) && isFor(rule, user) &&
      rule.repositories.some((pattern) => pattern(repository))
    );
  }

  allowsEverywhere(user: string | undefined, action: Action): boolean {
    return this.#rules.some((rule) =>
      rule.everywhere && rule.actions.has(action) && isFor(rule, user)
    );
  }

  allowsSomewhere(user: string | undefined, action: Action): boolean {
    return this.#rules.some((rule) => rule.actions.has(action) && isFor(rule, user));
  }
}

/** What is given to somebody unknown is given to everybody: logging in takes nothing away. */
function isFor(rule: Rule, user: string | undefined): boolean {
  return rule.anonymous || (user !== undefined && (rule.anyUser || rule.users.has(user)));
}
