#!/bin/sh
# make-jar.sh OUT.jar : compiles the app and packs it the way Spring Boot does: classes in BOOT-INF/classes, its dependencies
# as jars in BOOT-INF/lib, the loader beside them.
set -eu
out=$(realpath -m "$1")
here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
release=${JAVA_RELEASE:-17}
mkdir -p "$tmp/greeting/META-INF/maven/example/greeting" "$tmp/app/BOOT-INF/lib" "$tmp/app/BOOT-INF/classes" "$tmp/app/META-INF"
javac --release "$release" -d "$tmp/greeting" "$here"/greeting/*.java
printf 'groupId=example\nartifactId=greeting\nversion=1.0.0\n' >"$tmp/greeting/META-INF/maven/example/greeting/pom.properties"
for name in greeting-1.0.0 price-2.0.0-SNAPSHOT; do
	printf 'Manifest-Version: 1.0\nBundle-License: Apache-2.0\n' >"$tmp/manifest"
	(cd "$tmp/greeting" && jar --create --file "$tmp/app/BOOT-INF/lib/$name.jar" --manifest "$tmp/manifest" --date=1980-01-01T00:00:02Z .)
	# The second stands for a part that changes daily.
	rm -rf "$tmp/greeting/META-INF/maven"
done
javac --release "$release" -cp "$tmp/greeting" -d "$tmp/app/BOOT-INF/classes" "$here"/src/*/*.java
javac --release "$release" -d "$tmp/app" "$here"/loader/*.java
cat >"$tmp/manifest" <<END
Manifest-Version: 1.0
Main-Class: org.springframework.boot.loader.launch.JarLauncher
Start-Class: shop.Shop
Spring-Boot-Classes: BOOT-INF/classes/
Spring-Boot-Lib: BOOT-INF/lib/
END
(cd "$tmp/app" && jar --create --file "$out" --manifest "$tmp/manifest" --no-compress --date=1980-01-01T00:00:02Z .)
