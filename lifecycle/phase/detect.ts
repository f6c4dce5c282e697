/** The second phase: which buildpacks take part, and what they agree upon. */
import type { Context } from "../../registry/context.ts";
import { type PlatformCapabilities, platformCapabilities } from "../api.ts";
import { ExitCode, failAs, LifecycleError } from "../error.ts";
import { writeText } from "../file/document.ts";
import { formatGroupToml, type GroupMember } from "../file/group_toml.ts";
import { type GroupOrder, moduleName } from "../file/module.ts";
import { formatPlanToml, type Plan } from "../file/plan_toml.ts";
import { withSystem } from "../file/system_toml.ts";
import { type Candidate, resolve } from "../plan/resolve.ts";
import { capabilitiesOf } from "./capabilities.ts";
import { type Answer, Expansion, type Member } from "./detect_expand.ts";
import { type Line, memberLines, participantLines, printLines, trialLines } from "./detect_log.ts";
import {
  DetectError,
  type DetectInput,
  type DetectResult,
  type GroupTrial,
} from "./detect_types.ts";

/** What a group that passed gives. */
interface Passed {
  readonly members: readonly Member[];
  readonly plan: Plan;
}

/**
 * Tries the groups of `input.order` until one passes, and writes `group.toml` and `plan.toml`.
 *
 * Executables of one group run at once, and each at most once in all. When the promise settles none
 * of them is running.
 *
 * @throws {DetectError} 20 when no group passed; 21 when a buildpack had an error besides. It holds the
 * whole trial tree.
 * @throws {LifecycleError} 11 or 12 for an API version that is not supported; 1 for a buildpack of the
 * order that is not there; 22 when detection could not be carried out.
 * @see CNB buildpack spec, "Phase #1: Detection"; DT-1 to DT-26
 */
export async function detect(input: DetectInput, ctx: Context): Promise<DetectResult> {
  const platform = platformCapabilities(input.platformApi);
  const order = input.system && platform.system
    ? withSystem(input.order.order, input.system)
    : input.order.order;
  const { orderExtensions } = input.order;
  await verifyOrder(order, orderExtensions, platform, input, ctx);
  const tree: GroupTrial[] = [];
  const lines: Line[] = [];
  const running = new AbortController();
  const signal = AbortSignal.any([ctx.signal, running.signal]);
  const expansion = new Expansion<Passed>(
    input,
    platform,
    { ...ctx, signal },
    (members) => judge(members, tree, lines),
  );
  let answer: Answer<Passed>;
  try {
    answer = await failAs(
      ExitCode.detect,
      ctx.signal,
      () => expansion.search(order, orderExtensions),
    );
  } catch (error) {
    printLines(lines, true, ctx.log);
    throw error;
  } finally {
    running.abort();
    await expansion.settled();
  }
  printLines(lines, answer.kind !== "pass", ctx.log);
  if (answer.kind !== "pass") return refuse(answer.kind, tree);
  const { members, plan } = answer.value;
  const group = {
    group: members.filter(({ element }) => !element.extension).map(toGroupMember),
    extensions: members.filter(({ element }) => element.extension).map(toGroupMember),
  };
  await failAs(ExitCode.detect, ctx.signal, async () => {
    const { outside } = input.layersDir;
    await writeText(input.groupPath ?? `${outside}/group.toml`, formatGroupToml(group));
    await writeText(input.planPath ?? `${outside}/plan.toml`, formatPlanToml(plan));
  });
  return { group, plan, tree };
}

/** Every element at the top of the order must be there and speak an API we know (DT-2, BPT-7). */
async function verifyOrder(
  order: GroupOrder,
  extensions: GroupOrder,
  platform: PlatformCapabilities,
  input: DetectInput,
  ctx: Context,
): Promise<void> {
  await failAs(ExitCode.failure, ctx.signal, () => {
    for (const element of extensions.flatMap(({ group }) => group)) {
      const extension = input.extensionStore?.find(element.id, element.version);
      if (extension === undefined) {
        throw new LifecycleError(
          ExitCode.failure,
          `Cannot find extension "${moduleName(element)}", named by the order`,
        );
      }
      capabilitiesOf(platform, extension);
    }
    for (const element of order.flatMap(({ group }) => group)) {
      const buildpack = input.store.find(element.id, element.version);
      if (buildpack === undefined) {
        throw new LifecycleError(
          ExitCode.failure,
          `Cannot find buildpack "${moduleName(element)}", named by the order`,
        );
      }
      capabilitiesOf(platform, buildpack);
    }
  });
}

