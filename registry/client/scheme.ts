import { orAborted } from "../abort.ts";
import { isLoopbackName } from "./address.ts";
import type { ClientOptions } from "./options.ts";
import { listed } from "./dial.ts";
import type { Transport } from "./transport.ts";
import { TransportError } from "./transport_error.ts";
import { parseTarget, type Target } from "./url.ts";

/** Scheme, host and port of a registry's API, found out once (C-CONN-01..03). */
export class Scheme {
  readonly #api: string;
  readonly #transport: Transport;
  readonly #options: ClientOptions;
  #base: Promise<Target> | undefined;
  #presumed = false;
  #looking: Promise<boolean> | undefined;

  /** Asks nobody yet. `api` is the host of the API. */
  constructor(api: string, transport: Transport, options: ClientOptions) {
    this.#api = api;
    this.#transport = transport;
    this.#options = options;
  }

  /** What was found out, or is presumed. */
  base(signal?: AbortSignal): Promise<Target> {
    this.#base ??= this.#find().catch((error) => {
      this.#base = undefined;
      throw error;
    });
    return orAborted(this.#base, signal);
  }

  /**
   * It is http by mere presumption, as of nearly all registries of this machine: nothing secret may be sent, and an answer
   * that makes no sense is a reason to {@linkcode look}. Saves those the wait for a handshake that comes to nothing.
   */
  get presumed(): boolean {
    return this.#presumed;
  }

  /** An answer came that only http gives. */
  heard(): void {
    this.#presumed = false;
  }

  /** Looks whether the presumption holds; `true` when it does not, and {@linkcode base} is https from now on. */
  look(): Promise<boolean> {
    return this.#looking ??= this.#look().catch((error) => {
      this.#looking = undefined;
      throw error;
    });
  }

  async #look(): Promise<boolean> {
    const secure = parseTarget(`https://${this.#api}/`);
    const tls = await this.#transport.speaksTls(secure);
    if (tls) this.#base = Promise.resolve(secure);
    this.#presumed = false;
    return tls;
  }

  async #find(): Promise<Target> {
    const secure = parseTarget(`https://${this.#api}/`);
    if (listed(this.#options.plainHosts, secure)) return parseTarget(`http://${this.#api}/`);
    const { insecureHosts, unverifiedHosts } = this.#options;
    if (listed(unverifiedHosts, secure)) return secure;
    const insecure = listed(insecureHosts, secure);
    if (!isLoopbackName(secure.hostname) && !insecure) return secure;
    const plain = parseTarget(`http://${this.#api}/`);
    if (!insecure && secure.port === plain.port) {
      this.#presumed = true;
      return plain;
    }
    try {
      return await this.#transport.speaksTls(secure) ? secure : plain;
    } catch (error) {
      // Without a port the two schemes are two places: nothing on 443 says nothing of 80.
      if (error instanceof TransportError && secure.port !== plain.port) return plain;
      throw error;
    }
  }
}
