"""The words of the script that `explain` prints: what it says and what it always does.

A fact module: the parts that depend on the container are put together in script.py.
"""

from __future__ import annotations

HEAD = """\
#!/bin/sh
# A container, made by hand with the tools of any Linux. Onggi makes the same one for
#
#     {program}
#
# Run this as root, with sh. It makes the container, waits until its program has ended, ends as
# that did, and leaves nothing. It needs nothing of Onggi but its files, and beside what every
# Debian has {needs}. The order of what it does is the whole secret:
#
#   1  the host makes control groups and sets their numbers, before there is anything to limit;
#   2  the host prepares the directories that the container will write to;
#   3  a first process is born, enters the control groups, and only then leaves the host's
#      namespaces for new ones;
#   4  inside, it puts a file tree together,
#   5  makes that the only tree there is,
#   6  and gives up every right that the program must not have, before it becomes the program.
{missing}
{{  # All up to the closing brace is read before anything runs: further input is the program's.
set -eu
umask 022
PATH=$PATH:/usr/sbin:/sbin  # which an ordinary user's may lack

# What the caller left open must not reach the program: a descriptor of a directory of the host is
# a way out. Number 3 keeps standard input, for a process in the background is given none.
exec 3<&0 4<&- 5<&- 6<&- 7<&- 8<&- 9<&-

id={identifier}
[ "$(id -u)" = 0 ] || {{ echo "this needs root" >&2; exit 1; }}
{running}
{place}
root={root}
export id tmp root

clean_up() {{
    set +e{release}
{kill}
    wait
{remove}
    rm -rf "$tmp"
}}
trap clean_up EXIT
trap {interrupt} INT
trap 'exit 143' TERM HUP
"""

RUNNING = """\
[ ! -e {cgroup} ] || {{ echo "container $id is running" >&2; exit 1; }}
"""

KILL = """\
    # Whatever the container may still run is in its control group: no process can leave that.
    while read -r process; do kill -KILL "$process"; done < {cgroup}/cgroup.procs 2> /dev/null"""

# Where nobody gave us a part of the cgroup tree.
KILL_CHILD = """\
    # With unshare its child ends, the first in its PID namespace, and with that all others there.
    [ -z "$started" ] || kill -KILL "$started" 2> /dev/null"""

NO_CGROUPS = """\
# ---- 1  The host sets the limits --------------------------------------------------------------
#
# There are none: this user has no part of the cgroup tree. Run this in the user's namespace, as in
# `onggi unshare sh SCRIPT`.
started=
"""

NO_CONFINEMENT = (
    "The program is not confined by the security module; Onggi has it asked for, as aa-exec(1) can."
)
NO_KEYRING = (
    "The container keeps the caller's session keyring; Onggi gives it a new one, as keyctl(1) can."
)
NO_TERMINAL = "The program uses the caller's terminal; Onggi opens one of the container's own."

CGROUPS = """\
# ---- 1  The host sets the limits --------------------------------------------------------------
#
# A directory in these trees is a control group, and its files are its numbers. The host makes it
# and writes them before any process of the container exists: a limit that is set afterwards has
# not held from the start, and one that the container could set it could also lift.
"""

DEVICE_PROGRAM = """\

# In cgroup v2 the kernel asks a program about each access to a device, this one of {count}
# instructions (bpf(2), BPF_PROG_TYPE_CGROUP_DEVICE). No common tool loads one, so Python makes the
# two system calls: BPF_PROG_LOAD, and BPF_PROG_ATTACH beside others that may be there.
base64 -d << 'END' | gzip -d > "$tmp/devices"
{program}END
python3 -IS - "$tmp/devices" {path} << 'END'
import ctypes, os, struct, sys

libc = ctypes.CDLL(None, use_errno=True)
code, terms = open(sys.argv[1], "rb").read(), b"Apache-2.0"
place = os.open(sys.argv[2], os.O_RDONLY)

def address(data):
    return ctypes.cast(data, ctypes.c_void_p).value

def bpf(command, attributes):
    result = libc.syscall({number}, command, attributes, len(attributes))
    if result < 0:
        sys.exit("bpf: " + os.strerror(ctypes.get_errno()))
    return result

loaded = bpf(5, struct.pack("=IIQQ40x", 15, len(code) // 8, address(code), address(terms)))
bpf(8, struct.pack("=IIIII", place, loaded, 6, 2, 0))
END
"""

WRITABLE = """\
# ---- 2  What the container will write to ------------------------------------------------------
#
# The image's layers are shared by everybody and never written. A change copies the file to
# `upper` first; `work` is where overlayfs prepares such copies.
"""

