#define _GNU_SOURCE
#include "ctestsupport.h"
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int ctest_unshare_net(void) { return unshare(CLONE_NEWNET); }

int ctest_unshare_hostname(const char *name) {
  return unshare(CLONE_NEWUTS) != 0 ? -1 : sethostname(name, strlen(name));
}

int ctest_unshare_mounts(void) {
  if (unshare(CLONE_NEWNS) != 0) return -1;
  return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

int ctest_bind(const char *source, const char *target) { return mount(source, target, NULL, MS_BIND, NULL); }

int ctest_mount_tmpfs(const char *target, const char *options) { return mount("tmpfs", target, "tmpfs", 0, options); }

int ctest_unmount(const char *target) { return umount2(target, MNT_DETACH); }

int ctest_forbid(long number, int error) {
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof filter / sizeof *filter, filter};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return -1;
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program);
}

long ctest_number_of_io_uring_setup(void) { return SYS_io_uring_setup; }

long ctest_number_of_pwritev2(void) { return SYS_pwritev2; }

int ctest_drop_capabilities(uint64_t mask) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &header, data) != 0) return -1;
  for (int half = 0; half < 2; half++) {
    uint32_t keep = ~(uint32_t)(mask >> (32 * half));
    data[half].effective &= keep;
    data[half].permitted &= keep;
    data[half].inheritable &= keep;
  }
  return syscall(SYS_capset, &header, data);
}

static int set_limit(int resource, uint64_t value) {
  struct rlimit limit = {value, value};
  return setrlimit(resource, &limit);
}

int ctest_limit_descriptors(uint64_t limit) { return set_limit(RLIMIT_NOFILE, limit); }

int ctest_limit_locked_memory(uint64_t limit) { return set_limit(RLIMIT_MEMLOCK, limit); }

int ctest_limit_address_space(uint64_t limit) { return set_limit(RLIMIT_AS, limit); }

int ctest_open_terminal(int *near, int *far) {
  *near = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (*near < 0 || grantpt(*near) != 0 || unlockpt(*near) != 0) return -1;
  *far = open(ptsname(*near), O_RDWR | O_NOCTTY | O_CLOEXEC);
  return *far < 0 ? -1 : 0;
}

int ctest_spawn_in_namespace(void) {
  pid_t process = fork();
  if (process != 0) return process;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (unshare(CLONE_NEWNET) != 0) _exit(1);
  for (;;) pause();
}

int ctest_map_large_allocations(void) { return mallopt(M_MMAP_THRESHOLD, 64 << 10) == 1 ? 0 : -1; }

uint64_t ctest_device(uint32_t major, uint32_t minor) { return makedev(major, minor); }

int ctest_pin_to_one_cpu(void) {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return -1;
  int cpu = 0;
  while (cpu < CPU_SETSIZE - 1 && !CPU_ISSET(cpu, &set)) cpu++;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return sched_setaffinity(0, sizeof set, &set);
}
