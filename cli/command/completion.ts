import { Argument, type Command, Option } from "commander";
import { completionScript, type Shell, SHELLS } from "../completion/scripts.ts";
import { UsageError } from "../exit.ts";
import type { Io } from "../io.ts";

/** `wherry completion`. */
export function define(command: Command, io: Io): void {
  command
    .usage("SHELL [FLAGS]")
    .addArgument(new Argument("[shell]", "bash, zsh or fish").choices(SHELLS))
    .addOption(new Option("-s, --shell <shell>", "the same").choices(SHELLS))
    .addHelpText(
      "after",
      "\nPrints a script. To have it in every shell:\n" +
        "  bash   echo 'source <(wherry completion bash)' >>~/.bashrc\n" +
        "  zsh    echo 'source <(wherry completion zsh)' >>~/.zshrc   (behind compinit)\n" +
        "  fish   wherry completion fish >~/.config/fish/completions/wherry.fish",
    );
  command.action((named: Shell | undefined, flags: { readonly shell?: Shell }) => {
    const shell = named ?? flags.shell;
    if (shell === undefined) {
      throw new UsageError(
        "Cannot complete for no shell: want wherry completion bash, zsh or fish",
      );
    }
    io.stdout.write(completionScript(shell));
  });
  command.command("words", { hidden: true }).argument("[words...]", "of a line")
    .action(async (words: readonly string[]) => {
      const { answerWords } = await import("../completion/answer.ts");
      await answerWords(io, words);
    });
}
