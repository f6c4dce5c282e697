/** How long something is tried: for a time, or so many times, which is the same on every machine. */
export type Span = { readonly seconds: number } | { readonly times: number };

/** A question whether to go on, for how often it was done already. */
export function goesOn(span: Span): (done: number) => boolean {
  if ("times" in span) return (done) => done < span.times;
  const end = performance.now() + span.seconds * 1000;
  return () => performance.now() < end;
}
