/** Finds the buildpacks a user named, and the order to try them in. */
import { resolve } from "node:path";
import { ExitCode, LifecycleError } from "../error.ts";
import { readDocument } from "../file/document.ts";
import { type GroupElement, type GroupOrder, moduleName } from "../file/module.ts";
import { type Order, parseOrderToml } from "../file/order_toml.ts";
import type { Buildpack } from "../phase/detect_types.ts";
import { type Means, readBuildpacksDir } from "./buildpack_directory.ts";
import { findBuildpack } from "./buildpack_name.ts";
import { type WantedScript, writeScript } from "./buildpack_script.ts";
import { type Gathered, storeOf } from "./gathered.ts";

/** One buildpack somebody asks for: a name as typed, or a script. */
export type Wanted = string | WantedScript;

/** What the user said about buildpacks. */
export interface BuildpackRequest extends Omit<Means, "warn"> {
  /** In order: directories, `.tgz` files, `id` or `id@version`, scripts. */
  readonly buildpacks: readonly Wanted[];
  /** In front of every group. */
  readonly pre?: readonly Wanted[] | undefined;
  /** Behind every group. */
  readonly post?: readonly Wanted[] | undefined;
  /** Those of the builder, and its order. */
  readonly builder?: {
    readonly buildpacks: readonly Buildpack[];
    readonly order?: Order | undefined;
  } | undefined;
  /** `--order`: an order.toml; used when no buildpack is named. */
  readonly orderFile?: string | undefined;
  /** A directory in the shape of `/cnb/buildpacks`, where ids are looked up. */
  readonly buildpacksDir?: string | undefined;
  /** What relative paths are relative to. */
  readonly cwd: string;
}

/**
 * Reads descriptors and unpacks archives; runs nothing.
 *
 * @throws {LifecycleError} Exit code 3 for a name that leads nowhere, 1 for a descriptor that cannot be read.
 */
export async function gatherBuildpacks(asked: BuildpackRequest): Promise<Gathered> {
  const warnings: string[] = [];
  const request = { ...asked, warn: (line: string) => void warnings.push(line) };
  const found = new Map<string, Buildpack>();
  const add = (buildpack: Buildpack) => {
    found.set(moduleName(buildpack.descriptor), buildpack);
    return buildpack.descriptor;
  };
  for (const buildpack of request.builder?.buildpacks ?? []) add(buildpack);
  if (request.buildpacksDir !== undefined) {
    for (const buildpack of await readBuildpacksDir(request.buildpacksDir)) add(buildpack);
  }
  const own: Pick<Order, "order" | "warnings"> | undefined = request.buildpacks.length > 0
    ? undefined
    : request.orderFile !== undefined
    ? await readOrder(request)
    : request.builder?.order;
  /** Groups of one word after another; `from=builder` stands for every group of the builder. */
  const groups = async (list: readonly Wanted[] = []): Promise<GroupOrder> => {
    let order: GroupOrder = [{ group: [] }];
    for (const wanted of list) {
      const next: GroupOrder = wanted === "from=builder"
        ? builderOrder(request)
        : [{ group: [await element(wanted)] }];
      order = order.flatMap((before) =>
        next.map(({ group }) => ({ group: [...before.group, ...group] }))
      );
    }
    return order;
  };
  const element = async (wanted: Wanted): Promise<GroupElement> => {
    const { id, version } = typeof wanted === "string"
      ? await findBuildpack(wanted, request, found, add)
      : add(await writeScript(wanted, request));
    return { id, version, optional: false, execEnv: [] };
  };
  const named = await groups(request.buildpacks);
  const [pre] = await groups(request.pre);
  const [post] = await groups(request.post);
  const around = [...pre?.group ?? [], ...post?.group ?? []];
  const order = request.buildpacks.length > 0 || (around.length > 0 && own === undefined)
    ? named
    : own?.order ?? (await readOrder(request)).order;
  return {
    store: storeOf(found),
    warnings: [...own?.warnings ?? [], ...warnings],
    order: order.map(({ group }) => ({
      group: [...pre?.group ?? [], ...group, ...post?.group ?? []],
    })),
    all: [...found.values()],
  };
}

function builderOrder(request: BuildpackRequest): GroupOrder {
  const order = request.builder?.order?.order;
  if (order !== undefined) return order;
  throw new LifecycleError(
    ExitCode.arguments,
    'Cannot use buildpack "from=builder": there is no builder with an order; want --builder NAME',
  );
}

async function readOrder(request: BuildpackRequest): Promise<Order> {
  if (request.orderFile === undefined) {
    throw new LifecycleError(
      ExitCode.arguments,
      "Cannot build: no buildpack is named; want --buildpack DIR or --order order.toml",
    );
  }
  const path = resolve(request.cwd, request.orderFile);
  const order = await readDocument(path, parseOrderToml);
  if (order === undefined) {
    throw new LifecycleError(ExitCode.arguments, `Cannot read order ${path}: no such file`);
  }
  return order;
}
