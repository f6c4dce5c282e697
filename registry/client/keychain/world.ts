/** What cloud keychains are told from outside. */
import type { Log } from "../../context.ts";
import type { Credential, TransportOptions } from "../options.ts";
import type { CloudHttp } from "./http.ts";

/** The world cloud credentials are looked for in. */
export interface KeychainWorld {
  /** The environment: `AWS_*`, `GOOGLE_*`, `AZURE_*`, `CNB_REGISTRY_AUTH_KEYCHAIN_SKIP_*`, `HOME`. */
  readonly env: Readonly<Record<string, string>>;
  /** Reads a small text file; `undefined` when it is not there. Default: the file system, at most 1 MiB. */
  readonly readFile?: ((path: string) => Promise<string | undefined>) | undefined;
  /** How to connect: proxies, authorities, what may be reached at all. */
  readonly transport?: TransportOptions | undefined;
  /** Where the clouds' services are; tests point them elsewhere. */
  readonly endpoints?: Partial<CloudEndpoints> | undefined;
  /** How long a machine may keep us waiting that has no metadata service, in milliseconds. Default 800. */
  readonly probeMs?: number | undefined;
  /** Says at debug level which place answered, and warns of what is set up and does not work. */
  readonly log?: Log | undefined;
  /** The clock, in milliseconds since 1970. */
  readonly now?: (() => number) | undefined;
}

/** What a cloud is asked with: {@linkcode KeychainWorld} with nothing left open. */
export interface Look {
  /** The environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Reads a small text file. */
  readonly readFile: (path: string) => Promise<string | undefined>;
  /** Connections for this look. */
  readonly http: CloudHttp;
  /** Where to ask. */
  readonly endpoints: CloudEndpoints;
  /** Lines for the curious. */
  readonly debug: (line: string) => void;
  /** The clock. */
  readonly now: () => number;
}

/** A credential of a cloud and until when it is good. */
export interface CloudSecret {
  /** The credential. */
  readonly credential: Credential;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/** One cloud. */
export interface Cloud {
  /** For people: `Amazon`. */
  readonly name: string;
  /** The variable that turns it off when it says `true`. */
  readonly skip: string;
  /**
   * How to get in at `host`, in lower case without port; `undefined` when the host is not this cloud's. `key` is
   * the same for hosts that one secret opens.
   */
  ask(host: string): {
    readonly key: string;
    readonly look: (look: Look) => Promise<CloudSecret | undefined>;
  } | undefined;
}

/** Addresses of the clouds' services, without a slash at their end. */
export interface CloudEndpoints {
  /** ECR's API. `fips`: the hosts with `ecr-fips`. `domain` is what follows the region. */
  readonly ecr: (region: string, domain: string, fips: boolean) => string;
  /** The API of ECR's public gallery. */
  readonly ecrPublic: string;
  /** Amazon's token service. */
  readonly sts: (region: string) => string;
  /** Amazon's portal for single sign-on. */
  readonly sso: (region: string) => string;
  /** Where a relative URI of a container's credentials lies. */
  readonly awsContainer: string;
  /** EC2's metadata service. */
  readonly awsMetadata: string;
  /** Google's token server; a key file may name another. */
  readonly googleToken: string | undefined;
  /** Where Google lends service accounts; a key file names it when this does not. */
  readonly googleIam: string | undefined;
  /** Google's metadata service. */
  readonly googleMetadata: string;
  /** Microsoft's token server for a cloud: `io`, `cn` or `us`. */
  readonly azureAuthority: (cloud: string) => string;
  /** Azure's metadata service. */
  readonly azureMetadata: string;
  /** Where a registry of Azure trades tokens. */
  readonly acr: (host: string) => string;
}

/** The real ones. */
export const ENDPOINTS: CloudEndpoints = {
  ecr: (region, domain, fips) =>
    domain === "on.aws"
      ? `https://${fips ? "ecr-fips" : "ecr"}.${region}.api.aws`
      : `https://${fips ? "ecr-fips" : "api.ecr"}.${region}.${domain}`,
  ecrPublic: "https://api.ecr-public.us-east-1.amazonaws.com",
  sts: (region) => `https://sts.${region}.${awsDomain(region)}`,
  sso: (region) => `https://portal.sso.${region}.${awsDomain(region)}`,
  awsContainer: "http://169.254.170.2",
  awsMetadata: "http://169.254.169.254",
  googleToken: undefined,
  googleIam: undefined,
  // By address: machines elsewhere may wait long for a name service that does not know the name.
  googleMetadata: "http://169.254.169.254",
  azureAuthority: (cloud) =>
    `https://login.${
      { cn: "chinacloudapi.cn", us: "microsoftonline.us" }[cloud] ?? "microsoftonline.com"
    }`,
  azureMetadata: "http://169.254.169.254",
  acr: (host) => `https://${host}`,
};

function awsDomain(region: string): string {
  if (region.startsWith("cn-")) return "amazonaws.com.cn";
  return region.startsWith("eusc-") ? "amazonaws.eu" : "amazonaws.com";
}
