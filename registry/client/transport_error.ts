import { isOciError } from "../oci/error.ts";

/** Why no answer came. */
export type TransportFault =
  /** No connection: refused, no route, no such name, a proxy that said no. */
  | "connect"
  /** The connection ended in the middle. */
  | "reset"
  /** A pause was too long. */
  | "timeout"
  /** The host's certificate is not to be trusted. */
  | "certificate"
  /** We do not want to go there. */
  | "blocked";

/** No answer came from a host. Has no secret in it. */
export class TransportError extends Error {
  override readonly name = "TransportError";
  /** Why. */
  readonly fault: TransportFault;
  /** Host with its port, as addressed. */
  readonly host: string;
  /** The reason in a few words, to be put behind "Cannot do this: ". */
  readonly why: string;
  /** Whether trying again may help. */
  readonly retryable: boolean;
  /** The connection was an old one the host had closed meanwhile: try again at once. */
  readonly stale: boolean;

  /** Makes one; `stale` and `cause` where they are known. */
  constructor(
    fault: TransportFault,
    host: string,
    why: string,
    options: ErrorOptions & { readonly stale?: boolean; readonly retryable?: boolean } = {},
  ) {
    super(`Cannot reach ${host}: ${why}`, options);
    this.fault = fault;
    this.host = host;
    this.why = why;
    this.stale = options.stale ?? false;
    this.retryable = options.retryable ?? !["certificate", "blocked"].includes(fault);
  }
}

const WORDS: Readonly<Record<string, readonly [TransportFault, string]>> = {
  ECONNREFUSED: ["connect", "the connection was refused"],
  ENOTFOUND: ["connect", "no such host"],
  EAI_AGAIN: ["connect", "the name service did not answer"],
  EHOSTUNREACH: ["connect", "no route to the host"],
  ENETUNREACH: ["connect", "no route to the network"],
  ETIMEDOUT: ["timeout", "the connection timed out"],
  ECONNRESET: ["reset", "the connection was cut"],
  EPIPE: ["reset", "the connection was cut"],
  EINTR: ["reset", "the connection was cut"],
  ECONNABORTED: ["reset", "the connection was cut"],
};
const CERTIFICATE = /CERT|UNABLE_TO_|SELF_SIGNED|certificate/i;

/** Says in our words what Deno or Node reported; errors that are not of the connection stay as they are. */
export function connectionFault(error: unknown, host: string, reused: boolean): unknown {
  // A source of ours may fail in our own words while its bytes are sent.
  if (error instanceof TransportError || isOciError(error) || !(error instanceof Error)) {
    return error;
  }
  const code = String((error as { code?: unknown }).code ?? "");
  const known = WORDS[code];
  if (known !== undefined) {
    return new TransportError(known[0], host, known[1], {
      cause: error,
      stale: reused && known[0] === "reset",
      retryable: code !== "ENOTFOUND",
    });
  }
  if (CERTIFICATE.test(code) || /certificate/i.test(error.message)) {
    return new TransportError(
      "certificate",
      host,
      `its certificate is not trusted (${error.message})`,
      {
        cause: error,
      },
    );
  }
  if (/failed to lookup address/i.test(error.message)) {
    const passing = /temporary|try again/i.test(error.message);
    const why = passing ? "the name service did not answer" : "no such host";
    return new TransportError("connect", host, why, { cause: error, retryable: passing });
  }
  if (
    error.name === "UnexpectedEof" || error.name === "BadResource" ||
    /socket hang up|connection closed|aborted|premature/i.test(error.message)
  ) {
    return new TransportError("reset", host, "the connection was cut", {
      cause: error,
      stale: reused,
    });
  }
  // A fault of ours: a header that cannot be sent, say.
  if (error instanceof TypeError && code === "") return error;
  return new TransportError("connect", host, error.message, { cause: error });
}
