/*
 * The first code that runs in dist/wherry.
 *
 * The kernel maps this file as a position-independent program without an interpreter and jumps to
 * `_start`. The stub gives Deno what an installed glibc would: the libraries, as memory files under the
 * numbers that DT_NEEDED names; the dynamic loader, mapped from this very file; and a stack vector
 * that says "run this script". Then it jumps to the loader. It allocates nothing, knows no libc, has
 * no relocations and no writable data. `scripts/onefile/config.ts` writes the tables it reads.
 *
 * Compiled for x86-64 and aarch64, -ffreestanding -nostdlib.
 */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long i64;

/* ---- system calls ---- */

#if defined(__x86_64__)
enum {
	SYS_write = 1, SYS_close = 3, SYS_mmap = 9, SYS_munmap = 11, SYS_pread64 = 17, SYS_fcntl = 72, SYS_getcwd = 79,
	SYS_fchmod = 91, SYS_prctl = 157, SYS_exit_group = 231, SYS_openat = 257, SYS_mkdirat = 258,
	 SYS_dup3 = 292, SYS_prlimit64 = 302, SYS_memfd_create = 319,
};
#define O_DIRECTORY 0200000
#define LIBRARY_ARCH 1

static i64 syscall6(i64 n, i64 a, i64 b, i64 c, i64 d, i64 e, i64 f)
{
	register i64 r10 __asm__("r10") = d;
	register i64 r8 __asm__("r8") = e;
	register i64 r9 __asm__("r9") = f;
	i64 result;
	__asm__ volatile("syscall" : "=a"(result)
		: "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
		: "rcx", "r11", "memory");
	return result;
}

__asm__(
	".section .text.entry,\"ax\",@progbits\n"
	".globl _start\n.hidden _start\n.type _start,@function\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call stub\n"
	"	hlt\n"
	".text\n");

/* rdx is a function for atexit() in the System V ABI: none. */
#define JUMP(stack, entry) \
	__asm__ volatile("mov %0, %%rsp\n\txor %%edx, %%edx\n\txor %%ebp, %%ebp\n\tjmp *%1" \
		: : "r"(stack), "r"(entry) : "rdx", "memory")

#elif defined(__aarch64__)
enum {
	SYS_getcwd = 17, SYS_dup3 = 24, SYS_fcntl = 25, SYS_mkdirat = 34, SYS_fchmod = 52, SYS_openat = 56, SYS_close = 57,
	SYS_write = 64, SYS_pread64 = 67, SYS_exit_group = 94, SYS_prctl = 167,
	SYS_munmap = 215, SYS_mmap = 222, SYS_prlimit64 = 261, SYS_memfd_create = 279,
};
#define O_DIRECTORY 040000

static i64 syscall6(i64 n, i64 a, i64 b, i64 c, i64 d, i64 e, i64 f)
{
	register i64 x8 __asm__("x8") = n;
	register i64 x0 __asm__("x0") = a;
	register i64 x1 __asm__("x1") = b;
	register i64 x2 __asm__("x2") = c;
	register i64 x3 __asm__("x3") = d;
	register i64 x4 __asm__("x4") = e;
	register i64 x5 __asm__("x5") = f;
	__asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
		: "memory");
	return x0;
}

__asm__(
	".section .text.entry,\"ax\",%progbits\n"
	".globl _start\n.hidden _start\n.type _start,%function\n"
	"_start:\n"
	"	mov x29, #0\n"
	"	mov x30, #0\n"
	"	mov x0, sp\n"
	"	bl stub\n"
	"	brk #1\n"
	".text\n");

#define JUMP(stack, entry) \
	__asm__ volatile("mov sp, %0\n\tmov x0, #0\n\tmov x29, #0\n\tmov x30, #0\n\tbr %1" \
		: : "r"(stack), "r"(entry) : "x0", "memory")
#else
#error "the stub knows x86-64 and aarch64"
#endif

