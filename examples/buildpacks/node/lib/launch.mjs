// The processes of package.json: its start script, or its main file.
import { readFileSync } from "node:fs";
import process from "node:process";

const { scripts = {}, main = "index.js" } = JSON.parse(readFileSync("package.json", "utf8"));
const start = scripts.start ?? `node ${main}`;
// A plain call needs no shell, and gets signals itself; anything else is a line for sh.
const words = start.trim().split(/\s+/);
const plain = /^[\w./@:=, -]+$/.test(start) && words[0] === "node";
const command = plain ? words : ["sh", "-c", start];
process.stdout.write(`[[processes]]
type = "web"
command = ${JSON.stringify(command)}
default = true
`);
