import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { type QuirkServer, quirkServer, type Seen } from "../quirk_testing.ts";
import { cloudKeychains } from "./keychain.ts";
import { testWorld } from "./keychain_testing.ts";
import { type AwsKeys, signedHeaders } from "./sigv4.ts";
import { ENDPOINTS } from "./world.ts";

const HOST = "123456789012.dkr.ecr.eu-central-1.amazonaws.com";
const NOW = Date.parse("2026-03-01T00:00:00Z");
const now = () => NOW;
const KEYS: AwsKeys = { accessKeyId: "AKIATEST", secretAccessKey: "canary-aws-secret" };
const TOKEN = btoa("AWS:canary-ecr-password");
const LENT: AwsKeys = {
  accessKeyId: "ASIALENT",
  secretAccessKey: "canary/lent+secret",
  sessionToken: "canary/session==",
};
const lentJson = () =>
  Response.json({
    AccessKeyId: LENT.accessKeyId,
    SecretAccessKey: LENT.secretAccessKey,
    Token: LENT.sessionToken,
    Expiration: "2026-03-01T06:00:00Z",
  });
const lentXml = (action: string) =>
  new Response(
    `<${action}Response><${action}Result><Credentials><AccessKeyId>${LENT.accessKeyId}</AccessKeyId>
    <SecretAccessKey>${LENT.secretAccessKey}</SecretAccessKey><SessionToken>${LENT.sessionToken}</SessionToken>
    </Credentials></${action}Result></${action}Response>`,
  );

/** Whether the request bears the signature that `keys` make over what arrived. */
function signedBy(seen: Seen, keys: AwsKeys, region: string, service: string): boolean {
  const names = /SignedHeaders=([^,]+)/.exec(seen.headers.get("authorization") ?? "")?.[1] ?? "";
  const time = seen.headers.get("x-amz-date") ?? "";
  const made = ["host", "x-amz-date", "x-amz-security-token"];
  const headers = Object.fromEntries(
    names.split(";").filter((name) => !made.includes(name)).map((name) => [
      name,
      seen.headers.get(name)!,
    ]),
  );
  const again = signedHeaders(
    {
      method: seen.method,
      url: `http://${seen.headers.get("host")}${seen.url}`,
      headers,
      body: new TextDecoder().decode(seen.body),
    },
    keys,
    {
      region,
      service,
      now: Date.parse(
        time.replace(/^(....)(..)(..T..)(..)(..Z)$/, "$1-$2-$3:$4:$5"),
      ),
    },
  );
  return again["authorization"] === seen.headers.get("authorization");
}

/** All of Amazon on one port. */
function aws(keys: AwsKeys, answer?: (seen: Seen) => Response | undefined): QuirkServer {
  return quirkServer((seen) => {
    const other = answer?.(seen);
    if (other !== undefined) return other;
    const target = seen.headers.get("x-amz-target");
    if (target === "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken") {
      if (!signedBy(seen, keys, "eu-central-1", "ecr")) {
        return Response.json({ __type: "SignatureDoesNotMatch", message: "canary-echo" }, {
          status: 400,
        });
      }
      const expiresAt = NOW / 1000 + 12 * 3600;
      return Response.json({ authorizationData: [{ authorizationToken: TOKEN, expiresAt }] });
    }
    if (target === "SpencerFrontendService.GetAuthorizationToken") {
      assert(signedBy(seen, keys, "us-east-1", "ecr-public"));
      return Response.json({ authorizationData: { authorizationToken: TOKEN } });
    }
    return new Response(null, { status: 404 });
  });
}

function endpoints(server: QuirkServer) {
  const here = `http://${server.host}`;
  return {
    ecr: () => here,
    ecrPublic: here,
    sts: () => here,
    sso: () => here,
    awsContainer: here,
    awsMetadata: here,
  };
}

const PASSWORD = { kind: "basic", username: "AWS", password: "canary-ecr-password" };
const ENV = {
  AWS_ACCESS_KEY_ID: KEYS.accessKeyId,
  AWS_SECRET_ACCESS_KEY: KEYS.secretAccessKey,
};

Deno.test("C-CRED ECR: keys of the environment sign for a token", async () => {
  await using server = aws(KEYS);
  const keychain = cloudKeychains(testWorld({ env: ENV, endpoints: endpoints(server), now }));
  assert.deepEqual(await keychain(HOST, "app"), PASSWORD);
  assert.deepEqual(await keychain("public.ecr.aws", "app"), PASSWORD);
  assert.equal(server.seen.length, 2);
});

