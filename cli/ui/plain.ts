/** Outside texts on their way to a terminal (N-11). */
import { harmless } from "../../registry/client/refusal.ts";

/** `value` with every text in it, keys too, made harmless to a terminal and one line long. */
export function plain<T>(value: T): T {
  if (typeof value === "string") return harmless(value) as T;
  if (Array.isArray(value)) return value.map(plain) as T;
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, one]) => [harmless(key), plain(one)]),
  ) as T;
}
