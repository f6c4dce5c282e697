/** Lists: of repositories, and of the tags of one. */
import { formatPlatform } from "../../oci/platform.ts";
import { type Document, parseDocument } from "../../oci/manifest.ts";
import type { RawManifest } from "../../registry.ts";
import { type Html, html } from "./html.ts";
import type { Look } from "./look.ts";
import { imagePath, page, repositoryPath, shortDigest, size, trail } from "./page.ts";

const PAGE = 100;
/** A search looks at so many names at most; it says so when there were more. */
const MAX_LOOKED = 200_000;
/** Each row of tags costs a read of its manifest. */
const TAGS_PAGE = 50;

/** The names that hold `query`, behind `after`. */
export async function showRepositories(
  { registry, frame, sees }: Look,
  query: string,
  after: string | undefined,
): Promise<Response> {
  const wanted = query.trim().toLowerCase();
  const found: string[] = [];
  let looked = 0;
  let more = false;
  for await (const name of registry.repositories({ after })) {
    if (++looked > MAX_LOOKED) {
      more = true;
      break;
    }
    if (!sees(name) || !name.includes(wanted)) continue;
    if (found.length === PAGE) {
      more = true;
      break;
    }
    found.push(name);
  }
  const next = new URLSearchParams({
    ...(wanted === "" ? {} : { q: query }),
    after: found.at(-1) ?? "",
  });
  const title = wanted === "" ? "Repositories" : `Repositories with "${query.trim()}"`;
  const body = html`<h1>${title}</h1>
<section class="card">${
    found.length === 0
      ? html`<p class="empty">${nothing(wanted, after)}</p>`
      : html`<table>${
        found.map((name) =>
          html`
            <tr>
              <td class="wide"><a href="${repositoryPath(name)}">${name}</a></td>
            </tr>
          `
        )
      }</table>`
  }${
    more && found.length > 0 && html`<a class="more" href="/?${next.toString()}">More</a>`
  }</section>`;
  return page({ ...frame, title: "Repositories", query }, body);
}

function nothing(wanted: string, after: string | undefined): Html {
  if (wanted !== "") return html`No repository has that in its name.`;
  return after === undefined
    ? html`Nothing has been pushed yet, or nothing you may see.`
    : html`That was all.`;
}

/** The tags of a repository behind `after`, each with what it names; `undefined` when it is not there. */
export async function showRepository(
  { registry, frame, host }: Look,
  repository: string,
  after: string | undefined,
): Promise<Response | undefined> {
  const tags: string[] = [];
  let more = false;
  for await (const tag of registry.tags(repository, { after })) {
    if (tags.length === TAGS_PAGE) {
      more = true;
      break;
    }
    tags.push(tag);
  }
  const rows = await Promise.all(tags.map(async (tag) => {
    const raw = await registry.manifest(repository, tag);
    return raw === undefined ? undefined : tagRow(repository, tag, raw);
  }));
  const next = new URLSearchParams({ after: tags.at(-1) ?? "" });
  const body = html`${trail(repository, false)}<h1>${repository}</h1>
${
    host !== undefined && tags[0] !== undefined &&
    html`
      <section
        class="card"><h2>Pull</h2><code class="command">wherry pull ${host}/${repository}:${tags
            .includes("latest")
          ? "latest"
          : tags[0]}</code></section>
    `
  }
<section class="card"><h2>Tags</h2>${
    tags.length === 0
      ? html`<p class="empty">No tags${after === undefined ? "" : " behind that one"}.</p>`
      : html`<table><tr><th>Tag</th><th>What</th><th class="roomy">Digest</th><th class="number">Size</th></tr>${rows}</table>`
  }${
    more && html`<a class="more" href="${repositoryPath(repository)}?${next.toString()}">More</a>`
  }</section>`;
  return page({ ...frame, title: repository }, body);
}

function tagRow(repository: string, tag: string, raw: RawManifest): Html {
  const { what, bytes } = summary(raw);
  return html`
    <tr>
      <td class="wide"><a href="${imagePath(repository, tag)}">${tag}</a></td>
      <td class="keep">${what}</td>
      <td class="roomy">${shortDigest(raw.digest)}</td>
      <td class="number">${bytes === undefined ? "" : size(bytes)}</td>
    </tr>
  `;
}

function summary(raw: RawManifest): { what: Html; bytes: number | undefined } {
  let document: Document;
  try {
    document = parseDocument(raw.bytes, raw.mediaType);
  } catch {
    return { what: html`<span class="faint">unreadable</span>`, bytes: undefined };
  }
  if (document.kind === "index") {
    const platforms = document.index.manifests.flatMap(({ platform }) =>
      platform === undefined || platform.os === "unknown" ? [] : [formatPlatform(platform)]
    );
    const shown = platforms.slice(0, 4).map((name) => html`<span class="badge">${name}</span>`);
    const rest = platforms.length - shown.length;
    return {
      what: html`${shown.length > 0 ? shown : "index"}${rest > 0 && ` and ${rest} more`}`,
      bytes: undefined,
    };
  }
  const { config, layers, artifactType } = document.manifest;
  const type = artifactType ?? config.mediaType;
  const image = /image\.config|container\.image/.test(type);
  return {
    what: image ? html`image` : html`<span class="mono">${type.slice(0, 60)}</span>`,
    bytes: layers.reduce((sum, layer) => sum + layer.size, config.size),
  };
}
