/** A door that wants a token for each repository, and gives one to whoever asks: how most registries let readers in. */
import { OciError } from "../registry/oci/error.ts";
import type { MemoryRegistry } from "../registry/memory.ts";
import type { ServerOptions } from "../registry/server/server.ts";

/**
 * Options of a server over `place`.
 *
 * @param host Of the server, once it listens.
 */
export function tokenDoor(place: MemoryRegistry, host: () => string): ServerOptions {
  return {
    site: (request) => {
      const { pathname, searchParams } = new URL(request.url);
      if (pathname !== "/token") return Promise.resolve(undefined);
      // A token is the scopes it was asked for.
      const token = btoa(searchParams.getAll("scope").join(" "));
      return Promise.resolve({ response: Response.json({ token, expires_in: 300 }), user: "" });
    },
    authorize: (request, parsed) => {
      const scope = "repository" in parsed ? `repository:${parsed.repository}:pull` : "";
      const given = (request.headers.get("authorization") ?? "").replace("Bearer ", "");
      if (scope !== "" && atob(given).split(" ").includes(scope)) {
        return Promise.resolve({ kind: "allow", user: undefined, registry: place });
      }
      const challenge = `Bearer realm="http://${host()}/token",service="x"`;
      return Promise.resolve({
        kind: "refuse",
        user: undefined,
        error: new OciError("UNAUTHORIZED", "Cannot let you in"),
        headers: {
          "www-authenticate": scope === "" ? challenge : `${challenge},scope="${scope}"`,
        },
      });
    },
  };
}
