import type { Credential } from "./options.ts";

/** Beside the credentials, not in them: where one comes from makes no other one of it. */
const origins = new WeakMap<Credential, string>();

/** Notes where `credential` was found, for messages. */
export function from<T extends Credential | undefined>(credential: T, place: string): T {
  if (credential !== undefined && !origins.has(credential)) origins.set(credential, place);
  return credential;
}

/** Where it was found: a file, a variable, a helper. Never a secret. */
export function originOf(credential: Credential): string | undefined {
  return origins.get(credential);
}
