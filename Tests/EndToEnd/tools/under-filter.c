// under-filter NUMBER,NUMBER,... COMMAND...: runs a command that may use only these system calls, as systemd's
// SystemCallFilter= with SystemCallErrorNumber=EPERM and NoNewPrivileges= have it; setns only into network and UTS
// namespaces, as RestrictNamespaces=net uts has it.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define REFUSE BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM)
#define UNLESS_EQUAL(value, skipped) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, skipped)

static struct sock_filter program[BPF_MAXINSNS];
static unsigned short length;

static void add(struct sock_filter instruction) {
  if (length == BPF_MAXINSNS) exit(71);
  program[length++] = instruction;
}

int main(int count, char **values) {
  if (count < 3) return 64;
  add((struct sock_filter)LOAD(nr));
  add((struct sock_filter)UNLESS_EQUAL(SYS_setns, 6));
  add((struct sock_filter)LOAD(args[1]));
  add((struct sock_filter)UNLESS_EQUAL(CLONE_NEWNET, 1));
  add((struct sock_filter)ALLOW);
  add((struct sock_filter)UNLESS_EQUAL(CLONE_NEWUTS, 1));
  add((struct sock_filter)ALLOW);
  add((struct sock_filter)REFUSE);
  for (char *number = strtok(values[1], ","); number; number = strtok(NULL, ",")) {
    add((struct sock_filter)UNLESS_EQUAL((unsigned)atoi(number), 1));
    add((struct sock_filter)ALLOW);
  }
  add((struct sock_filter)REFUSE);
  struct sock_fprog filter = {.len = length, .filter = program};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter)) {
    fprintf(stderr, "under-filter: seccomp: %s\n", strerror(errno));
    return 71;
  }
  execvp(values[2], values + 2);
  fprintf(stderr, "under-filter: %s: %s\n", values[2], strerror(errno));
  return 71;
}
