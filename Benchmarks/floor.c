// floor: what the kernel alone asks for a dump: one request, a plain recv loop that discards.
//
//   floor [--iterations N] [--extensions 0xFE] [--states 0xFFF] /run/netns/NAME...
//
// It sends the request that xtcpd sends (TCPDIAG_GETSOCK: IPv4 and IPv6 in one walk, 32 KiB buffer) in each namespace
// in turn and looks at nothing but the type of each datagram's first message, to see the end. Prints one JSON line;
// CPU (user + system of this process) and wall time are for one poll of all namespaces.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER_SIZE = 32768, MAX_NAMESPACES = 4096, MAX_ITERATIONS = 1000 };

struct request {
  struct nlmsghdr header;
  struct inet_diag_req body;
};

struct poll_tally {
  uint64_t sockets, bytes, datagrams;
};

static void die(const char *what) {
  fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
  exit(1);
}

static void fail(const char *what) {
  fprintf(stderr, "floor: %s\n", what);
  exit(1);
}

static int64_t clock_ns(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static int open_in_namespace(const char *path, int home) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, CLONE_NEWNET)) die(path);
  close(fd);
  int diag = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (diag < 0) die("socket(NETLINK_SOCK_DIAG)");
  if (setns(home, CLONE_NEWNET)) die("setns home");
  return diag;
}

// Counts sockets by walking the message headers. Only the first, unmeasured poll does this.
static uint64_t count_messages(const char *buffer, size_t length) {
  uint64_t sockets = 0;
  for (const struct nlmsghdr *message = (const void *)buffer; NLMSG_OK(message, length);
       message = NLMSG_NEXT(message, length)) {
    if (message->nlmsg_type == NLMSG_DONE) fail("DONE behind sockets in one datagram: this loop would miss it");
    sockets++;
  }
  return sockets;
}

static void dump(int diag, const struct request *request, char *buffer, int counting, struct poll_tally *tally) {
  if (send(diag, request, sizeof *request, 0) < 0) die("send");
  for (;;) {
    ssize_t length = recv(diag, buffer, BUFFER_SIZE, MSG_TRUNC);
    if (length < 0) die("recv");
    if (length > BUFFER_SIZE) fail("a datagram was truncated");
    const struct nlmsghdr *first = (const void *)buffer;
    if (first->nlmsg_type == NLMSG_ERROR) fail("the kernel answered with an error");
    if (first->nlmsg_type == NLMSG_DONE) return;
    tally->datagrams++;
    tally->bytes += (uint64_t)length;
    if (counting) tally->sockets += count_messages(buffer, (size_t)length);
  }
}

static int compare(const void *left, const void *right) {
  int64_t a = *(const int64_t *)left, b = *(const int64_t *)right;
  return a < b ? -1 : a > b;
}

static int64_t median(int64_t *values, int count) {
  qsort(values, (size_t)count, sizeof *values, compare);
  return values[count / 2];
}

// VmHWM and not ru_maxrss: the latter keeps the size of the process that started this one.
static long peak_rss_kib(void) {
  char line[256];
  long kib = 0;
  FILE *status = fopen("/proc/self/status", "re");
  while (status && fgets(line, sizeof line, status))
    if (sscanf(line, "VmHWM: %ld", &kib) == 1) break;
  if (status) fclose(status);
  return kib;
}

int main(int count, char **values) {
  int iterations = 7, namespaces = 0;
  unsigned long extensions = 0xFE, states = 0xFFF;
  static int sockets[MAX_NAMESPACES];
  static int64_t cpu[MAX_ITERATIONS], wall[MAX_ITERATIONS];
  int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (home < 0) die("open own namespace");
  for (int i = 1; i < count; i++) {
    if (!strcmp(values[i], "--iterations") && i + 1 < count) iterations = atoi(values[++i]);
    else if (!strcmp(values[i], "--extensions") && i + 1 < count) extensions = strtoul(values[++i], NULL, 0);
    else if (!strcmp(values[i], "--states") && i + 1 < count) states = strtoul(values[++i], NULL, 0);
    else if (namespaces < MAX_NAMESPACES) sockets[namespaces++] = open_in_namespace(values[i], home);
  }
  if (iterations < 1 || iterations > MAX_ITERATIONS || !namespaces)
    fail("usage: floor [--iterations 1-1000] [--extensions MASK] [--states MASK] NAMESPACE-PATH...");

  static char buffer[BUFFER_SIZE] __attribute__((aligned(16)));
  struct request request = {
    .header = {.nlmsg_len = sizeof request, .nlmsg_type = TCPDIAG_GETSOCK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
    .body = {.idiag_family = AF_INET, .idiag_ext = (uint8_t)extensions, .idiag_states = (uint32_t)states},
  };
  struct poll_tally counted = {0}, ignored = {0};
  for (int i = 0; i < namespaces; i++) dump(sockets[i], &request, buffer, 1, &counted);
  for (int turn = 0; turn < iterations; turn++) {
    int64_t cpu_start = clock_ns(CLOCK_PROCESS_CPUTIME_ID), wall_start = clock_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < namespaces; i++) dump(sockets[i], &request, buffer, 0, &ignored);
    cpu[turn] = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_start;
    wall[turn] = clock_ns(CLOCK_MONOTONIC) - wall_start;
  }
  printf("{\"sockets\":%llu,\"bytes\":%llu,\"datagrams\":%llu,\"cpu_ns\":%lld,\"wall_ns\":%lld,\"rss_kib\":%ld}\n",
         (unsigned long long)counted.sockets, (unsigned long long)counted.bytes, (unsigned long long)counted.datagrams,
         (long long)median(cpu, iterations), (long long)median(wall, iterations), peak_rss_kib());
  return 0;
}