FIRST = """\
# ---- 3  The first process ---------------------------------------------------------------------
#
# unshare(1) starts a program in new namespaces, so what follows is written down, for shells to
# come. This is the first of them. It enters the control groups before it does anything else: all
# that it becomes and starts is counted, from the first instruction on.
#
# Then it leaves the host's namespaces, in this order, because a new cgroup namespace takes the
# group that its maker is in as its root. The other way round the container would see the host's.
# (Number 0 is whoever writes it. PID and time namespaces take hold of children only: see the end.)
"""

INSIDE = """\
# ---- 4  The file tree -------------------------------------------------------------------------
#
# This shell has namespaces of its own, but still sees the host's files: the place to fetch from
# there what the container shall see. It begins with a few words for what comes often.
"""

WORDS = """\
# Set $at to where a path of the container lies below $root. A link in it means the container's
# tree, not the host's; else an image whose /run is a link to /etc would have us write to ours.
# (Onggi has the kernel look names up this way: openat2(2) with RESOLVE_IN_ROOT.)
inside() {
    at=$root rest=$1 links=0
    while [ -n "$rest" ]; do
        name=${rest%%/*}
        case $rest in */*) rest=${rest#*/} ;; *) rest= ;; esac
        case $name in
            '' | .) continue ;;
            ..) [ "$at" = "$root" ] || at=${at%/*}; continue ;;
        esac
        at=$at/$name
        [ -L "$at" ] || continue
        links=$((links + 1))
        [ "$links" -le 40 ] || { echo "$1: links in a circle" >&2; exit 1; }
        link=$(readlink "$at")
        case $link in /*) at=$root ;; *) at=${at%/*} ;; esac
        rest=$link/$rest
    done
}

# Make what a mount needs to stand on, unless it is there.
directory() { inside "$1"; mkdir -p "$at"; }
file() { inside "$1"; mkdir -p "${at%/*}"; [ -e "$at" ] || : > "$at"; }
place() { if [ -d "$1" ]; then directory "$2"; else file "$2"; fi; }
"""

# Each defined only where a step uses it.
MORE_WORDS = {
    "plain": """\

# The kernel's own file systems stand on real directories only: what is hidden in them must not be
# in reach by another name.
plain() { directory "$1"; [ "$at" = "$root$1" ] || { echo "$1 is a link" >&2; exit 1; }; }

# A device node; a link, unless the name is taken.
""",
    "device": """\
device() { directory "${1%/*}"; at=$at/${1##*/}; shift; mknod -m "$1" "$at" "$2" ${3+"$3" "$4"}; }
""",
    "link": """\
link() { directory "${1%/*}"; at=$at/${1##*/}; [ -e "$at" ] || [ -L "$at" ] || ln -s "$2" "$at"; }
""",
    "fill": """\

# An empty volume gets what the image has at its place, before it is mounted there.
fill() { inside "$2"; [ ! -d "$at" ] || [ -n "$(ls -A "$1")" ] || cp -a "$at/." "$1"; }
""",
    "flags": """\

# Give a mount more flags. A remount sets all of them anew, so those that it has are said again.
flags() { mount -o "remount,bind,$(findmnt -no VFS-OPTIONS "$2" | tail -n 1),$1" "$2"; }
""",
    "flags_below": """\

# The same for a mount and every mount below it; one that another hides is out of reach.
flags_below() {
    findmnt -Rnlo TARGET "$2" | while IFS= read -r each; do flags "$1" "$each"; done
}
""",
    "mask": """\

# Hide a directory behind an empty one, and a file behind the null device, if there is one.
mask() {
    inside "$1"
    if [ -d "$at" ]; then
        mount -t tmpfs -o ro,size=0k,mode=0555 tmpfs "$at"
    elif [ -e "$at" ]; then
        masked=$at
        inside /dev/null
        mount --bind "$at" "$masked"
    fi
}
""",
    "read_only": """\

# Make a part of a file system read-only: it becomes a mount of its own, with flags of its own.
read_only() { inside "$1"; [ ! -e "$at" ] || { mount --rbind "$at" "$at"; flags ro "$at"; }; }
""",
}

PROPAGATION = """\
# The mounts that this namespace copied still hear of each other: what is mounted here would appear
# on the host. From here on only the host is heard.
"""

OVERLAY = """\
# The root: layers on top of one another, and over them all the one that takes the changes. It has
# to be a mount, even of a directory that is complete already, since pivot_root swaps mounts.
"""

