/** Who may do what on a server: one question for each request, before any handler sees it. */
import { OciError } from "../../oci/error.ts";
import type { HeaderView } from "../http/message.ts";
import type { ApiRequest } from "../request.ts";
import type { Peer } from "../server.ts";
import {
  type Action,
  hasCatalog,
  isInScope,
  type Need,
  needOf,
  type ScopedAccess,
  scopeOf,
  type Subject,
} from "./access.ts";
import { type Logins, readBasic } from "./login.ts";
import { type Policy, USERS_MAY_ALL } from "./policy.ts";
import type { Tokens } from "./token.ts";

/** What an authority knows of the world. */
export interface AuthorityOptions {
  /** Users with passwords. */
  readonly logins?: Logins | undefined;
  /** Bearer tokens. */
  readonly tokens?: Tokens | undefined;
  /** Address of the token server that challenges name; without one they ask for a password. */
  readonly realm?: string | undefined;
  /** The rights now. Default: who is known may do all, others nothing. */
  readonly policy?: (() => Promise<Policy>) | undefined;
  /** Called for each credential that was refused. */
  readonly onRefused?: ((why: "password" | "token" | "throttled") => void) | undefined;
}

/** A request to judge. */
export interface Asked extends Peer {
  /** Its headers. */
  readonly headers: HeaderView;
}

/** The request may go on. */
export interface Allowed {
  /** Says it may. */
  readonly kind: "allow";
  /** For the log; `undefined`: nobody known. */
  readonly user: string | undefined;
  /** Whose uploads it may go on with. */
  readonly owner: string;
  /** Which repositories it may read besides: in lists, and as the source of a mount. */
  readonly mayRead: "all" | ((repository: string) => boolean);
  /** Tags may only be set where this holds of them: the caller may make new ones, or move those that are there. */
  readonly tagsMustBe: "absent" | "present" | undefined;
}

/** The request may not go on. */
export interface Refused {
  /** Says it may not. */
  readonly kind: "refuse";
  /** For the log. */
  readonly user: string | undefined;
  /** 401, 403 or 429, in words for people; no secret in it. */
  readonly error: OciError;
  /** `www-authenticate` or `retry-after`. */
  readonly headers: Readonly<Record<string, string>>;
}

/** What becomes of a request. */
export type Verdict = Allowed | Refused;

/** Who somebody turned out to be. */
export type Identity =
  | { readonly kind: "known"; readonly subject: Subject }
  | { readonly kind: "wrong" }
  | { readonly kind: "later"; readonly seconds: number };

/** Judges the requests of one server. */
export class Authority {
  readonly #options: AuthorityOptions;

  /** Judges by `options`. */
  constructor(options: AuthorityOptions = {}) {
    this.#options = options;
  }

  /** Whether there is any way to prove who one is. */
  get canLogIn(): boolean {
    return this.#options.logins !== undefined || this.#options.tokens !== undefined;
  }

  /**
   * Judges one request.
   *
   * @param exists Whether a tag or digest is there: setting it anew is another right than moving it. Asked only of
   * callers who have one of the two, so that they hear of it before they send anything. Others may set the tag
   * meanwhile: {@linkcode Allowed.tagsMustBe} has to be held against the place when it is set.
   */
  async authorize(
    asked: Asked,
    request: ApiRequest,
    exists: (repository: string, reference: string) => Promise<boolean>,
  ): Promise<Verdict> {
    const need = needOf(request);
    const identity = await this.identify(asked);
    if (identity.kind !== "known") return this.#notKnown(identity, need);
    const { subject } = identity;
    const policy = await this.policy();
    const rights = await judge(subject, need, policy, exists, this.canLogIn);
    if (rights !== "yes") return this.#refuse(subject, need, rights);
    return {
      kind: "allow",
      user: nameOf(subject),
      owner: ownerOf(subject),
      mayRead: readable(subject, policy, need),
      tagsMustBe: need.kind === "put" ? settable(subject, need.repository, policy) : undefined,
    };
  }

  /** The rights now. */
  policy(): Promise<Policy> {
    return this.#options.policy?.() ?? Promise.resolve(USERS_MAY_ALL);
  }

