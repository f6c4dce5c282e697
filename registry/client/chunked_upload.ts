import type { Descriptor } from "../oci/descriptor.ts";
import { type Algorithm, algorithmOf, type Digest, Digester } from "../oci/digest.ts";
import { OciError } from "../oci/error.ts";
import type { BlobUpload } from "../registry.ts";
import { joined } from "../source.ts";
import type { Place } from "./place.ts";
import { mayPass } from "./refusal.ts";
import { repositoryScope } from "./scope.ts";
import { type Answer, discard } from "./api_request.ts";
import type { Session } from "./session.ts";
import { cancelUpload, exists, startUpload } from "./upload.ts";
import { type Target, withQuery } from "./url.ts";

/** What GHCR takes at most (C-UP-07). */
const CHUNK = 4 * 1024 * 1024;
/** What a registry can make us hold (C-UP-04). */
const MAX_CHUNK = 64 * 1024 * 1024;

/** An upload in pieces. One writer at a time. A piece is kept until the registry has it. */
export class RemoteUpload implements BlobUpload {
  readonly id: string = crypto.randomUUID();
  readonly #session: Session;
  readonly #push: Place;
  readonly #signal: AbortSignal | undefined;
  readonly #digester = new Digester();
  readonly #chunk: number;
  #pending: Uint8Array[] = [];
  #pendingSize = 0;
  #sent = 0;
  #location: Target;
  #over = false;
  /** The registry called the last piece the end: some have the blob then, some want it closed as ever (C-UP-08). */
  #closed = false;

  private constructor(
    session: Session,
    push: Place,
    location: Target,
    chunk: number,
    signal: AbortSignal | undefined,
  ) {
    this.#session = session;
    this.#push = push;
    this.#location = location;
    this.#chunk = chunk;
    this.#signal = signal;
  }

  /** Opens an upload at the registry. */
  static async start(
    session: Session,
    push: Place,
    signal?: AbortSignal,
    algorithm?: Algorithm,
  ): Promise<RemoteUpload> {
    const { location, headers } = await startUpload(session, push, signal, algorithm);
    const least = Number(headers.get("oci-chunk-min-length") ?? 0);
    const chunk = Math.min(MAX_CHUNK, Math.max(CHUNK, Number.isFinite(least) ? least : 0));
    return new RemoteUpload(session, push, location, chunk, signal);
  }

