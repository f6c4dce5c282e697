/** What buildpacks say of the image they made: who they were, and what it can start. */
import type { Image } from "../../image.ts";
import { type Html, html, linked, type Part } from "./html.ts";
import { card, facts } from "./page.ts";

/** What buildpacks left in an image's labels, as the CLI's `inspect` has it. */
export interface BuildFacts {
  /** Deprecated stack id. */
  readonly stack: string;
  /** Whether a rebase is allowed. */
  readonly rebasable: boolean;
  /** Why not; empty when it is. */
  readonly rebasable_reason: string;
  /** The base it stands on. */
  readonly base_image: { readonly top_layer: string; readonly reference: string };
  /** Names of the run image. */
  readonly run_images: readonly { readonly name: string }[];
  /** In order. */
  readonly buildpacks: readonly {
    readonly id: string;
    readonly version: string;
    readonly homepage: string;
  }[];
  /** What it can start. */
  readonly processes: readonly {
    readonly type: string;
    readonly command: string;
    readonly default: boolean;
    readonly args: readonly string[];
    readonly "working-dir": string;
  }[];
}

/** Reads them. */
export type DescribeImage = (image: Image) => BuildFacts;

/** Their cards; none for an image of another make. */
export function buildParts(describe: DescribeImage | undefined, image: Image): readonly Html[] {
  let build: BuildFacts | undefined;
  try {
    build = describe?.(image);
  } catch {
    return []; // somebody else's labels under our names
  }
  if (build === undefined || (build.buildpacks.length === 0 && build.base_image.top_layer === "")) {
    return [];
  }
  const parts = [card(
    "Buildpacks",
    html`${
      facts([
        ["Base", build.base_image.reference && html`<code>${build.base_image.reference}</code>`],
        ["Run image", build.run_images.length > 0 && runImages(build)],
        ["Stack", build.stack],
        ["Rebasable", build.rebasable ? "yes" : `no: ${build.rebasable_reason}`],
      ])
    }${
      build.buildpacks.length > 0 &&
      html`<table><tr><th>Buildpack</th><th>Version</th><th class="roomy">Home</th></tr>${
        build.buildpacks.map(({ id, version, homepage }) =>
          html`
            <tr>
              <td class="wide">${id}</td>
              <td class="keep">${version}</td>
              <td class="roomy">${linked(homepage)}</td>
            </tr>
          `
        )
      }</table>`
    }`,
  )];
  if (build.processes.length > 0) {
    parts.push(card(
      "Processes",
      html`<table><tr><th>Type</th><th>Command</th><th class="roomy">In</th></tr>${
        build.processes.map((one) =>
          html`
            <tr>
              <td class="keep">${one.type} ${one.default &&
                html`<span class="badge">default</span>`}</td>
              <td class="wide">${command([one.command, ...one.args])}</td>
              <td class="roomy"><code>${one["working-dir"]}</code></td>
            </tr>
          `
        )
      }</table>`,
    ));
  }
  return parts;
}

function runImages({ run_images }: BuildFacts): Part {
  return html`${run_images.map(({ name }, at) => html`${at > 0 && ", "}<code>${name}</code>`)}`;
}

/** Words as a shell would take them; nothing for none. */
export function command(words: readonly string[]): Part {
  if (words.length === 0) return undefined;
  return html`<code>${
    words.map((word) => /^[\w@%+=:,./-]+$/.test(word) ? word : JSON.stringify(word)).join(" ")
  }</code>`;
}
