# binding TYPE : prints the directory of the first service binding of that type; fails when there is none.
binding() {
	for dir in "${CNB_PLATFORM_DIR:-/platform}"/bindings/*/; do
		[ "$(cat "$dir/type" 2>/dev/null || true)" = "$1" ] || continue
		echo "${dir%/}"
		return 0
	done
	return 1
}
