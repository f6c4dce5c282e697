/** One manifest: an index with its children, an image with its layers and its buildpacks, or an artefact. */
import { type Image, MAX_CONFIG_BYTES, readImage } from "../../image.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { type Document, type Manifest, parseDocument } from "../../oci/manifest.ts";
import { formatPlatform } from "../../oci/platform.ts";
import type { RawManifest } from "../../registry.ts";
import { buildParts, command } from "./build_part.ts";
import { type Html, html, linked, type Part } from "./html.ts";
import type { Look } from "./look.ts";
import { card, facts, imagePath, page, shortDigest, size, trail } from "./page.ts";

/** The page of what `reference` names; `undefined` when that is not there. */
export async function showImage(
  look: Look,
  repository: string,
  reference: string,
): Promise<Response | undefined> {
  const raw = await look.registry.manifest(repository, reference);
  if (raw === undefined) return undefined;
  let document: Document | undefined;
  try {
    document = parseDocument(raw.bytes, raw.mediaType);
  } catch {
    // Shown as it is, below.
  }
  const byDigest = reference.includes(":");
  const name = byDigest
    ? html`${repository}@${shortDigest(reference)}`
    : html`${repository}:${reference}`;
  const parts: Part[] = [
    trail(repository, true),
    html`<h1>${name}</h1>`,
  ];
  if (document?.kind === "index") {
    parts.push(...indexParts(look, repository, reference, raw, document));
  } else if (document?.kind === "manifest") {
    parts.push(...await manifestParts(look, repository, reference, raw, document.manifest));
  } else parts.push(card("Manifest", html`<p>It cannot be read as a manifest.</p>`));
  parts.push(await referrerPart(look, repository, raw));
  parts.push(rawPart("The manifest as it is stored", new TextDecoder().decode(raw.bytes)));
  return page(
    { ...look.frame, title: `${repository}${byDigest ? "@" : ":"}${reference}` },
    html`${parts}`,
  );
}

function pullCommand({ host }: Look, repository: string, reference: string): Part {
  if (host === undefined) return undefined;
  const sign = reference.includes(":") ? "@" : ":";
  return html`<code class="command">wherry pull ${host}/${repository}${sign}${reference}</code>`;
}

function indexParts(
  look: Look,
  repository: string,
  reference: string,
  raw: RawManifest,
  { index, mediaType }: Document & { kind: "index" },
): readonly Html[] {
  const rows = index.manifests.slice(0, MAX_ROWS).map((child) => {
    const { platform, digest, artifactType } = child as Descriptor & { artifactType?: unknown };
    const what = platform !== undefined && platform.os !== "unknown"
      ? html`<span class="badge">${formatPlatform(platform)}</span>`
      : html`<span class="faint">${
        typeof artifactType === "string" ? artifactType : "manifest"
      }</span>`;
    return html`
      <tr>
        <td class="keep">${what}</td>
        <td class="wide"><a class="mono" href="${imagePath(repository, digest)}">${digest}</a></td>
        <td class="number">${size(child.size)}</td>
      </tr>
    `;
  });
  return [
    card(
      "Image index",
      html`${
        facts([
          ["Digest", html`<code>${raw.digest}</code>`],
          ["Type", html`<code>${mediaType}</code>`],
          ["Artifact type", index.artifactType],
          ["Pull", pullCommand(look, repository, reference)],
        ])
      }`,
    ),
    card(
      "Manifests",
      html`<table><tr><th>For</th><th>Digest</th><th class="number">Manifest</th></tr>${rows}</table>`,
      String(index.manifests.length),
    ),
    ...annotationPart("Annotations", index.annotations),
  ];
}

const MAX_ROWS = 500;

async function manifestParts(
  look: Look,
  repository: string,
  reference: string,
  raw: RawManifest,
  manifest: Manifest,
): Promise<readonly Html[]> {
  const total = manifest.layers.reduce((sum, layer) => sum + layer.size, manifest.config.size);
  const image = await imageOf(look, repository, raw);
  const common: readonly (readonly [string, Part])[] = [
    ["Digest", html`<code>${raw.digest}</code>`],
    [
      "Size",
      `${size(total)} in ${manifest.layers.length} layer${manifest.layers.length === 1 ? "" : "s"}`,
    ],
    ["Pull", pullCommand(look, repository, reference)],
    [
      "Refers to",
      manifest.subject &&
      html`<a class="mono" href="${
        imagePath(repository, manifest.subject.digest)
      }">${manifest.subject.digest}</a>`,
    ],
  ];
  if (image === undefined) {
    return [
      card(
        "Artifact",
        facts([
          ["Type", html`<code>${manifest.artifactType ?? manifest.config.mediaType}</code>`],
          ...common,
        ]),
      ),
      blobTable("Content", manifest.layers, () => undefined),
      ...annotationPart("Annotations", manifest.annotations),
    ];
  }
  const { config } = image;
  const run = config.config;
  const history = (config.history ?? []).filter((one) => one.empty_layer !== true);
  const paired = history.length === manifest.layers.length;
  return [
    card(
      "Image",
      facts([
        ["Platform", html`<span class="badge">${formatPlatform(config)}</span>`],
        ...common,
        ["Created", created(config.created)],
        ["User", run.User],
        ["Works in", run.WorkingDir && html`<code>${run.WorkingDir}</code>`],
        ["Starts", command([...(run.Entrypoint ?? []), ...(run.Cmd ?? [])])],
      ]),
    ),
    ...buildParts(look.describe, image),
    blobTable("Layers", manifest.layers, (at) => paired ? history[at]?.created_by : undefined),
    ...listPart("Environment", run.Env ?? []),
    ...annotationPart("Labels", run.Labels ?? undefined),
    ...annotationPart("Annotations", manifest.annotations),
  ];
}

