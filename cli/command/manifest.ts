import { type Command, Option } from "commander";
import { addCommonFlags, addRegistryFlags, collect, subcommands } from "../common.ts";
import type { Io } from "../io.ts";
import { outputFlag } from "../output.ts";

/** `wherry manifest ...`: image indexes, made in the store and pushed in one piece. */
export function define(command: Command, io: Io): void {
  const sub = subcommands(command);
  const format = () =>
    new Option("-f, --format <family>", "media types of the index").choices(["oci", "docker"])
      .default("oci");
  const acts = () => import("../manifest_list.ts");

  const create = sub("create", "Begin an index of images", "INDEX IMAGE... [FLAGS]")
    .argument("<index>", "its name")
    .argument("<image...>", "images in registries or the store (store:NAME)")
    .addOption(format())
    .option("--publish", "push it at once and keep nothing here");
  addRegistryFlags(create);
  addCommonFlags(create).action(async (name: string, images: readonly string[], flags) => {
    await (await acts()).createList(io, name, images, flags);
  });

  const add = sub("add", "Add an image to an index", "INDEX IMAGE [FLAGS]")
    .argument("<index>", "begun with create").argument(
      "<image>",
      "an image, or an index: all of its images",
    );
  addRegistryFlags(add);
  addCommonFlags(add).action(async (name: string, image: string, flags) => {
    await (await acts()).addToList(io, name, image, flags);
  });

  const annotate = sub("annotate", "Say more about an image of an index", "INDEX IMAGE [FLAGS]")
    .argument("<index>", "begun with create").argument("<image>", "as it was added, or its digest")
    .option("--os <os>", "operating system")
    .option("--arch <arch>", "processor")
    .option("--variant <variant>", "variant of the processor")
    .option("--annotations <key=value>", "an annotation (repeatable)", collect);
  addCommonFlags(annotate).action(async (name: string, image: string, flags) => {
    await (await acts()).annotateList(io, name, image, flags);
  });

  const inspect = sub("inspect", "Print an index", "INDEX [FLAGS]")
    .argument("<index>", "begun here, or in the store or a registry")
    .addOption(outputFlag([], "human or json: the index itself either way, which is JSON"));
  addRegistryFlags(inspect);
  addCommonFlags(inspect).action(async (name: string, flags) => {
    await (await acts()).inspectList(io, name, flags);
  });

  const push = sub("push", "Push an index with all of its images", "INDEX [FLAGS]")
    .argument("<index>", "begun with create").addOption(format().default(undefined))
    .option("-p, --purge", "forget it here afterwards");
  addRegistryFlags(push);
  addCommonFlags(push).action(async (name: string, flags) => {
    await (await acts()).pushList(io, name, flags);
  });

  const remove = sub("remove", "Forget indexes that were begun here", "INDEX... [FLAGS]")
    .argument("<index...>", "their names");
  addCommonFlags(remove).action(async (names: readonly string[], flags) => {
    await (await acts()).forgetLists(io, names, flags);
  });

  const rm = sub("rm", "Take images out of an index", "INDEX IMAGE... [FLAGS]")
    .argument("<index>", "begun with create")
    .argument("<image...>", "as they were added, or their digests");
  addCommonFlags(rm).action(async (name: string, images: readonly string[], flags) => {
    await (await acts()).takeOut(io, name, images, flags);
  });
}
