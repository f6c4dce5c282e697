// Run by the Deno that the executable carries: compiles the texts NAME in a folder, and writes NAME.ahead beside each; run
// again, tries whether V8 takes them, as only another process can.
//
// V8 compiles a function when it is first called, and keeps those that it has compiled. To have all of them, and always the
// same, nothing is called: its debugger is asked where one could stop, for which it compiles everything.
import { Session } from "node:inspector";
import { setFlagsFromString } from "node:v8";
import { Script } from "node:vm";

const [folder, ...names] = Deno.args;
const made = names.map((name) => `${folder}/${name}.ahead`);
const texts = names.map((name) => Deno.readTextFileSync(`${folder}/${name}`));

async function compile() {
  const session = new Session();
  session.connect();
  const ask = (method, params) =>
    new Promise((resolve, reject) =>
      session.post(method, params, (error, answer) => error ? reject(error) : resolve(answer))
    );
  const seen = new Map(names.map((name) => [name, Promise.withResolvers()]));
  session.on("Debugger.scriptParsed", ({ params }) => seen.get(params.url)?.resolve(params));
  await ask("Debugger.enable");
  setFlagsFromString("--no-flush-bytecode"); // nothing that was compiled is forgotten meanwhile
  const scripts = texts.map((text, at) => new Script(text, { filename: names[at] }));
  for (const script of scripts) script.runInThisContext(); // a list of functions; they are not called
  for (const parsed of seen.values()) {
    const { scriptId, endLine: lineNumber, endColumn: columnNumber } = await parsed.promise;
    await ask("Debugger.getPossibleBreakpoints", {
      start: { scriptId, lineNumber: 0, columnNumber: 0 },
      end: { scriptId, lineNumber, columnNumber },
    });
  }
  session.disconnect();
  setFlagsFromString("--flush-bytecode");
  scripts.forEach((script, at) => Deno.writeFileSync(made[at], script.createCachedData()));
}

function check() {
  texts.forEach((text, at) => {
    const cachedData = Deno.readFileSync(made[at]);
    if (!new Script(text, { filename: names[at], cachedData }).cachedDataRejected) return;
    throw new Error(`Cannot compile ${names[at]} ahead: V8 does not take what it made`);
  });
}

if ([...Deno.readDirSync(folder)].some(({ name }) => name.endsWith(".ahead"))) check();
else await compile();
