// allocations: counts what a process asks of malloc, from outside and while it runs.
//
//   LD_PRELOAD=allocations.so XTCPD_ALLOCATIONS=/path/to/file  command...
//
// The file is shared memory of two 64-bit numbers: calls that allocate, and bytes they asked for. A reader maps or
// reads it at any time; bench.py reads it once a second. A child of the command counts into the same file.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// glibc's own entry points: calling them needs no dlsym, which itself allocates.
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *memory, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

struct counters {
  uint64_t calls, bytes;
};

static struct counters unmapped;
static struct counters *counters = &unmapped;

__attribute__((constructor)) static void map_counters(void) {
  const char *path = getenv("XTCPD_ALLOCATIONS");
  if (!path) return;
  int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || ftruncate(fd, sizeof *counters)) return;
  void *memory = mmap(NULL, sizeof *counters, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (memory != MAP_FAILED) counters = memory;
}

static void count(size_t bytes) {
  __atomic_fetch_add(&counters->calls, 1, __ATOMIC_RELAXED);
  __atomic_fetch_add(&counters->bytes, bytes, __ATOMIC_RELAXED);
}

void *malloc(size_t size) {
  count(size);
  return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
  count(number * size);
  return __libc_calloc(number, size);
}

void *realloc(void *memory, size_t size) {
  count(size);
  return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size) {
  count(size);
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **memory, size_t alignment, size_t size) {
  *memory = memalign(alignment, size);
  return *memory ? 0 : ENOMEM;
}
