/** A server of any answers, and a client that sends any bytes. */
import { ok } from "node:assert/strict";
import type { Answer, Ask } from "./message.ts";
import { type Listening, serve, type ServeOptions } from "../serve.ts";

/** A client that sends and reads plain bytes. */
export class RawClient implements Disposable {
  readonly #connection: Deno.Conn;
  #text = "";
  #ended = false;

  private constructor(connection: Deno.Conn) {
    this.#connection = connection;
  }

  /** Connects. */
  static async connect({ address }: Listening): Promise<RawClient> {
    ok("port" in address);
    return new RawClient(await Deno.connect(address));
  }

  /** Sends `text`, each character a byte. */
  async send(text: string): Promise<void> {
    const bytes = Uint8Array.from(text, (char) => char.charCodeAt(0));
    for (let at = 0; at < bytes.byteLength;) {
      at += await this.#connection.write(bytes.subarray(at));
    }
  }

  /** All until `end` stands there, and takes it away; what there is when the server ends first. */
  async until(end: string): Promise<string> {
    for (;;) {
      const at = this.#text.indexOf(end);
      if (at >= 0) {
        const text = this.#text.slice(0, at + end.length);
        this.#text = this.#text.slice(text.length);
        return text;
      }
      if (this.#ended) return this.rest();
      await this.#read();
    }
  }

  /** One answer with a length, head and body. */
  async answer(): Promise<
    { readonly status: number; readonly head: string; readonly body: string }
  > {
    const head = await this.until("\r\n\r\n");
    const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
    while (this.#text.length < length && !this.#ended) await this.#read();
    const body = this.#text.slice(0, length);
    this.#text = this.#text.slice(length);
    return { status: Number(head.slice(9, 12)), head, body };
  }

  /** All until the server ends. */
  async all(): Promise<string> {
    while (!this.#ended) await this.#read();
    return this.rest();
  }

  /** What was read and not taken. */
  rest(): string {
    const text = this.#text;
    this.#text = "";
    return text;
  }

  /** Sends no more. */
  async end(): Promise<void> {
    await (this.#connection as Deno.TcpConn).closeWrite();
  }

  async #read(): Promise<void> {
    const into = new Uint8Array(64 * 1024);
    const got = await this.#connection.read(into).catch(() => null);
    this.#ended = got === null;
    for (const byte of into.subarray(0, got ?? 0)) this.#text += String.fromCharCode(byte);
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}

/** A request with its body read. */
export interface Heard {
  readonly method: string;
  readonly target: string;
  readonly body: string;
}

/** Listens; each request is read to its end, noted in `heard`, and answered by `answer`. */
export async function listenWith(
  answer: (ask: Ask) => Promise<Answer> | Answer,
  options: Omit<ServeOptions, "listen"> = {},
): Promise<Listening> {
  return await serve({
    answer: async (ask) => await answer(ask),
    fetch: () => Promise.reject(new Error("Nobody calls this")),
  }, { listen: { hostname: "127.0.0.1", port: 0 }, ...options });
}

/** Reads a body as text. */
export async function textOf({ body }: Ask): Promise<string> {
  let text = "";
  for (let chunk = await body?.next(); chunk !== undefined; chunk = await body?.next()) {
    for (const byte of chunk) text += String.fromCharCode(byte);
  }
  return text;
}

/** A plain answer. */
export function says(text: string, status = 200): Answer {
  return { status, headers: {}, body: new TextEncoder().encode(text) };
}

/** Answers every request with what it was. */
export async function echo(ask: Ask): Promise<Answer> {
  return says(`${ask.method} ${ask.target} ${await textOf(ask)}`);
}
