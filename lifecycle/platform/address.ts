/** Whether `text` is the address of a file on a web server. */
export function isAddress(text: string): boolean {
  return /^https?:\/\//i.test(text);
}