  /** Who sent these headers. */
  async identify({ headers, remote, certificate }: Asked): Promise<Identity> {
    const header = headers.get("authorization");
    const unnamed: Subject = certificate === undefined
      ? { kind: "anonymous" }
      : { kind: "user", name: certificate };
    if (header === null) return { kind: "known", subject: unnamed };
    const { logins, tokens, onRefused } = this.#options;
    const bearer = /^bearer +([!-~]+)$/i.exec(header)?.[1];
    if (bearer !== undefined) {
      const subject = await tokens?.verify(bearer);
      // Who was taken out of the password file is out, whatever they still hold.
      const gone = subject?.kind === "issued" && subject.name !== undefined &&
        subject.name !== certificate && await logins?.knows(subject.name) !== true;
      if (subject !== undefined && !gone) return { kind: "known", subject };
      onRefused?.("token");
      return { kind: "wrong" };
    }
    const basic = header.length > MAX_BASIC ? undefined : readBasic(header);
    // skopeo and podman say "nobody" so, where a password is asked for and they have none.
    if (basic?.user === "" && basic.password === "") {
      return { kind: "known", subject: unnamed };
    }
    if (basic === undefined || logins === undefined) {
      onRefused?.("password");
      return { kind: "wrong" };
    }
    return await this.logIn(basic.user, basic.password, remote);
  }

  /** Who has this password. */
  async logIn(user: string, password: string, remote: string): Promise<Identity> {
    const { logins, onRefused } = this.#options;
    const result = await logins?.check(user, password, remote) ?? { kind: "wrong" };
    if (result.kind === "right") return { kind: "known", subject: { kind: "user", name: user } };
    onRefused?.(result.kind === "later" ? "throttled" : "password");
    return result;
  }

  /** The refusal of somebody whose credential was not taken. `basic`: ask for a password, whatever else there is. */
  refuse(identity: Exclude<Identity, { kind: "known" }>, basic = false): Refused {
    return this.#notKnown(identity, { kind: "enter" }, basic);
  }

  /** What asks a browser for a password. */
  get basicChallenge(): string {
    return BASIC;
  }

  #notKnown(
    identity: Exclude<Identity, { kind: "known" }>,
    need: Need,
    basic = false,
  ): Refused {
    if (identity.kind === "later") {
      return {
        kind: "refuse",
        user: undefined,
        error: new OciError("TOOMANYREQUESTS", "Cannot check the credentials: too many tries"),
        headers: { "retry-after": String(identity.seconds) },
      };
    }
    return {
      kind: "refuse",
      user: undefined,
      error: new OciError("UNAUTHORIZED", "Cannot let you in: the credentials are not valid"),
      headers: { "www-authenticate": basic ? BASIC : this.#challenge(need, "invalid_token") },
    };
  }

  #refuse(subject: Subject, need: Need, rights: "no" | "scope"): Refused {
    const user = nameOf(subject);
    const act = wordsOf(need);
    const unknown = user === undefined;
    if (rights === "scope" || (unknown && this.canLogIn)) {
      const why = rights === "scope" ? "the token does not say so" : "want a login";
      return {
        kind: "refuse",
        user,
        error: new OciError("UNAUTHORIZED", `Cannot ${act}: ${why}`),
        headers: {
          "www-authenticate": this.#challenge(
            need,
            subject.kind === "anonymous" ? undefined : "insufficient_scope",
          ),
        },
      };
    }
    const who = user === undefined ? "somebody unknown" : JSON.stringify(user.slice(0, 100));
    return {
      kind: "refuse",
      user,
      error: new OciError("DENIED", `Cannot ${act}: ${who} has no right to`),
      headers: {},
    };
  }

  #challenge(need: Need, error: string | undefined): string {
    const { realm, tokens } = this.#options;
    if (realm === undefined || tokens === undefined) return BASIC;
    const parts = [["realm", realm], ["service", tokens.service], ["scope", scopeOf(need)]]
      .concat([["error", error]]);
    return "Bearer " +
      parts.flatMap(([name, value]) =>
        value === undefined ? [] : [`${name}="${value.replaceAll(/["\\]/g, "")}"`]
      ).join(",");
  }
}

const BASIC = 'Basic realm="wherry"';
const MAX_BASIC = 4096;

/** What a subject may do with one repository; `scope`: the policy would allow it, the token does not say so. */
export function decide(
  subject: Subject,
  repository: string,
  action: Action,
  policy: Policy,
): "yes" | "no" | "scope" {
  switch (subject.kind) {
    case "anonymous":
      return policy.allows(undefined, repository, action) ? "yes" : "no";
    case "user":
      return policy.allows(subject.name, repository, action) ? "yes" : "no";
    case "issued":
      if (!policy.allows(subject.name, repository, action)) return "no";
      return isInScope(subject.access, repository, action) ? "yes" : "scope";
    case "trusted":
      return isInScope(subject.access, repository, action) ? "yes" : "scope";
    default:
      return subject satisfies never;
  }
}

