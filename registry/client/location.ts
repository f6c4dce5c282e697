/** Where answers lead. */
import type { Answer } from "./api_request.ts";
import { Refusal } from "./refusal.ts";
import { resolveLocation, type Target } from "./url.ts";

/**
 * Where an upload goes on. A registry behind a proxy that ends TLS names itself with http at times; that is read as
 * https, since nothing else may ever leave TLS (C-UP-03, N-05).
 *
 * @param base Of the registry.
 * @throws {Refusal} When there is no such place, or it cannot be used.
 */
export function locationOf(answer: Answer, base: Target): Target {
  const location = answer.headers.get("location");
  if (location === null) {
    throw new Refusal("UNAVAILABLE", "the registry did not say where to go on");
  }
  let target: Target;
  try {
    target = resolveLocation(answer.target, location);
  } catch (cause) {
    throw new Refusal("UNAVAILABLE", "the registry names an address that cannot be used", {
      cause,
    });
  }
  if (!answer.target.secure || target.secure) return target;
  if (target.hostname !== base.hostname) {
    throw new Refusal("UNAVAILABLE", "the registry leads out of TLS");
  }
  return { ...target, secure: true, host: base.host, port: base.port };
}

/**
 * Where a redirect leads: nothing may ever leave TLS.
 *
 * @throws {Refusal} When that cannot be followed.
 */
export function redirectOf(answer: Answer): Target {
  const location = answer.headers.get("location");
  const secure = answer.target.secure;
  try {
    const next = location === null ? undefined : resolveLocation(answer.target, location);
    if (next !== undefined && (next.secure || !secure)) return next;
  } catch (cause) {
    throw new Refusal("UNAVAILABLE", "the registry redirects to an address that cannot be used", {
      cause,
    });
  }
  throw new Refusal(
    "UNAVAILABLE",
    location === null
      ? "the registry redirects without saying where"
      : "the registry redirects out of TLS",
  );
}
