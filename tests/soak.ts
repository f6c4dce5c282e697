// deno-lint-ignore-file no-console
/** `deno run -A tests/soak.ts [minutes] [seed]`: a soak of one store; hours of its clock pass in minutes. */
import { soak } from "./store/soak_testing.ts";

const [minutes = 5, seed = Math.floor(Math.random() * 1e6)] = Deno.args.map(Number);
if (!(minutes > 0) || !Number.isSafeInteger(seed)) {
  console.error("usage: tests/soak.ts [minutes] [seed]");
  Deno.exit(3);
}
console.log(`soaking for ${minutes} minutes, seed ${seed}`);
const { wrong, ...numbers } = await soak({ seconds: minutes * 60, seed });
console.log(numbers);
for (const one of wrong) console.error(one);
console.log(`${wrong.length} wrong`);
Deno.exit(wrong.length === 0 ? 0 : 1);
