import { deepEqual, equal, throws } from "node:assert/strict";
import { digestOf } from "../oci/digest.ts";
import { isOciError } from "../oci/error.ts";
import { type ApiRequest, formatPath, parseRequest } from "./request.ts";

const digest = digestOf(new Uint8Array());
const repository = "a/b";

function parse(method: string, path: string): ApiRequest {
  const url = new URL(path, "http://x");
  return parseRequest(method, url.pathname, url.searchParams);
}

const ROUND: readonly { method: string; request: ApiRequest }[] = [
  { method: "GET", request: { kind: "ping" } },
  { method: "GET", request: { kind: "catalog", n: 5, last: "a" } },
  { method: "GET", request: { kind: "tags", repository, n: 0 } },
  { method: "GET", request: { kind: "getManifest", repository, reference: "v1" } },
  { method: "HEAD", request: { kind: "getManifest", repository, reference: digest } },
  {
    method: "PUT",
    request: { kind: "putManifest", repository, reference: "v1", tags: ["a", "b"] },
  },
  { method: "DELETE", request: { kind: "deleteManifest", repository, reference: "v1" } },
  { method: "GET", request: { kind: "getBlob", repository, digest } },
  { method: "DELETE", request: { kind: "deleteBlob", repository, digest } },
  { method: "POST", request: { kind: "startUpload", repository } },
  { method: "POST", request: { kind: "startUpload", repository, digest } },
  { method: "POST", request: { kind: "startUpload", repository, mount: digest, from: "x" } },
  { method: "POST", request: { kind: "startUpload", repository, algorithm: "sha512" } },
  { method: "GET", request: { kind: "uploadStatus", repository, id: "1-2" } },
  { method: "PATCH", request: { kind: "patchUpload", repository, id: "1-2" } },
  { method: "PUT", request: { kind: "putUpload", repository, id: "1-2", digest } },
  { method: "DELETE", request: { kind: "cancelUpload", repository, id: "1-2" } },
  { method: "GET", request: { kind: "referrers", repository, digest, artifactType: "a/b+c" } },
];

for (const { method, request } of ROUND) {
  Deno.test(`request ${method} ${formatPath(request)} reads back`, () => {
    const back = parse(method, formatPath(request));
    deepEqual(JSON.parse(JSON.stringify(back)), JSON.parse(JSON.stringify(request)));
  });
}

Deno.test("request paths are read from their end", () => {
  deepEqual(parse("GET", "/v2/a/blobs/uploads/manifests/x"), {
    kind: "getManifest",
    repository: "a/blobs/uploads",
    reference: "x",
  });
  deepEqual(parse("GET", "/v2/manifests/tags/list"), { kind: "tags", repository: "manifests" });
  equal(parse("GET", "/v2").kind, "ping");
  equal(parse("GET", `/v2/a/blobs/${digest.replace(":", "%3A")}`).kind, "getBlob");
});

const REFUSED: readonly { method: string; path: string; status: number; why: string }[] = [
  { method: "GET", path: "/v1/", status: 404, why: "another API" },
  { method: "GET", path: "/v2/a", status: 404, why: "no resource" },
  { method: "GET", path: "/v2/A/tags/list", status: 400, why: "upper case" },
  { method: "GET", path: "/v2//tags/list", status: 400, why: "empty name" },
  { method: "GET", path: "/v2/a%2Fb/tags/list", status: 404, why: "an escaped slash" },
  { method: "GET", path: "/v2/a/blobs/%zz", status: 404, why: "a broken escape" },
  { method: "GET", path: "/v2/a/blobs/sha256:..%2f..%2fetc", status: 404, why: "M-02" },
  { method: "GET", path: "/v2/a/blobs/sha256:abc", status: 400, why: "M-02 short" },
  { method: "GET", path: "/v2/a/blobs/md5:abc", status: 400, why: "M-11" },
  { method: "GET", path: "/v2/a/manifests/sha256:baddigeststring", status: 400, why: "M-02" },
  { method: "PUT", path: "/v2/a/manifests/-x", status: 400, why: "no tag" },
  { method: "GET", path: "/v2/a/manifests/-x", status: 404, why: "no tag" },
  { method: "PATCH", path: "/v2/a/manifests/x", status: 405, why: "no such method" },
  { method: "PUT", path: "/v2/a/blobs/uploads/x", status: 400, why: "no digest" },
  { method: "GET", path: "/v2/a/tags/list?n=x", status: 400, why: "no number" },
  {
    method: "POST",
    path: `/v2/a/blobs/uploads/?mount=${digest}&from=../b`,
    status: 400,
    why: "from",
  },
];

for (const { method, path, status, why } of REFUSED) {
  Deno.test(`request ${method} ${path} is refused: ${why}`, () => {
    throws(() => parse(method, path), (error) => isOciError(error) && error.status === status);
  });
}
