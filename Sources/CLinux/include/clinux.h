// What Glibc's Swift module lacks. Each function is a thin call; no state.
#ifndef CLINUX_H
#define CLINUX_H

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/uio.h>

/// setns(2) into a network namespace. Returns 0, or -1 with errno set.
int clinux_setns_net(int fd);

/// setns(2) into a UTS namespace. Returns 0, or -1 with errno set.
int clinux_setns_uts(int fd);

/// f_type of statfs(2): which kind of file system a path is on (linux/magic.h); -1 with errno set.
int64_t clinux_filesystem_type(const char *path);

/// The index of an interface in the calling thread's network namespace, by RTM_GETLINK of rtnetlink(7); -1 with errno set,
/// ENODEV if there is none. Not by SIOCGIFINDEX, as if_nametoindex(3) does: for a name that is not there the kernel would
/// have modprobe look for a module (dev_load in net/core/dev_ioctl.c).
int clinux_interface_index(const char *name);

/// The symbolic name of an errno value, strerrorname_np(3), or NULL for an unknown one.
const char *clinux_errno_name(int code);

/// pwritev2(2) at the current position with RWF_NOWAIT: -1 and EAGAIN instead of blocking, EOPNOTSUPP where the file
/// cannot tell.
ssize_t clinux_write_nowait(int fd, const void *bytes, size_t count);

/// sendmmsg(2), without waiting, on a connected socket: the first of the datagrams, at most 64. Returns how many were
/// taken, or -1 with errno set if none was.
int clinux_send_datagrams(int fd, const struct iovec *datagrams, size_t count);

/// pthread_setname_np(3) on the calling thread; `name` has at most 15 bytes.
int clinux_name_thread(const char *name);

/// getrlimit(2) / setrlimit(2) on RLIMIT_MEMLOCK and RLIMIT_NOFILE. Return 0, or -1 with errno set.
/// sched_setaffinity(2) for the calling thread; no CPUs: those of the main thread. -1 and errno on failure.
int clinux_set_affinity(const uint32_t *cpus, long count);

int clinux_memlock_limit(uint64_t *soft, uint64_t *hard);
int clinux_set_memlock_limit(uint64_t soft, uint64_t hard);
int clinux_nofile_limit(uint64_t *soft, uint64_t *hard);
int clinux_set_nofile_limit(uint64_t soft, uint64_t hard);

/// The number of CPUs in the calling thread's affinity mask, sched_getaffinity(2), however many the machine has.
/// Returns -1 with errno set if it cannot be told.
int clinux_affinity_count(void);

/// SO_PEERCRED of a connected Unix socket, unix(7). Returns 0, or -1 with errno set.
int clinux_peer_credentials(int fd, int32_t *pid, uint32_t *uid, uint32_t *gid);

/// SO_PEERGROUPS of a connected Unix socket, unix(7): the supplementary groups of its peer. Returns how many were written, or -1
/// with errno set; ERANGE if there are more than `capacity`.
int clinux_peer_groups(int fd, uint32_t *groups, int capacity);

/// The CRC-32C of bytes behind those of which `crc` is one; 0 to begin with.
uint32_t clinux_crc32c(uint32_t crc, const void *_Nullable bytes, size_t count);
/// The same without the processor's instruction, for tests.
uint32_t clinux_crc32c_by_table(uint32_t crc, const void *_Nullable bytes, size_t count);

#endif
