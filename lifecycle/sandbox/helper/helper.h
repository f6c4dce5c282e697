/* The sandbox helper: enters a view of the machine, gives up every right, runs one program, and
 * leaves nothing behind. Each function here either does its whole job or ends the process through
 * fail(); a wall that was asked for is never left out. */
#ifndef WHERRY_HELPER_H
#define WHERRY_HELPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define EXIT_HELPER 125 /* we failed, not the program */
#define EXIT_NOEXEC 126 /* the program is there and cannot be executed */
#define EXIT_ABSENT 127 /* the program is not there */

enum entry_kind { BIND, RO_BIND, MASK, LINK, TMPFS };

/* One thing in the view, made in the order given. */
struct entry {
  enum entry_kind kind;
  const char *source; /* BIND, RO_BIND: a path of the machine; LINK: what the link says */
  const char *place; /* path inside the view */
};

/* One place a program may go, for Landlock. */
struct grant {
  const char *path; /* as the program sees it */
  bool write;
};

struct options {
  const char *stage; /* an empty directory the view is built on; NULL: the machine's own tree */
  const char *whole; /* the stage becomes this directory itself, writable */
  const char *chroot; /* becomes the root of the program, without a mount; NULL: none */
  pid_t join; /* whose namespaces it all happens in; 0: ours */
  const char *lower, *upper, *work; /* the stage becomes this overlay, writable; NULL: a tmpfs */
  bool userns, pidns, netns;
  bool input; /* our own stdin; else it is empty */
  bool terminal; /* a new one, copied to and from ours */
  bool keep_caps; /* what engines leave to root in a container; else none */
  bool set_ids; /* --uid and --gid were given */
  uid_t uid;
  gid_t gid;
  const char *cwd;
  long timeout_s, grace_s; /* 0: none */
  long nproc; /* 0: as it is */
  pid_t parent; /* who must be alive; 0: whoever */
  const char *status;
  const char *cgroup; /* the program's control group; NULL: ours */
  bool landlock, no_tcp, check;
  struct entry *entries;
  size_t entry_count;
  struct grant *grants;
  size_t grant_count;
  char **owned; /* trees given to `uid` and `gid` first, NULL at the end */
  char **program; /* with its arguments, NULL at the end */
};

/* status.c: what happened, as JSON lines in a file the program cannot reach */
void status_open(const char *path);
void status_event(const char *event);
void status_exit(int code, int signal, bool timeout, long maxrss_kb);
void status_warn(const char *what, int error);
_Noreturn void fail(int code, const char *act, const char *thing, int error);
/* As fail(), with the reason in words of our own. */
_Noreturn void fail_since(int code, const char *act, const char *thing, int error, const char *why);

/* map.c: a child in new namespaces */
pid_t clone_into(unsigned long flags);
int map_single_ids(uid_t uid, gid_t gid, uid_t outer_uid, gid_t outer_gid);
unsigned long namespace_flags(const struct options *o);

/* view.c */
void view_enter(const struct options *o);
int view_pivot(void);
void view_overlay(const struct options *o);
bool view_has_user_marks(const struct options *o);

/* hold.c */
void hold_join(const struct options *o);

/* drop.c: everything between fork and execve */
void close_from_three(void);
void keep_only_kill(bool keep);
void drop_everything(const struct options *o, pid_t reaper);

/* landlock.c */
int landlock_abi(void);
void landlock_fence(const struct options *o);

/* seccomp.c: 0, or an errno */
int seccomp_deny(void);

/* supervise.c */
int supervise(pid_t target, const struct options *o, bool init);
int relay(pid_t child, int end);
int relay_view(pid_t reaper, const struct options *o);
void block_signals(void);

/* terminal.c */
void terminal_split(const struct options *o);

/* cgroup.c */
void cgroup_open(const char *directory);
void cgroup_enter(void);

/* leftovers.c */
bool kill_descendants(void);

/* tree.c: gives trees to a user, links not followed */
void give_trees(char **paths, uid_t uid, gid_t gid);

/* verbs */
int probe(void);
int remove_trees(char **paths);
int clear_trees(char **paths);
int chown_trees(char **words);
int unpack(char **words);
int subids(char **words);
int hold(char **words);
int restore(char **words);
int archive(char **words);
int look(void);

#endif
