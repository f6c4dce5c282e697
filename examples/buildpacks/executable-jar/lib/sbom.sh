# A CycloneDX bill of materials of the app below the current directory: its own, where its build wrote one, else one made of
# its jars. Maven's coordinates come from the pom.properties of each jar, else from its file name and the packages in it;
# licences from its manifest, else from the text of its licence.
set -eu
quoted() { printf '%s' "$1" | tr -d '\r\n' | sed -e 's/[\\"]/\\&/g'; }
. "$(dirname "$0")/manifest.sh"
of_manifest() { printf '%s\n' "$manifest" | value "$1"; }

manifest=$(cat META-INF/MANIFEST.MF 2>/dev/null || true)
own=$(of_manifest Sbom-Location)
if [ "$(of_manifest Sbom-Format)" = CycloneDX ] && [ -f "${own:-/nowhere}" ]; then
	cat "$own"
	exit
fi

# spdx WORDS : the SPDX id of a licence that is named, linked to or quoted; nothing when it is none of these.
spdx() {
	case $1 in
	*[Aa]pache*2.0*) echo Apache-2.0 ;;
	*eclipse.org/legal/epl-v10* | *"Eclipse Public License"*1.0* | EPL-1.0*) echo EPL-1.0 ;;
	*eclipse.org/legal/epl-*2* | *"Eclipse Public License"*2.0* | EPL-2.0*) echo EPL-2.0 ;;
	*eclipse.org/org/documents/edl-v10* | *"Eclipse Distribution License"*1.0*) echo BSD-3-Clause ;;
	*opensource.org/license*/[Mm][Ii][Tt]* | *"MIT License"* | *"Permission is hereby granted, free of charge"* | MIT) echo MIT ;;
	*old-licenses/gpl-2.0* | *gpl-2.0*classpath* | *software/classpath/license*) echo GPL-2.0-only WITH Classpath-exception-2.0 ;;
	*old-licenses/lgpl-2.1*) echo LGPL-2.1-only ;;
	esac
}
# licence WORDS : one element of CycloneDX's `licenses`.
licence() {
	id=$(spdx "$1")
	case $id in
	'') printf '{"license":{"name":"%s"}}' "$(quoted "$1")" ;;
	*' WITH '*) printf '{"license":{"name":"%s"}}' "$id" ;;
	*) printf '{"license":{"id":"%s"}}' "$id" ;;
	esac
}
# licences JAR : all elements; a manifest may name several.
licences() {
	named=$(of_manifest Bundle-License)
	if [ -n "$named" ]; then
		separator=
		printf '%s\n' "$named" | sed -e 's/;link=[^,]*//g' -e 's/"//g' | tr ',' '\n' | while read -r one; do
			printf '%s' "$separator"
			licence "$one"
			separator=,
		done
		return
	fi
	text=$(unzip -p "$1" 'META-INF/LICENSE*' 'META-INF/license*' LICENSE 'LICENSE.*' 2>/dev/null | head -c 2000 | tr -s ' \r\n' ' ')
	id=$(spdx "$text")
	[ -z "$id" ] || licence "$id"
}
# group JAR NAME : Maven's group where the jar does not say, by the project it belongs to, else by the packages in it.
group() {
	case $2 in
	spring-boot*) echo org.springframework.boot ;;
	spring-*) echo org.springframework ;;
	tomcat-embed-*) echo org.apache.tomcat.embed ;;
	micrometer-*) echo io.micrometer ;;
	*) unzip -Z1 "$1" | sed -n 's#^\([a-z][a-z0-9_]*\)/\([a-z][a-z0-9_]*\)/.*\.class$#\1.\2#p' | head -1 ;;
	esac
}

printf '{"bomFormat":"CycloneDX","specVersion":"1.5","version":1,"components":['
between=
find . -name '*.jar' | LC_ALL=C sort | while read -r jar; do
	file=$(basename "$jar" .jar)
	name=$(printf '%s' "$file" | sed 's/-[0-9].*//')
	version=$(printf '%s' "$file" | sed -n 's/^[^0-9]*-\([0-9].*\)$/\1/p')
	properties=$(unzip -p "$jar" 'META-INF/maven/*/*/pom.properties' 2>/dev/null | tr -d '\r' || true)
	of() { printf '%s\n' "$properties" | sed -n "s/^$1=//p" | head -1; }
	group=$(of groupId)
	if [ -n "$group" ]; then
		name=$(of artifactId)
		version=$(of version)
	else
		group=$(group "$jar" "$name")
	fi
	manifest=$(unzip -p "$jar" META-INF/MANIFEST.MF 2>/dev/null || true)
	licences=$(licences "$jar")
	sum=$(sha256sum "$jar" | cut -d' ' -f1)
	printf '%s\n{"type":"library","name":"%s","version":"%s",' "$between" "$(quoted "$name")" "$(quoted "$version")"
	# A package of Maven has a group: without one there is no name that anybody could look up.
	[ -z "$group" ] || printf '"group":"%s","purl":"pkg:maven/%s/%s@%s",' "$(quoted "$group")" "$(quoted "$group")" "$(quoted "$name")" "$(quoted "$version")"
	[ -z "$licences" ] || printf '"licenses":[%s],' "$licences"
	printf '"hashes":[{"alg":"SHA-256","content":"%s"}]}' "$sum"
	between=,
done
printf ']}\n'
