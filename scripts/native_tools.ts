/**
 * This machine's own programs inside of a root for arm64 while that is made: what unpacks packages and what their scripts
 * call need not be interpreted. They are of the same release of Debian, and gone from the root when it is done.
 */

/** Where they are in the root. Its name is as long as `/lib64`. Nothing on this machine has it, so it means nothing outside. */
const DIR = "/.host";

/** What mmdebstrap runs with. Its PATH is not the caller's, which may have another Python for a filter of its, and a slow one. */
export const NATIVE_ENV = {
  PATH: `${DIR}/bin:/usr/sbin:/usr/bin:/sbin:/bin`,
  // Loaders of other processors pass over what is not for theirs.
  LD_LIBRARY_PATH: `${DIR}/lib`,
} as const;

/** None that tells which processor it is on. */
const PROGRAMS = "dpkg-deb dpkg-split tar xz gzip update-alternatives openssl sed grep find " +
  "basename cat chgrp chmod chown cp cut dirname expr head id install ln ls mkdir mktemp mv readlink rm rmdir " +
  "seq sort stat tail test touch tr uniq wc";

/** Shell text that brings them, and what they load, into the root `$1`: they find their loader there and not in `/lib64`. */
export const BRING_NATIVE = `set -e; mkdir -p "$1${DIR}/bin" "$1${DIR}/lib"
  for name in ${PROGRAMS}; do
    program=$(which "$name")
    ldd "$program"
    sed 's#/lib64/ld-linux#${DIR}/ld-linux#' "$program" >"$1${DIR}/bin/$name"
    chmod 755 "$1${DIR}/bin/$name"
  done >"$1${DIR}/loaded"
  sed -n 's/.*[[:space:]]\\(\\/[^ ]*\\) (.*/\\1/p' "$1${DIR}/loaded" | sort -u | xargs cp -Lt "$1${DIR}/lib"
  mv "$1${DIR}/lib/"ld-linux* "$1${DIR}"`;

/** Shell text that takes all of that away, with apt's note of where they were. */
export const DROP_NATIVE = `rm -rf "$1${DIR}" "$1/etc/apt/apt.conf.d/99mmdebstrap"`;
