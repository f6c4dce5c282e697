/** Values for programs: JSON, YAML or TOML, safe to be looked at in a terminal. */
/** How a value is written. */
export type Structure = "json" | "yaml" | "toml";

/** What a terminal would obey or hide, beyond what the writers escape themselves. */
// deno-lint-ignore no-control-regex
const OBEYED = /[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]|\p{Cf}/gu;

/** `value` in the asked form, with a newline at its end. Keys without a value are left out of TOML, which has no null. */
export async function formatStructured(value: unknown, form: Structure): Promise<string> {
  switch (form) {
    case "json":
      return escaped(JSON.stringify(value, null, 2), form) + "\n";
    case "yaml": {
      const { formatYaml } = await import("./yaml.ts");
      // A text that needs an escape must stand in double quotes: nowhere else are there escapes.
      return escaped(formatYaml(value, OBEYED), form);
    }
    case "toml": {
      const { stringify } = await import("smol-toml");
      return escaped(stringify(withoutNull(value) as Record<string, unknown>), form).trimEnd() +
        "\n";
    }
    default:
      return form satisfies never;
  }
}

/** `\u009b` instead of the character: in a quoted text of all three forms it means the same. */
function escaped(text: string, form: Structure): string {
  const hex = (code: number, digits: number) => code.toString(16).padStart(digits, "0");
  return text.replaceAll(OBEYED, (seen) => {
    const code = seen.codePointAt(0)!;
    if (code <= 0xffff) return `\\u${hex(code, 4)}`;
    // Behind the first 65,536 JSON knows pairs only, and the others know no pairs.
    if (form !== "json") return `\\U${hex(code, 8)}`;
    return `\\u${hex(seen.charCodeAt(0), 4)}\\u${hex(seen.charCodeAt(1), 4)}`;
  });
}

function withoutNull(value: unknown): unknown {
  if (Array.isArray(value)) return value.filter((one) => one !== null).map(withoutNull);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).filter(([, one]) => one !== null && one !== undefined)
      .map(([key, one]) => [key, withoutNull(one)]),
  );
}