async function judge(
  subject: Subject,
  need: Need,
  policy: Policy,
  exists: (repository: string, reference: string) => Promise<boolean>,
  canLogIn: boolean,
): Promise<"yes" | "no" | "scope"> {
  const may = (repository: string, action: Action) => decide(subject, repository, action, policy);
  switch (need.kind) {
    case "enter":
      // Clients look for the challenge at the ping, and give no password without one.
      return subject.kind === "anonymous" && canLogIn ? "no" : "yes";
    case "catalog":
      if (subject.kind === "issued" || subject.kind === "trusted") {
        return hasCatalog(subject.access) ? "yes" : "scope";
      }
      return subject.kind === "anonymous" && canLogIn && !policy.allowsEverywhere(undefined, "read")
        ? "no"
        : "yes";
    case "repository":
      return best(need.anyOf.map((action) => may(need.repository, action)));
    case "put": {
      const create = may(need.repository, "create");
      const update = may(need.repository, "update");
      if (create === update) return create;
      let all: "yes" | "no" | "scope" = "yes";
      for (const reference of need.references) {
        // A digest names one content for ever: putting it again moves nothing.
        const there = !reference.includes(":") && await exists(need.repository, reference);
        const one = reference.includes(":") ? best([create, update]) : there ? update : create;
        if (one !== "yes") all = one;
      }
      return all;
    }
    default:
      return need satisfies never;
  }
}

/** What a tag has to be for a subject who may set it: who may do both need not care. */
function settable(
  subject: Subject,
  repository: string,
  policy: Policy,
): "absent" | "present" | undefined {
  const may = (action: Action) => decide(subject, repository, action, policy) === "yes";
  const [create, update] = [may("create"), may("update")];
  return create === update ? undefined : create ? "absent" : "present";
}

function best(rights: readonly ("yes" | "no" | "scope")[]): "yes" | "no" | "scope" {
  return rights.includes("yes") ? "yes" : rights.includes("scope") ? "scope" : "no";
}

function readable(
  subject: Subject,
  policy: Policy,
  need: Need,
): "all" | ((repository: string) => boolean) {
  if (need.kind === "catalog") return readableNames(subject, policy);
  if (subject.kind !== "issued" && subject.kind !== "trusted") {
    return readableNames(subject, policy);
  }
  return (repository) => decide(subject, repository, "read", policy) === "yes";
}

/** Which names a subject may see in a list; a token that may see the catalog has no further words on each name. */
export function readableNames(
  subject: Subject,
  policy: Policy,
): "all" | ((repository: string) => boolean) {
  if (subject.kind === "trusted") return "all";
  const user = nameOf(subject);
  if (policy.allowsEverywhere(user, "read")) return "all";
  return (repository) => policy.allows(user, repository, "read");
}

/** What of `wanted` the policy gives to `user`; nothing is left of a scope nobody knows. */
export function grant(
  user: string | undefined,
  wanted: readonly ScopedAccess[],
  policy: Policy,
): readonly ScopedAccess[] {
  return wanted.flatMap((scope) => {
    if (scope.type === "registry" && scope.name === "catalog") {
      return scope.actions.includes("*") ? [{ ...scope, actions: ["*"] }] : [];
    }
    if (scope.type !== "repository") return [];
    const may = (action: Action) => policy.allows(user, scope.name, action);
    const words = new Set<string>();
    for (const asked of scope.actions) {
      if ((asked === "pull" || asked === "*") && may("read")) words.add("pull");
      if (asked === "push" || asked === "*") {
        if (may("create") && may("update")) words.add("push");
        else if (may("create")) words.add("create");
        else if (may("update")) words.add("update");
      }
      if ((asked === "delete" || asked === "*") && may("delete")) words.add("delete");
    }
    return words.size === 0 ? [] : [{ ...scope, actions: [...words] }];
  });
}

/** The name of a subject for the log. */
export function nameOf(subject: Subject): string | undefined {
  return subject.kind === "anonymous" ? undefined : subject.name;
}

function ownerOf(subject: Subject): string {
  const name = nameOf(subject);
  return name === undefined
    ? "anonymous"
    : `${subject.kind === "trusted" ? "trusted" : "user"}:${name}`;
}

function wordsOf(need: Need): string {
  switch (need.kind) {
    case "enter":
      return "use this registry";
    case "catalog":
      return "list repositories";
    case "put":
      return `push to ${need.repository}`;
    case "repository": {
      const { anyOf, repository } = need;
      if (anyOf.includes("delete")) return `delete from ${repository}`;
      return anyOf.includes("read") ? `read ${repository}` : `push to ${repository}`;
    }
    default:
      return need satisfies never;
  }
}
