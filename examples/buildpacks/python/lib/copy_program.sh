# copy_program FILE INTO : a program and the libraries it was linked with, but for those of the C library,
# which the run image has to have itself. INTO/bin is on PATH and INTO/lib on LD_LIBRARY_PATH when the app starts.
copy_program() {
	mkdir -p "$2/bin"
	cp -L "$1" "$2/bin/"
	ldd "$1" 2>/dev/null | awk '$3 ~ /^\// {print $3}' | while read -r library; do
		case ${library##*/} in
		libc.so.* | libm.so.* | libdl.so.* | libpthread.so.* | librt.so.* | libresolv.so.* | ld-*) continue ;;
		esac
		mkdir -p "$2/lib"
		cp -L "$library" "$2/lib/"
	done
}
