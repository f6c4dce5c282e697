import assert from "node:assert/strict";
import fc from "./property_testing.ts";
import type { Digest } from "./digest.ts";
import { OciError } from "./error.ts";
import {
  apiHost,
  familiarName,
  formatPlace,
  formatReference,
  HUB,
  parsePlace,
  parseReference,
  type Reference,
  sameRepository,
} from "./reference.ts";

const D = "sha256:" + "a".repeat(64);

Deno.test.each([
  ["C-REF-01 one word is a Hub path", "x", "index.docker.io/library/x:latest", "x:latest"],
  [
    "C-REF-01 no slash means Hub even for localhost:5000",
    "localhost:5000",
    "index.docker.io/library/localhost:5000",
    "localhost:5000",
  ],
  ["C-REF-01 localhost is a host", "localhost/x", "localhost/x:latest", "localhost/x:latest"],
  ["C-REF-01 no dot means no host", "host/x", "index.docker.io/host/x:latest", "host/x:latest"],
  ["C-REF-02 docker.io is index.docker.io", "docker.io/x:1", "index.docker.io/library/x:1", "x:1"],
  [
    "C-REF-02 a Hub path that looks like a host keeps its host",
    "docker.io/a.b/c:1",
    "index.docker.io/a.b/c:1",
    "docker.io/a.b/c:1",
  ],
  ["C-REF-03 a colon before a slash is a port", "h:5000/x", "h:5000/x:latest", "h:5000/x:latest"],
  ["C-REF-03 port and tag", "h:5000/x:1", "h:5000/x:1", "h:5000/x:1"],
  ["C-REF-04 digest alone has no tag", `h.io/x@${D}`, `h.io/x@${D}`, `h.io/x@${D}`],
  ["C-REF-04 tag and digest", `x:1@${D}`, `index.docker.io/library/x:1@${D}`, `x:1@${D}`],
  [
    "C-REF-05 separators",
    "h.io/a.b_c__d---e/f0:A_.-",
    "h.io/a.b_c__d---e/f0:A_.-",
    "h.io/a.b_c__d---e/f0:A_.-",
  ],
  ["C-REF-08 IPv6 with a port", "[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"],
  ["M-12 hosts have no case", "Registry.Example/x", "registry.example/x:latest", undefined],
])("%s", (_, text, full, familiar) => {
  const reference = parseReference(text!);
  assert.equal(formatReference(reference), full);
  if (familiar !== undefined) assert.equal(familiarName(reference), familiar);
});

