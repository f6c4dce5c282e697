import type { Command } from "commander";
import { addCommonFlags, addRegistryFlags, collect, collectWords, subcommands } from "../common.ts";
import type { Io } from "../io.ts";
import { outputFlag } from "../output.ts";

/** `wherry bundle ...`. */
export function define(command: Command, io: Io, done: (code: number) => void): void {
  const sub = subcommands(command);

  const create = sub("create", "Put images and all they need into one file", "FILE [FLAGS]")
    .argument("<file>", "the bundle")
    .option("--builder <image>", "a builder, with its run images (repeatable)", collectWords)
    .option("--run-image <image>", "a run image (repeatable)", collectWords)
    .option("--app <image>", "an app, with the run image it stands on (repeatable)", collectWords)
    .option("--package <image>", "a buildpack package (repeatable)", collectWords)
    .option("--with-dependencies", "what the buildpacks in them download, by metadata.dependencies")
    .option(
      "--filter <id=version>",
      "of those only these, for example jdk=21.* (repeatable)",
      collect,
    )
    .option("--include-tool", "this executable too, to carry one file only")
    .option(
      "--platform <os/arch>",
      "only these of images for several (repeatable; default: all)",
      collectWords,
    )
    .option("--since <file>", "leave out what this bundle or lock has")
    .option("--split <size>", "files of about this size, for example 4GiB")
    .option("--sign <key>", "sign the lock with this private key (PEM: Ed25519 or P-256)")
    .option("--dry-run", "say what would be in it, and write nothing")
    .addOption(outputFlag());
  addRegistryFlags(create);
  addCommonFlags(create).action(async (file: string, flags) => {
    const { createBundle } = await import("../bundle/create.ts");
    await createBundle(io, file, flags);
  });

  const inspect = sub("inspect", "Say what is in a bundle", "FILE... [FLAGS]")
    .argument("<file...>", "the bundle, or all of its parts")
    .addOption(outputFlag());
  addCommonFlags(inspect).action(async (files: readonly string[], flags) => {
    const { inspectBundle } = await import("../bundle/inspect.ts");
    await inspectBundle(io, files, flags);
  });

  const verify = sub(
    "verify",
    "Hash everything in a bundle and say what is wrong",
    "FILE... [FLAGS]",
  )
    .argument("<file...>", "the bundle, or some or all of its parts")
    .option("--key <file>", "its lock must be signed by this public key (PEM)")
    .option("--partial", "parts that are not here are no fault")
    .addOption(outputFlag());
  addCommonFlags(verify)
    .addHelpText("after", "\nExits with 1 when something is wrong. Nothing is dialled.")
    .action(async (files: readonly string[], flags) => {
      const { verifyBundle } = await import("../bundle/inspect.ts");
      done(await verifyBundle(io, files, flags));
    });

  const push = sub(
    "push",
    "Put what is in a bundle into a registry",
    "FILE... REGISTRY[/PREFIX] [FLAGS]",
  )
    .argument(
      "<file...>",
      "the bundle's files, and last where its images go: REGISTRY[/PREFIX], as REGISTRY/PREFIX/ORIGINAL",
    )
    .option(
      "--map <old=new>",
      "names that begin with OLD go to NEW instead (repeatable)",
      collect,
    )
    .option("--dry-run", "print the mapping only")
    .option("-j, --jobs <n>", "images under way at once", "4")
    .option("--keep-going", "go on with the others when one fails")
    .option(
      "--config-out <dir>",
      "write mirror settings for wherry, podman, containerd and OpenShift",
    )
    .addOption(outputFlag());
  addRegistryFlags(push);
  addCommonFlags(push).action(async (words: readonly string[], flags) => {
    const { pushBundle } = await import("../bundle/push.ts");
    done(await pushBundle(io, words, flags));
  });

  const serve = sub("serve", "Serve a bundle as a read-only registry", "FILE... [FLAGS]")
    .argument("<file...>", "the bundle, or all of its parts")
    .option("--listen <host:port>", "where; port 0 takes a free one", "127.0.0.1:5000");
  addCommonFlags(serve).action(async (files: readonly string[], flags) => {
    const { serveBundle } = await import("../bundle/serve.ts");
    await serveBundle(io, files, flags);
  });
}
