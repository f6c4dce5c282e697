# Sourced: what shared libraries that were copied out of the build image are in a bill of materials.

# libraries_of FILE... : the libraries programs were linked with, but for those of the C library, which the run image has to
# have itself.
libraries_of() {
	ldd "$@" 2>/dev/null | awk '$3 ~ /^\// {print $3}' | LC_ALL=C sort -u |
		grep -Ev '/(libc|libm|libdl|libpthread|librt|libresolv)\.so\.|/ld-' || true
}

# components FILE... : elements of CycloneDX's `components`, each behind a comma: the file with its hash, and what dpkg, where
# there is one, knows of its package.
components() {
	[ $# -gt 0 ] || return 0
	local file owners package version sum about distro
	distro=$(sed -n 's/^ID=//p' /etc/os-release 2>/dev/null || true)
	# Paths of dpkg may be from before /lib was merged into /usr.
	owners=$(printf '%s\n' "$@" | sed 'p;s#^/usr##;t;s#^#/usr#' | xargs dpkg-query -S 2>/dev/null || true)
	for file; do
		package=$(awk -F': ' -v path="${file#/usr}" '$2 == path || $2 == "/usr" path {sub(/[:,].*/, "", $1); print $1; exit}' <<<"$owners")
		sum=$(sha256sum "$file" | cut -d' ' -f1)
		about="\"name\":\"${file##*/}\""
		if [ -n "$package" ]; then
			version=$(dpkg-query -W -f '${Version}\n' "$package" | head -1)
			about="\"name\":\"$package\",\"version\":\"$version\",\"description\":\"${file##*/}\",\"purl\":\"pkg:deb/${distro:-debian}/${package//+/%2B}@$(sed 's/:/%3A/g;s/+/%2B/g' <<<"$version")\""
		fi
		printf ',{"type":"library",%s%s,"hashes":[{"alg":"SHA-256","content":"%s"}]}' "$about" "$(licence_of "$package")" "$sum"
	done
}

# licence_of PACKAGE : by Debian's name for it, by its text, else where it is.
licence_of() {
	local text=/usr/share/doc/$1/copyright named
	[ -n "$1" ] && [ -r "$text" ] || return 0
	named=$(sed -n 's/^License: *//p' "$text" | tr -d '"\\' | head -1)
	if [ -z "$named" ] && grep -qi 'gcc runtime library exception' "$text"; then
		printf ',"licenses":[{"expression":"GPL-3.0-or-later WITH GCC-exception-3.1"}]'
		return
	fi
	[ "$named" != Expat ] || named=MIT
	printf ',"licenses":[{"license":{"name":"%s"}}]' "${named:-as in $text}"
}
