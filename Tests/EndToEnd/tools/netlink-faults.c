// netlink-faults.so: an LD_PRELOAD library that spoils requests to the kernel, so that the real kernel answers with
// real errors. Only for syscall mode: requests through a ring do not pass here.
//
//   XTCPD_FAULT=short    the request is cut behind its header: NLMSG_ERROR -EINVAL
//   XTCPD_FAULT=family   an address family that sock_diag does not know: NLMSG_ERROR
//   XTCPD_FAULT=protocol a transport protocol without a dump: the dump ends at once, NLMSG_DONE with a negative errno
#define _GNU_SOURCE
#include <dlfcn.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

struct spoiled {
  struct nlmsghdr header;
  struct inet_diag_req_v2 body;
};

// Writes the spoiled form of a dump request and returns its length, or 0 for what is not a dump request.
static size_t spoil(int fd, const void *bytes, size_t length, struct spoiled *result) {
  const char *fault = getenv("XTCPD_FAULT");
  int domain = 0;
  socklen_t size = sizeof domain;
  if (!fault || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) || domain != AF_NETLINK) return 0;
  struct nlmsghdr header;
  if (length < sizeof header) return 0;
  memcpy(&header, bytes, sizeof header);
  if (!(header.nlmsg_flags & NLM_F_DUMP)) return 0;
  *result = (struct spoiled){.header = header};
  result->header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  result->header.nlmsg_len = sizeof *result;
  result->body.sdiag_family = strcmp(fault, "family") ? AF_INET : 250;
  result->body.sdiag_protocol = IPPROTO_TCP;
  if (!strcmp(fault, "protocol")) result->body.sdiag_protocol = 250;
  if (!strcmp(fault, "short")) result->header.nlmsg_len = sizeof result->header;
  return result->header.nlmsg_len;
}

ssize_t sendto(int fd, const void *bytes, size_t length, int flags, const struct sockaddr *to, socklen_t to_length) {
  ssize_t (*next)(int, const void *, size_t, int, const struct sockaddr *, socklen_t) = dlsym(RTLD_NEXT, "sendto");
  struct spoiled spoiled;
  size_t other = spoil(fd, bytes, length, &spoiled);
  if (!other) return next(fd, bytes, length, flags, to, to_length);
  ssize_t sent = next(fd, &spoiled, other, flags, to, to_length);
  return sent < 0 ? sent : (ssize_t)length;
}

ssize_t send(int fd, const void *bytes, size_t length, int flags) { return sendto(fd, bytes, length, flags, NULL, 0); }

ssize_t write(int fd, const void *bytes, size_t length) {
  ssize_t (*next)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
  struct spoiled spoiled;
  size_t other = spoil(fd, bytes, length, &spoiled);
  if (!other) return next(fd, bytes, length);
  ssize_t sent = next(fd, &spoiled, other);
  return sent < 0 ? sent : (ssize_t)length;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  ssize_t (*next)(int, const struct msghdr *, int) = dlsym(RTLD_NEXT, "sendmsg");
  struct spoiled spoiled;
  const struct iovec *first = message->msg_iov;
  size_t other = message->msg_iovlen == 1 ? spoil(fd, first->iov_base, first->iov_len, &spoiled) : 0;
  if (!other) return next(fd, message, flags);
  struct iovec piece = {&spoiled, other};
  struct msghdr changed = {.msg_iov = &piece, .msg_iovlen = 1};
  ssize_t sent = next(fd, &changed, flags);
  return sent < 0 ? sent : (ssize_t)first->iov_len;
}
