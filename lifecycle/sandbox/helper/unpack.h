/* Writing a root file system below one directory and nowhere else. */
#ifndef WHERRY_UNPACK_H
#define WHERRY_UNPACK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* resolve.c: names of an archive, inside the directory. `make` makes what is missing. The last step
 * of a name is never followed. */
void resolve_start(int root, bool walk);
int resolve_directory(const char *path, bool make);
int resolve_no_links(const char *path);
int resolve_parent(const char *path, bool make, const char **last);
void resolve_forget(void);
/* From then on mounts count as somebody else's. False when this kernel cannot tell. */
bool resolve_without_mounts(void);
bool is_mount(int parent, const char *name);

/* layering.c: what this layer wrote, so that its whiteouts take only what lies below it */
void layer_start(void);
void layer_wrote(int parent, const char *name);
void remove_below(int parent, const char *name);
void empty_below(int directory);
void remove_whole(int parent, const char *name);

/* later.c: modes and times of directories, set when nothing is put into them any more */
void later_directory(const char *path, int directory, mode_t mode, int64_t mtime);
void later_apply(void);

#endif