/** Judges one expanded group: who passed, and whether their plans fit together (DT-17, DT-18). */
async function judge(
  group: readonly Member[],
  tree: GroupTrial[],
  lines: Line[],
): Promise<Answer<Passed>> {
  const runs = await Promise.all(group.map(({ run }) => run));
  const members = group.map(({ element, descriptor }, at): GroupTrial["members"][number] => ({
    id: descriptor.id,
    version: versionOf(group[at]!),
    extension: element.extension,
    optional: element.optional,
    from: element.from,
    detection: runs[at]!.detection,
  }));
  lines.push(...memberLines(members));
  const end = (
    verdict: GroupTrial["verdict"],
    reason: string,
    trials: GroupTrial["trials"] = [],
  ): { readonly kind: "fail" | "error" } => {
    tree.push({ members, verdict, reason, trials });
    return { kind: verdict === "error" ? "error" : "fail" };
  };
  const decisive = members.find(({ optional, detection }) =>
    !optional && detection.verdict !== "pass"
  );
  if (decisive) {
    const erred = members.filter(({ detection }) => detection.verdict === "error");
    const reasons = [...new Set([decisive, ...erred])].map(whyNot);
    return end(erred.length > 0 ? "error" : "fail", reasons.join(", "));
  }
  const passed = group.filter((_, at) => runs[at]!.detection.verdict === "pass");
  if (!passed.some(({ element }) => !element.extension)) {
    lines.push({ level: "debug", text: "fail: no viable buildpacks in group" });
    return end("fail", "no buildpack passed");
  }
  const candidates = group.flatMap((member, at): Candidate[] =>
    runs[at]!.detection.verdict !== "pass" ? [] : [{
      id: member.descriptor.id,
      version: versionOf(member),
      optional: member.element.optional,
      extension: member.element.extension,
      plan: runs[at]!.plan,
    }]
  );
  const { members: kept, plan, trials } = resolve(candidates);
  lines.push(...trialLines(trials));
  if (kept === undefined) {
    lines.push({ level: "debug", text: CHECK_ORDER });
    return end("fail", whyUnresolved(trials), trials);
  }
  const participants = kept.map((at) => passed[at]!);
  lines.push(
    ...participantLines(
      participants.map((one) => ({ id: one.element.id, version: versionOf(one) })),
      group.length,
    ),
  );
  tree.push({ members, verdict: "pass", reason: "", trials });
  return { kind: "pass", value: { members: participants, plan } };
}

/** The cause belongs into the one line that ends the phase: whoever reads only that one knows what to mend. */
function whyNot(member: GroupTrial["members"][number]): string {
  const { verdict, error } = member.detection;
  if (verdict !== "error") return `${moduleName(member)} did not pass`;
  return `${moduleName(member)} had an error${error === "" ? "" : `: ${error}`}`;
}

const CHECK_ORDER =
  "check the provided order to ensure that buildpacks providing dependencies run " +
  "before the buildpacks that require them";

/** The step that ended the last trial: the one for which all alternatives had been used up. */
function whyUnresolved(trials: GroupTrial["trials"]): string {
  const step = trials.at(-1)?.steps.findLast(({ kind }) => kind === "fail");
  return step
    ? `${moduleName(step)} ${step.why} ${step.name}`
    : "no buildpack was left after resolving the plan";
}

/** One line holds the texts people grep for (DT-24) and the reasons. */
function refuse(kind: "fail" | "error", tree: readonly GroupTrial[]): never {
  const reasons = [...new Set(tree.map(({ reason }) => reason))];
  const more = reasons.length > SHOWN ? [`and ${reasons.length - SHOWN} more`] : [];
  const why = [...reasons.slice(0, SHOWN), ...more].join("; ") || "the order has no groups";
  if (kind === "fail") {
    const hint = "Please check that you are running against the correct path";
    throw new DetectError(ExitCode.noGroup, `${NO_GROUP}. ${hint}: ${why}`, tree);
  }
  throw new DetectError(ExitCode.noGroupErrored, `${NO_GROUP}: ${why}`, tree);
}

const NO_GROUP = "No buildpack groups passed detection";
/** Reasons that fit on a line; the log has all. */
const SHOWN = 5;

/** What the order asked for names the directory in the store, so it wins over the file. */
function versionOf({ element, descriptor }: Member): string {
  return element.version || descriptor.version;
}

function toGroupMember(member: Member): GroupMember {
  const { api, homepage } = member.descriptor;
  return { id: member.element.id, version: versionOf(member), api, homepage };
}
