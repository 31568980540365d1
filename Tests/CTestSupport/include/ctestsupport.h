// What tests do to their surroundings and Glibc's Swift module lacks. All return 0, or -1 with errno set.
#ifndef CTESTSUPPORT_H
#define CTESTSUPPORT_H

#include <stdint.h>

/// Puts the calling thread into a new network namespace.
int ctest_unshare_net(void);
/// Puts the calling thread into a new UTS namespace with a host name of its own.
int ctest_unshare_hostname(const char *name);
/// Gives the calling thread a private copy of the mounts.
int ctest_unshare_mounts(void);
/// mount --bind
int ctest_bind(const char *source, const char *target);
/// A tmpfs of a fixed size.
int ctest_mount_tmpfs(const char *target, const char *options);
/// Unmounts at once, whoever uses it.
int ctest_unmount(const char *target);
/// Makes a system call fail with an errno in this process from now on (seccomp).
int ctest_forbid(long number, int error);
/// The numbers of system calls that tests forbid.
long ctest_number_of_io_uring_setup(void);
long ctest_number_of_pwritev2(void);
/// Takes capabilities from the calling thread, for good; a mask of bits.
int ctest_drop_capabilities(uint64_t mask);
/// Sets the soft and hard limit.
int ctest_limit_descriptors(uint64_t limit);
int ctest_limit_locked_memory(uint64_t limit);
int ctest_limit_address_space(uint64_t limit);
/// Opens a pseudo-terminal: what programs see goes to `far`, the person's side to `near`.
int ctest_open_terminal(int *near, int *far);
/// A process that lives in a network namespace of its own until it is killed. Returns its number, or -1.
int ctest_spawn_in_namespace(void);
/// Memory of 64 KiB and more is mapped when it is allocated and unmapped when it is freed, so that it can be measured.
int ctest_map_large_allocations(void);
/// A device number as stat(2) gives it, makedev(3).
uint64_t ctest_device(uint32_t major, uint32_t minor);

/// Leaves the calling thread one of its CPUs, sched_setaffinity(2). Returns 0, or -1 with errno set.
int ctest_pin_to_one_cpu(void);

#endif
