/** Attached bills of materials are found again as `oras discover` and scanners find them. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { connectRegistry } from "../registry/client/client.ts";
import { dockerRegistry, startDockerRegistry } from "../registry/client/docker_registry_testing.ts";
import { appImage, bench, push } from "./command_testing.ts";

const SBOMS = {
  "samples_java/jre/sbom.cdx.json": {
    components: [{ type: "library", name: "left-pad", version: "1", purl: "pkg:npm/left-pad@1" }],
  },
};

interface Listed {
  readonly mediaType: string;
  readonly manifests: readonly { readonly artifactType: string; readonly digest: string }[];
}

async function json(url: string): Promise<Listed & Record<string, never>> {
  const response = await fetch(url, {
    headers: {
      accept: "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json",
    },
  });
  equal(response.status, 200, url);
  return await response.json();
}

Deno.test("the referrers API lists what sbom attach put there, by its artifactType", async () => {
  await using shop = await bench();
  const image = await push(appImage({ sboms: SBOMS }), shop.registry, "app", "1");
  const { code, err } = await shop.wherry("sbom", "attach", `${shop.host}/app:1`);
  equal(code, 0, err);
  const type = "application/vnd.cyclonedx+json";
  const base = `http://${shop.host}/v2/app`;
  const listed = await json(
    `${base}/referrers/${image.raw.digest}?artifactType=${encodeURIComponent(type)}`,
  );
  equal(listed.mediaType, "application/vnd.oci.image.index.v1+json");
  deepEqual(listed.manifests.map(({ artifactType }) => artifactType), [type]);
  const manifest = await json(`${base}/manifests/${listed.manifests[0]!.digest}`) as unknown as {
    readonly subject: { readonly digest: string };
    readonly layers: readonly { readonly mediaType: string; readonly digest: string }[];
  };
  equal(manifest.subject.digest, image.raw.digest);
  equal(manifest.layers[0]!.mediaType, type);
  const document = await json(`${base}/blobs/${manifest.layers[0]!.digest}`) as unknown as {
    readonly components: readonly { readonly name: string }[];
  };
  equal(document.components[0]!.name, "left-pad");
});

Deno.test({
  name:
    "where a registry has no referrers API, the tag that stands in for it names them (docker-registry)",
  ignore: dockerRegistry === undefined,
  fn: async () => {
    await using server = await startDockerRegistry();
    await using shop = await bench();
    const image = appImage({ sboms: SBOMS });
    {
      await using client = await connectRegistry(server.host, { plainHosts: [server.host] });
      await push(image, client, "app", "1");
    }
    const name = `${server.host}/app:1`;
    for (const format of ["cyclonedx", "spdx"]) {
      const { code, err } = await shop.wherry("sbom", "attach", name, "--format", format);
      equal(code, 0, err);
    }
    const tag = image.raw.digest.replace(":", "-");
    const listed = await json(`http://${server.host}/v2/app/manifests/${tag}`);
    deepEqual(listed.manifests.map(({ artifactType }) => artifactType).sort(), [
      "application/spdx+json",
      "application/vnd.cyclonedx+json",
    ]);
    const { out } = await shop.wherry("sbom", "list", name);
    match(out, /^Attached:\n {2}FORMAT +DIGEST\n(?: {2}\w+ +sha256:[0-9a-f]{64}\n){2}$/m);
    ok(out.includes("spdx"));
  },
});
