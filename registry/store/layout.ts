import { notYet } from "./not_yet.ts";
import type { Registry } from "../registry.ts";

/** The one repository of a layout; any other name means the same. */
export const LAYOUT_REPOSITORY = "layout";

/** Options of {@linkcode openLayout}. */
export interface LayoutOptions {
  /** Make the directory when it is absent. Default false. */
  readonly create?: boolean | undefined;
}

/** Opens an OCI image layout as a place. */
export function openLayout(_dir: string, _options: LayoutOptions = {}): Promise<Registry> {
  return notYet("open OCI layout");
}
