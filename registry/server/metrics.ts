/** Counters of a server in the text form of Prometheus. No name of a repository or user is in them. */
import type { RequestEntry } from "./server.ts";

/** Upper bounds of the buckets of durations, in seconds. */
const BUCKETS: readonly number[] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05]
  .concat([0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60]);

/** Only these: a client may send any word as a method, and each new one would be a new series for ever. */
const METHODS: ReadonlySet<string> = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]);

interface Histogram {
  readonly counts: number[];
  sum: number;
  count: number;
}

/** What a server counts. Memory is bounded: labels come from closed sets. */
export class Metrics {
  readonly #requests = new Map<string, number>();
  readonly #durations = new Map<string, Histogram>();
  readonly #refused = new Map<string, number>();
  readonly #startedAt: number;
  readonly #version: string;
  #bytesIn = 0;
  #bytesOut = 0;
  #active = 0;
  #errors = 0;

  /** Nothing has happened yet. `startedAt` is in milliseconds since 1970. */
  constructor(options: { readonly version: string; readonly startedAt: number }) {
    this.#version = options.version;
    this.#startedAt = options.startedAt;
  }

  /** A request came in. */
  begin(): void {
    this.#active++;
  }

  /** It was answered. */
  end({ method, kind, status, bytesIn, bytesOut, durationMs }: RequestEntry): void {
    this.#active--;
    const verb = METHODS.has(method) ? method : "other";
    add(this.#requests, `method="${verb}",kind="${kind}",status="${status}"`);
    this.#bytesIn += bytesIn;
    this.#bytesOut += bytesOut;
    let histogram = this.#durations.get(kind);
    if (histogram === undefined) {
      histogram = { counts: BUCKETS.map(() => 0), sum: 0, count: 0 };
      this.#durations.set(kind, histogram);
    }
    const seconds = durationMs / 1000;
    const bucket = BUCKETS.findIndex((bound) => seconds <= bound);
    if (bucket >= 0) histogram.counts[bucket]!++;
    histogram.sum += seconds;
    histogram.count++;
  }

  /** A credential was refused. */
  refused(why: "password" | "token" | "throttled"): void {
    add(this.#refused, `reason="${why}"`);
  }

  /** Something went wrong inside. */
  failed(): void {
    this.#errors++;
  }

  /** All of it, as version 0.0.4 of the text form. */
  format(): string {
    const lines: string[] = [];
    const family = (name: string, type: string, help: string) =>
      lines.push(`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`);
    const single = (name: string, type: string, help: string, value: number) => {
      family(name, type, help);
      lines.push(`${name} ${value}`);
    };
    family("wherry_build_info", "gauge", "The version that runs.");
    lines.push(`wherry_build_info{version="${this.#version.replaceAll(/["\\\n]/g, "")}"} 1`);
    single(
      "process_start_time_seconds",
      "gauge",
      "Start of the server, in seconds since 1970.",
      this.#startedAt / 1000,
    );
    single("wherry_http_requests_active", "gauge", "Requests not answered yet.", this.#active);
    family("wherry_http_requests_total", "counter", "Requests answered.");
    for (const [labels, value] of [...this.#requests].sort()) {
      lines.push(`wherry_http_requests_total{${labels}} ${value}`);
    }
    family(
      "wherry_http_request_duration_seconds",
      "histogram",
      "From the head of a request to the head of its answer.",
    );
    for (const [kind, { counts, sum, count }] of [...this.#durations].sort()) {
      const name = "wherry_http_request_duration_seconds";
      let below = 0;
      BUCKETS.forEach((bound, at) => {
        below += counts[at]!;
        lines.push(`${name}_bucket{kind="${kind}",le="${bound}"} ${below}`);
      });
      lines.push(`${name}_bucket{kind="${kind}",le="+Inf"} ${count}`);
      lines.push(`${name}_sum{kind="${kind}"} ${sum}`, `${name}_count{kind="${kind}"} ${count}`);
    }
    single("wherry_http_received_bytes_total", "counter", "Bytes of bodies read.", this.#bytesIn);
    single("wherry_http_sent_bytes_total", "counter", "Bytes of answers.", this.#bytesOut);
    family("wherry_auth_refused_total", "counter", "Credentials that were not taken.");
    for (const why of ["password", "throttled", "token"]) {
      lines.push(
        `wherry_auth_refused_total{reason="${why}"} ${this.#refused.get(`reason="${why}"`) ?? 0}`,
      );
    }
    single("wherry_internal_errors_total", "counter", "Faults of the server.", this.#errors);
    return lines.join("\n") + "\n";
  }
}

/** The media type of {@linkcode Metrics.format}. */
export const METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8";

function add(counts: Map<string, number>, labels: string): void {
  counts.set(labels, (counts.get(labels) ?? 0) + 1);
}
