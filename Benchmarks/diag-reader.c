// See diag-reader.h.
#define _GNU_SOURCE
#include "diag-reader.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

noreturn void die(const char *what) {
  fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, strerror(errno));
  exit(1);
}

noreturn void fail(const char *what) {
  fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
  exit(1);
}

struct arguments read_arguments(int count, char **values) {
  static const char *paths[MAX_NAMESPACES];
  struct arguments found = {.iterations = 7, .counting = true, .extensions = 0xFE, .states = 0xFFF, .paths = paths};
  for (int i = 1; i < count; i++) {
    if (strncmp(values[i], "--", 2)) {
      if (found.namespaces == MAX_NAMESPACES) fail("too many namespaces");
      paths[found.namespaces++] = values[i];
      continue;
    }
    const char *name = values[i] + 2;
    if (++i == count) fail("a setting without its value");
    unsigned long number = strtoul(values[i], NULL, 0);
    if (!strcmp(name, "iterations")) found.iterations = (int)number;
    else if (!strcmp(name, "extensions")) found.extensions = (uint8_t)number;
    else if (!strcmp(name, "states")) found.states = (uint32_t)number;
    else if (!strcmp(name, "count")) found.counting = number != 0;
    else if (!strcmp(name, "capture")) found.capture = values[i];
    else fail("unknown setting");
  }
  if (found.iterations < 1 || found.iterations > MAX_ITERATIONS || !found.namespaces)
    fail("usage: [--iterations 1-1000] [--extensions MASK] [--states MASK] [--count 0|1] NAMESPACE-PATH...");
  found.home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (found.home < 0) die("open own namespace");
  return found;
}

int open_in_namespace(const char *path, int home) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0 || setns(fd, CLONE_NEWNET)) die(path);
  close(fd);
  int diag = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (diag < 0) die("socket(NETLINK_SOCK_DIAG)");
  if (setns(home, CLONE_NEWNET)) die("setns home");
  return diag;
}

void read_dump(int diag, const void *request, size_t size, datagram_visitor visitor, struct tally *tally) {
  static char buffer[DATAGRAM_LIMIT] __attribute__((aligned(16)));
  if (send(diag, request, size, 0) < 0) die("send");
  for (;;) {
    ssize_t length = recv(diag, buffer, sizeof buffer, MSG_TRUNC);
    if (length < 0) die("recv");
    if ((size_t)length > sizeof buffer) fail("a datagram was truncated");
    const struct nlmsghdr *first = (const void *)buffer;
    if (first->nlmsg_type == NLMSG_ERROR) fail("the kernel answered with an error");
    if (first->nlmsg_type == NLMSG_DONE) return;
    tally->datagrams++;
    tally->bytes += (uint64_t)length;
    if (visitor) visitor(tally, buffer, (size_t)length);
  }
}

void count_sockets(struct tally *tally, const char *bytes, size_t length) {
  for (const struct nlmsghdr *message = (const void *)bytes; NLMSG_OK(message, length);
       message = NLMSG_NEXT(message, length)) {
    if (message->nlmsg_type == NLMSG_DONE) fail("DONE behind sockets in one datagram: this loop would miss it");
    tally->sockets++;
  }
}

static int64_t clock_ns(clockid_t clock) {
  struct timespec time;
  clock_gettime(clock, &time);
  return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
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

void measure(const struct arguments *arguments, datagram_visitor visitor, poll_function poll) {
  static int64_t cpu[MAX_ITERATIONS], wall[MAX_ITERATIONS];
  struct tally counted = {0}, last = {0};
  if (arguments->counting) poll(arguments, visitor, &counted);
  for (int turn = 0; turn < arguments->iterations; turn++) {
    last = (struct tally){0};
    int64_t cpu_start = clock_ns(CLOCK_PROCESS_CPUTIME_ID), wall_start = clock_ns(CLOCK_MONOTONIC);
    poll(arguments, NULL, &last);
    cpu[turn] = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_start;
    wall[turn] = clock_ns(CLOCK_MONOTONIC) - wall_start;
  }
  printf("{\"sockets\":%llu,\"bytes\":%llu,\"datagrams\":%llu,\"cpu_ns\":%lld,\"wall_ns\":%lld,\"rss_kib\":%ld}\n",
         (unsigned long long)counted.sockets, (unsigned long long)last.bytes, (unsigned long long)last.datagrams,
         (long long)median(cpu, arguments->iterations), (long long)median(wall, arguments->iterations), peak_rss_kib());
}