/** `undefined` for what is no image, or one whose config is damaged: the page shows what is left. */
async function imageOf(
  { registry }: Look,
  repository: string,
  raw: RawManifest,
): Promise<Image | undefined> {
  try {
    return await readImage(registry, repository, raw.digest, {
      os: "linux",
      architecture: "amd64",
    });
  } catch {
    return undefined;
  }
}

function blobTable(
  title: string,
  blobs: readonly Descriptor[],
  madeBy: (at: number) => string | undefined,
): Html {
  const largest = Math.max(1, ...blobs.map((blob) => blob.size));
  const rows = blobs.slice(0, MAX_ROWS).map((blob, at) => {
    const width = Math.max(1, Math.round(blob.size / largest * 100));
    const what = madeBy(at) ?? blob.annotations?.["org.opencontainers.image.title"];
    return html`
      <tr>
        <td class="number faint">${at + 1}</td>
        <td class="number">${size(blob.size)}</td>
        <td>
          <svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">
            <rect width="${width}" height="4" />
          </svg>
        </td>
        <td class="wide">${what
          ? html`<span>${what}</span>`
          : html`<span class="faint mono">${blob.mediaType}</span>`}</td>
        <td class="roomy">${shortDigest(blob.digest)}</td>
      </tr>
    `;
  });
  return card(
    title,
    html`<table><tr><th class="number">#</th><th class="number">Size</th><th></th><th>${
      title === "Layers" ? "Made by" : "What"
    }</th><th class="roomy">Digest</th></tr>${rows}</table>`,
    title === "Layers" ? "the lowest first" : undefined,
  );
}

async function referrerPart(
  { registry }: Look,
  repository: string,
  raw: RawManifest,
): Promise<Part> {
  const found = await registry.referrers(repository, raw.digest);
  if (found.length === 0) return undefined;
  return card(
    "Referrers",
    html`<table><tr><th>Type</th><th>Digest</th><th class="number">Manifest</th></tr>${
      found.slice(0, MAX_ROWS).map((one) => {
        const { artifactType } = one as Descriptor & { artifactType?: unknown };
        return html`
          <tr>
            <td class="mono">${typeof artifactType === "string" ? artifactType : one.mediaType}</td>
            <td class="wide"><a class="mono" href="${imagePath(repository, one.digest)}">${one
              .digest}</a></td>
            <td class="number">${size(one.size)}</td>
          </tr>
        `;
      })
    }</table>`,
    "signatures, bills of materials, attestations",
  );
}

/** Short values in a list, long ones (metadata in JSON) folded. */
function annotationPart(
  title: string,
  values: Readonly<Record<string, string>> | undefined,
): readonly Html[] {
  const entries = Object.entries(values ?? {}).sort(([a], [b]) => a < b ? -1 : 1).slice(
    0,
    MAX_ROWS,
  );
  if (entries.length === 0) return [];
  return [card(
    title,
    html`<table>${
      entries.map(([key, value]) =>
        html`
          <tr>
            <td class="mono">${key}</td>
            <td class="wide">${value.length > 120
              ? html`
                <details>
                  <summary>${size(value.length)} of ${kindOf(value)}</summary>
                  <pre>${pretty(value)}</pre>
                </details>
              `
              : linked(value)}</td>
          </tr>
        `
      )
    }</table>`,
    String(entries.length),
  )];
}

function listPart(title: string, lines: readonly string[]): readonly Html[] {
  if (lines.length === 0) return [];
  return [card(title, html`<pre>${lines.slice(0, MAX_ROWS).join("\n")}</pre>`)];
}

function rawPart(title: string, text: string): Html {
  return html`
    <section class="card">
      <details>
        <summary>${title}</summary>
        <pre>${pretty(text)}</pre>
      </details>
    </section>
  `;
}

const MAX_SHOWN = 256 * 1024;

function kindOf(text: string): string {
  return /^\s*[[{]/.test(text) ? "JSON" : "text";
}

function pretty(text: string): string {
  let shown = text;
  if (text.length <= MAX_CONFIG_BYTES && kindOf(text) === "JSON") {
    try {
      shown = JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      // as it is
    }
  }
  return shown.length > MAX_SHOWN ? shown.slice(0, MAX_SHOWN) + "\n... cut" : shown;
}

function created(text: string | undefined): string | undefined {
  return text === "1980-01-01T00:00:01Z" ? "at a fixed date (reproducible build)" : text;
}
