import type { Registry } from "../../registry.ts";
import type { DescribeImage } from "./build_part.ts";
import type { Frame } from "./page.ts";

/** What a page is made of. */
export interface Look {
  /** The place. */
  readonly registry: Registry;
  /** Who looks. */
  readonly frame: Omit<Frame, "title">;
  /** Which repositories may be seen. */
  readonly sees: (repository: string) => boolean;
  /** The host that clients use. */
  readonly host: string | undefined;
  /** Reads the metadata of buildpacks. */
  readonly describe: DescribeImage | undefined;
}
