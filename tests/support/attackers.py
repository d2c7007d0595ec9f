"""Small programs in C that try one thing each, from inside, and print how it went."""

# ptrace(2) of process 1.
TRACE = r"""
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
int main(void) {
    long result = ptrace(PTRACE_ATTACH, 1, 0, 0);
    printf("ptrace %s\n", result < 0 ? strerror(errno) : "SUCCEEDED");
    return 0;
}
"""

# To a socket of the abstract namespace, whose name is the argument.
CONNECT = r"""
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
int main(int argc, char **argv) {
    struct sockaddr_un address = {AF_UNIX, ""};
    strcpy(address.sun_path + 1, argv[1]);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    long result = connect(fd, (struct sockaddr *)&address, 3 + strlen(argv[1]));
    printf("connect %s\n", result < 0 ? strerror(errno) : "SUCCEEDED");
    return 0;
}
"""

# Into the terminal that standard streams may be, and what /dev/tty is.
TYPES = r"""
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
int main(void) {
    for (int fd = 0; fd < 3; fd++)
        if (ioctl(fd, TIOCSTI, "x") == 0) puts("TYPED");
    int fd = open("/dev/tty", O_RDWR);
    printf("terminal %s\n", fd < 0 ? strerror(errno) : "OPENED");
    return 0;
}
"""
