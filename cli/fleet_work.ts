/** The same act for each image of a fleet, several at a time, answers in the order of the list. */

/** How many images are under way at once. */
export const FLEET_WORKERS = 16;

/**
 * Runs `act` for every item, at most `workers` at once. An act that throws ends all: what may go wrong with one image is a
 * result, not an error.
 */
export async function eachOfFleet<Item, Result>(
  items: readonly Item[],
  act: (item: Item) => Promise<Result>,
  signal: AbortSignal,
  workers: number = FLEET_WORKERS,
): Promise<readonly Result[]> {
  const results: Result[] = [];
  let next = 0;
  let failed = false;
  const work = async () => {
    while (next < items.length && !failed) {
      signal.throwIfAborted();
      const at = next++;
      try {
        results[at] = await act(items[at]!);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(workers, items.length) }, work));
  return results;
}
