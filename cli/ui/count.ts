/** `1 layer`, `2 layers`, `2 repositories`. */
export function count(number: number, word: string): string {
  if (number === 1) return `1 ${word}`;
  return `${number} ${/[^aeo]y$/.test(word) ? `${word.slice(0, -1)}ies` : `${word}s`}`;
}
