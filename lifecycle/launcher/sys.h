/* sys.h: system calls without libc. A result from -4095 to -1 is -errno. */
#include <asm/errno.h>
#include <asm/unistd.h>
#include <linux/fcntl.h>

long sys(long number, long a, long b, long c, long d, long e, long f);

#define SYS1(n, a)          sys(__NR_##n, (long)(a), 0, 0, 0, 0, 0)
#define SYS2(n, a, b)       sys(__NR_##n, (long)(a), (long)(b), 0, 0, 0, 0)
#define SYS3(n, a, b, c)    sys(__NR_##n, (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define SYS4(n, a, b, c, d) sys(__NR_##n, (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)

#define S_KIND(mode) ((mode) & 0170000)
enum { S_DIR = 0040000 };
