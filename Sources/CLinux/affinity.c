#define _GNU_SOURCE
#include "clinux.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

int clinux_set_affinity(const uint32_t *cpus, long count) {
  // 8192 is what a kernel is built for at most (NR_CPUS); cpu_set_t stops at 1024.
  enum { bits = 8192 };
  unsigned long mask[bits / (8 * sizeof(unsigned long))] = {0};
  if (count == 0) {
    // The main thread's is what the process was given.
    if (sched_getaffinity(getpid(), sizeof mask, (cpu_set_t *)mask) < 0) return -1;
  }
  for (long i = 0; i < count; i++) {
    if (cpus[i] >= bits) {
      errno = EINVAL;
      return -1;
    }
    mask[cpus[i] / (8 * sizeof(unsigned long))] |= 1UL << (cpus[i] % (8 * sizeof(unsigned long)));
  }
  return sched_setaffinity(0, sizeof mask, (cpu_set_t *)mask);
}
