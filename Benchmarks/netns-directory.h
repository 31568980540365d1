// /run/netns as `ip netns` leaves it.
#pragma once
#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define NETNS_DIRECTORY "/run/netns"

// Makes it a shared mount point, exactly as the first `ip netns add` on a host would. If that came later, its new mount
// would hide ours, and we could not unmount them any more. Returns 0, or -1 with errno.
static inline int prepare_netns_directory(void) {
  mkdir(NETNS_DIRECTORY, 0755);
  if (mount("", NETNS_DIRECTORY, "none", MS_SHARED | MS_REC, NULL) == 0) return 0;
  if (errno != EINVAL) return -1;
  if (mount(NETNS_DIRECTORY, NETNS_DIRECTORY, "none", MS_BIND | MS_REC, NULL)) return -1;
  return mount("", NETNS_DIRECTORY, "none", MS_SHARED | MS_REC, NULL);
}