const hosts: readonly (readonly [string, string | undefined])[] = [
  [HOST, "https://api.ecr.eu-central-1.amazonaws.com"],
  [`${HOST}:443`, "https://api.ecr.eu-central-1.amazonaws.com"],
  [
    "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
    "https://ecr-fips.us-gov-west-1.amazonaws.com",
  ],
  [
    "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
    "https://api.ecr.cn-north-1.amazonaws.com.cn",
  ],
  ["123456789012.dkr-ecr.us-east-2.on.aws", "https://ecr.us-east-2.api.aws"],
  [`${HOST}:8443`, undefined],
  [`${HOST}.evil.example`, undefined],
  ["evil-123456789012.dkr.ecr.eu-central-1.amazonaws.com", undefined],
  ["123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.example", undefined],
  ["123456789012.dkr.ecr.evil.example/x-1.amazonaws.com", undefined],
  ["amazonaws.com", undefined],
];
for (const [host, url] of hosts) {
  Deno.test(`C-CRED ECR: ${host} is ${url === undefined ? "not Amazon's" : "asked for"}`, async () => {
    let asked: string | undefined;
    const ecr = (region: string, domain: string, fips: boolean) => {
      asked = ENDPOINTS.ecr(region, domain, fips);
      return "http://127.0.0.1:1";
    };
    await cloudKeychains(testWorld({ env: ENV, endpoints: { ecr } }))(host, undefined);
    assert.equal(asked, url);
  });
}

Deno.test("C-CRED ECR: IRSA trades the cluster's token for keys", async () => {
  await using server = aws(LENT, ({ body }) => {
    const form = new URLSearchParams(new TextDecoder().decode(body));
    if (form.get("Action") !== "AssumeRoleWithWebIdentity") return undefined;
    assert.equal(form.get("WebIdentityToken"), "canary-cluster-token");
    assert.equal(form.get("RoleArn"), "arn:aws:iam::1:role/r");
    return lentXml("AssumeRoleWithWebIdentity");
  });
  const env = { AWS_ROLE_ARN: "arn:aws:iam::1:role/r", AWS_WEB_IDENTITY_TOKEN_FILE: "/token" };
  const world = testWorld({ env, endpoints: endpoints(server), now }, {
    "/token": "canary-cluster-token\n",
  });
  assert.deepEqual(await cloudKeychains(world)(HOST, "app"), PASSWORD);
});

Deno.test("C-CRED ECR: EKS pod identity and ECS answer at the container's endpoint", async () => {
  await using server = aws(LENT, ({ url, headers }) => {
    if (url !== "/v1/credentials") return undefined;
    return headers.get("authorization") === "canary-pod" ? lentJson() : new Response(null, {
      status: 401,
    });
  });
  const full = {
    AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://${server.host}/v1/credentials`,
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: "/token",
  };
  const world = { endpoints: endpoints(server), now };
  const eks = cloudKeychains(testWorld({ env: full, ...world }, { "/token": "canary-pod" }));
  assert.deepEqual(await eks(HOST, "app"), PASSWORD);
  const relative = {
    AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: "/v1/credentials",
    AWS_CONTAINER_AUTHORIZATION_TOKEN: "canary-pod",
  };
  assert.deepEqual(
    await cloudKeychains(testWorld({ env: relative, ...world }))(HOST, "app"),
    PASSWORD,
  );
  const foreign = testWorld({
    env: { ...relative, AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: "", ...evil },
    ...world,
  });
  assert.equal(await cloudKeychains(foreign)(HOST, "app"), undefined);
  assert.match(foreign.lines.join(), /FULL_URI wants https, or a host of this machine/);
});
const evil = { AWS_CONTAINER_CREDENTIALS_FULL_URI: "http://evil.example/" };

Deno.test("C-CRED ECR: IMDSv2 is asked with a session of its own, never without", async () => {
  await using server = aws(LENT, ({ method, url, headers }) => {
    if (url === "/latest/api/token") {
      return method === "PUT" ? new Response("canary-imds") : new Response(null, { status: 405 });
    }
    if (!url.startsWith("/latest/meta-data/iam/")) return undefined;
    assert.equal(headers.get("x-aws-ec2-metadata-token"), "canary-imds");
    return url.endsWith("/builder") ? lentJson() : new Response("builder");
  });
  const world = testWorld({ env: {}, endpoints: endpoints(server), now });
  assert.deepEqual(await cloudKeychains(world)(HOST, "app"), PASSWORD);
  const off = testWorld({
    env: { AWS_EC2_METADATA_DISABLED: "true" },
    endpoints: endpoints(server),
  });
  const before = server.seen.length;
  assert.equal(await cloudKeychains(off)(HOST, "app"), undefined);
  assert.equal(server.seen.length, before);
});

