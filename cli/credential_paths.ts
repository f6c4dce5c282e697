import { dirname } from "node:path";

/**
 * Where secrets of registries usually lie, so that buildpacks can be kept from there. HOME is hidden anyway.
 *
 * @see containers-auth.json(5), docker's config.json
 */
export function credentialPaths(env: Readonly<Record<string, string>>): readonly string[] {
  const paths = [
    env["DOCKER_CONFIG"],
    env["REGISTRY_AUTH_FILE"] && dirname(env["REGISTRY_AUTH_FILE"]),
    env["XDG_RUNTIME_DIR"],
    env["XDG_CONFIG_HOME"],
    env["WHERRY_STORE"],
  ];
  return paths.filter((path) =>
    path !== undefined && path.startsWith("/") && path !== "/"
  ) as string[];
}
