/* enter: the last program of Onggi's that runs before the user's. x86_64; see stub.py beside it.
 *
 * Kept throughout: r12 report descriptor, r13 argv, r14 envp, r15 path, rbp stage << 16, bl mode;
 * until they are used, r8 filter descriptor, r9 listening socket, r10 descriptor of attributes, with
 * the label on the stack.
 * The kernel preserves every register but rax, rcx and r11 across syscall.
 */
        .intel_syntax noprefix
        .include "elf.inc"

        .set    READ, 0
        .set    WRITE, 1
        .set    CLOSE, 3
        .set    RT_SIGACTION, 13
        .set    RT_SIGPROCMASK, 14
        .set    IOCTL, 16
        .set    GETPID, 39
        .set    CLONE, 56
        .set    EXECVE, 59
        .set    WAIT4, 61
        .set    KILL, 62
        .set    FCNTL, 72
        .set    SETPGID, 109
        .set    SETSID, 112
        .set    RT_SIGTIMEDWAIT, 128
        .set    PRCTL, 157
        .set    EXIT_GROUP, 231
        .set    ACCEPT4, 288
        .set    SECCOMP, 317
        .set    FSOPEN, 430
        .set    OPENAT2, 437
        .include "numbers.inc"

        elf_header 62

_start:
        mov     rax, [rsp]                      /* argc; name, "--", argv0 are the least */
        cmp     rax, 3
        jb      misuse
        lea     r13, [rsp + 8 * 3]              /* argv + 2: the program's own */
        lea     rbx, [rsp + 8 * rax + 8 * 2]
        mov     r14, rbx                        /* envp */

find_order:
        mov     rsi, [rbx]
        test    rsi, rsi
        jz      misuse
        lea     rdi, [rip + key]
        mov     ecx, offset key_end - key
        repe    cmpsb
        je      take_order
        add     rbx, 8
        jmp     find_order

take_order:
        mov     r9, rbx
        call    take_out
        call    number
        mov     r12d, eax                       /* report descriptor, or -1 */
        call    number
        mov     r8d, eax                        /* filter descriptor, or -1 */
        call    number
        mov     r10d, eax                       /* descriptor of attributes, or -1 */
        test    eax, eax
        js      take_mode
        mov     rbx, r9                         /* the entry that followed is the label */
        mov     rax, [rbx]
        test    rax, rax
        jz      misuse
        push    rax
        call    take_out
take_mode:
        xor     eax, eax
        lodsb
        mov     ebx, eax                        /* mode: a letter or, when plain, the comma itself */
        mov     r15, rsi
        or      r9d, -1
        cmp     bl, ','
        je      hide_report
        call    number                          /* after the letter: a listening socket, or -1 */
        mov     r9d, eax
        mov     r15, rsi

hide_report:                                    /* the program must not inherit it either */
        test    r12d, r12d
        js      set_label
        mov     ebp, STAGE_REPORT
        mov     edi, r12d
        mov     esi, F_SETFD
        mov     edx, FD_CLOEXEC
        mov     eax, FCNTL
        syscall
        test    eax, eax
        js      fail

set_label:                                      /* before anything that may forbid it */
        test    r10d, r10d
        js      choose_birth
        mov     ebp, STAGE_LABEL
        push    r10
        push    RESOLVE_NOTHING                 /* struct open_how, from its end */
        push    0
        push    O_WRONLY | O_CLOEXEC
        mov     edi, r10d
        lea     rsi, [rip + attribute]
        mov     rdx, rsp
        mov     r10d, 24
        mov     eax, OPENAT2
        syscall
        test    eax, eax
        js      fail
        mov     edi, eax
        mov     rsi, [rsp + 8 * 4]              /* the label */
        or      rdx, -1
1:      inc     rdx
        cmp     byte ptr [rsi + rdx], 0
        jne     1b
        mov     eax, WRITE
        syscall
        test    eax, eax
        js      fail
        mov     eax, CLOSE
        syscall
        add     rsp, 24
        pop     rdi                             /* the descriptor of attributes */
        mov     eax, CLOSE
        syscall
        pop     rax                             /* the label is written */

choose_birth:
        cmp     bl, 'p'
        je      open_procfs
        cmp     bl, 'u'
        je      be_born
        cmp     bl, 't'
        jne     load_filter
be_born:                                        /* r8, the filter descriptor, means nothing to it */
        mov     ebp, STAGE_CLONE
        mov     edi, CLONE_PARENT | SIGCHLD
        xor     esi, esi
        xor     edx, edx
        xor     r10d, r10d
        mov     eax, CLONE
        syscall
        test    eax, eax
        js      fail
        jz      born
        xor     edi, edi                        /* the usher: all is in the sibling's hands now */
        jmp     leave

