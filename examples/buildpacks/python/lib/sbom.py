"""A CycloneDX bill of materials: of the interpreter, or of the packages in a directory."""

import hashlib
import json
import platform
import re
import sys
from importlib import metadata


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def runtime(path, libraries):
    version = platform.python_version()
    return [{
        "type": "application",
        "name": "python",
        "version": version,
        "purl": f"pkg:generic/python@{version}",
        "hashes": [{"alg": "SHA-256", "content": sha256(path)}],
        "licenses": [{"license": {"id": "PSF-2.0"}}],
    }] + json.loads("[" + libraries[1:] + "]")


def packages(directory):
    found = []
    for one in metadata.distributions(path=[directory]):
        name, version = one.metadata["Name"], one.version
        entry = {
            "type": "library",
            "name": name,
            "version": version,
            "purl": f"pkg:pypi/{re.sub('[-_.]+', '-', name).lower()}@{version}",
        }
        expression = one.metadata.get("License-Expression")
        named = one.metadata.get("License") or next(
            (line.split(" :: ")[-1] for line in one.metadata.get_all("Classifier", []) if line.startswith("License ::")),
            None,
        )
        if expression:
            entry["licenses"] = [{"expression": expression}]
        elif named:
            entry["licenses"] = [{"license": {"name": named.splitlines()[0]}}]
        record = one.read_text("RECORD")
        if record:
            # The list of its files with their hashes stands for the package.
            content = hashlib.sha256("\n".join(sorted(record.splitlines())).encode()).hexdigest()
            entry["hashes"] = [{"alg": "SHA-256", "content": content}]
        found.append(entry)
    return sorted(found, key=lambda entry: entry["purl"])


components = runtime(sys.argv[2], sys.argv[3]) if sys.argv[1] == "runtime" else packages(sys.argv[2])
print(json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1, "components": components}))
