import { equal } from "node:assert/strict";
import { familiarName, parseReference } from "../oci/reference.ts";
import { displayName, storeRepository } from "./name.ts";

const ROWS = [
  { typed: "app", kept: "app" },
  { typed: "docker.io/library/app", kept: "app", shown: "app" },
  { typed: "user/app", kept: "user/app" },
  { typed: "localhost/app", kept: "localhost/app" },
  { typed: "localhost:5000/app", kept: "localhost_5000/app" },
  { typed: "registry:5000/a/b", kept: "registry_5000/a/b" },
  { typed: "registry.example/team/app", kept: "registry.example/team/app" },
  { typed: "127.0.0.1:34567/x", kept: "127.0.0.1_34567/x" },
  { typed: "[::1]:5000/x", kept: "ip6-0--1_5000/x" },
  { typed: "[fe80::1]/x", kept: "ip6-fe80--1/x" },
  { typed: "docker.io/foo_5000/x", kept: "docker.io/foo_5000/x" },
];

for (const { typed, kept, shown } of ROWS) {
  Deno.test(`store repository of ${typed}`, () => {
    const repository = storeRepository(parseReference(typed));
    equal(repository, kept);
    const back = displayName(repository);
    equal(back, shown ?? typed);
    equal(familiarName(parseReference(back)), familiarName(parseReference(typed)));
  });
}
