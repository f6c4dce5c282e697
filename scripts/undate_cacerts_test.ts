import { deepEqual, equal, throws } from "node:assert/strict";
import { createHash } from "node:crypto";
import { undateCacerts } from "./undate_cacerts.ts";

/** A list of two, as Java writes it, made at `date`. */
function jks(date: bigint): Uint8Array {
  const text = (value: string) => [0, value.length, ...new TextEncoder().encode(value)];
  const number = (value: number) => [0, 0, 0, value];
  const time = [...new Uint8Array(new BigUint64Array([date]).buffer)].reverse();
  const entry = (alias: string) => [
    ...[...number(2), ...text(alias), ...time, ...text("X.509")],
    ...[...number(3), 7, 8, 9],
  ];
  const body = [0xfe, 0xed, 0xfe, 0xed, ...number(2), ...number(2), ...entry("a"), ...entry("bc")];
  const password = [..."changeit"].flatMap((letter) => [0, letter.charCodeAt(0)]);
  const head = new TextEncoder().encode("Mighty Aphrodite");
  const seal = createHash("sha1").update(new Uint8Array([...password, ...head, ...body])).digest();
  return new Uint8Array([...body, ...seal]);
}

Deno.test("Java's authorities are the same bytes whenever they were made", () => {
  const [one, other] = [jks(1_700_000_000_000n), jks(1_800_000_000_000n)];
  equal(one.length, other.length);
  deepEqual(undateCacerts(one), undateCacerts(other));
  deepEqual(undateCacerts(one), new Uint8Array(jks(0n)));
});

Deno.test("a file that is no list of authorities is refused", () => {
  throws(() => undateCacerts(new Uint8Array(40)), /not a JKS file/);
  const broken = jks(1n);
  broken[broken.length - 25]! ^= 1;
  throws(() => undateCacerts(broken), /digest at their end/);
});
