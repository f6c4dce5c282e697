import assert from "node:assert/strict";
import { isPrivateAddress } from "./registry_images.ts";
import { layoutPath } from "./layout_images.ts";

Deno.test("IS-1 plain http is for private addresses, written as numbers", () => {
  for (
    const host of ["10.0.0.1", "10.1.2.3:5000", "172.16.0.1", "172.31.255.1:80", "192.168.1.1"]
  ) {
    assert.ok(isPrivateAddress(host), host);
  }
  const others = [
    "11.0.0.1",
    "172.32.0.1",
    "172.15.0.1",
    "10.example",
    "10.0.0.1.example:5000",
    "8.8.8.8",
  ];
  for (const host of others) assert.ok(!isPrivateAddress(host), host);
});

Deno.test("OL-1 where the layout of an image lies", () => {
  const digest = "sha256:" + "0".repeat(64);
  const rows = [
    ["app", "index.docker.io/library/app/latest"],
    ["someone/app:1", "index.docker.io/someone/app/1"],
    ["registry.example/a/b", "registry.example/a/b/latest"],
    [`registry.example/a@${digest}`, `registry.example/a/sha256/${"0".repeat(64)}`],
  ];
  for (const [name, path] of rows) assert.equal(layoutPath(name!), path);
});
