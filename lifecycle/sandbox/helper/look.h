/* What the kernel says of a file: the same as long as nobody has touched it. */
#ifndef WHERRY_LOOK_H
#define WHERRY_LOOK_H

#include <stdbool.h>
#include <sys/types.h>

#define LOOK_SIZE 84 /* of struct statx: as `libc.ts` keeps it */

/* Owner, mode, inode, size, times of birth, change and contents, device. False with errno. */
bool look_at(int fd, unsigned char look[LOOK_SIZE], mode_t *mode);

#endif
