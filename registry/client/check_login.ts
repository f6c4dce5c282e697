/** Whether a registry lets somebody in, before that is written down. */
import { apiHost } from "../oci/reference.ts";
import { OciError } from "../oci/error.ts";
import type { ClientOptions, Credential } from "./options.ts";
import { discard } from "./api_request.ts";
import { Session } from "./session.ts";
import { basicHeader } from "./token.ts";
import { Transport } from "./transport.ts";

/**
 * Asks `host` with `credential`, as `docker login` does: for the root of its API.
 *
 * @returns Whether the registry looked at the credential; `false` when it lets everybody in.
 * @throws {OciError} `UNAUTHORIZED` or `DENIED` when it is refused, `UNAVAILABLE` when nobody answers.
 */
export async function checkLogin(
  host: string,
  credential: Credential,
  options: ClientOptions,
  signal?: AbortSignal,
): Promise<boolean> {
  await using transport = new Transport(options);
  let asked = false;
  const session = new Session(host, apiHost(host), transport, {
    ...options,
    retry: { ...options.retry, tries: 2 },
    credentials: () => {
      asked = true;
      return Promise.resolve(credential);
    },
  });
  const act = `log in to ${host}`;
  await discard(
    await session.send({ act, method: "GET", to: "/v2/", scopes: [], expect: [200], signal }),
  );
  if (asked) return true;
  // Nobody asked who we are. Some let everybody read, and still know a wrong password when they see one.
  const authorization = basicHeader(credential);
  if (authorization === undefined) return false;
  const answer = await transport.exchange({
    method: "GET",
    target: { ...await session.base(signal), path: "/v2/" },
    headers: { authorization },
    signal,
  });
  await discard(answer);
  if (answer.status === 401 || answer.status === 403) {
    throw new OciError(
      "UNAUTHORIZED",
      `Cannot ${act}: the registry refused the password (${answer.status})`,
    );
  }
  return false;
}
