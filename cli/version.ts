import config from "../deno.json" with { type: "json" };

/** The version of wherry. */
export const VERSION: string = config.version;