KERNEL = """\
# The kernel's own file systems. Each shows the namespaces of who mounts it: this proc has only the
# container's processes, this sysfs its network; and cgroup files begin at its own group, which is
# why they are mounted only now. They are read-only: limits are to be seen, not to be lifted.
"""

BINDS = """\
# Files and directories of the host that the container shall see.
"""

DEVICES = """\
# The few devices that every program may expect. No disk is among them, and the control group of
# devices refuses the rest, whoever makes a node.
"""

NULL = """\
# A null device that the caller gives as input or output is a file of the host: the container has
# one of its own for that.
"""

HIDDEN = """\
# Parts of proc and sysfs that no namespace divides: they tell of the host, or change it.
"""

DIRECTORY = """\
# Where the program begins.
"""

PRIVATE = """\
# What the container mounts itself is nobody else's business, and what others mount not its.
"""

FROZEN = """\
# The files of the image are not to change; the mounts above keep their own flags.
"""

BOUNDS = """\
# The limits of a process, late, as they hold for this shell too.
"""

DOOR = """\
# ---- 5  The only tree there is ----------------------------------------------------------------
#
# pivot_root puts the container's root in place of the host's, which then lies on top of it by the
# same name, and is detached. Unlike after chroot(2) there is no way back: in this namespace the
# host's files are mounted nowhere any more. Its programs cannot be found then either, so the last
# three of them wait in a working directory of their own, and run by their own loader from there.
mount --bind "$tmp/tools" "$tmp/tools"
flags exec "$tmp/tools"
cd "$tmp/tools"
here=/proc/self/cwd
run="$here/$(echo ld-*) --library-path $here"
"""

PROGRAM = """\
# ---- 6  The program ---------------------------------------------------------------------------
#
# setpriv drops capabilities for good, becomes the user, and forbids to gain privileges by any
# program. {filter}env leaves our directory for the container's, and with it the
# last hold on the host; it gives the program its environment, and nothing of ours, and becomes it.
"""

FILTERED = "enter loads the filter of system calls, as late as it can. "
FILTERED_FIRST = "enter loads the filter of system calls before, while it has the right. "

INIT = """\
# An init takes a path, so this shell looks the program up, by itself, in the container's PATH.
{search}
[ -e "$program" ] || {{ echo {name}": not found" >&2; exit 127; }}

# The program will be a child of enter, which stays, passes signals on and reaps what others leave.
exec 8< $here/enter
"""

TOOLS = """\
# ---- What goes through the door ---------------------------------------------------------------
#
# Copies of the three programs, their loader and libraries.
mkdir "$tmp/root" "$tmp/tools"
ldd "$(command -v umount)" "$(command -v setpriv)" "$(command -v env)" |
    grep -o '/[^ :]*' | sort -u | xargs cp -Lt "$tmp/tools"
"""

ENTER = """\
# No common program loads a filter of system calls or is an init of a few lines. This one does
# both, in a kilobyte; its source is src/onggi/runtime/stub/{machine}.S.
base64 -d << 'END' | gzip -d > "$tmp/tools/enter"
{program}END
chmod 755 "$tmp/tools/enter"
"""

FILTER = """\
# The filter: {count} instructions, which the kernel runs for every system call (seccomp(2)).
base64 -d << 'END' | gzip -d > "$tmp/tools/filter"
{filter}END
"""

GO = """\
# ---- Go ---------------------------------------------------------------------------------------
#
# {how}
{start} sh "$tmp/first" <&3 3<&- &
{noted}status=0
wait $! || status=$?
exit $status
}}
"""

FORKED = (
    "The child that unshare forks is the first in {kinds}: inside it is process 1, and when it "
    "ends the kernel ends all others there."
)
UNFORKED = "The first process shares the host's process numbers."
SESSION = " It leads a session, with no terminal."

PLACE = "tmp=$(mktemp -d)"

# ---- Where the container has users of its own ----------------------------------------------------

PLACE_FOR_ALL = """\
# Root of the container, who is nobody here, must find its way to the scripts.
tmp=$(mktemp -d /run/onggi.XXXXXXXX)
chmod 711 "$tmp\""""

RELEASE = """
    exec 6<&- 7>&-
    [ ! -e "$tmp/holder" ] || kill "$(cat "$tmp/holder")\""""

OUTSIDE = """\
# ---- 3  The host's side of a user namespace ---------------------------------------------------
#
# Root of a user namespace may do everything inside, and nothing outside: it cannot even walk to the
# layers. So the host's root opens whatever it is to see, in a mount namespace of which the
# container's will be a copy.
#
# The users come first. A process makes the namespace and waits in it, for only somebody outside may
# say which of the host's users are whom inside.
"""