born:                                           /* nothing is done before the caller knows of us */
        push    0x6e726f62                      /* "born", in eight bytes */
        mov     edi, r12d
        mov     rsi, rsp
        mov     edx, 8
        mov     eax, WRITE
        syscall
        xor     eax, eax                        /* READ */
        syscall
        mov     edi, 126
        test    rax, rax
        jle     leave                           /* it has gone, and with it the reason to go on */
        mov     ebp, STAGE_SESSION
        mov     eax, SETSID
        syscall
        test    eax, eax
        js      fail
        cmp     bl, 't'
        jne     await_start
        mov     ebp, STAGE_TERMINAL
        xor     edi, edi
        mov     esi, TIOCSCTTY
        xor     edx, edx
        mov     eax, IOCTL
        syscall
        test    eax, eax
        js      fail
await_start:
        test    r9d, r9d
        js      load_filter
        mov     ebp, STAGE_AWAIT
        mov     edi, r9d
        mov     esi, F_SETFD
        mov     edx, FD_CLOEXEC
        mov     eax, FCNTL
        syscall
        test    eax, eax
        js      fail
        mov     edi, r12d                       /* by its end the caller knows that we wait */
        mov     r12d, -1
hang_up:
        mov     eax, CLOSE
        syscall
next_caller:
        mov     edi, r9d
        xor     esi, esi
        xor     edx, edx
        mov     r10d, SOCK_CLOEXEC
        mov     eax, ACCEPT4
        syscall
        cmp     eax, -EINTR
        je      next_caller
        test    eax, eax
        js      fail
        mov     edi, eax
        mov     rsi, rsp                        /* the eight bytes that said "born" */
        mov     edx, 8
        xor     eax, eax                        /* READ */
        syscall
        cmp     eax, 2
        jne     hang_up
        cmp     word ptr [rsp], GO
        jne     hang_up
        mov     r12d, edi
        lea     rsi, [rip + ready]
        mov     edx, offset ready_end - ready
        mov     eax, WRITE
        syscall

load_filter:
        test    r8d, r8d
        js      choose_mode
        mov     ebp, STAGE_FILTER
        sub     rsp, FILTER_ROOM + 16           /* struct sock_fprog, then the instructions */
        mov     edi, r8d
        lea     rsi, [rsp + 16]
        mov     edx, FILTER_ROOM
read_filter:
        xor     eax, eax                        /* READ */
        syscall
        test    rax, rax
        js      fail
        jz      filter_is_read
        add     rsi, rax
        sub     rdx, rax
        jmp     read_filter
filter_is_read:
        mov     eax, CLOSE
        syscall
        lea     rcx, [rsp + 16]
        sub     rsi, rcx
        mov     eax, -EINVAL
        test    sil, 7                          /* half an instruction: the file was cut short */
        jnz     fail
        shr     esi, 3
        mov     [rsp], rsi                      /* .len */
        mov     [rsp + 8], rcx                  /* .filter */
        mov     edi, SECCOMP_SET_MODE_FILTER
        mov     esi, SECCOMP_FILTER_FLAG_SPEC_ALLOW
        mov     rdx, rsp
        mov     eax, SECCOMP
        syscall
        test    eax, eax
        js      fail
        add     rsp, FILTER_ROOM + 16

choose_mode:
        cmp     bl, 'i'
        jne     execute

        mov     ebp, STAGE_CLONE
        mov     edi, PR_SET_NAME                /* else it is the number of our descriptor */
        lea     rsi, [rip + name]
        mov     eax, PRCTL
        syscall
        push    0                               /* four zero words: struct sigaction, SIG_DFL */
        push    0
        push    0
        push    0
        mov     edi, SIGCHLD                    /* were it ignored, there would be nothing to reap */
        mov     rsi, rsp
        xor     edx, edx
        mov     r10d, 8
        mov     eax, RT_SIGACTION
        syscall
        push    ~SYNCHRONOUS                    /* [rsp] what is blocked, [rsp + 8] what was */
        mov     edi, SIG_SETMASK
        mov     rsi, rsp
        lea     rdx, [rsp + 8]
        mov     eax, RT_SIGPROCMASK
        syscall
        mov     edi, SIGCHLD
        xor     esi, esi
        xor     edx, edx
        xor     r10d, r10d
        xor     r8d, r8d
        mov     eax, CLONE
        syscall
        test    eax, eax
        js      fail
        jnz     serve

        xor     edi, edi                        /* the child: a process group of its own, */
        xor     esi, esi
        mov     eax, SETPGID
        syscall
        mov     eax, GETPID
        syscall
        mov     [rsp], eax
        xor     edi, edi                        /* in the foreground if there is a terminal; */
        mov     esi, TIOCSPGRP                  /* SIGTTOU is still blocked, so it may ask for it */
        mov     rdx, rsp
        mov     eax, IOCTL
        syscall
        mov     edi, SIG_SETMASK
        lea     rsi, [rsp + 8]
        xor     edx, edx
        mov     r10d, 8
        mov     eax, RT_SIGPROCMASK
        syscall

