import { deepEqual, equal, throws } from "node:assert/strict";
import { formatPath } from "../request.ts";
import { type Action, needOf, parseScope, scopeOf } from "./access.ts";
import { grant } from "./authority.ts";
import { parsePattern } from "./pattern.ts";
import { parsePolicy, USERS_MAY_ALL } from "./policy.ts";

const PATTERNS: readonly (readonly [string, string, boolean])[] = [
  ["**", "a", true],
  ["**", "a/b/c", true],
  ["*", "a", true],
  ["*", "a/b", false],
  ["team/*", "team/app", true],
  ["team/*", "team", false],
  ["team/*", "team/app/web", false],
  ["team/**", "team", true],
  ["team/**", "team/app/web", true],
  ["team/**", "teams/app", false],
  ["**/app", "app", true],
  ["**/app", "x/y/app", true],
  ["**/app", "x/app/y", false],
  ["a/**/b/**/c", "a/b/c", true],
  ["a/**/b/**/c", "a/x/b/b/y/c", true],
  ["a/**/b/**/c", "a/x/c", false],
  ["app-?", "app-1", true],
  ["app-[a-c]", "app-d", false],
];

for (const [pattern, name, wanted] of PATTERNS) {
  Deno.test(`S-AUTH pattern ${pattern} ${wanted ? "matches" : "does not match"} ${name}`, () => {
    equal(parsePattern(pattern)(name), wanted);
  });
}

Deno.test("S-AUTH patterns that cannot be meant are refused", () => {
  for (const pattern of ["", "/a", "a/", "a//b", "a**", "a/**b", "[a"]) {
    throws(() => parsePattern(pattern), SyntaxError, pattern);
  }
});

Deno.test("S-AUTH a pattern with many stars stays quick", () => {
  const pattern = parsePattern(Array(60).fill("**/a").join("/"));
  equal(pattern(Array(100).fill("a").join("/") + "/b"), false);
});

const POLICY = `
[groups]
operators = ["carol", "dave"]

[[rule]]
repositories = ["public/**"]
anonymous = true
actions = ["read"]

[[rule]]
repositories = ["team/**", "team-*"]
users = ["alice"]
groups = ["operators"]
actions = ["read", "create"]

[[rule]]
repositories = ["**"]
users = ["root"]
actions = ["*"]

[[rule]]
repositories = ["shared/*"]
users = ["*"]
actions = ["read", "update"]
`;

Deno.test("S-AUTH rules add up and what none allows is refused", () => {
  const policy = parsePolicy(POLICY, "policy.toml");
  const rows: readonly (readonly [string | undefined, string, Action, boolean])[] = [
    [undefined, "public/app", "read", true],
    [undefined, "public/app", "create", false],
    [undefined, "team/app", "read", false],
    [undefined, "shared/app", "read", false],
    ["alice", "public/app", "read", true],
    ["alice", "team/app", "create", true],
    ["alice", "team/app", "update", false],
    ["alice", "team/app", "delete", false],
    ["alice", "team-1", "read", true],
    ["alice", "other", "read", false],
    ["carol", "team/x", "create", true],
    ["dave", "team/x", "create", true],
    ["bob", "team/x", "create", false],
    ["bob", "shared/x", "update", true],
    ["bob", "shared/x", "create", false],
    ["root", "any/thing", "delete", true],
    ["*", "team/app", "read", false],
    ["operators", "team/app", "read", false],
  ];
  for (const [user, repository, action, wanted] of rows) {
    equal(policy.allows(user, repository, action), wanted, `${user} ${action} ${repository}`);
  }
  equal(policy.allowsEverywhere("root", "delete"), true);
  equal(policy.allowsEverywhere("alice", "read"), false);
  equal(policy.allowsEverywhere(undefined, "read"), false);
  equal(USERS_MAY_ALL.allows(undefined, "a", "read"), false);
  equal(USERS_MAY_ALL.allows("x", "a", "delete"), true);
});

