/* The kernel's own words that musl's headers leave out. Numbers from 424 on are the same on every
 * architecture, so they can be given here; all others come from <sys/syscall.h>. */
#ifndef WHERRY_KERNEL_H
#define WHERRY_KERNEL_H

#include <stdint.h>
#include <sys/syscall.h>

#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif
#ifndef SYS_move_mount
#define SYS_move_mount 429
#define SYS_fsopen 430
#define SYS_fsconfig 431
#define SYS_fsmount 432
#define SYS_fspick 433
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif
#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#define NR_open_tree_attr 467

/* linux/openat2.h */
struct open_how { uint64_t flags, mode, resolve; };
#define RESOLVE_NO_XDEV 0x01
#define RESOLVE_NO_MAGICLINKS 0x02
#define RESOLVE_NO_SYMLINKS 0x04
#define RESOLVE_BENEATH 0x08
#define RESOLVE_IN_ROOT 0x10

/* linux/capability.h, version 3: two words of 32 capabilities each */
struct cap_header { uint32_t version; int pid; };
struct cap_data { uint32_t effective, permitted, inheritable; };
#define CAP_VERSION_3 0x20080522
#define CAP_CHOWN 0
#define CAP_DAC_OVERRIDE 1
#define CAP_FOWNER 3
#define CAP_FSETID 4
#define CAP_KILL 5
#define CAP_SETGID 6
#define CAP_SETUID 7
#define CAP_SETPCAP 8
#define CAP_NET_BIND_SERVICE 10
#define CAP_SYS_CHROOT 18
#define CAP_SYS_ADMIN 21
#define CAP_SETFCAP 31

/* linux/mount.h */
struct mount_change { uint64_t set, clear, propagation, userns_fd; };
#define ATTR_RDONLY 0x01
#define ATTR_NOSUID 0x02
#define ATTR_NODEV 0x04
#define ATTR_NOEXEC 0x08
#define TREE_RECURSIVE 0x8000 /* AT_RECURSIVE */

/* linux/filter.h, linux/seccomp.h, linux/audit.h */
struct sock_filter { uint16_t code; uint8_t jt, jf; uint32_t k; };
struct sock_fprog { unsigned short len; struct sock_filter *filter; };
#define BPF_LOAD 0x20 /* BPF_LD | BPF_W | BPF_ABS */
#define BPF_EQUAL 0x15 /* BPF_JMP | BPF_JEQ | BPF_K */
#define BPF_ATLEAST 0x35 /* BPF_JMP | BPF_JGE | BPF_K */
#define BPF_ANYBIT 0x45 /* BPF_JMP | BPF_JSET | BPF_K */
#define BPF_RETURN 0x06 /* BPF_RET | BPF_K */
#define SECCOMP_ALLOW 0x7fff0000u
#define SECCOMP_ERRNO(e) (0x00050000u | (e))
#define SECCOMP_SET_FILTER 1
#define SECCOMP_SPEC_ALLOW 4
#if defined(__x86_64__)
#define AUDIT_HERE 0xc000003eu
#elif defined(__aarch64__)
#define AUDIT_HERE 0xc00000b7u
#else
#error "the sandbox helper knows x86-64 and arm64 only"
#endif

/* linux/landlock.h */
struct landlock_ruleset { uint64_t fs, net, scoped; };
struct __attribute__((packed)) landlock_beneath { uint64_t access; int32_t parent; };
#define LL_EXECUTE (1ull << 0)
#define LL_WRITE_FILE (1ull << 1)
#define LL_READ_FILE (1ull << 2)
#define LL_READ_DIR (1ull << 3)
#define LL_REFER (1ull << 13) /* ABI 2 */
#define LL_TRUNCATE (1ull << 14) /* ABI 3 */
#define LL_NET_TCP 3ull /* bind and connect, ABI 4 */
#define LL_SCOPES 3ull /* abstract sockets and signals, ABI 6 */

#endif
