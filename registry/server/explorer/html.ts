/** HTML in which text from outside cannot be anything but text. */

/** Markup that is safe to send. Only {@linkcode html} makes it. */
export interface Html {
  /** Tells it from text. */
  readonly markup: string;
}

/** What may stand in a template: text is escaped, markup is not, lists are joined, nothing is nothing. */
export type Part = string | number | Html | undefined | false | readonly Part[];

/** A template: what is written in the source is markup, what is put into it is text, between tags or in quotes. */
export function html(literals: TemplateStringsArray, ...parts: readonly Part[]): Html {
  return {
    markup: literals.map((literal, at) => literal + (at < parts.length ? render(parts[at]) : ""))
      .join(""),
  };
}

function render(part: Part): string {
  if (part === undefined || part === false) return "";
  if (typeof part === "string") return escape(part);
  if (typeof part === "number") return String(part);
  return "markup" in part ? part.markup : part.map(render).join("");
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
  "`": "&#96;",
};

/** Text as markup. Control characters, and those that turn the direction of what follows, are made visible. */
function escape(text: string): string {
  return text
    // deno-lint-ignore no-control-regex
    .replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g, "\ufffd")
    .replace(/[&<>"'`]/g, (char) => ENTITIES[char]!);
}

/** Addresses of the web as links that tell nothing about us; all else (`javascript:` too) as text. */
export function linked(text: string): Html {
  return /^https?:\/\/[^\s"'<>\\]{1,2000}$/i.test(text) && URL.canParse(text)
    ? html`<a href="${text}" rel="noopener noreferrer nofollow">${text}</a>`
    : html`${text}`;
}