Deno.test("S-AUTH a policy file that is wrong names the file, the line and the key", () => {
  const rows: readonly (readonly [string, RegExp])[] = [
    ["[[rule]\n", /policy\.toml:1: /],
    ["\nrules = 1", /policy\.toml:2: unknown key rules, want rule$/],
    [
      '[[rule]]\nrepositories = ["a"]\nactions = ["push"]\nanonymous = true',
      /policy\.toml:3: rule\[0\]\.actions\[0\] /,
    ],
    [
      '[[rule]]\nrepositories = ["a"]\nactions = ["read"]',
      /policy\.toml:1: rule\[0\] is for nobody/,
    ],
    [
      '[[rule]]\nrepositories = ["a"]\nactions = ["read"]\ngroups = ["constructor"]',
      /policy\.toml:4: rule\[0\]\.groups names "constructor": there is no such group/,
    ],
    [
      '[[rule]]\nrepositories = ["a//b"]\nactions = ["read"]\nanonymous = true',
      /policy\.toml:2: rule\[0\]\.repositories cannot be used: /,
    ],
    [
      '[[rule]]\nrepositories = ["a"]\nactions = ["read"]\nanonymous = true\nuser = "x"',
      /policy\.toml:5: unknown key rule\[0\]\.user, want users$/,
    ],
  ];
  for (const [text, message] of rows) {
    throws(() => parsePolicy(text, "policy.toml"), (error: Error) => {
      equal(error instanceof SyntaxError, true);
      equal(/^Cannot read policy /.test(error.message), true, error.message);
      equal(message.test(error.message), true, error.message);
      equal(error.message.includes("\n"), false);
      return true;
    });
  }
});

Deno.test("S-AUTH scopes are read as clients write them", () => {
  deepEqual(parseScope("repository:a/b:pull,push"), {
    type: "repository",
    name: "a/b",
    actions: ["pull", "push"],
  });
  deepEqual(parseScope("repository(plugin):a:pull"), {
    type: "repository",
    name: "a",
    actions: ["pull"],
  });
  deepEqual(parseScope("repository:host:5000/a:pull")?.name, "host:5000/a");
  deepEqual(parseScope("registry:catalog:*")?.actions, ["*"]);
  for (const bad of ["", "repository", "repository:a", "repository:a:", "repository::pull"]) {
    equal(parseScope(bad), undefined, bad);
  }
  equal(parseScope(`repository:${"a".repeat(2000)}:pull`), undefined);
});

Deno.test("S-AUTH a token gets what the policy allows of what was asked, no more", () => {
  const policy = parsePolicy(POLICY, "policy.toml");
  const ask = (user: string | undefined, ...scopes: readonly string[]) =>
    grant(user, scopes.flatMap((text) => parseScope(text) ?? []), policy)
      .map((one) => `${one.type}:${one.name}:${one.actions.join(",")}`);
  deepEqual(ask(undefined, "repository:public/a:pull,push"), ["repository:public/a:pull"]);
  deepEqual(ask(undefined, "repository:team/a:pull,push"), []);
  deepEqual(ask("alice", "repository:team/a:pull,push", "repository:other:pull"), [
    "repository:team/a:pull,create",
  ]);
  deepEqual(ask("bob", "repository:shared/a:push"), ["repository:shared/a:update"]);
  deepEqual(ask("root", "repository:x:*", "registry:catalog:*", "plugin:x:pull"), [
    "repository:x:pull,push,delete",
    "registry:catalog:*",
  ]);
});

Deno.test("S-AUTH every kind of request says what it needs", () => {
  const digest = `sha256:${"a".repeat(64)}` as never;
  const rows = [
    [{ kind: "ping" }, undefined],
    [{ kind: "catalog" }, "registry:catalog:*"],
    [{ kind: "tags", repository: "a" }, "repository:a:pull"],
    [{ kind: "getManifest", repository: "a", reference: "x" }, "repository:a:pull"],
    [{ kind: "getBlob", repository: "a", digest }, "repository:a:pull"],
    [{ kind: "referrers", repository: "a", digest }, "repository:a:pull"],
    [{ kind: "startUpload", repository: "a" }, "repository:a:pull,push"],
    [{ kind: "uploadStatus", repository: "a", id: "1" }, "repository:a:pull,push"],
    [{ kind: "patchUpload", repository: "a", id: "1" }, "repository:a:pull,push"],
    [{ kind: "putUpload", repository: "a", id: "1", digest }, "repository:a:pull,push"],
    [{ kind: "cancelUpload", repository: "a", id: "1" }, "repository:a:pull,push"],
    [{ kind: "putManifest", repository: "a", reference: "x", tags: [] }, "repository:a:pull,push"],
    [{ kind: "deleteManifest", repository: "a", reference: "x" }, "repository:a:delete"],
    [{ kind: "deleteBlob", repository: "a", digest }, "repository:a:delete"],
  ] as const;
  for (const [request, scope] of rows) {
    equal(scopeOf(needOf(request)), scope, formatPath(request));
  }
});
