const NAMES = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

/** The ways out of a network that `env` names, each in both spellings: programs read one or the other. */
export function proxiesOf(env: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(NAMES.flatMap((name) => {
    const lower = name.toLowerCase();
    const [high, low] = [env[name] ?? env[lower], env[lower] ?? env[name]];
    return high === undefined || low === undefined ? [] : [[name, high], [lower, low]];
  }));
}
