import assert from "node:assert/strict";
import { type AwsKeys, type SignableRequest, signedHeaders } from "./sigv4.ts";

const keys: AwsKeys = {
  accessKeyId: "AKIDEXAMPLE",
  secretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
};
const now = Date.parse("2015-08-30T12:36:00Z");

interface Vector extends Partial<SignableRequest> {
  readonly why: string;
  readonly service?: string;
  readonly signature: string;
}

const vectors: readonly Vector[] = [
  {
    why: "get-vanilla",
    signature: "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
  },
  {
    why: "get-vanilla-query-order-key-case",
    url: "https://example.amazonaws.com/?Param2=value2&Param1=value1",
    signature: "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
  },
  {
    why: "post-vanilla",
    method: "POST",
    signature: "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
  },
  {
    why: "post-x-www-form-urlencoded",
    method: "POST",
    headers: { "content-type": "application/x-www-form-urlencoded" },
    body: "Param1=value1",
    signature: "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
  },
  {
    why: "ListUsers of the guide",
    url: "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
    headers: { "content-type": "application/x-www-form-urlencoded; charset=utf-8" },
    service: "iam",
    signature: "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
  },
];

for (const { why, signature, service = "service", ...request } of vectors) {
  Deno.test(`C-CRED ECR: Amazon's published signature of ${why}`, () => {
    const headers = signedHeaders(
      { method: "GET", url: "https://example.amazonaws.com/", headers: {}, body: "", ...request },
      keys,
      { region: "us-east-1", service, now },
    );
    assert.equal(headers["authorization"]?.split("Signature=")[1], signature);
    assert.equal(headers["x-amz-date"], "20150830T123600Z");
  });
}

Deno.test("C-CRED ECR: a session token is signed, the host is not sent twice", () => {
  const headers = signedHeaders(
    { method: "GET", url: "https://example.amazonaws.com/", headers: {}, body: "" },
    { ...keys, sessionToken: "T" },
    { region: "us-east-1", service: "service", now },
  );
  assert.equal(headers["x-amz-security-token"], "T");
  assert.match(headers["authorization"]!, /SignedHeaders=host;x-amz-date;x-amz-security-token,/);
  assert.equal("host" in headers, false);
});
