import assert from "node:assert/strict";
import { inRange, isLoopbackName, nearnessOf } from "./address.ts";

Deno.test.each([
  ["8.8.8.8", 0],
  ["10.1.2.3", 1],
  ["172.16.0.1", 1],
  ["172.32.0.1", 0],
  ["192.168.1.1", 1],
  ["100.64.0.1", 1],
  ["127.0.0.1", 2],
  ["127.1", 2],
  ["2130706433", 2],
  ["0x7f.1", 2],
  ["0177.0.0.1", 2],
  ["0.0.0.0", 3],
  ["0", 3],
  ["169.254.169.254", 3],
  ["255.255.255.255", 3],
  ["::1", 2],
  ["::", 3],
  ["::ffff:127.0.0.1", 2],
  ["::ffff:7f00:1", 2],
  ["::127.0.0.1", 2],
  ["64:ff9b::a9fe:a9fe", 3],
  ["fe80::1", 3],
  ["fd00::1", 1],
  ["2001:db8::1", 0],
  ["ff02::1", 3],
  ["256.1.1.1", undefined],
  ["example.com", undefined],
  ["1.2.3.4.5", undefined],
  [":::", undefined],
  ["1:2:3:4:5:6:7:8:9", undefined],
])("N-04 nearness of %s", (address, wanted) => {
  assert.equal(nearnessOf(address as string), wanted);
});

Deno.test("C-CONN-01 names of this machine", () => {
  for (const name of ["localhost", "a.localhost", "127.0.0.1", "::1"]) {
    assert(isLoopbackName(name), name);
  }
  for (const name of ["10.0.0.1", "localhost.evil.com", "example.com", "0.0.0.0"]) {
    assert(!isLoopbackName(name), name);
  }
});

Deno.test("ranges", () => {
  assert(inRange("10.2.3.4", "10.0.0.0/8"));
  assert(!inRange("11.2.3.4", "10.0.0.0/8"));
  assert(inRange("192.168.1.129", "192.168.1.128/25"));
  assert(inRange("1.2.3.4", "0.0.0.0/0"));
  assert(inRange("fd00::5", "fd00::/8"));
  for (const range of ["10.0.0.0/33", "10.0.0.0/", "x/8", "10.0.0.0"]) {
    assert(!inRange("10.0.0.1", range));
  }
});