execute:
        xor     ebp, ebp                        /* STAGE_EXECVE */
        mov     rdi, r15
        mov     rsi, r13
        mov     rdx, r14
        mov     eax, EXECVE
        syscall

fail:                                           /* eax = -errno: say stage and errno, and leave */
        neg     eax
        or      ebp, eax
        push    rbp
        mov     edi, r12d
        mov     rsi, rsp
        mov     edx, 4
        test    edi, edi
        jns     report
        mov     edi, 2                          /* nobody listens: a person may be looking */
        lea     rsi, [rip + refusal]
        mov     edx, offset refusal_end - refusal
report:
        mov     eax, WRITE
        syscall
        mov     edi, 126
        cmp     ebp, ENOENT
        jne     leave
        inc     edi
        jmp     leave

misuse:
        mov     edi, 2
        lea     rsi, [rip + usage]
        mov     edx, offset usage_end - usage
        mov     eax, WRITE
        syscall
        mov     edi, 126
leave:
        mov     eax, EXIT_GROUP
        syscall

serve:                                          /* the parent: r13 the child, r14 how it ended */
        mov     r13d, eax
        mov     r14d, -1
        mov     ebp, STAGE_WAIT
        mov     edi, r12d
        mov     r12d, -1
        mov     eax, CLOSE
        syscall
next_signal:
        mov     rdi, rsp
        xor     esi, esi
        xor     edx, edx
        mov     r10d, 8
        mov     eax, RT_SIGTIMEDWAIT
        syscall
        cmp     eax, SIGCHLD
        je      reap
        cmp     eax, SIGTTIN                    /* meant for who uses the terminal, not for us */
        je      next_signal
        cmp     eax, SIGTTOU
        je      next_signal
        cmp     eax, -EINTR
        je      next_signal
        test    eax, eax
        js      fail
        mov     edi, r13d
        mov     esi, eax
        mov     eax, KILL
        syscall
        jmp     next_signal
reap:
        mov     edi, -1
        lea     rsi, [rsp + 16]
        mov     edx, WNOHANG
        xor     r10d, r10d
        mov     eax, WAIT4
        syscall
        test    eax, eax
        jle     none_left
        cmp     eax, r13d
        jne     reap
        mov     r14d, [rsp + 16]
        jmp     reap
none_left:
        test    r14d, r14d
        js      next_signal
        mov     edi, r14d
        and     edi, 0x7f                       /* the signal that ended it, or 0 */
        jz      exited
        add     edi, 128
        jmp     leave
exited:
        shr     r14d, 8
        movzx   edi, r14b
        jmp     leave

open_procfs:                                    /* a child opens it, and the caller fetches it here */
        mov     ebp, STAGE_CLONE
        mov     edi, CLONE_FILES | SIGCHLD
        xor     esi, esi
        xor     edx, edx
        xor     r10d, r10d
        mov     eax, CLONE
        syscall
        test    eax, eax
        js      fail
        jz      inside
        push    rax
        mov     edi, eax                        /* else somebody inside would have to reap it */
        mov     rsi, rsp
        xor     edx, edx
        xor     r10d, r10d
        mov     eax, WAIT4
        syscall
        mov     edi, 126
        cmp     dword ptr [rsp], 0
        jne     leave                           /* somebody inside has ended it */
        mov     edi, r12d
        mov     edx, 8
        xor     eax, eax                        /* READ: until the caller has it, or has gone */
        syscall
        xor     edi, edi
        jmp     leave
inside:
        lea     rdi, [rip + procfs]
        mov     esi, FSOPEN_CLOEXEC
        mov     eax, FSOPEN
        syscall
        movsxd  rax, eax
        push    rax                             /* the descriptor, or -errno, in eight bytes */
        mov     edi, r12d
        mov     rsi, rsp
        mov     edx, 8
        mov     eax, WRITE
        syscall
        xor     edi, edi
        jmp     leave

take_out:                                       /* rbx: an entry of envp, which goes from there */
        mov     rax, [rbx + 8]
        mov     [rbx], rax
        add     rbx, 8
        test    rax, rax
        jnz     take_out
        ret

number:                                         /* rsi: digits and a comma -> eax, or -1 if none */
        or      eax, -1
1:      movzx   ecx, byte ptr [rsi]
        inc     rsi
        sub     ecx, '0'
        jb      2f                              /* the comma, and the end of the text */
        cmp     eax, -1
        jne     3f
        xor     eax, eax
3:      imul    eax, eax, 10
        add     eax, ecx
        jmp     1b
2:      ret

        .include "text.inc"
image_end:
