/* An exec.d program: what it writes to descriptor 3 becomes environment of the process. */
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	char host[65] = "nowhere";
	gethostname(host, sizeof host - 1);
	return dprintf(3, "HELLO_MOTD = \"good day from %s\"\n", host) < 0;
}
