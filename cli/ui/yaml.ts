/** YAML for programs. Loaded only when asked for: the library is as large as all the rest of a small command. */
import { Document, isScalar, Scalar, visit } from "yaml";

/** `value` as YAML; texts in which `quoted` finds something stand in double quotes, where escapes are possible. */
export function formatYaml(value: unknown, quoted: RegExp): string {
  const document = new Document(value, { aliasDuplicateObjects: false });
  visit(document, {
    Scalar(_key, node) {
      if (!isScalar(node) || typeof node.value !== "string") return;
      if (node.value.search(quoted) >= 0) node.type = Scalar.QUOTE_DOUBLE;
    },
  });
  return document.toString({ lineWidth: 0 });
}