HOLDER = """\
mkfifo "$tmp/born"
(
    exec 4>&- 5<&-
    unshare --user sh -c 'echo; exec sleep 600' > "$tmp/born" &
    echo $! > "$tmp/holder"
)
read -r _ < "$tmp/born"
holder=$(cat "$tmp/holder")
users=/proc/$holder/ns/user
"""

SHOW = """\

# Show a file or directory at $at, where the container's root can come.
show() {
    at=$tmp/trees/$2
    if [ -d "$1" ]; then mkdir -p "$at"; else : > "$at"; fi
}

# The host's number of a user inside; the map is given as in uid_map.
outside() {
    number=$1
    shift
    while [ $# -gt 0 ]; do
        [ "$number" -lt "$1" ] || [ "$number" -ge $(($1 + $3)) ] || break
        shift 3
    done
    echo $((number + ${2:-0} - ${1:-0}))
}
"""

OWN_UPPER = """\

# The directory for changes belongs to whom its mount shows it to belong.
"""

LAYERS = """\

# The layers keep their owners, for others use them too: it is their mounts that translate, so that
# the host's user 0 is the container's.
mkdir "$tmp/layers" "$tmp/trees"
cd "$tmp/layers"
"""

STAGED = """\

# What else of the host the container shall see; volumes are its users', so they are translated too.
"""

ENTER_USERS = """\

# Flags that a copy of this mount namespace has cannot be taken away in it, and the last programs of
# the host must be allowed to run there.
mount --bind "$tmp/tools" "$tmp/tools"
flags exec "$tmp/tools"

# Into the users' namespace, and there into those that begin with a child.
exec nsenter --user="$users" {start} \\
    sh "$tmp/first"
"""

FIRST_USERS = """\
# The first process of the container. It is root of its own namespace alone, so the host puts it
# into its control groups: it says its number, as the host's proc knows it, and waits. Then it
# leaves the rest of the host's namespaces. A new cgroup namespace takes the group that its maker is
# in as its root; the other way round the container would see the host's.
set -eu
read -r process _ < /proc/self/stat
echo "$process" >&4
read -r _ <&5
"""

ROOT_USERS = """\
# The root was mounted by the host's side. What a less privileged namespace copies is held in place;
# over itself it can be moved.
"""

BOUNDS_USERS = """\
# The limits of a process, late, as they hold for this shell too; they are the host's to set.
echo >&4
read -r _ <&5
exec 4>&- 5<&-
"""

IDMAPPED = """\
# Mount a directory a second time with its owners translated. mount(8) does so since util-linux
# 2.39, as X-mount.idmap; this does it anywhere, with the three system calls that it takes.
cat > "$tmp/idmapped" << 'END'
import ctypes, os, struct, sys

source, target, users, *recursive = sys.argv[1:]
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
HERE, EMPTY_PATH, BELOW = -100, 0x1000, 0x8000
system_call = ctypes.CDLL(None, use_errno=True).syscall


def call(*arguments):
    result = system_call(*arguments)
    if result < 0:
        sys.exit(f"{{source}}: {{os.strerror(ctypes.get_errno())}}")
    return result


depth = BELOW if recursive else 0
tree = call(OPEN_TREE, HERE, os.fsencode(source), 0x1 | depth)  # OPEN_TREE_CLONE
translated = struct.pack("QQQQ", 0x100000, 0, 0, os.open(users, os.O_RDONLY))  # MOUNT_ATTR_IDMAP
call(MOUNT_SETATTR, tree, b"", EMPTY_PATH, translated, len(translated))
call(MOVE_MOUNT, tree, b"", HERE, os.fsencode(target), 0x4)  # MOVE_MOUNT_F_EMPTY_PATH
END
""".replace("{{", "{").replace("}}", "}")

GO_USERS = """\
# ---- Go ---------------------------------------------------------------------------------------
#
# {how}
#
# Two pipes join it with the host's root, who does for it what it may not do itself.
mkfifo "$tmp/up" "$tmp/down"
unshare --mount --propagation slave \\
    sh "$tmp/outside" <&3 3<&- 4> "$tmp/up" 5< "$tmp/down" &
exec 6< "$tmp/up" 7> "$tmp/down"
trap '' PIPE
if read -r process <&6; then
    kill "$(cat "$tmp/holder")"
    rm "$tmp/holder"
{join}
    echo >&7
    if read -r _ <&6; then
{bounds}
        echo >&7
    fi
fi
exec 6<&- 7>&-
status=0
wait $! || status=$?
exit $status
}}
"""
