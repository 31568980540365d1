// naive: how a collector asks that thinks of nothing: in each namespace in turn a new socket, IPv4, then IPv6.
//
//   naive [--iterations N] [--extensions 0xFE] [--states 0xFFF] [--count 0|1] /run/netns/NAME...
//
// Each family is a dump of its own (SOCK_DIAG_BY_FAMILY), so that the kernel walks its table twice a namespace. As in
// floor.c the answers are discarded: what is compared with it is how the kernel is asked. Prints the same JSON line.
#define _GNU_SOURCE
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "diag-reader.h"

struct request {
  struct nlmsghdr header;
  struct inet_diag_req_v2 body;
};

static void poll_all(const struct arguments *arguments, datagram_visitor visitor, struct tally *tally) {
  struct request request = {
    .header = {.nlmsg_len = sizeof request,
               .nlmsg_type = SOCK_DIAG_BY_FAMILY,
               .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
    .body = {.sdiag_protocol = IPPROTO_TCP, .idiag_ext = arguments->extensions, .idiag_states = arguments->states},
  };
  static const uint8_t families[] = {AF_INET, AF_INET6};
  for (int i = 0; i < arguments->namespaces; i++) {
    int diag = open_in_namespace(arguments->paths[i], arguments->home);
    for (size_t family = 0; family < sizeof families; family++) {
      request.body.sdiag_family = families[family];
      read_dump(diag, &request, sizeof request, visitor, tally);
    }
    close(diag);
  }
}

int main(int count, char **values) {
  struct arguments arguments = read_arguments(count, values);
  measure(&arguments, count_sockets, poll_all);
  return 0;
}
