/** Who may do what, as values: actions, subjects, and the one table from requests to rights. */
import type { ApiRequest } from "../request.ts";

/** What can be done to a repository. Setting a tag anew is `create`, moving one is `update`. */
export type Action = "read" | "create" | "update" | "delete";

/** All of them. */
export const ACTIONS: readonly Action[] = ["read", "create", "update", "delete"];

/** Actions by repository, as a bearer token carries them. */
export interface ScopedAccess {
  /** `repository`, or `registry` for the catalog. */
  readonly type: string;
  /** Of the repository, or `catalog`. */
  readonly name: string;
  /** `pull`, `push`, `delete`, `*`; `create` and `update` are halves of `push`. */
  readonly actions: readonly string[];
}

/** Who asks, once it is proven. */
export type Subject =
  | { readonly kind: "anonymous" }
  /** Somebody who gave a password. */
  | { readonly kind: "user"; readonly name: string }
  /** The bearer of one of our own tokens: what it says and the policy both have to allow. */
  | {
    readonly kind: "issued";
    /** `undefined`: the token was given to somebody unknown. */
    readonly name: string | undefined;
    readonly access: readonly ScopedAccess[];
  }
  /** The bearer of a token of an issuer we trust: what it says is allowed. */
  | { readonly kind: "trusted"; readonly name: string; readonly access: readonly ScopedAccess[] };

/** What one request wants. */
export type Need =
  /** To be somebody: the ping. */
  | { readonly kind: "enter" }
  /** To see names of repositories; each name is checked for itself. */
  | { readonly kind: "catalog" }
  /** One of `anyOf` in `repository`. */
  | { readonly kind: "repository"; readonly repository: string; readonly anyOf: readonly Action[] }
  /** `create` or `update`, by whether each of `references` is there. */
  | {
    readonly kind: "put";
    readonly repository: string;
    readonly references: readonly string[];
  };

/**
 * What each kind of request needs: the only place that says so. A mount's source is not in here: who may not
 * read it is answered as though the blob were not there (S-API 8, R-01).
 */
export function needOf(request: ApiRequest): Need {
  switch (request.kind) {
    case "ping":
      return { kind: "enter" };
    case "catalog":
      return { kind: "catalog" };
    case "tags":
    case "getManifest":
    case "getBlob":
    case "referrers":
      return on(request.repository, "read");
    case "startUpload":
    case "uploadStatus":
    case "patchUpload":
    case "putUpload":
    case "cancelUpload":
      // Whoever may move a tag has to bring the blobs of what it moves to.
      return on(request.repository, "create", "update");
    case "deleteManifest":
    case "deleteBlob":
      return on(request.repository, "delete");
    case "putManifest": {
      const { repository, reference, tags } = request;
      return { kind: "put", repository, references: [...new Set([reference, ...tags])] };
    }
    default:
      return request satisfies never;
  }
}

function on(repository: string, ...anyOf: readonly Action[]): Need {
  return { kind: "repository", repository, anyOf };
}

/** The actions that a word of a scope stands for; none for a word nobody knows. */
function actionsOf(word: string): readonly Action[] {
  switch (word) {
    case "pull":
      return ["read"];
    case "push":
      return ["create", "update"];
    case "create":
    case "update":
    case "delete":
      return [word];
    case "*":
      return ACTIONS;
    default:
      return [];
  }
}

/** Whether `access` allows `action` in `repository`. */
export function isInScope(
  access: readonly ScopedAccess[],
  repository: string,
  action: Action,
): boolean {
  return access.some(({ type, name, actions }) =>
    type === "repository" && name === repository &&
    actions.some((word) => actionsOf(word).includes(action))
  );
}

/** Whether `access` allows the catalog. */
export function hasCatalog(access: readonly ScopedAccess[]): boolean {
  return access.some(({ type, name, actions }) =>
    type === "registry" && name === "catalog" && actions.includes("*")
  );
}

/** The scope a client has to ask for to do this, as a challenge says it. */
export function scopeOf(need: Need): string | undefined {
  switch (need.kind) {
    case "enter":
      return undefined;
    case "catalog":
      return "registry:catalog:*";
    case "put":
      return `repository:${need.repository}:pull,push`;
    case "repository": {
      const words = need.anyOf.includes("delete")
        ? "delete"
        : need.anyOf.includes("read")
        ? "pull"
        : "pull,push";
      return `repository:${need.repository}:${words}`;
    }
    default:
      return need satisfies never;
  }
}

const SCOPE = /^([a-z]+)(?:\([a-z]+\))?:(.+):([a-z*]+(?:,[a-z*]+)*)$/;

/**
 * Reads `repository:team/app:pull,push`. A name may hold a colon (a host with its port), so the actions are
 * what follows the last one.
 *
 * @returns `undefined` when it has no such form: it then asks for nothing.
 */
export function parseScope(text: string): ScopedAccess | undefined {
  if (text.length > 1024) return undefined;
  const match = SCOPE.exec(text);
  if (match === null) return undefined;
  return { type: match[1]!, name: match[2]!, actions: [...new Set(match[3]!.split(","))] };
}
