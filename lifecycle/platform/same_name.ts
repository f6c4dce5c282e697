/** Names of images that are spelled in several ways. */
import { formatReference, parseReference } from "../../registry/oci/reference.ts";

const LOCAL = /^(oci|oci-archive|docker-archive|store):/;

/** Whether a name is of a place on this machine, whose spelling is its own. */
export function isLocalName(name: string): boolean {
  return LOCAL.test(name);
}

/** Two spellings of one name are one name (RG-2); what is no name at all stays as it is. */
export function sameName(name: string): string {
  if (isLocalName(name)) return name;
  let same = spelled.get(name);
  if (same === undefined) {
    try {
      same = formatReference(parseReference(name));
    } catch {
      same = name;
    }
    if (spelled.size >= MAX_SPELLED) spelled.clear();
    spelled.set(name, same);
  }
  return same;
}

/** A fleet's labels name the same few run images. */
const spelled = new Map<string, string>();
const MAX_SPELLED = 1000;
