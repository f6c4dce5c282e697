/** Between the server's own values and those of the web platform, which pages and tests speak. */
import { type Answer, type Ask, type BodyReader, streamOf } from "./message.ts";

/** A request of the platform as the handlers see it. Its body is read once. */
export function askOf(request: Request): Ask {
  const { method, headers, body } = request;
  const { pathname, search } = new URL(request.url);
  return { method, target: pathname + search, headers, body: body && readerOf(body) };
}

function readerOf(body: ReadableStream<Uint8Array<ArrayBuffer>>): BodyReader {
  let reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>> | undefined;
  return {
    async next() {
      reader ??= body.getReader();
      const part = await reader.read();
      return part.done ? undefined : part.value;
    },
  };
}

/** A request for the platform. The host is the client's word, so it is left out. */
export function requestOf({ method, target, headers, body }: Ask): Request {
  const all = new Headers();
  for (const [name, value] of headers) {
    try {
      all.append(name, value);
    } catch { /* nothing that a page would understand */ }
  }
  const init: RequestInit = { method, headers: all };
  if (body !== null && method !== "GET" && method !== "HEAD") {
    const stream = new ReadableStream<Uint8Array<ArrayBuffer>>({
      async pull(controller) {
        const chunk = await body.next();
        if (chunk === undefined) controller.close();
        else controller.enqueue(chunk.slice());
      },
    }, { highWaterMark: 0 });
    Object.assign(init, { body: stream, duplex: "half" });
  }
  return new Request(`http://localhost${target}`, init);
}

/** An answer for the platform. */
export function responseOf({ status, headers, body }: Answer): Response {
  const all = new Headers();
  for (const [name, value] of Object.entries(headers)) {
    for (const one of typeof value === "string" ? [value] : value) all.append(name, one);
  }
  const sent = body === null || body instanceof Uint8Array ? body : streamOf(body);
  return new Response(sent, { status, headers: all });
}

/** An answer of the platform as the connection sends it. */
export function answerOf({ status, headers, body }: Response): Answer {
  const all: Record<string, string | readonly string[]> = {};
  for (const [name, value] of headers) all[name] = value;
  const cookies = headers.getSetCookie();
  if (cookies.length > 0) all["set-cookie"] = cookies;
  return { status, headers: all, body };
}
