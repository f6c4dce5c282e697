/* launcher.h: what the files of the launcher share. */
#include <stddef.h>
#include <stdint.h>

/* Exit codes of the platform specification. */
enum { FAILED = 1, PLATFORM_API = 11, BUILDPACK_API = 12, LAUNCH = 82 };

struct list { char **at; size_t count, room; };    /* at[count] is NULL */
struct api { unsigned long major, minor; };
struct variable { const char *name, *value; };
struct environment { struct variable *at; size_t count, room; };

struct process {
	const char *type, *buildpack, *dir;        /* never NULL */
	struct list command, args, exec_env;
	int direct;
};
struct buildpack { const char *id, *api_text; struct api api; };
struct metadata {
	struct process *process;
	struct buildpack *buildpack;
	size_t processes, buildpacks;
};

/* What the launcher was told by its surroundings. */
struct launch {
	struct api platform;
	const char *self, *layers, *app, *exec_env;
	struct metadata metadata;
	struct environment env;
};

/* memory.c: nothing is freed; fails past MEMORY_LIMIT */
enum { MEMORY_LIMIT = 64 << 20 };
void *alloc(size_t size);                          /* zeroed */
void *grow(void *old, size_t used, size_t *room, size_t size);

/* text.c */
int equal(const char *a, const char *b);
int order(const char *a, const char *b);
char *concat(const char *first, ...) __attribute__((sentinel));
char *concat_all(struct list list);
char *join(const char *dir, const char *name);     /* cleaned, as Go's filepath.Join */
const char *base(const char *path);
char *number(unsigned long n);
void push(struct list *list, const char *text);
void extend(struct list *list, struct list more);

/* message.c: all on standard error */
void warn(const char *first, ...) __attribute__((sentinel));
void fail(int code, const char *first, ...) __attribute__((sentinel, noreturn));
const char *reason(long error);                    /* of a negative result of a system call */

/* file.c: negative results are -errno */
struct entry { char *name; int dir, plain; };       /* itself a directory or a plain file, not a link to one */
struct directory { struct entry *at; size_t count; };
long file_mode(const char *path);                  /* st_mode, following links */
long file_read(int fd, char **text, size_t *length, size_t limit);
long file_load(int dir, const char *path, char **text, size_t *length, size_t limit);
long directory_read(const char *path, struct directory *into);      /* sorted by bytes */
long directory_open(const char *path, struct directory *into);      /* and left open: its descriptor */

/* api.c */
int api_parse(const char *text, struct api *into);
int api_below(struct api api, unsigned minor);     /* is it below 0.minor? */
void api_check_platform(const char *text, struct api *into, const char *mode);
void api_check_buildpacks(struct metadata *metadata, const char *mode);

/* metadata.c */
void metadata_read(const char *path, struct metadata *into);

/* env.c */
const char *env_get(const struct environment *env, const char *name);  /* "" when unset */
void env_set(struct environment *env, const char *name, const char *value);
void env_start(struct environment *env, char **environ);
void env_hide(struct environment *env);            /* what only the launcher may see */
void env_add_root(struct environment *env, const char *layer);
void env_add_dir(struct environment *env, const char *dir);
char **env_list(const struct environment *env);

/* layer.c: visit every layer of every buildpack, in order; files of <layer>/<dir>, then of its <type> */
typedef void visitor(struct launch *launch, const char *layer, void *more);
void each_layer(struct launch *launch, visitor *visit, void *more);
void each_file(struct launch *launch, const char *layer, const char *dir, const char *type,
               visitor *visit, void *more);
void layers_env(struct launch *launch, const char *type);

/* process.c: which process, with which arguments */
int process_known(const struct metadata *metadata, const char *type);
struct process process_choose(const struct launch *launch, const char *type, struct list user);

/* execd.c */
void execd_run(struct launch *launch, const char *type);

/* exec.c: become the process */
void exec_process(struct launch *launch, struct process *process) __attribute__((noreturn));
