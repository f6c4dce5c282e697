/* A web server in a page: answers every GET with the files of public/ (index.html for /), and /env with the
 * variables that begin with HELLO_. Needs no libc in the image when linked statically. */
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

extern char **environ;

static void respond(FILE *out, const char *status, const char *type, const char *body, size_t n)
{
	fprintf(out, "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
	        status, type, n);
	fwrite(body, 1, n, out);
}

static void show_env(FILE *out)
{
	char body[4096];
	size_t n = 0;
	for (char **e = environ; *e; e++)
		if (!strncmp(*e, "HELLO_", 6) && n + strlen(*e) + 2 < sizeof body)
			n += sprintf(body + n, "%s\n", *e);
	respond(out, "200 OK", "text/plain", body, n);
}

static void show_file(FILE *out, const char *path)
{
	static char body[1 << 16];
	char name[256];
	snprintf(name, sizeof name, "public%s", strcmp(path, "/") ? path : "/index.html");
	FILE *f = strstr(path, "..") ? NULL : fopen(name, "r");
	if (!f) {
		respond(out, "404 Not Found", "text/plain", "not found\n", 10);
		return;
	}
	size_t n = fread(body, 1, sizeof body, f);
	fclose(f);
	respond(out, "200 OK", "text/html", body, n);
}

static void answer(int fd)
{
	char method[8], path[200];
	FILE *in = fdopen(fd, "r+");
	if (!in)
		return;
	if (fscanf(in, "%7s %199s", method, path) == 2) {
		if (!strcmp(path, "/env"))
			show_env(in);
		else
			show_file(in, path);
	}
	fclose(in);
}

/* As process 1 of a container it is asked to end by SIGTERM, which would be ignored there otherwise. */
static void end(int signal)
{
	_exit(128 + signal);
}

int main(int argc, char **argv)
{
	const char *port = getenv("PORT");
	struct sockaddr_in at = {.sin_family = AF_INET};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	if (argc > 1 && !strcmp(argv[1], "--version")) {
		puts("hello 1.0.0");
		return 0;
	}
	at.sin_port = htons(atoi(port ? port : "8080"));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 16)) {
		perror("hello");
		return 1;
	}
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, end);
	signal(SIGINT, end);
	printf("hello listens on port %s\n", port ? port : "8080");
	fflush(stdout);
	for (;;) {
		int client = accept(fd, NULL, NULL);
		if (client >= 0)
			answer(client);
	}
}
