/** What is said of a command line that makes no sense: loaded when there is one. */
import type { Command, CommanderError } from "commander";
import { nearestWord } from "../registry/nearest_word.ts";
import { UsageError } from "./exit.ts";
import { pathOf, wordsOf } from "./command_path.ts";

/**
 * commander's complaint as one of our lines, with where to read on.
 *
 * @param args All words behind `wherry`.
 */
export function wrongWords(
  program: Command,
  args: readonly string[],
  error: CommanderError,
): UsageError {
  const at = pathOf(program, args);
  const words = wordsOf(at);
  const help = `(see: ${words.join(" ")} --help)`;
  const unknown = error.code === "commander.unknownCommand" || error.message === "(outputHelp)" ||
    error.code === "commander.excessArguments" && at.commands.length > 0;
  const line = unknown
    ? unknownCommand(at, args[0] === "help" ? args[1] ?? "" : args[words.length - 1] ?? "")
    : sentence(at, error);
  return new UsageError(`${line} ${help}`, { cause: error });
}

/** Words of docker, crane, skopeo and pack for what wherry calls otherwise. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  "images": "ls",
  "image": "ls, tag, rm or inspect",
  "list": "ls",
  "catalog": "ls",
  "rmi": "rm",
  "delete": "rm",
  "remove": "rm",
  "save": "copy store:NAME docker-archive:FILE",
  "export": "copy store:NAME oci-archive:FILE",
  "load": "copy docker-archive:FILE store:NAME",
  "import": "copy docker-archive:FILE store:NAME",
  "history": "inspect NAME --layers",
  "digest": "inspect NAME",
  "validate": "verify",
  "start": "run",
  "create": "build or builder create",
  "create-builder": "builder create",
  "package-buildpack": "buildpack package",
  "index": "manifest",
  "registry": "serve",
  "auth": "login or logout",
  "prune": "store gc",
  "system": "store df or store gc",
  "gc": "store gc",
  "df": "store df",
  "fsck": "store fsck",
  "info": "doctor",
  "stack": "builder inspect",
  "upgrade": "rebase",
  "man": "help",
  "builder default": "builder suggest",
  "config default-builder": "build --builder NAME",
  "config trusted-builders": "build --builder NAME: no builder gets credentials",
  "config run-image-mirrors": "rebase --run-image-map OLD=NEW",
  "config registries": "build --buildpack-registry DIR",
  "config pull-policy": "build --pull-policy POLICY",
  "config lifecycle-image": "build, which carries its own lifecycle",
  "set-default-builder": "build --builder NAME",
  "suggest-builders": "builder suggest",
  "trust-builder": "build --builder NAME: no builder gets credentials",
  "search": "buildpack inspect urn:cnb:registry:ID",
};

function unknownCommand(at: Command, word: string): string {
  const asked = [...wordsOf(at).slice(1), word].join(" ");
  const own = Object.hasOwn(ELSEWHERE, asked) ? ELSEWHERE[asked] : undefined;
  if (own !== undefined) return `Unknown command '${asked}': want wherry ${own}`;
  const names = at.commands.filter((one) => !hidden(at, one)).flatMap((one) => [
    one.name(),
    ...one.aliases(),
  ]);
  const meant = nearestWord(word, names);
  return `Unknown command '${asked}'${meant === undefined ? "" : ` (Did you mean ${meant}?)`}`;
}

const hidden = (at: Command, one: Command) => !at.createHelp().visibleCommands(at).includes(one);

/** What is wrong with the words of `at`. */
function sentence(at: Command, error: CommanderError): string {
  const plain = error.message.replace(/^error: /, "").replaceAll(/\s*\n\s*/g, " ").trim();
  const usage = `want ${[...wordsOf(at).slice(0, -1), at.name()].join(" ")} ${at.usage()}`;
  const missing = /^missing required argument '(.*)'$/.exec(plain)?.[1];
  if (missing !== undefined) return `Missing ${missing.toUpperCase()}: ${usage}`;
  if (error.code === "commander.excessArguments") {
    const more = at.args.slice(at.registeredArguments.length);
    return `Cannot use ${more.map((word) => JSON.stringify(word)).join(", ")}: ${usage}`;
  }
  const valueless = /^option '(?:-\w, )?(--[\w-]+) <(.*)>' argument missing$/.exec(plain);
  if (valueless !== null) {
    return `Missing the value of ${valueless[1]}: want ${valueless[1]} ${
      valueless[2]!.toUpperCase()
    }`;
  }
  const needed = /^required option '(?:-\w, )?(--[\w-]+) <(.*)>' not specified$/.exec(plain);
  if (needed !== null) return `Missing ${needed[1]} ${needed[2]!.toUpperCase()}`;
  const flag = /^unknown option '(.*?)'(.*)$/.exec(plain);
  if (flag !== null) return `Unknown flag '${flag[1]}'${flag[2]}`;
  return notAmong(plain) ?? plain.charAt(0).toUpperCase() + plain.slice(1);
}

/** Of a value that is none of the allowed ones. */
function notAmong(plain: string): string | undefined {
  const [, of = "", choices = ""] = /^(.*) (?:Allowed choices are|Want) (.*)\.$/.exec(plain) ?? [];
  const flag = /^option '(?:-\w, )?(--[\w-]+).*' argument '(.*)' is invalid\.$/.exec(of);
  const word = /^command-argument value '(.*)' is invalid for argument '(.*)'\.$/.exec(of);
  const [name, seen] = flag ? [flag[1], flag[2]] : [word?.[2], word?.[1]];
  if (name === undefined) return undefined;
  return `Cannot use ${name} ${JSON.stringify(seen)}: want ${
    choices.replace(/, ([^,]*)$/, " or $1")
  }`;
}
