/** What people do with each command: lines that can be copied. */

/** Examples by the words of the command. */
export const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  "build": [
    "wherry build hello --path examples/hello --buildpack examples/buildpacks/hello --run-image scratch",
    "wherry build registry.example/app --publish --buildpack ./bp --run-image registry.example/run:1",
    "wherry build docker-archive:app.tar --path app.jar --buildpack ./bp --run-image oci:run",
    "wherry build app --builder registry.example/builder --path .",
  ],
  "detect": [
    "wherry detect --path . --builder registry.example/builder",
    "wherry detect --path examples/hello --buildpack examples/buildpacks/hello",
  ],
  "rebase": [
    "wherry rebase app --run-image registry.example/run:2",
    "wherry rebase registry.example/shop --publish --run-image registry.example/run:2 --dry-run",
    "wherry rebase --from images.txt --publish --run-image registry.example/run:2 --journal run.jsonl",
    "wherry rebase plan 'registry.example/team/**:*' --publish --run-image registry.example/run:2 --out plan.jsonl",
    "wherry rebase apply plan.jsonl --journal run.jsonl --canary 5 --then 20% --pause 10m --max-failures 3",
  ],
  "rebase plan": [
    "wherry rebase plan 'registry.example/team/**:*' --publish --run-image registry.example/run:2 --out plan.jsonl",
    "wherry rebase plan --from images.txt --run-image registry.example/run:2 -o csv",
  ],
  "rebase apply": [
    "wherry rebase apply plan.jsonl --journal run.jsonl --canary 5 --then 20% --pause 10m",
    "wherry rebase apply plan.jsonl --shard 1/4 --journal run-1.jsonl",
  ],
  "rebase rollback": [
    "wherry rebase rollback run.jsonl --dry-run",
    "wherry rebase rollback run.jsonl --only registry.example/shop:1",
  ],
  "rebase report": [
    "wherry rebase report run-*.jsonl",
    "wherry rebase report run-*.jsonl -o csv",
  ],
  "run": [
    "wherry run hello",
    "wherry run hello --env PORT=8080 -- --version",
    "wherry run hello --entrypoint /bin/sh -- -c 'ls -l /workspace'",
  ],
  "inspect": [
    "wherry inspect registry.example/app:1",
    "wherry inspect store:app --layers --no-base",
    "wherry inspect oci:dir -o json",
  ],
  "outdated": [
    "wherry outdated --from fleet.txt --run-image registry.example/run:2",
    "kubectl get pods -A -o json | wherry outdated --from - -o csv",
  ],
  "relaunch": [
    "wherry relaunch app",
    "wherry relaunch registry.example/app:1 --publish --dry-run",
  ],
  "diff": [
    "wherry diff registry.example/app:1 registry.example/app:2",
    "wherry diff store:app oci-archive:app.tar --no-files -o json",
  ],
  "verify": [
    "wherry verify registry.example/app:1",
    "wherry verify oci-archive:app.tar --layers",
  ],
  "sbom list": ["wherry sbom list registry.example/app:1"],
  "sbom show": [
    "wherry sbom show registry.example/app:1",
    "wherry sbom show app --merge --format spdx >app.spdx.json",
  ],
  "sbom download": ["wherry sbom download registry.example/app:1 --output-dir sbom"],
  "sbom attach": [
    "wherry sbom attach registry.example/app:1",
    "wherry sbom attach registry.example/app:1 --file scan.cdx.json",
  ],
  "sbom query": [
    "wherry sbom query 'pkg:maven/com.fasterxml.jackson.core/jackson-core@<2.15' --from fleet.txt",
    "wherry sbom query 'log4j-core@>=2,<2.17.1' 'registry.example/team/**:*'",
    "kubectl get pods -A -o json | wherry sbom query 'license:GPL-*' --from -",
  ],
  "push": ["wherry push registry.example/app:1"],
  "pull": [
    "wherry pull registry.example/app:1",
    "wherry pull registry.example/app:1 --platform linux/arm64",
  ],
  "copy": [
    "wherry copy registry.example/app:1 mirror.example/app:1",
    "wherry copy registry.example/app:1 oci-archive:app.tar:1",
    "wherry copy store:app docker-archive:app.tar:app:1",
    "wherry copy docker-archive:app.tar store:app",
  ],
  "fleet manifest": [
    "wherry fleet manifest --engine k8s-job --image registry.example/tools:1 --plan plan.jsonl --shards 8 --secret regcred",
  ],
  "builder create": [
    "wherry builder create my-builder --config builder.toml",
    "wherry builder create registry.example/builder:2 --publish --from registry.example/builder:1 --buildpack ./jre",
  ],
  "builder inspect": ["wherry builder inspect registry.example/builder:1 --depth 1"],
  "builder suggest": ["wherry builder suggest"],
  "buildpack new": ["wherry buildpack new samples/hello --path hello"],
  "buildpack package": [
    "wherry buildpack package hello.cnb --path hello",
    "wherry buildpack package registry.example/buildpacks/hello:1.0.0 --path hello --publish",
  ],
  "buildpack inspect": ["wherry buildpack inspect hello.cnb"],
  "buildpack pull": ["wherry buildpack pull registry.example/buildpacks/hello:1.0.0"],
  "buildpack register": [
    "wherry buildpack register registry.example/buildpacks/hello:1.0.0 --buildpack-registry index",
  ],
  "buildpack yank": ["wherry buildpack yank samples/hello@1.0.0 --buildpack-registry index"],
  "extension new": ["wherry extension new samples/tools --path tools"],
  "extension package": ["wherry extension package tools.cnb --path tools"],
  "extension inspect": ["wherry extension inspect tools.cnb"],
  "extension pull": ["wherry extension pull registry.example/extensions/tools:1.0.0"],
  "manifest create": [
    "wherry manifest create registry.example/app:1 registry.example/app:1-amd64 registry.example/app:1-arm64",
  ],
  "manifest add": ["wherry manifest add registry.example/app:1 registry.example/app:1-riscv64"],
  "manifest annotate": [
    "wherry manifest annotate registry.example/app:1 registry.example/app:1-arm64 --arch arm64 --variant v8",
  ],
  "manifest inspect": ["wherry manifest inspect registry.example/app:1"],
  "manifest push": ["wherry manifest push registry.example/app:1 --purge"],
  "manifest remove": ["wherry manifest remove registry.example/app:1"],
  "manifest rm": ["wherry manifest rm registry.example/app:1 registry.example/app:1-arm64"],
  "bundle create": [
    "wherry bundle create shop.bundle --builder registry.example/builder:1 --app registry.example/shop:1",
    "wherry bundle create shop.bundle --builder registry.example/builder:1 --with-dependencies --include-tool --split 4GiB",
  ],
  "bundle inspect": ["wherry bundle inspect shop.bundle"],
  "bundle verify": ["wherry bundle verify shop.bundle --key lock.pub.pem"],
  "bundle push": ["wherry bundle push shop.bundle registry.inside/mirror --config-out mirrors"],
  "bundle serve": ["wherry bundle serve shop.bundle --listen 127.0.0.1:5000"],
  "login": [
    "wherry login registry.example",
    'echo "$TOKEN" | wherry login registry.example --username ci --password-stdin',
  ],
  "logout": ["wherry logout registry.example"],
  "config registry-mirrors add": [
    "wherry config registry-mirrors add docker.io --mirror mirror.example/hub",
  ],
  "config registry-mirrors remove": ["wherry config registry-mirrors remove docker.io"],
  "config registry-mirrors list": ["wherry config registry-mirrors list"],
  "config registry-mirrors explain": ["wherry config registry-mirrors explain nginx:1.27"],
  "ls": ["wherry ls", "wherry ls registry.example/app -o json"],
  "tag": ["wherry tag app registry.example/app:1 registry.example/app:latest"],
  "rm": ["wherry rm app registry.example/app:1"],
  "store gc": ["wherry store gc --dry-run", "wherry store gc --grace 0"],
  "store fsck": ["wherry store fsck", "wherry store fsck --repair"],
  "store df": ["wherry store df"],
  "serve": [
    "wherry serve",
    "wherry serve --listen 0.0.0.0:5000 --htpasswd users --tls-cert cert.pem --tls-key key.pem",
  ],
  "lifecycle": [
    "CNB_PLATFORM_API=0.13 wherry lifecycle analyze -layers=/layers -run-image=registry.example/run registry.example/app",
    "CNB_PLATFORM_API=0.13 wherry lifecycle detect -help",
  ],
  "doctor": ["wherry doctor", "wherry doctor -o json"],
  "report": ["wherry report", "wherry report --explicit -o json"],
  "version": ["wherry version", "wherry version -o json"],
  "licenses": ["wherry licenses"],
};
