/* enter: the last program of Onggi's that runs before the user's. aarch64; see stub.py beside it.
 *
 * Kept throughout: w19 report descriptor, x20 argv, x21 envp, x22 path, w23 stage << 16, w24 mode;
 * until they are used, w25 filter descriptor, w26 its room and w27 listening socket; before, w26 the
 * descriptor of attributes and x28 the label.
 * The kernel preserves every register but x0 across svc; the number of the call is in x8.
 */
        .include "elf.inc"

        .set    FCNTL, 25
        .set    IOCTL, 29
        .set    CLOSE, 57
        .set    READ, 63
        .set    WRITE, 64
        .set    EXIT_GROUP, 94
        .set    KILL, 129
        .set    RT_SIGACTION, 134
        .set    RT_SIGPROCMASK, 135
        .set    RT_SIGTIMEDWAIT, 137
        .set    SETPGID, 154
        .set    SETSID, 157
        .set    PRCTL, 167
        .set    GETPID, 172
        .set    CLONE, 220
        .set    EXECVE, 221
        .set    ACCEPT4, 242
        .set    WAIT4, 260
        .set    SECCOMP, 277
        .set    FSOPEN, 430
        .set    OPENAT2, 437
        .include "numbers.inc"

        .macro  call number
        mov     x8, \number
        svc     0
        .endm

        elf_header 183

_start:
        ldr     x0, [sp]                        /* argc; name, "--", argv0 are the least */
        cmp     x0, 3
        b.lo    misuse
        add     x20, sp, 8 * 3                  /* argv + 2: the program's own */
        add     x1, sp, 8 * 2
        add     x1, x1, x0, lsl 3
        mov     x21, x1                         /* envp */

find_order:
        ldr     x2, [x1]
        cbz     x2, misuse
        adr     x3, key
        mov     x4, key_end - key
1:      ldrb    w5, [x2], 1
        ldrb    w6, [x3], 1
        cmp     w5, w6
        b.ne    2f
        subs    x4, x4, 1
        b.ne    1b
        b       take_order
2:      add     x1, x1, 8
        b       find_order

take_order:
        mov     x28, x1
        bl      take_out
        bl      number
        mov     w19, w0                         /* report descriptor, or -1 */
        bl      number
        mov     w25, w0                         /* filter descriptor, or -1 */
        bl      number
        mov     w26, w0                         /* descriptor of attributes, or -1 */
        tbnz    w26, 31, take_mode
        mov     x1, x28                         /* the entry that followed is the label */
        ldr     x28, [x1]
        cbz     x28, misuse
        bl      take_out
take_mode:
        ldrb    w24, [x2], 1                    /* mode: a letter or, when plain, the comma itself */
        mov     w27, -1
        mov     x22, x2                         /* path */
        cmp     w24, ','
        b.eq    hide_report
        bl      number                          /* after the letter: a listening socket, or -1 */
        mov     w27, w0
        mov     x22, x2

hide_report:                                    /* the program must not inherit it either */
        tbnz    w19, 31, set_label
        mov     w23, STAGE_REPORT
        mov     w0, w19
        mov     x1, F_SETFD
        mov     x2, FD_CLOEXEC
        call    FCNTL
        tbnz    w0, 31, fail

set_label:                                      /* before anything that may forbid it */
        tbnz    w26, 31, choose_birth
        mov     w23, STAGE_LABEL
        mov     x0, O_WRONLY                    /* struct open_how */
        movk    x0, O_CLOEXEC >> 16, lsl 16
        stp     x0, xzr, [sp, -32]!
        mov     x0, RESOLVE_NOTHING
        str     x0, [sp, 16]
        mov     w0, w26
        adr     x1, attribute
        mov     x2, sp
        mov     x3, 24
        call    OPENAT2
        tbnz    w0, 31, fail
        mov     w5, w0
        mov     x1, x28
        mov     x2, -1
1:      add     x2, x2, 1
        ldrb    w4, [x1, x2]
        cbnz    w4, 1b
        call    WRITE
        tbnz    w0, 31, fail
        mov     w0, w5
        call    CLOSE
        mov     w0, w26
        call    CLOSE
        add     sp, sp, 32

choose_birth:
        cmp     w24, 'p'
        b.eq    open_procfs
        cmp     w24, 'u'
        b.eq    be_born
        cmp     w24, 't'
        b.ne    load_filter
be_born:
        mov     w23, STAGE_CLONE
        mov     x0, CLONE_PARENT | SIGCHLD
        mov     x1, 0
        mov     x2, 0
        mov     x3, 0
        mov     x4, 0
        call    CLONE
        tbnz    w0, 31, fail
        cbz     w0, born
        mov     x0, 0                           /* the usher: all is in the sibling's hands now */
        b       leave