  get size(): number {
    return this.#sent + this.#pendingSize;
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#demandOpen();
    this.#digester.update(chunk);
    this.#pending.push(chunk.slice());
    this.#pendingSize += chunk.byteLength;
    if (this.#pendingSize >= this.#chunk) await this.#flush(this.#chunk);
  }

  async commit(digest?: Digest): Promise<Descriptor> {
    this.#demandOpen();
    const computed = this.#digester.digest();
    if (digest !== undefined && algorithmOf(digest) === "sha256" && digest !== computed) {
      await this.abort();
      throw new OciError(
        "DIGEST_INVALID",
        `Cannot push blob ${digest} to ${this.#push.name}: its bytes hash to ${computed}`,
      );
    }
    const named = digest ?? computed;
    // What fits into one piece goes with the closing request.
    if (this.#sent > 0) await this.#flush(1);
    const rest = joined(this.#pending, this.#pendingSize);
    const size = this.size;
    if (
      this.#closed && rest.byteLength === 0 &&
      await exists(this.#session, this.#push, named, this.#signal)
    ) {
      this.#over = true;
      return { mediaType: "application/octet-stream", digest: named, size };
    }
    const answer = await this.#bulk(() =>
      this.#send("PUT", withQuery(this.#location, "digest", named), rest, {}, [200, 201, 204])
    );
    await discard(answer);
    this.#over = true;
    this.#pending = [];
    return { mediaType: "application/octet-stream", digest: named, size };
  }

  async abort(): Promise<void> {
    if (this.#over) return;
    this.#over = true;
    this.#pending = [];
    await cancelUpload(this.#session, this.#push, this.#location);
  }

  #demandOpen(): void {
    if (this.#over) {
      throw new OciError(
        "BLOB_UPLOAD_UNKNOWN",
        `Cannot push to ${this.#push.name}: this upload has ended`,
      );
    }
  }

  /**
   * Sends what is pending in pieces, as long as there are `least` bytes; after a cut it asks how far the registry got and
   * goes on there (C-UP-05, 06).
   */
  async #flush(least: number): Promise<void> {
    let bytes = joined(this.#pending, this.#pendingSize);
    this.#pending = [];
    for (let attempt = 1; bytes.byteLength >= least; attempt++) {
      let got: number;
      try {
        got = await this.#patch(bytes.subarray(0, this.#chunk));
      } catch (error) {
        if (!mayPass(error) || attempt >= this.#session.tries) throw error;
        await this.#session.pace.backOff(attempt, this.#signal);
        got = await this.#progress() - this.#sent;
        if (got < 0 || got > bytes.byteLength) throw error;
      }
      if (got > 0) attempt = 0;
      else if (attempt >= this.#session.tries) throw this.#stuck();
      this.#sent += got;
      this.#pendingSize -= got;
      bytes = bytes.subarray(got);
    }
    if (bytes.byteLength > 0) this.#pending = [bytes];
  }

  /** Sends one piece; returns how much of it the registry took. */
  async #patch(bytes: Uint8Array<ArrayBuffer>): Promise<number> {
    const end = this.#sent + bytes.byteLength;
    const headers = { "content-range": `${this.#sent}-${end - 1}` };
    const answer = await this.#bulk(() =>
      this.#send("PATCH", this.#location, bytes, headers, [201, 202, 204, 416])
    );
    await discard(answer);
    this.#closed = answer.status === 201;
    if (answer.status === 416) return Math.max(0, await this.#progress() - this.#sent);
    if (answer.headers.has("location")) {
      this.#location = await this.#session.locate(answer, this.#act);
    }
    const reported = this.#reported(answer.headers);
    // Some registries report a range that stands still or is the last piece's only: then the 202 counts (C-UP-05).
    return reported !== undefined && reported > this.#sent && reported < end
      ? reported - this.#sent
      : bytes.byteLength;
  }

  async #progress(): Promise<number> {
    const answer = await this.#session.send({
      act: this.#act,
      method: "GET",
      to: this.#location,
      repository: this.#push.repository,
      scopes: this.#scopes,
      expect: [200, 202, 204],
      signal: this.#signal,
    });
    await discard(answer);
    if (answer.headers.has("location")) {
      this.#location = await this.#session.locate(answer, this.#act);
    }
    return this.#reported(answer.headers) ?? 0;
  }

  /** How far the registry says it is. `0-0` is what both nothing and one byte look like. */
  #reported(headers: Headers): number | undefined {
    const size = reportedSize(headers);
    return size === 1 && this.#sent === 0 ? 0 : size;
  }

  async #bulk(act: () => Promise<Answer>): Promise<Answer> {
    const leave = await this.#session.pace.up.enter(this.#signal);
    try {
      return await act();
    } finally {
      leave();
    }
  }

  #send(
    method: string,
    to: Target,
    bytes: Uint8Array<ArrayBuffer>,
    headers: Readonly<Record<string, string>>,
    expect: readonly number[],
  ): Promise<Answer> {
    return this.#session.send({
      act: this.#act,
      method,
      to,
      expect,
      repository: this.#push.repository,
      scopes: this.#scopes,
      headers: { ...headers, "content-type": "application/octet-stream" },
      body: { size: bytes.byteLength, open: () => Promise.resolve(streamOf(bytes)) },
      bulk: true,
      retry: false,
      signal: this.#signal,
    });
  }

  get #act(): string {
    return `push to ${this.#push.name}`;
  }

  get #scopes(): readonly string[] {
    return [repositoryScope(this.#push.repository, "pull", "push")];
  }

  #stuck(): OciError {
    return new OciError(
      "BLOB_UPLOAD_INVALID",
      `Cannot ${this.#act}: the registry takes no more bytes of an upload`,
    );
  }
}

/** The size in `Range: 0-1023`, with or without `bytes=`. */
function reportedSize(headers: Headers): number | undefined {
  const match = /^(?:bytes[= ])?\d+-(\d{1,15})$/.exec(headers.get("range")?.trim() ?? "");
  return match === null ? undefined : Number(match[1]) + 1;
}

function streamOf(bytes: Uint8Array<ArrayBuffer>): ReadableStream<Uint8Array<ArrayBuffer>> {
  return new ReadableStream({
    start(controller) {
      if (bytes.byteLength > 0) controller.enqueue(bytes);
      controller.close();
    },
  });
}
