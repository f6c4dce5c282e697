// A CycloneDX bill of materials: of the runtime, or of what package-lock.json says was installed.
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import process from "node:process";

const read = (path) => JSON.parse(readFileSync(path, "utf8"));
const document = (components) => ({ bomFormat: "CycloneDX", specVersion: "1.5", version: 1, components });

function runtime() {
	const version = process.version.slice(1);
	const content = createHash("sha256").update(readFileSync(process.argv[3])).digest("hex");
	return [{
		type: "application",
		name: "node",
		version,
		purl: `pkg:generic/node@${version}`,
		hashes: [{ alg: "SHA-256", content }],
		licenses: [{ license: { id: "MIT" } }],
	}, ...JSON.parse(`[${(process.argv[4] ?? "").slice(1)}]`)];
}

// npm wants an SPDX expression there, or words that say that there is none.
function licenceOf(text) {
	return /^(SEE |UNLICENSED)|[^A-Za-z0-9.+() -]/.test(text) ? { license: { name: text } } : { expression: text };
}

function modules() {
	if (!existsSync("package-lock.json")) return [];
	const found = [];
	for (const [path, entry] of Object.entries(read("package-lock.json").packages ?? {})) {
		if (path === "" || entry.link || entry.dev) continue;
		const name = entry.name ?? path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
		const installed = `${path}/package.json`;
		const licence = entry.license ?? (existsSync(installed) ? read(installed).license : undefined);
		const [alg, sum] = (entry.integrity ?? "").split("-");
		const names = { sha1: "SHA-1", sha256: "SHA-256", sha384: "SHA-384", sha512: "SHA-512" };
		found.push({
			type: "library",
			name,
			version: entry.version,
			purl: `pkg:npm/${name.replace("@", "%40")}@${entry.version}`,
			...(names[alg] && sum
				? { hashes: [{ alg: names[alg], content: Buffer.from(sum, "base64").toString("hex") }] }
				: {}),
			...(typeof licence === "string" ? { licenses: [licenceOf(licence)] } : {}),
		});
	}
	return found;
}

const components = process.argv[2] === "runtime" ? runtime() : modules();
process.stdout.write(JSON.stringify(document(components)) + "\n");
