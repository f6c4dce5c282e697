/** A plan: what a rebase of a fleet would do, written down so that just that can be done later. */
import type { FleetResult } from "./result.ts";

/** What all images of a plan have in common; the first line. */
export interface PlanHeader {
  /** The version of this form. */
  readonly plan: 1;
  /** Of the names of all images. */
  readonly source: string;
  /** Images in all. */
  readonly total: number;
  /** When, RFC 3339. */
  readonly created: string;
  /** By name: the digest each run image had. Whatever its tag does later, this one is taken. */
  readonly run_images: Readonly<Record<string, string>>;
  /** Flags that decide what comes out. */
  readonly flags: {
    readonly runImage?: string | undefined;
    readonly runImageMap?: readonly string[] | undefined;
    readonly publish?: boolean | undefined;
    readonly force?: boolean | undefined;
    readonly tagTemplate?: string | undefined;
  };
}

/** A plan. */
export interface Plan {
  /** What all have in common. */
  readonly header: PlanHeader;
  /** One for each image, in order. */
  readonly results: readonly FleetResult[];
}

/** A plan that cannot be read. */
export class PlanError extends Error {
  override readonly name = "PlanError";
  /** Bad input of the user's. */
  readonly exitCode = 3;
}

/** The text of a plan: JSON lines. */
export function formatPlan({ header, results }: Plan): string {
  return [header, ...results].map((line) => JSON.stringify(line) + "\n").join("");
}

/**
 * Reads a plan.
 *
 * @throws {PlanError} When it is none or not whole, naming the line.
 */
export function parsePlan(text: string, name: string): Plan {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  const [first, ...rest] = lines.map((line, at) => {
    try {
      const value: unknown = JSON.parse(line);
      if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
    } catch {
      // said below
    }
    throw new PlanError(`Cannot read plan ${name}:${at + 1}: want a JSON object`);
  });
  if (first?.["plan"] !== 1 || typeof first["run_images"] !== "object") {
    throw new PlanError(`Cannot read plan ${name}: want what wherry rebase plan -o json wrote`);
  }
  const header = first as unknown as PlanHeader;
  rest.forEach((line, at) => {
    if (typeof line["reference"] === "string" && typeof line["decision"] === "string") return;
    throw new PlanError(`Cannot read plan ${name}:${at + 2}: want a reference and a decision`);
  });
  if (rest.length !== header.total) {
    throw new PlanError(
      `Cannot read plan ${name}: it has ${rest.length} images, its first line says ${header.total}`,
    );
  }
  return { header, results: rest as unknown as readonly FleetResult[] };
}
