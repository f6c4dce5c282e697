/** Bearer tokens: ours, and those of issuers we were told to trust. */
import { decodeProtectedHeader, type JWK, jwtVerify, SignJWT } from "jose";
import { z } from "zod";
import type { ScopedAccess, Subject } from "./access.ts";
import { algorithmsOf, type TokenKey } from "./token_key.ts";

/** An issuer whose tokens are taken. */
export interface TrustedIssuer {
  /** What `iss` has to say. */
  readonly issuer: string;
  /** Its public keys, as {@linkcode parsePublicKeys} reads them. */
  readonly keys: readonly JWK[];
}

/** Options of {@linkcode Tokens}. */
export interface TokenOptions {
  /** What `aud` has to say, and clients ask for: the name of this registry to its token servers. */
  readonly service: string;
  /** Signs our own tokens; without one none is given out and none of ours taken. */
  readonly key?: TokenKey | undefined;
  /** Whose tokens are taken besides ours. */
  readonly trusted?: TrustedIssuer | undefined;
  /** How long our tokens are good, in seconds. Default 300. */
  readonly lifeSeconds?: number | undefined;
  /** The clock, in milliseconds. */
  readonly now?: (() => number) | undefined;
}

/** `iss` of our own tokens. Nobody else's key is asked about them. */
const OWN_ISSUER = "wherry";
const OWN_ALGORITHM = "HS256";
/** Clocks differ a little. */
const TOLERANCE_SECONDS = 5;
const MAX_TOKEN = 16 * 1024;
const MAX_VERIFIED = 1000;

const accessSchema = z.array(z.object({
  type: z.string(),
  name: z.string(),
  actions: z.array(z.string()).nullish().transform((actions) => actions ?? []),
})).max(1000);
const claimsSchema = z.object({
  exp: z.number(),
  sub: z.string().default(""),
  access: accessSchema.nullish().transform((access) => access ?? []),
});

/** A token as its server hands it out. */
export interface IssuedToken {
  /** Goes behind `Bearer `. */
  readonly token: string;
  /** Seconds it is good for. */
  readonly expiresIn: number;
  /** RFC 3339. */
  readonly issuedAt: string;
}

/** Makes and checks bearer tokens. */
export class Tokens {
  readonly #options: TokenOptions;
  /** What was verified and until when: a signature stays what it was, a client sends it with every request. */
  readonly #verified = new Map<string, { readonly subject: Subject; readonly until: number }>();

  /** Tokens of one registry. */
  constructor(options: TokenOptions) {
    this.#options = options;
  }

  /** What clients have to ask for. */
  get service(): string {
    return this.#options.service;
  }

  /** Gives out a token of ours to `user` (`undefined`: somebody unknown). */
  async issue(user: string | undefined, access: readonly ScopedAccess[]): Promise<IssuedToken> {
    const { key, service, lifeSeconds = 300 } = this.#options;
    if (key === undefined) throw new TypeError("Cannot give out a token: there is no key");
    const now = Math.floor(this.#now() / 1000);
    const token = await new SignJWT({ access: access.map((one) => ({ ...one })) })
      .setProtectedHeader({ alg: OWN_ALGORITHM, typ: "JWT", kid: key.id })
      .setIssuer(OWN_ISSUER)
      .setSubject(user ?? "")
      .setAudience(service)
      .setIssuedAt(now)
      .setNotBefore(now)
      .setExpirationTime(now + lifeSeconds)
      .setJti(crypto.randomUUID())
      .sign(key.secret);
    return { token, expiresIn: lifeSeconds, issuedAt: new Date(now * 1000).toISOString() };
  }

  /**
   * Who bears `token`, or `undefined` when it proves nothing: forged, of another key, issuer or audience, expired, not
   * good yet, without an end. The key is one of those we trust and of the
   * family its algorithm belongs to, so a public key never checks a MAC; keys inside a token (`jwk`, `jku`, `x5c`, `x5u`) are
   * not looked at (CVE-2025-24976).
   */
  async verify(token: string): Promise<Subject | undefined> {
    if (token.length > MAX_TOKEN) return undefined;
    const known = this.#verified.get(token);
    if (known !== undefined && this.#now() < known.until) return known.subject;
    this.#verified.delete(token);
    const found = await this.#check(token);
    if (found === undefined) return undefined;
    this.#verified.set(token, found);
    if (this.#verified.size > MAX_VERIFIED) {
      this.#verified.delete(this.#verified.keys().next().value!);
    }
    return found.subject;
  }

  async #check(token: string): Promise<{ subject: Subject; until: number } | undefined> {
    const { key, trusted } = this.#options;
    try {
      const { alg = "", kid } = decodeProtectedHeader(token);
      if (alg === OWN_ALGORITHM) {
        if (key === undefined) return undefined;
        const claims = await this.#claims(token, key.secret, OWN_ALGORITHM, OWN_ISSUER);
        const { sub, access, exp } = claims;
        const name = sub === "" ? undefined : sub;
        return { subject: { kind: "issued", name, access }, until: exp * 1000 };
      }
      for (const candidate of trusted?.keys ?? []) {
        if (!algorithmsOf(candidate).includes(alg)) continue;
        if (kid !== undefined && candidate.kid !== undefined && kid !== candidate.kid) continue;
        const claims = await this.#claims(token, candidate, alg, trusted!.issuer).catch(() =>
          undefined
        );
        if (claims === undefined) continue;
        const { sub, access, exp } = claims;
        return { subject: { kind: "trusted", name: sub, access }, until: exp * 1000 };
      }
    } catch {
      // Why it is not good is nothing its bearer should learn.
    }
    return undefined;
  }

  async #claims(
    token: string,
    key: Uint8Array | JWK,
    algorithm: string,
    issuer: string,
  ): Promise<z.infer<typeof claimsSchema>> {
    const { payload } = await jwtVerify(token, key, {
      algorithms: [algorithm],
      issuer,
      audience: this.#options.service,
      requiredClaims: ["exp", "aud", "iss"],
      clockTolerance: TOLERANCE_SECONDS,
      currentDate: new Date(this.#now()),
    });
    return claimsSchema.parse(payload);
  }

  #now(): number {
    return (this.#options.now ?? Date.now)();
  }
}
