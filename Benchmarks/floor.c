// floor: what the kernel alone asks for a dump: one request, a plain recv loop that discards.
//
//   floor [--iterations N] [--extensions 0xFE] [--states 0xFFF] [--capture FILE] /run/netns/NAME...
//
// It sends the request that xtcpd sends (TCPDIAG_GETSOCK: IPv4 and IPv6 in one walk, 32 KiB buffer) in each namespace
// in turn and looks at nothing but the type of each datagram's first message, to see the end. Prints one JSON line;
// see `measure` in diag-reader.h.
//
// --capture writes the first MiB of what the kernel answers as a pcap file of link type 253, which `xtcpd decode` and
// EncodeBenchmark read. No more than that: what a daemon decodes has just been received and is in a cache.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "diag-reader.h"

enum { CAPTURE_LIMIT = 1 << 20, LINKTYPE_NETLINK = 253, ARPHRD_NETLINK = 824 };

struct request {
  struct nlmsghdr header;
  struct inet_diag_req body;
};

// https://www.tcpdump.org/linktypes/LINKTYPE_NETLINK.html; these fields are in network order.
struct cooked_header {
  uint16_t packet_type, device_type;
  uint8_t unused[10];
  uint16_t protocol;
};

static int sockets[MAX_NAMESPACES];
static FILE *capture;

static void write_capture(const void *bytes, size_t length) {
  if (fwrite(bytes, length, 1, capture) != 1) die("write the capture");
}

static void start_capture(const char *path) {
  capture = fopen(path, "we");
  if (!capture) die(path);
  const struct {
    uint32_t magic;  // of time stamps in nanoseconds
    uint16_t major, minor;
    uint32_t zone, accuracy, longest, link_type;
  } header = {0xa1b23c4d, 2, 4, 0, 0, 1 << 18, LINKTYPE_NETLINK};
  write_capture(&header, sizeof header);
}

static void capture_datagram(const char *bytes, size_t length) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  struct cooked_header cooked = {.device_type = htons(ARPHRD_NETLINK), .protocol = htons(NETLINK_SOCK_DIAG)};
  uint32_t size = (uint32_t)(sizeof cooked + length);
  uint32_t packet[] = {(uint32_t)now.tv_sec, (uint32_t)now.tv_nsec, size, size};
  write_capture(packet, sizeof packet);
  write_capture(&cooked, sizeof cooked);
  write_capture(bytes, length);
}

static void count_and_capture(struct tally *tally, const char *bytes, size_t length) {
  count_sockets(tally, bytes, length);
  if (capture && tally->bytes <= CAPTURE_LIMIT) capture_datagram(bytes, length);
}

static void poll_all(const struct arguments *arguments, datagram_visitor visitor, struct tally *tally) {
  struct request request = {
    .header = {.nlmsg_len = sizeof request, .nlmsg_type = TCPDIAG_GETSOCK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
    .body = {.idiag_family = AF_INET, .idiag_ext = arguments->extensions, .idiag_states = arguments->states},
  };
  for (int i = 0; i < arguments->namespaces; i++) read_dump(sockets[i], &request, sizeof request, visitor, tally);
}

int main(int count, char **values) {
  struct arguments arguments = read_arguments(count, values);
  for (int i = 0; i < arguments.namespaces; i++) sockets[i] = open_in_namespace(arguments.paths[i], arguments.home);
  if (arguments.capture) start_capture(arguments.capture);
  measure(&arguments, count_and_capture, poll_all);
  if (capture && fclose(capture)) die("write the capture");
  return 0;
}