const CONFIG = `
; of a person
[default]
region = eu-west-1
[profile plain]
aws_access_key_id = ${KEYS.accessKeyId} # mine
aws_secret_access_key=${KEYS.secretAccessKey}
s3 =
    max_concurrent_requests = 20
[profile role]
role_arn = arn:aws:iam::1:role/r
source_profile = plain
[profile "circle"]
role_arn = arn:aws:iam::1:role/r
source_profile = circle2
[profile circle2]
role_arn = arn:aws:iam::1:role/r
source_profile = circle
[profile program]
credential_process = /usr/bin/secret
[profile sso]
sso_session = corp
sso_account_id = 123456789012
sso_role_name = Builder
[sso-session corp]
sso_region = eu-west-1
sso_start_url = https://corp.awsapps.com/start
`;

Deno.test("C-CRED ECR: profiles with keys, with a role, with single sign-on", async () => {
  await using plain = aws(KEYS);
  const files = { "/home/u/.aws/config": CONFIG };
  const env = { HOME: "/home/u", AWS_PROFILE: "plain" };
  const world = testWorld({ env, endpoints: endpoints(plain), now }, files);
  assert.deepEqual(await cloudKeychains(world)(HOST, "app"), PASSWORD);

  await using role = aws(LENT, (seen) => {
    const form = new URLSearchParams(new TextDecoder().decode(seen.body));
    if (form.get("Action") !== "AssumeRole") return undefined;
    return signedBy(seen, KEYS, "eu-central-1", "sts")
      ? lentXml("AssumeRole")
      : new Response(null, { status: 403 });
  });
  const asRole = testWorld({
    env: { ...env, AWS_PROFILE: "role" },
    endpoints: endpoints(role),
    now,
  }, files);
  assert.deepEqual(await cloudKeychains(asRole)(HOST, "app"), PASSWORD);

  await using sso = aws(LENT, ({ url, headers }) => {
    if (!url.startsWith("/federation/credentials?")) return undefined;
    assert.equal(headers.get("x-amz-sso_bearer_token"), "canary-sso");
    return Response.json({ roleCredentials: LENT });
  });
  const cache = createHash("sha1").update("corp").digest("hex");
  const signedOn = testWorld({
    env: { ...env, AWS_PROFILE: "sso" },
    endpoints: endpoints(sso),
    now,
  }, {
    ...files,
    [`/home/u/.aws/sso/cache/${cache}.json`]: JSON.stringify({
      accessToken: "canary-sso",
      expiresAt: "2026-03-01T01:00:00Z",
    }),
  });
  assert.deepEqual(await cloudKeychains(signedOn)(HOST, "app"), PASSWORD);
});

const refusals: readonly (readonly [string, RegExp])[] = [
  ["circle", /gives no credentials: profile "circle2?" leads to itself/],
  ["program", /profile "program" runs a program for its keys, which wherry does not/],
  ["absent", /there is no profile "absent"/],
  ["sso", /profile "sso" is not signed in; sign in again with: aws sso login/],
];
for (const [profile, message] of refusals) {
  Deno.test(`C-CRED ECR: profile ${profile} says what it lacks`, async () => {
    const world = testWorld({ env: { HOME: "/h", AWS_PROFILE: profile } }, {
      "/h/.aws/config": CONFIG,
    });
    assert.equal(await cloudKeychains(world)(HOST, "app"), undefined);
    assert.match(world.lines.join("\n"), message);
  });
}

Deno.test("N-10 ECR: a refusal names status and code, and no secret or echo", async () => {
  await using server = aws({ ...KEYS, secretAccessKey: "other" });
  const world = testWorld({ env: ENV, endpoints: endpoints(server), now });
  assert.equal(await cloudKeychains(world)(HOST, "app"), undefined);
  assert.match(
    world.lines.join("\n"),
    /^Amazon's keychain gives no credentials: ECR in eu-central-1 refused a token \(400 SignatureDoesNotMatch\)$/m,
  );
  assert.doesNotMatch(world.lines.join("\n"), /canary/);
});
