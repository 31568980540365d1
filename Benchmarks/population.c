// population: real TCP sockets to measure and to test against, in network namespaces of its own.
//
//   population --prefix NAME [--namespaces K] [--v4 N] [--v6 N] [--mapped N] [--listeners N] ...
//
// All counts are per namespace; a connection is two sockets. Namespaces are bind mounts /run/netns/NAME0, NAME1, ...
// When every socket stands it prints one JSON line and then lives until its standard input closes or it gets SIGTERM,
// SIGINT or SIGHUP. All traffic stays on the loopback of these namespaces.
//
// Processes: this one (the parent), a guard that unmounts the namespaces however the parent dies, and workers: a
// process may hold few descriptors (RLIMIT_NOFILE), so connections come in chunks of CHUNK_CONNECTIONS, a worker each.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "netns-directory.h"
#include "population.h"

#define CHUNK_CONNECTIONS 9000
#define MAX_NAMESPACES 4096
#define MAX_WORKERS 4096

static void namespace_path(char *path, size_t size, const struct plan *plan, int index) {
  snprintf(path, size, "%s/%s%d", NETNS_DIRECTORY, plan->prefix, index);
}

static void unmount_namespaces(const struct plan *plan) {
  char path[256];
  for (int i = 0; i < plan->namespaces; i++) {
    namespace_path(path, sizeof path, plan, i);
    umount2(path, MNT_DETACH);
    unlink(path);
  }
}

// The guard outlives the parent: it reads a pipe whose other end only the parent holds, and cleans up at its end.
static pid_t start_guard(const struct plan *plan, int *write_end) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC)) die("pipe");
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid == 0) {
    close(ends[1]);
    setsid();
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    // A pipe that the caller reads to its end must not stay open through the guard.
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    char byte;
    while (read(ends[0], &byte, 1) < 0 && errno == EINTR) continue;
    unmount_namespaces(plan);
    _exit(0);
  }
  close(ends[0]);
  *write_end = ends[1];
  return pid;
}

// Makes the namespace and names it. The caller's thread is inside the new namespace afterwards.
static void make_namespace(const struct plan *plan, int index, int home) {
  char path[256];
  namespace_path(path, sizeof path, plan, index);
  if (setns(home, CLONE_NEWNET)) die("setns home");
  if (unshare(CLONE_NEWNET)) die("unshare(CLONE_NEWNET)");
  bring_up_loopback();
  int fd = open(path, O_RDONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
  if (fd < 0) die("create %s", path);
  close(fd);
  if (mount("/proc/thread-self/ns/net", path, "none", MS_BIND, NULL)) die("mount %s", path);
}

struct namespace_facts {
  uint64_t inode, cookie;
};

static struct namespace_facts facts_of_current_namespace(void) {
  struct namespace_facts facts = {0};
  struct stat status;
  if (stat("/proc/thread-self/ns/net", &status) == 0) facts.inode = status.st_ino;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  socklen_t length = sizeof facts.cookie;
  if (getsockopt(fd, SOL_SOCKET, 71 /* SO_NETNS_COOKIE, Linux 5.14 */, &facts.cookie, &length)) facts.cookie = 0;
  close(fd);
  return facts;
}

// Forks a worker into the current namespace and waits until its sockets stand.
static pid_t start_worker(const struct plan *plan, int namespace_index, int chunk, int chunks) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC)) die("pipe");
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    close(ends[0]);
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    run_worker(plan, namespace_index, chunk, chunks, ends[1]);
    _exit(1);
  }
  close(ends[1]);
  char byte;
  ssize_t got;
  do got = read(ends[0], &byte, 1);
  while (got < 0 && errno == EINTR);
  close(ends[0]);
  if (got == 1) return pid;
  fprintf(stderr, "population: a worker of %s%d ended before its sockets stood\n", plan->prefix, namespace_index);
  waitpid(pid, NULL, 0);
  return -1;
}

static void print_ready(const struct plan *plan, const struct namespace_facts *facts, const pid_t *workers, int count) {
  printf("{\"ready\":true,\"pid\":%d,\"namespaces\":[", getpid());
  for (int i = 0; i < plan->namespaces; i++)
    printf("%s{\"name\":\"%s%d\",\"path\":\"%s/%s%d\",\"inode\":%llu,\"cookie\":%llu}", i ? "," : "", plan->prefix, i,
           NETNS_DIRECTORY, plan->prefix, i, (unsigned long long)facts[i].inode, (unsigned long long)facts[i].cookie);
  printf("],\"workers\":[");
  for (int i = 0; i < count; i++) printf("%s%d", i ? "," : "", workers[i]);
  printf("]}\n");
  fflush(stdout);
}

