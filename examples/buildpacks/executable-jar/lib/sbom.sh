# A CycloneDX bill of materials of the jars below the current directory. Maven's coordinates come from the pom.properties
# in each jar where it has one, else from its file name.
quoted() { printf '%s' "$1" | tr -d '\r\n' | sed -e 's/[\\"]/\\&/g'; }
printf '{"bomFormat":"CycloneDX","specVersion":"1.5","version":1,"components":['
separator=
find . -name '*.jar' | LC_ALL=C sort | while read -r jar; do
	file=$(basename "$jar" .jar)
	name=$(printf '%s' "$file" | sed 's/-[0-9].*//')
	version=$(printf '%s' "$file" | sed -n 's/^[^0-9]*-\([0-9].*\)$/\1/p')
	group=
	properties=$(unzip -p "$jar" 'META-INF/maven/*/*/pom.properties' 2>/dev/null || true)
	if [ -n "$properties" ]; then
		of() { printf '%s\n' "$properties" | sed -n "s/^$1=//p" | tr -d '\r' | head -1; }
		[ -z "$(of artifactId)" ] || name=$(of artifactId)
		[ -z "$(of version)" ] || version=$(of version)
		group=$(of groupId)
	fi
	licence=$(unzip -p "$jar" META-INF/MANIFEST.MF 2>/dev/null | sed -n 's/^Bundle-License: //p' | tr -d '\r' | head -1)
	sum=$(sha256sum "$jar" | cut -d' ' -f1)
	printf '%s\n{"type":"library","name":"%s","version":"%s",' "$separator" "$(quoted "$name")" "$(quoted "$version")"
	[ -z "$group" ] || printf '"group":"%s",' "$(quoted "$group")"
	printf '"purl":"pkg:maven/%s%s@%s",' "${group:+$(quoted "$group")/}" "$(quoted "$name")" "$(quoted "$version")"
	[ -z "$licence" ] || printf '"licenses":[{"license":{"name":"%s"}}],' "$(quoted "$licence")"
	printf '"hashes":[{"alg":"SHA-256","content":"%s"}]}' "$sum"
	separator=,
done
printf ']}\n'