born:                                           /* nothing is done before the caller knows of us */
        ldr     x0, birth
        str     x0, [sp, -16]!
        mov     w0, w19
        mov     x1, sp
        mov     x2, 8
        call    WRITE
        mov     w0, w19
        mov     x1, sp
        mov     x2, 8
        call    READ
        cmp     x0, 0
        mov     w0, 126
        b.le    leave                           /* it has gone, and with it the reason to go on */
        mov     w23, STAGE_SESSION
        call    SETSID
        tbnz    w0, 31, fail
        cmp     w24, 't'
        b.ne    await_start
        mov     w23, STAGE_TERMINAL
        mov     x0, 0
        mov     x1, TIOCSCTTY
        mov     x2, 0
        call    IOCTL
        tbnz    w0, 31, fail
await_start:
        tbnz    w27, 31, load_filter
        mov     w23, STAGE_AWAIT
        mov     w0, w27
        mov     x1, F_SETFD
        mov     x2, FD_CLOEXEC
        call    FCNTL
        tbnz    w0, 31, fail
        mov     w28, w19                        /* by its end the caller knows that we wait */
        mov     w19, -1
hang_up:
        mov     w0, w28
        call    CLOSE
next_caller:
        mov     w0, w27
        mov     x1, 0
        mov     x2, 0
        mov     x3, SOCK_CLOEXEC
        call    ACCEPT4
        cmn     w0, EINTR
        b.eq    next_caller
        tbnz    w0, 31, fail
        mov     w28, w0
        mov     x1, sp                          /* the eight bytes that said "born" */
        mov     x2, 8
        call    READ
        cmp     w0, 2
        b.ne    hang_up
        ldrh    w0, [sp]
        mov     w1, GO
        cmp     w0, w1
        b.ne    hang_up
        mov     w19, w28
        mov     w0, w28
        adr     x1, ready
        mov     x2, ready_end - ready
        call    WRITE

load_filter:
        tbnz    w25, 31, choose_mode
        mov     w23, STAGE_FILTER
        mov     x26, FILTER_ROOM + 8            /* struct sock_fprog, then the instructions; */
        sub     sp, sp, x26                     /* sp stays a multiple of 16 */
        sub     sp, sp, 16
        add     x1, sp, 16
        mov     x2, FILTER_ROOM
read_filter:
        mov     w0, w25
        call    READ
        tbnz    x0, 63, fail
        cbz     x0, filter_is_read
        add     x1, x1, x0
        sub     x2, x2, x0
        b       read_filter
filter_is_read:
        mov     w0, w25
        call    CLOSE
        add     x3, sp, 16
        sub     x1, x1, x3
        mov     w0, -EINVAL
        tst     x1, 7                           /* half an instruction: the file was cut short */
        b.ne    fail
        lsr     x1, x1, 3
        stp     x1, x3, [sp]                    /* .len, .filter */
        mov     x0, SECCOMP_SET_MODE_FILTER
        mov     x1, SECCOMP_FILTER_FLAG_SPEC_ALLOW
        mov     x2, sp
        call    SECCOMP
        tbnz    w0, 31, fail
        add     sp, sp, x26
        add     sp, sp, 16

choose_mode:
        cmp     w24, 'i'
        b.ne    execute

        mov     w23, STAGE_CLONE
        mov     x0, PR_SET_NAME                 /* else it is the number of our descriptor */
        adr     x1, name
        call    PRCTL
        stp     xzr, xzr, [sp, -32]!            /* four zero words: struct sigaction, SIG_DFL */
        stp     xzr, xzr, [sp, 16]
        mov     x0, SIGCHLD                     /* were it ignored, there would be nothing to reap */
        mov     x1, sp
        mov     x2, 0
        mov     x3, 8
        call    RT_SIGACTION
        ldr     x0, held_back                   /* [sp] what is blocked, [sp + 8] what was */
        str     x0, [sp]
        mov     x0, SIG_SETMASK
        mov     x1, sp
        add     x2, sp, 8
        mov     x3, 8
        call    RT_SIGPROCMASK
        mov     x0, SIGCHLD
        mov     x1, 0
        mov     x2, 0
        mov     x3, 0
        mov     x4, 0
        call    CLONE
        tbnz    w0, 31, fail
        cbnz    w0, serve

        mov     x0, 0                           /* the child: a process group of its own, */
        mov     x1, 0
        call    SETPGID
        call    GETPID
        str     w0, [sp]
        mov     x0, 0                           /* in the foreground if there is a terminal; */
        mov     x1, TIOCSPGRP                   /* SIGTTOU is still blocked, so it may ask for it */
        mov     x2, sp
        call    IOCTL
        mov     x0, SIG_SETMASK
        add     x1, sp, 8
        mov     x2, 0
        mov     x3, 8
        call    RT_SIGPROCMASK

