# copy_program FILE INTO : a program and the libraries it was linked with (libraries.sh). INTO/bin is on PATH and INTO/lib on
# LD_LIBRARY_PATH when the app starts.
copy_program() {
	mkdir -p "$2/bin"
	cp -L "$1" "$2/bin/"
	libraries_of "$1" | while read -r library; do
		mkdir -p "$2/lib"
		cp -L "$library" "$2/lib/"
	done
}
