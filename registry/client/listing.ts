import { z } from "zod";
import { OciError } from "../oci/error.ts";
import type { ListOptions } from "../registry.ts";
import { collect } from "../source.ts";
import type { Place } from "./place.ts";
import { explain } from "./refusal.ts";
import { repositoryScope } from "./scope.ts";
import type { Answer, ApiRequest } from "./api_request.ts";
import type { Session } from "./session.ts";
import { resolveLocation, sameOrigin, type Target } from "./url.ts";

/** ECR refuses more (C-LIST-01). */
const PAGE = 1000;
const MAX_PAGES = 10_000;
const MAX_PAGE_BYTES = 16 * 1024 * 1024;

/** Tags of a repository, sorted, after `after`. */
export async function listTags(
  session: Session,
  place: Place,
  options: ListOptions = {},
): Promise<readonly string[]> {
  const { repository } = place;
  return await list(session, "tags", {
    act: `list tags of ${place.name}`,
    method: "GET",
    to: listPath(`/v2/${repository}/tags/list`, options),
    repository,
    scopes: [repositoryScope(repository, "pull")],
    expect: [200],
    signal: options.signal,
  }, options);
}

/** Repositories of a registry, sorted, after `after`. Many registries do not tell (C-LIST-02). */
export async function listRepositories(
  session: Session,
  options: ListOptions = {},
): Promise<readonly string[]> {
  return await list(session, "repositories", {
    act: `list repositories of ${session.host}`,
    method: "GET",
    to: listPath("/v2/_catalog", options),
    scopes: ["registry:catalog:*"],
    expect: [200],
    signal: options.signal,
  }, options);
}

/**
 * Pages of a listing, following `Link` on the same registry only (C-LIST-01).
 *
 * @throws {OciError} When the pages do not end.
 */
export async function* pages(session: Session, request: ApiRequest): AsyncGenerator<{
  readonly answer: Answer;
  readonly json: unknown;
}> {
  const base = await session.base(request.signal);
  const seen = new Set<string>();
  let to: string | Target | undefined = request.to;
  while (to !== undefined) {
    const path: string = typeof to === "string" ? to : to.path;
    if (seen.has(path)) return;
    seen.add(path);
    if (seen.size > MAX_PAGES) throw fault(request, `it has more than ${MAX_PAGES} pages`);
    const page = await session.read({ ...request, to }, async (answer) => ({
      answer,
      json: answer.status === 200 ? await readJson(answer, request) : undefined,
    }));
    yield page;
    const { answer } = page;
    if (answer.status !== 200) return;
    const next = nextOf(answer, request);
    if (next !== undefined && !sameOrigin(next, base)) {
      // Behind a proxy that ends TLS a registry may name itself otherwise; its path is what counts.
      if (next.hostname !== base.hostname) throw fault(request, "it goes on at another host");
      to = { ...base, path: next.path };
    } else to = next;
  }
}

const listSchema = z.record(z.string(), z.unknown());
const namesSchema = z.array(z.string()).nullish().transform((names) => names ?? []);

async function list(
  session: Session,
  key: "tags" | "repositories",
  request: ApiRequest,
  { after }: ListOptions,
): Promise<readonly string[]> {
  const names = new Set<string>();
  for await (const { json } of pages(session, request)) {
    const body = listSchema.safeParse(json);
    const page = namesSchema.safeParse(body.data?.[key]);
    if (!page.success) throw fault(request, `${key} is not a list of names`);
    const before = names.size;
    for (const name of page.data) names.add(name);
    // A page that brings nothing new would bring it again for ever.
    if (names.size === before) break;
  }
  return [...names].filter((name) => after === undefined || name > after).sort();
}

function listPath(path: string, { after }: ListOptions): string {
  return `${path}?n=${PAGE}${after === undefined ? "" : `&last=${encodeURIComponent(after)}`}`;
}

async function readJson(answer: Answer, request: ApiRequest): Promise<unknown> {
  try {
    return JSON.parse(new TextDecoder().decode(await collect(answer.body, MAX_PAGE_BYTES)));
  } catch (error) {
    if (error instanceof SyntaxError) throw fault(request, "the answer is not JSON", error);
    if (error instanceof RangeError) throw fault(request, "the answer is too long", error);
    throw explain(error, request.act);
  }
}

function nextOf(answer: Answer, request: ApiRequest): Target | undefined {
  for (const match of (answer.headers.get("link") ?? "").matchAll(/<([^>]*)>((?:\s*;[^,<]*)*)/g)) {
    if (/;\s*rel\s*=\s*"?next"?/i.test(match[2] ?? "")) {
      try {
        return resolveLocation(answer.target, match[1] ?? "");
      } catch (cause) {
        throw fault(request, "the address of its next page cannot be used", cause);
      }
    }
  }
  return undefined;
}

function fault(request: ApiRequest, why: string, cause?: unknown): OciError {
  return new OciError("UNAVAILABLE", `Cannot ${request.act}: ${why}`, { cause });
}