execute:
        mov     w23, 0                          /* STAGE_EXECVE */
        mov     x0, x22
        mov     x1, x20
        mov     x2, x21
        call    EXECVE

fail:                                           /* w0 = -errno: say stage and errno, and leave */
        neg     w0, w0
        orr     w23, w23, w0
        str     x23, [sp, -16]!
        mov     w0, w19
        mov     x1, sp
        mov     x2, 4
        tbz     w0, 31, report
        mov     w0, 2                           /* nobody listens: a person may be looking */
        adr     x1, refusal
        mov     x2, refusal_end - refusal
report:
        call    WRITE
        mov     w0, 126
        cmp     w23, ENOENT
        cinc    w0, w0, eq
        b       leave

misuse:
        mov     w0, 2
        adr     x1, usage
        mov     x2, usage_end - usage
        call    WRITE
        mov     w0, 126
leave:
        call    EXIT_GROUP

serve:                                          /* the parent: w20 the child, w21 how it ended */
        mov     w20, w0
        mov     w21, -1
        mov     w23, STAGE_WAIT
        mov     w0, w19
        mov     w19, -1
        call    CLOSE
next_signal:
        mov     x0, sp
        mov     x1, 0
        mov     x2, 0
        mov     x3, 8
        call    RT_SIGTIMEDWAIT
        cmp     w0, SIGCHLD
        b.eq    reap
        cmp     w0, SIGTTIN                     /* meant for who uses the terminal, not for us */
        b.eq    next_signal
        cmp     w0, SIGTTOU
        b.eq    next_signal
        cmn     w0, EINTR
        b.eq    next_signal
        tbnz    w0, 31, fail
        mov     w1, w0
        mov     w0, w20
        call    KILL
        b       next_signal
reap:
        mov     w0, -1
        add     x1, sp, 16
        mov     x2, WNOHANG
        mov     x3, 0
        call    WAIT4
        cmp     w0, 0
        b.le    none_left
        cmp     w0, w20
        b.ne    reap
        ldr     w21, [sp, 16]
        b       reap
none_left:
        tbnz    w21, 31, next_signal
        ands    w0, w21, 0x7f                   /* the signal that ended it, or 0 */
        b.eq    exited
        add     w0, w0, 128
        b       leave
exited:
        ubfx    w0, w21, 8, 8
        b       leave

open_procfs:                                    /* a child opens it, and the caller fetches it here */
        mov     w23, STAGE_CLONE
        mov     x0, CLONE_FILES | SIGCHLD
        mov     x1, 0
        mov     x2, 0
        mov     x3, 0
        mov     x4, 0
        call    CLONE
        tbnz    w0, 31, fail
        cbz     w0, inside
        str     x0, [sp, -16]!
        mov     x1, sp                          /* else somebody inside would have to reap it */
        mov     x2, 0
        mov     x3, 0
        call    WAIT4
        ldr     w1, [sp]
        mov     w0, 126
        cbnz    w1, leave                       /* somebody inside has ended it */
        mov     w0, w19
        mov     x1, sp
        mov     x2, 8
        call    READ                            /* until the caller has it, or has gone */
        mov     x0, 0
        b       leave
inside:
        adr     x0, procfs
        mov     x1, FSOPEN_CLOEXEC
        call    FSOPEN
        sxtw    x0, w0
        str     x0, [sp, -16]!                  /* the descriptor, or -errno, in eight bytes */
        mov     w0, w19
        mov     x1, sp
        mov     x2, 8
        call    WRITE
        mov     x0, 0
        b       leave

take_out:                                       /* x1: an entry of envp, which goes from there */
        ldr     x0, [x1, 8]
        str     x0, [x1], 8
        cbnz    x0, take_out
        ret

number:                                         /* x2: digits and a comma -> w0, or -1 if none */
        mov     w0, -1
        mov     w4, 10
1:      ldrb    w3, [x2], 1
        subs    w3, w3, '0'
        b.lo    2f                              /* the comma, and the end of the text */
        cmn     w0, 1
        csel    w0, w0, wzr, ne
        madd    w0, w0, w4, w3
        b       1b
2:      ret

        .balign 8
birth:
        .8byte  0x6e726f62                      /* "born" */
held_back:
        .8byte  ~SYNCHRONOUS
        .include "text.inc"
image_end:
