/**
 * Rewrites an extension layer the way the Go lifecycle does (TA-8): times set, owner names blanked, names,
 * owners and tar dialect kept. Takes any compression, gives a plain tar.
 */
export function rewriteLayer(
  _source: ReadableStream<Uint8Array>,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  throw new Error("not written yet");
}
