/** Which images a fleet is: a list of names, JSON lines, what a cluster runs, patterns. Pure: files and catalogues are read outside. */

/** One image of a fleet. */
export interface FleetItem {
  /** The name as it was written: a reference, `store:NAME`, `oci:DIR`. */
  readonly name: string;
  /** What a cluster says it runs under this name: `sha256:...`. */
  readonly digest?: string | undefined;
  /** Where it runs, in order of mention: `namespace/pod/container`. Empty for lists. */
  readonly where: readonly string[];
}

/** A line or document that names no image. */
export class FleetSourceError extends Error {
  override readonly name = "FleetSourceError";
  /** Bad input of the user's: as bad arguments. */
  readonly exitCode = 3;
}

/**
 * Reads a fleet. What it is in is seen from its first character: the JSON of `kubectl get pods -A -o json` (or any
 * other object or list of objects with containers in it), an array of names, JSON lines (`{"reference": "..."}`), or
 * names, one a line, where `#` starts a comment. A name that comes twice counts once, where it came first; what a cluster runs under
 * one name by two digests, as in the middle of a rollout, is two images.
 *
 * @param from For messages: the file, or `standard input`.
 * @throws {FleetSourceError} Naming the line and what was wanted.
 */
export function parseFleet(text: string, from: string): readonly FleetItem[] {
  const found = new Map<string, { name: string; digest?: string | undefined; where: string[] }>();
  const add = (name: string, digest?: string, where?: string) => {
    const key = keyOf({ name, digest });
    const known = found.get(key);
    if (known === undefined) {
      found.set(key, { name, digest, where: where === undefined ? [] : [where] });
    } else if (where !== undefined) known.where.push(where);
  };
  const start = text.trimStart();
  const whole = start.startsWith("{") || start.startsWith("[") ? parsed(start) : undefined;
  if (Array.isArray(whole)) {
    whole.forEach((one, at) => add(nameIn(one, `${from}, entry ${at + 1}`)));
  } else if (isObject(whole) && referenceIn(whole) === undefined) {
    readCluster(whole, add);
    // A namespace without pods is a fleet without images.
    const { kind, items } = whole;
    const empty = kind === "List" && Array.isArray(items) && items.length === 0;
    if (found.size === 0 && !empty) {
      throw new FleetSourceError(
        `Cannot read fleet from ${from}: its JSON has no containers and no "reference"`,
      );
    }
  } else {
    text.split(/\r?\n/).forEach((line, at) => {
      const words = line.replace(/(^|\s)#.*$/, "").trim();
      if (words === "") return;
      const where = `${from}:${at + 1}`;
      if (words.startsWith("{")) { // no name begins like this, nor a pattern: they begin with a host
        const value = parsed(line.trim());
        if (value !== undefined) return add(nameIn(value, where));
        throw new FleetSourceError(
          `Cannot read fleet from ${where}: it is not JSON, or not all of it`,
        );
      }
      if (/\s/.test(words)) {
        throw new FleetSourceError(
          `Cannot read fleet from ${where}: ${quote(words)} is more than one name`,
        );
      }
      add(words);
    });
  }
  return [...found.values()].map(({ name, digest, where }) => ({
    name,
    where,
    ...(digest === undefined ? {} : { digest }),
  }));
}

/** What makes an item the same as another: its name, and which image that is where this is known. */
export function keyOf({ name, digest = "" }: Pick<FleetItem, "name" | "digest">): string {
  return `${name} ${digest}`;
}

type Json = Readonly<Record<string, unknown>>;

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // several lines of JSON, perhaps
  }
}

/** As our own reports and plans call it, and others their lists. */
function referenceIn(value: Json): string | undefined {
  for (const key of ["reference", "image", "name"]) {
    const text = value[key];
    if (typeof text === "string" && text !== "") return text;
  }
  return undefined;
}

function nameIn(value: unknown, where: string): string {
  const name = typeof value === "string" ? value : isObject(value) ? referenceIn(value) : undefined;
  if (name !== undefined && name !== "" && !/\s/.test(name)) return name;
  throw new FleetSourceError(
    `Cannot read fleet from ${where}: want a name, or JSON with a "reference"`,
  );
}

/** Everything with containers, however deep: pods, and what makes pods. */
function readCluster(
  value: unknown,
  add: (name: string, digest: string | undefined, where: string) => void,
  path = "",
  depth = 0,
): void {
  if (depth > MAX_DEPTH) return;
  if (Array.isArray(value)) {
    for (const one of value) readCluster(one, add, path, depth + 1);
    return;
  }
  if (!isObject(value)) return;
  const metadata = value["metadata"];
  if (isObject(metadata) && typeof metadata["name"] === "string" && path === "") {
    const namespace = metadata["namespace"];
    path = typeof namespace === "string" ? `${namespace}/${metadata["name"]}` : metadata["name"];
  }
  const running = digestsOf(value["status"]);
  const spec = isObject(value["spec"]) ? value["spec"] : undefined;
  for (const key of ["initContainers", "containers", "ephemeralContainers"]) {
    for (const container of listIn(spec, key)) {
      const { image, name } = container;
      if (typeof image !== "string" || image === "") continue;
      const where = [path, String(name ?? "")].filter((part) => part !== "").join("/");
      add(image, running.get(String(name)), where);
    }
  }
  for (const key of ["items", "template", "jobTemplate"]) {
    readCluster(value[key], add, key === "items" ? "" : path, depth + 1);
    if (spec !== undefined && key !== "items") readCluster(spec[key], add, path, depth + 1);
  }
}

const MAX_DEPTH = 8;

/** By container: `docker-pullable://host/app@sha256:...` says which image it really is. */
function digestsOf(status: unknown): ReadonlyMap<string, string> {
  const digests = new Map<string, string>();
  if (!isObject(status)) return digests;
  for (const key of ["initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses"]) {
    for (const { name, imageID } of listIn(status, key)) {
      const digest = /@(sha(?:256|512):[0-9a-f]{64,128})$/.exec(String(imageID ?? ""))?.[1];
      if (digest !== undefined) digests.set(String(name), digest);
    }
  }
  return digests;
}

function listIn(value: Json | undefined, key: string): readonly Json[] {
  const list = value?.[key];
  return Array.isArray(list) ? list.filter(isObject) : [];
}

function quote(text: string): string {
  return JSON.stringify(text.length > 140 ? `${text.slice(0, 140)}...` : text);
}