#define CALL(name, a, b, c, d, e, f) \
	syscall6(SYS_##name, (i64)(a), (i64)(b), (i64)(c), (i64)(d), (i64)(e), (i64)(f))

enum {
	AT_FDCWD = -100, O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0100, O_TRUNC = 01000,
	O_CLOEXEC = 02000000, O_TMPFILE = 020000000 | O_DIRECTORY,
	PROT_NONE = 0, PROT_READ = 1, PROT_WRITE = 2, PROT_EXEC = 4,
	MAP_PRIVATE = 2, MAP_FIXED = 0x10, MAP_ANONYMOUS = 0x20, MAP_NORESERVE = 0x4000,
	MAP_FIXED_NOREPLACE = 0x100000,
	MFD_CLOEXEC = 1, MFD_NOEXEC_SEAL = 8, MFD_EXEC = 16,
	PR_SET_DUMPABLE = 4, RLIMIT_NOFILE = 7, RLIMIT_AS = 9,
	ENOENT = 2, EINTR = 4, EINVAL = 22,
	AT_NULL = 0, AT_PHDR = 3, AT_PHNUM = 5, AT_PAGESZ = 6, AT_BASE = 7, AT_ENTRY = 9,
	PT_LOAD = 1,
};

/* ---- what the assembler wrote behind this code; offsets count from the start of the struct ---- */

enum { PART_LIBRARY = 1, PART_PROGRAM = 2, PART_SCRIPT = 3, PART_LOADER = 4, PART_DATA = 5 };

struct part { u64 offset, size, fd, kind; char name[32]; };
struct hole { u64 from, to; };            /* addresses as in the program headers */
struct undo { u64 offset, size, bytes; }; /* what Deno's file had where it was patched */
struct table { u64 at, count; };

struct config {
	char magic[16];
	u64 self;   /* address of this struct as in the program headers: tells where we were loaded */
	u64 entry;  /* Deno's own entry point */
	u64 phdr, phnum; /* program headers for the loader */
	u64 deno_size;
	u64 files;  /* open files we need: above every fd below */
	struct table holes, parts, undos, arguments, settings;
};

extern const struct config config __attribute__((visibility("hidden")));

#define TABLE(type, which) ((const type *)((const u8 *)&config + config.which.at))

/* ---- small things a libc would have ---- */

void *memset(void *to, int byte, u64 size)
{
	u8 *p = to;
	while (size--)
		*p++ = (u8)byte;
	return to;
}

void *memcpy(void *to, const void *from, u64 size)
{
	u8 *p = to;
	const u8 *q = from;
	while (size--)
		*p++ = *q++;
	return to;
}

static u64 length(const char *text)
{
	u64 n = 0;
	while (text[n])
		n++;
	return n;
}

static int starts(const char *text, const char *prefix)
{
	while (*prefix)
		if (*text++ != *prefix++)
			return 0;
	return 1;
}

/* Copies with the final NUL; returns where that NUL stands, so that calls chain. */
static char *append(char *to, const char *text)
{
	while ((*to = *text++))
		to++;
	return to;
}

static char *append_number(char *to, u64 number)
{
	char digits[24];
	int n = 0;
	do
		digits[n++] = (char)('0' + number % 10);
	while (number /= 10);
	while (n)
		*to++ = digits[--n];
	*to = 0;
	return to;
}

static void say(int fd, const char *text)
{
	u64 left = length(text);
	while (left) {
		i64 n = CALL(write, fd, text, left, 0, 0, 0);
		if (n <= 0)
			return;
		text += n;
		left -= (u64)n;
	}
}

/* One line, exit 127: what a shell says of a program that cannot start. */
static void __attribute__((noreturn)) fail(const char *what, i64 error)
{
	char text[256], *at = append(text, "wherry: stub: ");
	at = append(at, what);
	if (error < 0)
		at = append_number(append(at, ": errno "), (u64)-error);
	append(at, "\n");
	say(2, text);
	for (;;)
		CALL(exit_group, 127, 0, 0, 0, 0, 0);
}

static u64 page_up(u64 value, u64 page) { return (value + page - 1) & ~(page - 1); }
static int is_error(i64 value) { return value < 0 && value > -4096; }

/* ---- open files ---- */

/* V8 reserves about 32 GiB of addresses when it starts, uses little of it, and dies with a stack dump when it cannot.
 * Where these do not fall on a boundary of their own size by luck, it needs that much again to choose from. */
#define ADDRESS_SPACE (80UL << 30)

static void check_address_space(void)
{
	u64 limit[2];
	if (CALL(prlimit64, 0, RLIMIT_AS, 0, limit, 0, 0) < 0 || limit[0] >= ADDRESS_SPACE)
		return;
	char text[160], *at = append(text, "the limit of address space (ulimit -v) is ");
	at = append_number(at, limit[0] >> 10);
	at = append(at, " KiB, wanted unlimited or at least ");
	append_number(at, ADDRESS_SPACE >> 10);
	fail(text, 0);
}

/* Raises the soft limit when it is below what our numbers need; a hard limit below that is final. */
static void make_room_for_files(void)
{
	u64 limit[2];
	i64 error = CALL(prlimit64, 0, RLIMIT_NOFILE, 0, limit, 0, 0);
	if (error < 0)
		fail("prlimit", error);
	if (limit[0] >= config.files)
		return;
	if (limit[1] < config.files) {
		char text[128], *at = append(text, "the hard limit of open files (ulimit -Hn) is ");
		at = append_number(at, limit[1]);
		at = append(at, ", wanted at least ");
		append_number(at, config.files);
		fail(text, 0);
	}
	limit[0] = limit[1] < 1024 ? limit[1] : 1024;
	error = CALL(prlimit64, 0, RLIMIT_NOFILE, limit, 0, 0, 0);
	if (error < 0)
		fail("raising the limit of open files", error);
}

/* Writes part of our own file to `fd`. Returns 0 or a negative errno. */
static i64 copy_out(int self, u64 offset, u64 size, int fd)
{
	i64 map = CALL(mmap, 0, size, PROT_READ, MAP_PRIVATE, self, offset);
	if (is_error(map))
		return map;
	i64 result = 0;
	for (u64 done = 0; done < size;) {
		i64 n = CALL(write, fd, map + (i64)done, size - done, 0, 0, 0);
		if (n == -EINTR)
			continue;
		if (n <= 0) {
			result = n ? n : -28; /* ENOSPC */
			break;
		}
		done += (u64)n;
	}
	CALL(munmap, map, size, 0, 0, 0, 0);
	return result;
}

/*
 * A nameless file in a directory whose file system lets us execute, or a negative errno. For kernels that
 * refuse what we want of memory files (vm.memfd_noexec=2, or a security module).
 */
static i64 open_nameless(void)
{
	static const char places[] = "/dev/shm\0/tmp\0/var/tmp\0/run\0.\0";
	i64 error = -ENOENT;
	for (const char *place = places; *place; place += length(place) + 1) {
		i64 fd = CALL(openat, AT_FDCWD, place, O_TMPFILE | O_RDWR | O_CLOEXEC, 0700, 0, 0);
		if (fd < 0) {
			error = fd;
			continue;
		}
		/* A file system mounted noexec answers EPERM here. */
		i64 map = CALL(mmap, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
		if (!is_error(map)) {
			CALL(munmap, map, 4096, 0, 0, 0, 0);
			return fd;
		}
		error = map;
		CALL(close, fd, 0, 0, 0, 0, 0);
	}
	return error;
}

/*
 * Puts one part behind its number, close-on-exec so that no child inherits it. Returns 0 or a negative errno.
 *
 * A library is only ever mapped, so it may live in a memory file without the execute bit, which
 * vm.memfd_noexec=2 allows. A program is executed and needs the bit.
 */
static i64 publish(int self, const struct part *part)
{
	int wanted = part->kind == PART_PROGRAM ? MFD_EXEC : MFD_NOEXEC_SEAL;
	int nameless = 0;
	i64 fd = CALL(memfd_create, part->name, MFD_CLOEXEC | wanted, 0, 0, 0, 0);
	if (fd == -EINVAL) /* before Linux 6.3 */
		fd = CALL(memfd_create, part->name, MFD_CLOEXEC, 0, 0, 0, 0);
	if (fd < 0) {
		i64 error = fd;
		fd = open_nameless();
		if (fd < 0)
			return error;
		nameless = 1;
	}
	i64 error = copy_out(self, part->offset, part->size, (int)fd);
	if (error < 0)
		return error;
	if (nameless) {
		/* A file that is open for writing cannot be executed (ETXTBSY): open it again, read-only. */
		char path[40];
		append_number(append(path, "/proc/self/fd/"), (u64)fd);
		i64 again = CALL(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
		if (again < 0)
			return again;
		CALL(close, fd, 0, 0, 0, 0, 0);
		fd = again;
	}
	if ((u64)fd == part->fd)
		return 0;
	error = CALL(dup3, fd, part->fd, O_CLOEXEC, 0, 0, 0);
	CALL(close, fd, 0, 0, 0, 0, 0);
	return error < 0 ? error : 0;
}

/* ---- the loader ---- */

struct elf { u8 ident[16]; u16 type, machine; u32 version; u64 entry, phoff, shoff; u32 flags;
	u16 ehsize, phentsize, phnum, shentsize, shnum, shstrndx; };
struct segment { u32 type, flags; u64 offset, vaddr, paddr, filesz, memsz, align; };

/* Maps the loader from our own file, as the kernel would from its own; returns its load address. */
static u64 map_loader(int self, const struct part *part, u64 page, u64 *entry)
{
	struct elf header;
	struct segment segments[16];
	if (CALL(pread64, self, &header, sizeof header, part->offset, 0, 0) != sizeof header ||
	    header.phnum > 16 || header.phentsize != sizeof(struct segment))
		fail("the loader's header is unreadable", 0);
	u64 bytes = header.phnum * sizeof(struct segment);
	if (CALL(pread64, self, segments, bytes, part->offset + header.phoff, 0, 0) != (i64)bytes)
		fail("the loader's segments are unreadable", 0);

	u64 span = 0;
	for (u32 i = 0; i < header.phnum; i++)
		if (segments[i].type == PT_LOAD)
			span = page_up(segments[i].vaddr + segments[i].memsz, page);
	i64 base = CALL(mmap, 0, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (is_error(base))
		fail("mapping the loader", base);

	for (u32 i = 0; i < header.phnum; i++) {
		const struct segment *s = &segments[i];
		if (s->type != PT_LOAD)
			continue;
		int protection = (s->flags & 4 ? PROT_READ : 0) | (s->flags & 2 ? PROT_WRITE : 0) |
			(s->flags & 1 ? PROT_EXEC : 0);
		u64 start = s->vaddr & ~(page - 1);
		u64 file_end = s->vaddr + s->filesz;
		u64 mapped_end = page_up(file_end, page);
		i64 error = CALL(mmap, (u64)base + start, file_end - start, protection, MAP_PRIVATE | MAP_FIXED,
			self, part->offset + s->offset - (s->vaddr - start));
		if (is_error(error))
			fail("mapping a segment of the loader", error);
		if (!(s->flags & 2))
			continue;
		/* The loader's first allocator hands out the rest of its last data page and expects zeros. */
		memset((void *)((u64)base + file_end), 0, mapped_end - file_end);
		u64 end = page_up(s->vaddr + s->memsz, page);
		if (end > mapped_end) {
			error = CALL(mmap, (u64)base + mapped_end, end - mapped_end, protection,
				MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0);
			if (is_error(error))
				fail("mapping the loader's zeros", error);
		}
	}
	*entry = (u64)base + header.entry;
	return (u64)base;
}

/* Keeps mmap() from putting anything between Deno's segments: the loader takes that span for Deno's own. */
static void fill_holes(u64 bias, u64 page)
{
	const struct hole *holes = TABLE(struct hole, holes);
	for (u64 i = 0; i < config.holes.count; i++) {
		u64 from = page_up(bias + holes[i].from, page), to = (bias + holes[i].to) & ~(page - 1);
		if (from < to)
			CALL(mmap, from, to - from, PROT_NONE,
				MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
	}
}

/* ---- the environment ---- */

/*
 * Variables by which a user speaks to the loader, glibc, Deno or Node, and which must not steer *us*.
 * They travel under another name; entry.js puts back those that children should see.
 */
static int is_hidden(const char *variable)
{
	static const char prefixes[] =
		"LD_\0DENO_\0OTEL_\0NODE_OPTIONS=\0NODE_CHANNEL_\0NODE_V8_COVERAGE=\0NODE_DEBUG\0"
		"GLIBC_TUNABLES=\0GCONV_PATH=\0MALLOC_\0RUST_\0NPM_CONFIG_\0npm_config_\0HOME=\0";
	for (const char *prefix = prefixes; *prefix; prefix += length(prefix) + 1)
		if (starts(variable, prefix))
			return 1;
	return 0;
}

#define OURS "WHERRY__"
#define HIDDEN OURS "HIDDEN_"
#define NAME OURS "ARGV0="

/* ---- WHERRY_UNPACK=DIR: the parts as files, and the command line that runs them ---- */

static int create_file(const char *directory, const char *name, int mode)
{
	char path[4096 + 64];
	append(append(append(path, directory), "/"), name);
	i64 fd = CALL(openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode, 0, 0);
	if (fd < 0)
		fail("WHERRY_UNPACK: creating a file", fd);
	CALL(fchmod, fd, mode, 0, 0, 0, 0);
	return (int)fd;
}

static void say_quoted(const char *text)
{
	char one[2] = { 0, 0 };
	say(1, "'");
	for (; *text; text++) {
		one[0] = *text;
		say(1, *text == '\'' ? "'\\''" : one);
	}
	say(1, "'");
}

static void say_path(const char *directory, const char *name)
{
	char path[4096 + 64];
	append(append(append(path, directory), "/"), name);
	say(1, " ");
	say_quoted(path);
}

static void __attribute__((noreturn, noinline)) unpack(int self, const char *directory)
{
	const struct part *parts = TABLE(struct part, parts);
	const char *loader = "", *script = "";
	if (!*directory || length(directory) > 4000)
		fail("WHERRY_UNPACK: wanted the name of a directory", 0);
	CALL(mkdirat, AT_FDCWD, directory, 0755, 0, 0, 0);

	int fd = create_file(directory, "deno", 0755);
	i64 error = copy_out(self, 0, config.deno_size, fd);
	if (error < 0)
		fail("WHERRY_UNPACK: writing deno", error);
	CALL(close, fd, 0, 0, 0, 0, 0);
	char path[4096 + 64];
	append(append(path, directory), "/deno");
	fd = (int)CALL(openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0, 0, 0);
	if (fd < 0)
		fail("WHERRY_UNPACK: opening deno", fd);
	const struct undo *undos = TABLE(struct undo, undos);
	i64 map = CALL(mmap, 0, config.deno_size, PROT_READ | PROT_WRITE, 1 /* MAP_SHARED */, fd, 0);
	if (is_error(map))
		fail("WHERRY_UNPACK: mapping deno", map);
	for (u64 i = 0; i < config.undos.count; i++)
		memcpy((u8 *)map + undos[i].offset, (const u8 *)&config + undos[i].bytes, undos[i].size);
	CALL(munmap, map, config.deno_size, 0, 0, 0, 0);
	CALL(close, fd, 0, 0, 0, 0, 0);

	for (u64 i = 0; i < config.parts.count; i++) {
		int runs = parts[i].kind == PART_PROGRAM || parts[i].kind == PART_LOADER;
		fd = create_file(directory, parts[i].name, runs ? 0755 : 0644);
		error = copy_out(self, parts[i].offset, parts[i].size, fd);
		if (error < 0)
			fail("WHERRY_UNPACK: writing a part", error);
		CALL(close, fd, 0, 0, 0, 0, 0);
		if (parts[i].kind == PART_LOADER)
			loader = parts[i].name;
		if (parts[i].kind == PART_SCRIPT)
			script = parts[i].name;
	}

	const char *text = TABLE(char, settings);
	say(1, "env");
	for (u64 i = 0; i < config.settings.count; i++, text += length(text) + 1) {
		if (!starts(text, "DENO_"))
			continue;
		say(1, " ");
		say(1, text);
	}
	say_path(directory, loader);
	say(1, " --library-path ");
	say_quoted(directory);
	say_path(directory, "deno");
	text = TABLE(char, arguments) + length(TABLE(char, arguments)) + 1; /* not argv[0] */
	for (u64 i = 1; i + 1 < config.arguments.count; i++, text += length(text) + 1) {
		say(1, " ");
		say(1, text);
	}
	say_path(directory, script);
	say(1, "\n");
	for (;;)
		CALL(exit_group, 0, 0, 0, 0, 0, 0);
}

/* ---- from the kernel's stack vector to the loader's ---- */

void __attribute__((noreturn, used)) stub(u64 *stack)
{
	u64 argc = stack[0];
	char **argv = (char **)(stack + 1);
	char **envp = argv + argc + 1;
	u64 envc = 0, hidden_bytes = 0, page = 4096, auxc = 0;
	const char *unpack_to = 0;

	for (; envp[envc]; envc++) {
		if (starts(envp[envc], "WHERRY_UNPACK="))
			unpack_to = envp[envc] + 14;
		if (is_hidden(envp[envc]))
			hidden_bytes += length(envp[envc]) + sizeof HIDDEN;
	}
	u64 *auxv = (u64 *)(envp + envc + 1);
	for (; auxv[2 * auxc] != AT_NULL; auxc++)
		if (auxv[2 * auxc] == AT_PAGESZ)
			page = auxv[2 * auxc + 1];
	auxc++;

	i64 self = CALL(openat, AT_FDCWD, "/proc/self/exe", O_RDONLY | O_CLOEXEC, 0, 0, 0);
	if (self < 0)
		fail("Cannot open /proc/self/exe (is /proc mounted?)", self);
	if (unpack_to)
		unpack((int)self, unpack_to);
	/*
	 * From here on no process of the same user can read our memory or environment, where tokens are. It lasts
	 * because we never exec again, and it ends in children, which do.
	 */
	CALL(prctl, PR_SET_DUMPABLE, 0, 0, 0, 0, 0);
	make_room_for_files();
	check_address_space();
	char directory[4096];
	i64 error = CALL(getcwd, directory, sizeof directory, 0, 0, 0, 0);
	if (error == -ENOENT)
		fail("Cannot read the current directory (was it removed?)", error);

	u64 bias = (u64)&config - config.self, loader_entry = 0, loader_base = 0;
	fill_holes(bias, page);
	const struct part *parts = TABLE(struct part, parts);
	for (u64 i = 0; i < config.parts.count; i++) {
		const struct part *part = &parts[i];
		if (part->kind == PART_LOADER) {
			loader_base = map_loader((int)self, part, page, &loader_entry);
		} else if (part->kind != PART_DATA) {
			error = publish((int)self, part);
			/* Without the helper most commands work, and those that need it say so. */
			if (error < 0 && part->kind != PART_PROGRAM) {
				char text[128];
				append(append(text, "Cannot make a memory file for "), part->name);
				fail(text, error);
			}
		}
	}
	CALL(close, self, 0, 0, 0, 0, 0);

	const char *name = argc ? argv[0] : "";
	u64 text_bytes = hidden_bytes + sizeof NAME + length(name) + 1;
	char *text = __builtin_alloca(text_bytes);
	u64 users = argc ? argc - 1 : 0;
	u64 words = 1 + config.arguments.count + users + 1 + config.settings.count + 1 + envc + 1 + 2 * auxc;
	u64 *vector = (u64 *)((u64)__builtin_alloca(words * 8 + 16) & ~15UL);
	u64 *to = vector;

	*to++ = config.arguments.count + users;
	const char *fixed = TABLE(char, arguments);
	for (u64 i = 0; i < config.arguments.count; i++, fixed += length(fixed) + 1)
		*to++ = (u64)fixed;
	for (u64 i = 1; i <= users; i++)
		*to++ = (u64)argv[i];
	*to++ = 0;

	fixed = TABLE(char, settings);
	for (u64 i = 0; i < config.settings.count; i++, fixed += length(fixed) + 1)
		*to++ = (u64)fixed;
	*to++ = (u64)text;
	text = append(append(text, NAME), name) + 1;
	for (u64 i = 0; i < envc; i++) {
		if (starts(envp[i], OURS))
			continue;
		if (is_hidden(envp[i])) {
			*to++ = (u64)text;
			text = append(append(text, HIDDEN), envp[i]) + 1;
		} else {
			*to++ = (u64)envp[i];
		}
	}
	*to++ = 0;

	for (u64 i = 0; i < auxc; i++) {
		u64 kind = auxv[2 * i], value = auxv[2 * i + 1];
		if (kind == AT_PHDR)
			value = bias + config.phdr;
		else if (kind == AT_PHNUM)
			value = config.phnum;
		else if (kind == AT_BASE)
			value = loader_base;
		else if (kind == AT_ENTRY)
			value = bias + config.entry;
		*to++ = kind;
		*to++ = value;
	}
	JUMP(vector, loader_entry);
	__builtin_unreachable();
}
