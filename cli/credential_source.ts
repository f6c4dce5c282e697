/** Where a command's secrets come from. A file of its own: most registries never ask for one. */
import { credentialsFrom } from "../registry/client/credentials.ts";
import { cloudKeychains, firstCredential } from "../registry/client/keychain/keychain.ts";
import type { CredentialSource, TransportOptions } from "../registry/client/options.ts";
import type { Log } from "../registry/context.ts";
import type { Io } from "./io.ts";

/** Where secrets come from: files, helpers and the environment first, then the clouds' keychains. */
export function credentialSource(io: Io, transport: TransportOptions, log: Log): CredentialSource {
  const { env, user: { uid } } = io;
  return firstCredential(
    credentialsFrom({ env, uid, log, untrusted: foreignDirs(env) }),
    cloudKeychains({ env, transport, log }),
  );
}

/** Where buildpacks and apps put files: a credential helper there would be theirs (N-07). */
function foreignDirs(env: Readonly<Record<string, string>>): readonly string[] {
  return [
    env["CNB_APP_DIR"] || "/workspace",
    env["CNB_LAYERS_DIR"] || "/layers",
    env["CNB_PLATFORM_DIR"] || "/platform",
    env["CNB_BUILDPACKS_DIR"] || "/cnb/buildpacks",
    env["CNB_EXTENSIONS_DIR"] || "/cnb/extensions",
  ].filter((dir) => /^\/[^/]/.test(dir));
}
