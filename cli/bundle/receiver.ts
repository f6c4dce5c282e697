/** What machines behind the gap need to know: which registry stands in for which, in the words of each engine. */
import { formatToml } from "../../lifecycle/file/toml.ts";
import type { LockedImage } from "../../registry/bundle/lock.ts";
import { familiarRepository, type Reference } from "../../registry/oci/reference.ts";

/** An image and where it went. */
interface Placed {
  readonly image: LockedImage;
  readonly target: Reference;
}

/** Files by name, for wherry, podman and CRI-O, containerd, and OpenShift. */
export function receiverFiles(moves: readonly Placed[]): ReadonlyMap<string, string> {
  const pairs = [
    ...new Map(
      moves.filter(({ image }) => !image.reference.includes(".invalid/")).map((one) => {
        const source = one.image.reference.replace(/[:@][^/]*$/, "");
        return [source, familiarRepository(one.target)] as const;
      }),
    ),
  ].sort(([a], [b]) => a < b ? -1 : 1);
  const files = new Map<string, string>();
  files.set(
    "wherry-config.toml",
    formatToml({
      mirror: pairs.map(([prefix, location]) => ({
        prefix,
        endpoints: [location],
        fallback: false,
      })),
    }),
  );
  files.set(
    "registries.conf",
    formatToml({
      registry: pairs.map(([prefix, location]) => ({
        prefix,
        location: prefix,
        blocked: true,
        mirror: [{ location }],
      })),
    }),
  );
  for (const [host, text] of hostsFiles(pairs)) files.set(`certs.d/${host}/hosts.toml`, text);
  files.set("idms.yaml", idms(pairs));
  return files;
}

/** containerd knows hosts only: the mirror is asked for the same path below a prefix. */
function hostsFiles(
  pairs: readonly (readonly [string, string])[],
): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const [source, target] of pairs) {
    const slash = source.indexOf("/");
    const [host, path] = [source.slice(0, slash), source.slice(slash)];
    if (!target.endsWith(path) || files.has(host)) continue;
    const base = target.slice(0, -path.length);
    const [server, ...rest] = base.split("/");
    const url = `https://${server}/v2${rest.length > 0 ? `/${rest.join("/")}` : ""}`;
    files.set(
      host,
      formatToml({
        server: url,
        host: { [url]: { capabilities: ["pull", "resolve"], override_path: true } },
      }),
    );
  }
  return files;
}

function idms(pairs: readonly (readonly [string, string])[]): string {
  const head =
    "apiVersion: config.openshift.io/v1\nkind: ImageDigestMirrorSet\nmetadata:\n  name: wherry-bundle\nspec:\n  imageDigestMirrors:\n";
  return head +
    pairs.map(([source, mirror]) =>
      `  - source: ${source}\n    mirrors:\n      - ${mirror}\n    mirrorSourcePolicy: NeverContactSource\n`
    ).join("");
}