Deno.test.each([
  ["C-REF-04 two @", `x@${D}@${D}`, /more than one @/],
  ["C-REF-05 upper case", "registry.example/App", /lower case, such as "app"/],
  ["C-REF-05 empty component", "h.io/a//b", /path component ""/],
  ["C-REF-05 leading separator", "h.io/-a", /path component "-a"/],
  ["C-REF-05 tag with a space", "x:a b", /tag "a b"/],
  ["C-REF-05 empty tag", "x:", /tag ""/],
  ["C-REF-05 long tag", "x:" + "a".repeat(129), /tag/],
  ["C-REF-06 long name", "h.io/" + "a/".repeat(130) + "a", /255/],
  ["C-REF-07 short digest", "x@sha256:abc", /sha256: and 64/],
  ["C-REF-07 unknown algorithm", "x@md5:" + "a".repeat(32), /sha256: and 64/],
  ["C-REF-07 upper-case digest", "x@sha256:" + "A".repeat(64), /sha256: and 64/],
  ["C-REF-08 zone id", "[fe80::1%eth0]:5000/x", /not a host/],
  ["C-REF-08 unbalanced bracket", "[::1:5000/x", /not a host/],
  ["C-REF-08 port too large", "h:65536/x", /not a host/],
  ["M-12 userinfo", "user@h.io/x", /sha256: and 64/],
  ["M-12 trailing dot", "h.io./x", /not a host/],
  ["M-12 other alphabet", "h\u0131.io/x", /not a host/],
  ["M-12 percent", "h.io/a%2fb", /path component/],
  ["M-12 dots", "h.io/../x", /path component ".."/],
  ["M-12 scheme", "https://h.io/x", /without the scheme/],
  ["empty", "", /want a name/],
  ["a path", "./app", /it is a path; want oci:DIR/],
  ["control characters are not echoed", "h.io/a\u001b[2J", /a\\u001b\[2J/],
])("refused: %s", (_, text, message) => {
  assert.throws(
    () => parseReference(text as string),
    (error: unknown) => error instanceof OciError && (message as RegExp).test(error.message),
  );
});

Deno.test("C-REF-09 docker://NAME is a name; another tool's transport is told with what there is here", () => {
  assert.deepEqual(parsePlace("docker://h.io/x:1"), parsePlace("h.io/x:1"));
  assert.throws(
    () => parsePlace("docker-daemon:x:latest"),
    /wherry has no docker-daemon: want NAME, store:NAME, oci:DIR/,
  );
  assert.throws(() => parsePlace("dir:/tmp/x"), /wherry has no dir:/);
  assert.deepEqual(parsePlace("dir:1").kind, "registry", "it may be the name of an image");
});

Deno.test("C-REF-02 the API of Docker Hub has its own host", () => {
  assert.equal(apiHost(HUB), "registry-1.docker.io");
  assert.equal(apiHost("docker.io"), "registry-1.docker.io");
  assert.equal(apiHost("h.io:5000"), "h.io:5000");
});

Deno.test("sameRepository ignores tags and spellings", () => {
  assert(sameRepository(parseReference("x:1"), parseReference("docker.io/library/x:2")));
  assert(!sameRepository(parseReference("x"), parseReference("y")));
});

Deno.test.each([
  ["h.io/x:1", { kind: "registry", reference: parseReference("h.io/x:1") }],
  ["oci:out", { kind: "oci", path: "out" }],
  ["oci:/a/b:1.0", { kind: "oci", path: "/a/b", tag: "1.0" }],
  ["oci-archive:x.tar:v1", { kind: "oci-archive", path: "x.tar", tag: "v1" }],
  ["docker-archive:x.tar", { kind: "docker-archive", path: "x.tar" }],
  [
    "docker-archive:/x.tar:h:5000/a:1",
    { kind: "docker-archive", path: "/x.tar", reference: parseReference("h:5000/a:1") },
  ],
  ["docker.io/store:5", { kind: "registry", reference: parseReference("docker.io/store:5") }],
  ["store:app", { kind: "store", reference: parseReference("app") }],
])("C-REF-09 place %s", (text, place) => {
  assert.deepEqual(parsePlace(text as string), place);
  assert.deepEqual(parsePlace(formatPlace(parsePlace(text as string))), place);
});

Deno.test("C-REF-09 a prefix needs a path", () => {
  for (const text of ["oci:", "oci::tag", "docker-archive:", "store:", "oci:dir:"]) {
    assert.throws(() => parsePlace(text), OciError, text);
  }
});

const component = fc.stringMatching(/^[a-z0-9]{1,6}((\.|_|__|-{1,3})[a-z0-9]{1,6}){0,2}$/);
const host = fc.oneof(
  fc.constant(HUB),
  fc.stringMatching(/^[a-z0-9]{1,5}(-[a-z0-9]{1,4})?\.[a-z]{2,4}(:[1-9][0-9]{0,3})?$/),
  fc.constant("localhost"),
  fc.constant("[2001:db8::1]:443"),
);
const reference: fc.Arbitrary<Reference> = fc.record({
  registry: host,
  path: fc.array(component, { minLength: 1, maxLength: 4 }),
  tag: fc.option(fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9._-]{0,20}$/), { nil: undefined }),
  digest: fc.option(fc.stringMatching(/^sha256:[0-9a-f]{64}$/), { nil: undefined }),
}).map(({ registry, path, tag, digest }) => ({
  registry: registry === "docker.io" ? HUB : registry,
  repository: registry === HUB && path.length === 1 ? `library/${path[0]}` : path.join("/"),
  ...(tag !== undefined ? { tag } : digest === undefined ? { tag: "latest" } : {}),
  ...(digest !== undefined ? { digest: digest as Digest } : {}),
}));

Deno.test("property: parse(format(x)) = x, in the full and the familiar form", () => {
  fc.assert(fc.property(reference, (x) => {
    assert.deepEqual(parseReference(formatReference(x)), x);
    assert.deepEqual(parseReference(familiarName(x)), x);
  }));
});

Deno.test("property: any text parses to something that formats back, or is an OciError", () => {
  fc.assert(fc.property(fc.string({ unit: "binary", maxLength: 60 }), (text) => {
    let parsed: Reference;
    try {
      parsed = parseReference(text);
    } catch (error) {
      assert(error instanceof OciError);
      return;
    }
    assert.deepEqual(parseReference(formatReference(parsed)), parsed);
  }));
});

Deno.test("RG-1 the defaults of an image name, and its limits", () => {
  const rows: [string, string, string, string | undefined, string | undefined][] = [
    ["app", HUB, "library/app", "latest", undefined],
    ["some/app", HUB, "some/app", "latest", undefined],
    ["docker.io/app:1", HUB, "library/app", "1", undefined],
    ["localhost/app", "localhost", "app", "latest", undefined],
    ["host:5000/a/b:c", "host:5000", "a/b", "c", undefined],
    ["host.example/a", "host.example", "a", "latest", undefined],
    [`host.example/a@${D}`, "host.example", "a", undefined, D],
    [`host.example/a:1@${D}`, "host.example", "a", "1", D],
  ];
  for (const [text, registry, repository, tag, digest] of rows) {
    const found = parseReference(text);
    assert.deepEqual(
      [found.registry, found.repository, found.tag, found.digest],
      [registry, repository, tag, digest],
      text,
    );
  }
  const longest = `h.io/${"a".repeat(250)}:${"t".repeat(128)}`;
  assert.equal(formatReference(parseReference(longest)), longest);
  for (
    const bad of [`h.io/${"a".repeat(251)}`, `h.io/a:${"t".repeat(129)}`, "h.io/A", "h.io/a b"]
  ) {
    assert.throws(() => parseReference(bad), OciError, bad.slice(0, 20));
  }
});
