#define _GNU_SOURCE
#include "clinux.h"
#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

int clinux_setns_net(int fd) { return setns(fd, CLONE_NEWNET); }

int clinux_setns_uts(int fd) { return setns(fd, CLONE_NEWUTS); }

static int receive_link(int fd) {
  union {
    struct nlmsghdr header;
    char bytes[8192];
  } answer;
  ssize_t length = recv(fd, &answer, sizeof answer, 0);
  if (length < 0) return -1;
  if (!NLMSG_OK(&answer.header, (size_t)length)) return errno = EBADMSG, -1;
  if (answer.header.nlmsg_type == NLMSG_ERROR) {
    errno = -((struct nlmsgerr *)NLMSG_DATA(&answer.header))->error;
    return -1;
  }
  return ((struct ifinfomsg *)NLMSG_DATA(&answer.header))->ifi_index;
}

int clinux_interface_index(const char *name) {
  struct {
    struct nlmsghdr header;
    struct ifinfomsg body;
    struct rtattr attribute;
    char name[IFNAMSIZ];
  } request;
  memset(&request, 0, sizeof request);
  size_t length = strnlen(name, IFNAMSIZ - 1);
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = RTM_GETLINK;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.attribute.rta_type = IFLA_IFNAME;
  request.attribute.rta_len = RTA_LENGTH(IFNAMSIZ);
  memcpy(request.name, name, length);
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) return -1;
  int index = send(fd, &request, sizeof request, 0) < 0 ? -1 : receive_link(fd);
  int code = errno;
  close(fd);
  errno = code;
  return index;
}

int64_t clinux_filesystem_type(const char *path) {
  struct statfs status;
  return statfs(path, &status) ? -1 : (int64_t)status.f_type;
}

const char *clinux_errno_name(int code) { return strerrorname_np(code); }

ssize_t clinux_write_nowait(int fd, const void *bytes, size_t count) {
  struct iovec vector = {(void *)bytes, count};
  return pwritev2(fd, &vector, 1, -1, RWF_NOWAIT);
}

int clinux_send_datagrams(int fd, const struct iovec *datagrams, size_t count) {
  enum { most = 64 };
  struct mmsghdr messages[most];
  if (count > most) count = most;
  memset(messages, 0, count * sizeof *messages);
  for (size_t i = 0; i < count; i++) {
    messages[i].msg_hdr.msg_iov = (struct iovec *)&datagrams[i];
    messages[i].msg_hdr.msg_iovlen = 1;
  }
  return sendmmsg(fd, messages, (unsigned)count, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int clinux_name_thread(const char *name) { return pthread_setname_np(pthread_self(), name); }

static int get_limit(int resource, uint64_t *soft, uint64_t *hard) {
  struct rlimit limit;
  if (getrlimit(resource, &limit) != 0) return -1;
  *soft = limit.rlim_cur;
  *hard = limit.rlim_max;
  return 0;
}

int clinux_memlock_limit(uint64_t *soft, uint64_t *hard) { return get_limit(RLIMIT_MEMLOCK, soft, hard); }

int clinux_set_memlock_limit(uint64_t soft, uint64_t hard) {
  struct rlimit limit = {soft, hard};
  return setrlimit(RLIMIT_MEMLOCK, &limit);
}

int clinux_nofile_limit(uint64_t *soft, uint64_t *hard) { return get_limit(RLIMIT_NOFILE, soft, hard); }

int clinux_set_nofile_limit(uint64_t soft, uint64_t hard) {
  struct rlimit limit = {soft, hard};
  return setrlimit(RLIMIT_NOFILE, &limit);
}

int clinux_affinity_count(void) {
  // The kernel refuses a mask that is smaller than its own (EINVAL).
  for (int cpus = 1024; cpus <= 1 << 16; cpus *= 2) {
    cpu_set_t *set = CPU_ALLOC(cpus);
    if (!set) return -1;
    size_t size = CPU_ALLOC_SIZE(cpus);
    int count = sched_getaffinity(0, size, set) == 0 ? CPU_COUNT_S(size, set) : -1;
    CPU_FREE(set);
    if (count >= 0 || errno != EINVAL) return count;
  }
  return -1;
}

int clinux_peer_credentials(int fd, int32_t *pid, uint32_t *uid, uint32_t *gid) {
  struct ucred peer;
  socklen_t length = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return -1;
  *pid = peer.pid;
  *uid = peer.uid;
  *gid = peer.gid;
  return 0;
}

int clinux_peer_groups(int fd, uint32_t *groups, int capacity) {
  socklen_t length = (socklen_t)capacity * sizeof *groups;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &length) != 0) return -1;
  return (int)(length / sizeof *groups);
}
