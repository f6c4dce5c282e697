/**
 * A config in one message with its manifest, between wherry and a server that is wherry: a request and a wait less each way. Whoever
 * does not know these headers passes them over, and both go their own ways, as the specification has it.
 */

/** Asks for what belongs to a manifest: `config`. */
export const WITH = "wherry-with";
/** With such an answer: so many bytes of it are the manifest, the config is behind. The server takes both in a put, too. */
export const MANIFEST_BYTES = "wherry-manifest-bytes";
/** With a put: so many bytes at its end are the config. */
export const CONFIG_BYTES = "wherry-config-bytes";

/** Longer configs go by themselves. */
export const MAX_ALONG: number = 64 * 1024;
