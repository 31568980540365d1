// namespaces PREFIX RATE SECONDS LIFETIME_MS: creates RATE network namespaces a second for SECONDS, each with sockets
// that carry its number, renames every other one in the middle of its life, and deletes each after LIFETIME_MS.
//
// Names come from a pool of 40 that is used again and again, so one name means many namespaces. A line on standard
// output tells what exists, before anybody can see it:
//     "NUMBER COOKIE INODE NAME [SECOND-NAME]"
// In namespace NUMBER a listener is bound to 127.B.C.1 with B.C = 1 + NUMBER in two bytes, and one connection to it.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../../../Benchmarks/netns-directory.h"

enum { POOL = 40, MAX_ALIVE = 4096, SOCKETS = 3 };

struct entry {
  char path[2][160];
  int current;  // which of the two names is mounted
  bool renames, alive;
  int sockets[SOCKETS];
  int64_t rename_at, delete_at;
};

static struct entry entries[MAX_ALIVE];
static volatile sig_atomic_t stopping;

static void stop(int signal) {
  (void)signal;
  stopping = 1;
}

static void die(const char *what) {
  fprintf(stderr, "namespaces: %s: %s\n", what, strerror(errno));
  exit(1);
}

static int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void mount_at(const char *path, const char *source) {
  int fd = open(path, O_RDONLY | O_CREAT | O_CLOEXEC, 0444);
  if (fd < 0) die(path);
  close(fd);
  if (mount(source, path, "none", MS_BIND, NULL)) die(path);
}

static void unmount(const char *path) {
  umount2(path, MNT_DETACH);
  unlink(path);
}

static void open_sockets(struct entry *entry, unsigned number) {
  int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING | IFF_LOOPBACK};
  if (ioctl(control, SIOCSIFFLAGS, &request)) die("SIOCSIFFLAGS");
  close(control);
  uint32_t host = 127u << 24 | ((number + 256) & 0xffff) << 8 | 1;
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(9000), .sin_addr.s_addr = htonl(host)};
  struct linger reset = {.l_onoff = 1};
  for (int i = 0; i < 2; i++) {
    entry->sockets[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (entry->sockets[i] < 0) die("socket");
    setsockopt(entry->sockets[i], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
  struct sockaddr_in from = at;
  from.sin_port = 0;
  if (bind(entry->sockets[0], (void *)&at, sizeof at) || listen(entry->sockets[0], 4)) die("listen");
  if (bind(entry->sockets[1], (void *)&from, sizeof from)) die("bind");
  if (connect(entry->sockets[1], (void *)&at, sizeof at)) die("connect");
  entry->sockets[2] = accept4(entry->sockets[0], NULL, NULL, SOCK_CLOEXEC);
  if (entry->sockets[2] < 0) die("accept");
  setsockopt(entry->sockets[2], SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

static void create(struct entry *entry, const char *prefix, unsigned number, int home, int64_t now, int64_t lifetime) {
  *entry = (struct entry){.alive = true, .renames = number % 2, .rename_at = now + lifetime / 2,
                          .delete_at = now + lifetime};
  if (unshare(CLONE_NEWNET)) die("unshare");
  for (unsigned i = 0; i < 2; i++)
    snprintf(entry->path[i], sizeof entry->path[i], NETNS_DIRECTORY "/%s%u", prefix, (number * 2 + i) % POOL);
  struct stat status;
  uint64_t cookie = 0;
  socklen_t length = sizeof cookie;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (getsockopt(fd, SOL_SOCKET, 71 /* SO_NETNS_COOKIE */, &cookie, &length)) die("SO_NETNS_COOKIE");
  close(fd);
  if (stat("/proc/thread-self/ns/net", &status)) die("stat");
  printf("%u %llu %llu %s %s\n", number, (unsigned long long)cookie, (unsigned long long)status.st_ino,
         strrchr(entry->path[0], '/') + 1, entry->renames ? strrchr(entry->path[1], '/') + 1 : "");
  fflush(stdout);
  open_sockets(entry, number);
  mount_at(entry->path[0], "/proc/thread-self/ns/net");
  if (setns(home, CLONE_NEWNET)) die("setns home");
}

static void rename_entry(struct entry *entry) {
  mount_at(entry->path[1], entry->path[0]);
  unmount(entry->path[0]);
  entry->current = 1;
  entry->renames = false;
}

static void delete_entry(struct entry *entry) {
  for (int i = 0; i < SOCKETS; i++) close(entry->sockets[i]);
  unmount(entry->path[entry->current]);
  entry->alive = false;
}

// Renames and deletes what is due.
static int advance(int64_t now) {
  int alive = 0;
  for (int i = 0; i < MAX_ALIVE; i++) {
    struct entry *entry = &entries[i];
    if (!entry->alive) continue;
    if (entry->renames && entry->rename_at <= now) rename_entry(entry);
    if (entry->delete_at <= now) delete_entry(entry);
    alive += entry->alive;
  }
  return alive;
}

int main(int count, char **values) {
  if (count != 5) return 64;
  const char *prefix = values[1];
  const int64_t period = 1000000000 / atoi(values[2]), seconds = atoi(values[3]);
  const int64_t lifetime = atoi(values[4]) * INT64_C(1000000);
  if (lifetime / period * 2 >= POOL) {
    fprintf(stderr, "namespaces: rate x lifetime needs more than %d names at once\n", POOL);
    return 64;
  }
  signal(SIGTERM, stop);
  signal(SIGINT, stop);
  if (prepare_netns_directory()) die("make /run/netns a shared mount");
  int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  int64_t start = now_ns(), end = start + seconds * 1000000000, next = start;
  for (unsigned number = 0; !stopping && next < end; next += period) {
    struct timespec deadline = {.tv_sec = next / 1000000000, .tv_nsec = next % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &deadline, NULL) == EINTR && !stopping) continue;
    int64_t now = now_ns();
    advance(now);
    // After a stall the last user of these names may still be there.
    struct entry *last_user = &entries[(number - POOL / 2) % MAX_ALIVE];
    if (last_user->alive) delete_entry(last_user);
    struct entry *entry = &entries[number % MAX_ALIVE];
    create(entry, prefix, number++, home, now, lifetime);
  }
  advance(INT64_MAX);
  return 0;
}
