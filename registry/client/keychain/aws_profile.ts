/** The keys and values of one profile, or of one `sso-session`. */
export type Section = ReadonlyMap<string, string>;

/**
 * Reads `~/.aws/config` or `~/.aws/credentials`.
 *
 * @param kind In `config` profiles are headed `[profile NAME]`, but for `[default]`.
 * @returns By profile; single sign-on sessions by `sso-session NAME`.
 */
export function readProfileFile(
  text: string,
  kind: "config" | "credentials",
): ReadonlyMap<string, Section> {
  const sections = new Map<string, Map<string, string>>();
  let current: Map<string, string> | undefined;
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*([#;]|$)/.test(line)) continue;
    const head = /^\s*\[([^\]]*)\]/.exec(line);
    if (head !== null) {
      const name = sectionName(head[1]!, kind);
      current = name === undefined ? undefined : sections.get(name) ?? new Map();
      if (name !== undefined && current !== undefined) sections.set(name, current);
      continue;
    }
    // What is indented belongs to a nested table, none of which concerns us.
    const pair = /^([^\s=][^=]*?)\s*=\s*(.*?)\s*$/.exec(line);
    if (pair !== null) {
      current?.set(pair[1]!.toLowerCase(), pair[2]!.replace(/\s[#;].*$/, "").trimEnd());
    }
  }
  return sections;
}

function sectionName(head: string, kind: "config" | "credentials"): string | undefined {
  const [first = "", ...rest] = head.trim().split(/\s+/);
  const name = rest.join(" ").replace(/^(["'])(.*)\1$/, "$2");
  if (first === "sso-session" && name !== "") return `sso-session ${name}`;
  if (first === "profile" && name !== "") return name;
  if (rest.length > 0) return undefined;
  return kind === "credentials" || first === "default" ? first : undefined;
}
