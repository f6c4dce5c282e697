/** The base that is none: `--run-image scratch`. */
import { type Image, makeImage } from "../../registry/image.ts";
import type { Platform } from "../../registry/oci/descriptor.ts";

/** Where programs lie in an image whose layers are only the app's; the launcher puts its own in front. */
const PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/**
 * An image without a layer, for static programs. There is no `/etc/passwd` to name anybody, so the user is the
 * numeric owner of the app's files: an image of nobody's would run as root. It has no shell: only direct
 * processes start.
 *
 * @param platform Operating system and architecture of the image.
 */
export function scratchImage(
  platform: Platform,
  owner: { readonly uid: number; readonly gid: number },
): Image {
  return makeImage({
    os: platform.os,
    architecture: platform.architecture,
    ...(platform.variant ? { variant: platform.variant } : {}),
    config: { User: `${owner.uid}:${owner.gid}`, Env: [`PATH=${PATH}`] },
    rootfs: { type: "layers", diff_ids: [] },
  }, []);
}
