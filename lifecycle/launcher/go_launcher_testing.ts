import { GO_LAUNCHER, goTool } from "../../tests/go_tool.ts";

/** The Go lifecycle's launcher, as a second opinion; see {@linkcode goTool}. */
export async function goLauncher(): Promise<{ file: string } | { why: string }> {
  return await goTool(GO_LAUNCHER);
}