// Until standard input closes or a signal asks for the end. False if a worker died meanwhile.
static bool wait_for_end(int signals) {
  for (;;) {
    struct pollfd watched[2] = {{.fd = 0, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    if (poll(watched, 2, -1) < 0 && errno != EINTR) return false;
    if (watched[1].revents) {
      struct signalfd_siginfo information;
      if (read(signals, &information, sizeof information) < 0) return false;
      if (information.ssi_signo != SIGCHLD) return true;
      fprintf(stderr, "population: process %d ended early\n", (int)information.ssi_pid);
      return false;
    }
    char bytes[64];
    if (watched[0].revents && read(0, bytes, sizeof bytes) <= 0) return true;
  }
}

static void read_options(int count, char **values, struct plan *plan) {
  struct setting {
    const char *name;
    int *value;
  } settings[] = {
    {"namespaces", &plan->namespaces}, {"v4", &plan->v4},
    {"v6", &plan->v6},                 {"mapped", &plan->mapped},
    {"listeners", &plan->listeners},   {"time-wait", &plan->time_wait},
    {"churn", &plan->churn},           {"half-closed", &plan->half_closed},
    {"stuffed", &plan->stuffed},       {"lossy", &plan->lossy},
    {"syn-sent", &plan->syn_sent},     {"syn-received", &plan->syn_received},
    {"mptcp", &plan->mptcp},           {"active", &plan->active},
    {"rate", &plan->rate},             {"plain", &plan->plain},
  };
  for (int i = 1; i < count; i += 2) {
    if (strncmp(values[i], "--", 2) || i + 1 == count) fail("usage: population --prefix NAME [--SETTING NUMBER]...");
    const char *name = values[i] + 2;
    bool known = false;
    if (!strcmp(name, "prefix")) {
      plan->prefix = values[i + 1];
      known = true;
    }
    for (size_t s = 0; s < sizeof settings / sizeof *settings; s++) {
      if (strcmp(name, settings[s].name)) continue;
      char *end;
      long value = strtol(values[i + 1], &end, 10);
      if (*end || value < 0 || value > 1000000) fail("--%s: not a number from 0 to 1000000: %s", name, values[i + 1]);
      *settings[s].value = (int)value;
      known = true;
    }
    if (!known) fail("unknown setting %s", values[i]);
  }
  if (!plan->prefix || !*plan->prefix || strlen(plan->prefix) > 64 || strchr(plan->prefix, '/'))
    fail("--prefix: a name of 1 to 64 characters without / is needed");
  if (plan->namespaces < 1 || plan->namespaces > MAX_NAMESPACES) fail("--namespaces: 1 to %d", MAX_NAMESPACES);
}

static void raise_descriptor_limit(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit)) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int count, char **values) {
  struct plan plan = {.namespaces = 1, .rate = 100};
  read_options(count, values, &plan);
  raise_descriptor_limit();
  if (prepare_netns_directory()) die("make %s a shared mount", NETNS_DIRECTORY);

  sigset_t watched;
  sigemptyset(&watched);
  int watched_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGCHLD};
  for (size_t i = 0; i < sizeof watched_signals / sizeof *watched_signals; i++) sigaddset(&watched, watched_signals[i]);
  sigprocmask(SIG_BLOCK, &watched, NULL);
  signal(SIGPIPE, SIG_IGN);

  int guard_pipe;
  pid_t guard = start_guard(&plan, &guard_pipe);
  int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (home < 0) die("open own namespace");

  static struct namespace_facts facts[MAX_NAMESPACES];
  static pid_t workers[MAX_WORKERS];
  int running = 0;
  bool good = true;
  int connections = plan.v4 + plan.v6 + plan.mapped;
  int chunks = connections ? (connections + CHUNK_CONNECTIONS - 1) / CHUNK_CONNECTIONS : 1;
  for (int i = 0; i < plan.namespaces && good; i++) {
    make_namespace(&plan, i, home);
    facts[i] = facts_of_current_namespace();
    for (int chunk = 0; chunk < chunks && good; chunk++) {
      if (running == MAX_WORKERS) fail("more than %d processes would be needed", MAX_WORKERS);
      pid_t worker = start_worker(&plan, i, chunk, chunks);
      good = worker > 0;
      if (good) workers[running++] = worker;
    }
  }
  if (setns(home, CLONE_NEWNET)) die("setns home");

  if (good) {
    int signals = signalfd(-1, &watched, SFD_CLOEXEC);
    print_ready(&plan, facts, workers, running);
    good = wait_for_end(signals);
  }
  for (int i = 0; i < running; i++) kill(workers[i], SIGKILL);
  for (int i = 0; i < running; i++) waitpid(workers[i], NULL, 0);
  close(guard_pipe);
  waitpid(guard, NULL, 0);
  return good ? 0 : 1;
}
