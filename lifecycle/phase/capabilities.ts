import { buildpackCapabilities, type Capabilities, type PlatformCapabilities } from "../api.ts";
import { moduleName } from "../file/module.ts";
import type { Buildpack, Extension } from "./detect_types.ts";

/**
 * What the versions of platform and `buildpack` turn on together.
 *
 * @throws {LifecycleError} 12 when the buildpack's API is not supported (VER-4).
 */
export function capabilitiesOf(
  platform: PlatformCapabilities,
  { descriptor }: Pick<Buildpack | Extension, "descriptor">,
): Capabilities {
  const own = buildpackCapabilities(descriptor.api, moduleName(descriptor));
  return { platform, buildpack: own, execEnv: platform.execEnv && own.execEnv };
}
