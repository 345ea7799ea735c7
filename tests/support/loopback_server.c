/* loopback_server.c - the test server of loopback.h as a program: prints its port, serves FILE until it is killed. */
#include "support/loopback.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

int main(int argc, char **argv)
{
    struct stat st;
    int fd = argc == 2 ? open(argv[1], O_RDONLY) : -1;
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_size == 0) {
        fprintf(stderr, "usage: loopback_server FILE\n");
        return 2;
    }
    void *body = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    static loopback server;
    if (body == MAP_FAILED || !loopback_start(&server, body, (size_t)st.st_size))
        return 3;
    printf("%d\n", server.port);
    fflush(stdout);
    pause();
    return 0;
}
