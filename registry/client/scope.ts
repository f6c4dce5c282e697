/**
 * What a token is good for, as text: `repository:library/x:pull,push`. A list of scopes keeps its order, since
 * some token servers honour only the first (C-AUTH-07).
 */

/** The scope of a repository. Actions come in one order, so that equal scopes are equal texts. */
export function repositoryScope(repository: string, ...actions: readonly string[]): string {
  return `repository:${repository}:${[...new Set(actions)].sort().join(",")}`;
}

/** Reads the space-separated scopes of a challenge. */
export function parseScopes(text: string): readonly string[] {
  return mergeScopes(text.split(/\s+/).filter((scope) => scope.includes(":")), []);
}

/**
 * One list that allows all that both allow: one scope per resource, as a second one for the same resource makes
 * GitLab forget the first (C-AUTH-07). Order of first mention.
 */
export function mergeScopes(first: readonly string[], more: readonly string[]): readonly string[] {
  const merged = new Map<string, Set<string>>();
  for (const scope of [...first, ...more]) {
    const { resource, actions } = split(scope);
    const known = merged.get(resource) ?? new Set();
    for (const action of actions) known.add(action);
    merged.set(resource, known);
  }
  return [...merged].map(([resource, actions]) => `${resource}:${[...actions].sort().join(",")}`);
}

/** Whether a token for `have` will do for `want`. */
export function coversScopes(have: readonly string[], want: readonly string[]): boolean {
  const held = new Map(have.map((scope) => {
    const { resource, actions } = split(scope);
    return [resource, new Set(actions)];
  }));
  return want.every((scope) => {
    const { resource, actions } = split(scope);
    const known = held.get(resource);
    return known !== undefined && actions.every((action) => known.has(action) || known.has("*"));
  });
}

/** The part before the actions: `repository:library/x`. */
export function resourceOf(scope: string): string {
  return split(scope).resource;
}

function split(scope: string): { resource: string; actions: readonly string[] } {
  const colon = scope.lastIndexOf(":");
  return {
    resource: scope.slice(0, colon),
    actions: scope.slice(colon + 1).split(",").filter((action) => action !== ""),
  };
}
