/** The frame of every page, and what pages share. */
import { type Html, html, type Part } from "./html.ts";

/** Where the style sheet is; its name changes with nothing, so it is asked for again when it may be old. */
export const STYLE_PATH = "/-/style.css";
/** Where a browser is asked for a password. */
export const LOGIN_PATH = "/-/login";

/** What every page knows. */
export interface Frame {
  /** Of the browser's window. */
  readonly title: string;
  /** Who looks; `undefined`: nobody known. */
  readonly user: string | undefined;
  /** Whether one can log in. */
  readonly canLogIn: boolean;
  /** What was searched for. */
  readonly query?: string | undefined;
}

/** No script at all, nothing from elsewhere, in no other page. */
const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  "content-type": "text/html; charset=utf-8",
  "cache-control": "private, no-store",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

/** A page as an answer. */
export function page(frame: Frame, body: Html, status = 200): Response {
  const { title, user, canLogIn, query = "" } = frame;
  const who = user !== undefined
    ? html`<span class="who">${user}</span>`
    : canLogIn
    ? html`<span class="who"><a href="${LOGIN_PATH}">Log in</a></span>`
    : undefined;
  const { markup } = html`
    <!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="robots" content="noindex">
        <title>${title} - wherry</title>
        <link rel="stylesheet" href="${STYLE_PATH}">
      </head>
      <body>
        <header>
          <div>
    <a class="brand" href="/">${BOAT}wherry</a>
    <form action="/" method="get" role="search"><input type="search" name="q" value="${query}" placeholder="Find a repository" aria-label="Find a repository" maxlength="255"><button>Find</button></form>
    ${who}
          </div>
        </header>
        <main>
    ${body}
        </main>
      </body>
    </html>
  `;
  const bytes = new TextEncoder().encode(markup);
  return new Response(bytes, {
    status,
    headers: { ...HEADERS, "content-length": String(bytes.byteLength) },
  });
}

/** A page that says why there is none. */
export function sorry(frame: Frame, text: string, status: number): Response {
  return page(
    frame,
    html`
      <div class="card">
        <p class="empty">${text}<br><a href="/">All repositories</a></p>
      </div>
    `,
    status,
  );
}

/** A wherry from the side: hull and sail. */
const BOAT = html`
  <svg viewBox="0 0 24 24" aria-hidden="true">
    <path d="M11 2v12H3.5zM13 5l7 9h-7zM2 16h20l-3.5 5h-13z" />
  </svg>
`;

/** Name and value, one under the other; those without a value are left out. */
export function facts(rows: readonly (readonly [string, Part])[]): Html {
  const shown = rows.filter(([, value]) => value !== undefined && value !== "" && value !== false);
  return html`<dl class="facts">${
    shown.map(([name, value]) =>
      html`
        <dt>${name}</dt>
        <dd>${value}</dd>
      `
    )
  }</dl>`;
}

/** A part of a page. */
export function card(title: Part, body: Html, note?: Part): Html {
  return html`<section class="card"><h2>${title}${
    note === undefined ? undefined : html`<small>${note}</small>`
  }</h2>${body}</section>`;
}

/** The first letters of a digest; the whole one shows under the pointer. */
export function shortDigest(digest: string): Html {
  const hex = digest.slice(digest.indexOf(":") + 1);
  return html`<code class="digest" title="${digest}">${hex.slice(0, 12)}</code>`;
}

const UNITS = ["B", "KB", "MB", "GB", "TB"];

/** Bytes for people, in powers of 1000 as registries show them. */
export function size(bytes: number): string {
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${value.toFixed(unit === 0 || value >= 100 ? 0 : 1)} ${UNITS[unit]}`;
}

/** The address of a repository's page; names need no escape, their grammar sees to that. */
export function repositoryPath(repository: string): string {
  return `/repository/${repository}`;
}

/** The address of an image's page. */
export function imagePath(repository: string, reference: string): string {
  return `/image/${repository}${reference.includes(":") ? "@" : ":"}${reference}`;
}

/** `team / app` with a link on its end where it is another page. */
export function trail(repository: string, linkedName: boolean): Html {
  return html`<p class="path"><a href="/">repositories</a> / ${
    linkedName ? html`<a href="${repositoryPath(repository)}">${repository}</a>` : repository
  }</p>`;
}
