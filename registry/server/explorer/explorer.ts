/**
 * The web explorer: repositories, tags, what an image is made of. Made on the server, without any script; it shows
 * what the caller may read and nothing else.
 */
import { isDigest } from "../../oci/digest.ts";
import { isOciError } from "../../oci/error.ts";
import { isRepositoryName, isTag } from "../../oci/reference.ts";
import type { Registry } from "../../registry.ts";
import { type Authority, nameOf, readableNames } from "../auth/authority.ts";
import type { Pages } from "../site.ts";
import type { DescribeImage } from "./build_part.ts";
import { showImage } from "./image_page.ts";
import type { Look } from "./look.ts";
import { LOGIN_PATH, sorry, STYLE_PATH } from "./page.ts";
import { showRepositories, showRepository } from "./list_page.ts";
import { STYLE } from "./style.ts";

/** Options of {@linkcode createExplorer}. */
export interface ExplorerOptions {
  /** Who may look at what. */
  readonly authority: Authority;
  /** Everybody may look at everything: the server asks nobody who they are. */
  readonly open: boolean;
  /** The host that clients use, for the commands on a page; asked each time. Never taken from a request. */
  readonly host: () => string | undefined;
  /** Reads the metadata of buildpacks. Without it labels are shown as they are. */
  readonly describe?: DescribeImage | undefined;
}

/** Makes the pages over `registry`. */
export function createExplorer(registry: Registry, options: ExplorerOptions): Pages {
  const { authority, open } = options;
  return async (request, subject) => {
    const url = new URL(request.url);
    if (url.pathname === STYLE_PATH) return style();
    const route = readRoute(url);
    if (route === undefined) return undefined;
    const policy = await authority.policy();
    const names = open ? "all" : readableNames(subject, policy);
    const user = nameOf(subject);
    const look: Look = {
      registry,
      frame: { user, canLogIn: !open && authority.canLogIn },
      sees: (repository) => names === "all" || names(repository),
      host: options.host(),
      describe: options.describe,
    };
    const unknown = !open && user === undefined && authority.canLogIn;
    if (unknown && (route.kind === "login" || !policy.allowsSomewhere(undefined, "read"))) {
      return challenge(look, authority);
    }
    if ("repository" in route && !look.sees(route.repository)) {
      // The same words for what is not there and for what is not theirs to see.
      return unknown ? challenge(look, authority) : absent(look);
    }
    try {
      switch (route.kind) {
        case "login":
          return new Response(null, { status: 303, headers: { location: "/" } });
        case "repositories":
          return await showRepositories(look, route.query, route.after);
        case "repository":
          return await showRepository(look, route.repository, route.after) ?? absent(look);
        case "image":
          return await showImage(look, route.repository, route.reference) ?? absent(look);
        default:
          return route satisfies never;
      }
    } catch (error) {
      if (isOciError(error, "NAME_UNKNOWN", "MANIFEST_UNKNOWN")) return absent(look);
      throw error;
    }
  };
}

type Route =
  | { readonly kind: "login" }
  | { readonly kind: "repositories"; readonly query: string; readonly after: string | undefined }
  | { readonly kind: "repository"; readonly repository: string; readonly after: string | undefined }
  | { readonly kind: "image"; readonly repository: string; readonly reference: string };

/** Names and references in a route are valid. */
function readRoute(url: URL): Route | undefined {
  const { pathname, searchParams } = url;
  const after = searchParams.get("after")?.slice(0, 300);
  if (pathname === LOGIN_PATH) return { kind: "login" };
  if (pathname === "/") {
    return { kind: "repositories", query: searchParams.get("q")?.slice(0, 255) ?? "", after };
  }
  const [, kind, rest = ""] = /^\/(repository|image)\/(.+)$/.exec(pathname) ?? [];
  if (kind === "repository" && isRepositoryName(rest)) return { kind, repository: rest, after };
  if (kind === "image") {
    const [, repository = "", sign, reference = ""] = /^([^:@]+)([:@])(.+)$/.exec(rest) ?? [];
    const valid = sign === "@" ? isDigest(reference) : isTag(reference);
    if (valid && isRepositoryName(repository)) return { kind, repository, reference };
  }
  return undefined;
}

function absent({ frame }: Look): Response {
  return sorry({ ...frame, title: "Not found" }, "There is nothing here.", 404);
}

function challenge({ frame }: Look, authority: Authority): Response {
  const response = sorry({ ...frame, title: "Log in" }, "Log in to see this.", 401);
  response.headers.set("www-authenticate", authority.basicChallenge);
  return response;
}

function style(): Response {
  const headers = {
    "content-type": "text/css; charset=utf-8",
    "cache-control": "max-age=300",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
  };
  const bytes = new TextEncoder().encode(STYLE);
  return new Response(bytes, {
    headers: { ...headers, "content-length": String(bytes.byteLength) },
  });
}
