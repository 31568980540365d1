// Fills one network namespace with TCP sockets of many kinds. population.c makes the namespaces and the processes.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "population.h"

enum { SERVICE_PORT = 5000, LISTENER_PORT = 20000, SPECIAL_PORT = 7000, FIRST_CLIENT_PORT = 10000 };
enum { LISTENERS_A_CHUNK = 2 };

struct pair {
  int client, server;
};

void die(const char *format, ...) {
  int error = errno;
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "population: ");
  vfprintf(stderr, format, arguments);
  fprintf(stderr, ": %s\n", strerror(error));
  va_end(arguments);
  exit(1);
}

void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fprintf(stderr, "population: ");
  vfprintf(stderr, format, arguments);
  fprintf(stderr, "\n");
  va_end(arguments);
  exit(1);
}

void bring_up_loopback(void) {
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct ifreq request = {.ifr_name = "lo"};
  if (ioctl(fd, SIOCGIFFLAGS, &request)) die("SIOCGIFFLAGS");
  request.ifr_flags |= IFF_UP;
  if (ioctl(fd, SIOCSIFFLAGS, &request)) die("SIOCSIFFLAGS");
  close(fd);
}

// --- addresses ---

enum family { V4, V6, MAPPED };

// One sockaddr for all: `host` is an IPv4 address in host order; for V6 the address is ::1, for MAPPED ::ffff:host.
static struct sockaddr_storage address(enum family family, uint32_t host, int port) {
  struct sockaddr_storage storage = {0};
  if (family == V4) {
    struct sockaddr_in *v4 = (void *)&storage;
    v4->sin_family = AF_INET;
    v4->sin_addr.s_addr = htonl(host);
    v4->sin_port = htons((uint16_t)port);
    return storage;
  }
  struct sockaddr_in6 *v6 = (void *)&storage;
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons((uint16_t)port);
  if (family == V6) {
    v6->sin6_addr = in6addr_loopback;
  } else {
    v6->sin6_addr.s6_addr[10] = v6->sin6_addr.s6_addr[11] = 0xff;
    uint32_t network = htonl(host);
    memcpy(v6->sin6_addr.s6_addr + 12, &network, 4);
  }
  return storage;
}

static uint32_t loopback(int a, int b, int c) {
  return 127u << 24 | (uint32_t)a << 16 | (uint32_t)b << 8 | (uint32_t)c;
}

static void set(int fd, int level, int option, int value) {
  if (setsockopt(fd, level, option, &value, sizeof value)) die("setsockopt(%d, %d, %d)", level, option, value);
}

static int tcp_socket(enum family family, int protocol) {
  int fd = socket(family == V4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, protocol);
  if (fd < 0) die("socket");
  set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
  return fd;
}

static int listen_at(enum family family, int protocol, struct sockaddr_storage at, int backlog) {
  int fd = tcp_socket(family, protocol);
  if (bind(fd, (void *)&at, sizeof at)) die("bind of a listener");
  if (listen(fd, backlog)) die("listen");
  return fd;
}

// Binds where `from` is given, connects, accepts. The client's port is the kernel's choice where `from`'s is 0.
static struct pair connect_through(int listener, int client, const struct sockaddr_storage *from,
                                   struct sockaddr_storage to) {
  if (from && bind(client, (const void *)from, sizeof *from)) die("bind of a client");
  if (connect(client, (void *)&to, sizeof to)) die("connect");
  int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  if (server < 0) die("accept");
  return (struct pair){client, server};
}

// A connection of the special kinds: IPv4 and IPv6 in turn, from an address of their own (127.9.0.1).
static struct pair special_connection(const int listeners[2], int i) {
  enum family family = i % 2 ? V6 : V4;
  struct sockaddr_storage from = address(family, loopback(9, 0, 1), 0);
  return connect_through(listeners[i % 2], tcp_socket(family, 0), &from,
                         address(family, loopback(9, 0, 2), SPECIAL_PORT));
}

// --- variety ---

static void choose_congestion_control(int fd, int i) {
  static const char *const algorithms[] = {"cubic", "reno", "bbr"};
  const char *algorithm = algorithms[i % 3];
  if (setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, algorithm, (socklen_t)strlen(algorithm)))
    die("TCP_CONGESTION %s", algorithm);
}

static void vary_before_connect(int fd, enum family family, int i) {
  choose_congestion_control(fd, i);
  if (i % 5 == 0) set(fd, SOL_SOCKET, SO_MARK, 0x100 + i % 64);
  if (i % 7 == 0) set(fd, IPPROTO_IP, IP_TOS, (i % 8) << 5);
  if (i % 7 == 0 && family != V4) set(fd, IPPROTO_IPV6, IPV6_TCLASS, (i % 16) << 4);
  if (i % 11 == 0) set(fd, IPPROTO_TCP, TCP_MAXSEG, 1000 + i % 400);
  if (i % 13 == 0) set(fd, SOL_SOCKET, SO_RCVBUF, 30000 + i % 1000);
  if (i % 17 == 0 && family == V4) set(fd, IPPROTO_IP, IP_FREEBIND, 1);
  if (i % 23 == 0 && family == V4) set(fd, IPPROTO_IP, IP_RECVERR, 1);
}

static void vary_after_connect(struct pair pair, int i) {
  if (i % 3 == 0) {
    set(pair.client, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(pair.client, IPPROTO_TCP, TCP_KEEPIDLE, 60 + i % 3000);
  }
  if (i % 13 == 1) set(pair.client, SOL_SOCKET, SO_MAX_PACING_RATE, 1000000 + i);
  if (i % 19 == 0 && fchown(pair.server, (uid_t)(1000 + i % 50), (gid_t)-1)) die("fchown of a socket");
}

// Some bytes both ways, so that counters, RTT and delivery rate are not zero. One in ten leaves them unread.
static void exchange(struct pair pair, int i) {
  char bytes[4096] = {0};
  size_t size = 1 + (size_t)(i * 37 % (int)sizeof bytes);
  for (int round = 0; round < 1 + i % 3; round++) {
    if (write(pair.client, bytes, size) < 0) die("write");
    if (i % 10 == 9) continue;
    for (size_t got = 0; got < size;) {
      ssize_t n = read(pair.server, bytes, sizeof bytes);
      if (n <= 0) die("read");
      got += (size_t)n;
    }
    if (write(pair.server, bytes, 1) < 0 || read(pair.client, bytes, 1) != 1) die("answer");
  }
}

// --- the kinds ---

static struct pair *pairs;
static int pair_count;

// Connections first .. last of the plan's order (all v4, then v6, then v4-mapped). A chunk has addresses and service
// ports of its own, so that client ports can repeat.
static void make_connections(const struct plan *plan, int chunk, int first, int last) {
  pairs = calloc((size_t)(last - first) + 1, sizeof *pairs);
  int ends[3] = {plan->v4, plan->v4 + plan->v6, plan->v4 + plan->v6 + plan->mapped};
  int listeners[3][LISTENERS_A_CHUNK];
  for (int family = V4; family <= MAPPED; family++)
    for (int j = 0; j < LISTENERS_A_CHUNK; j++) {
      int port = SERVICE_PORT + (chunk * 3 + family) * LISTENERS_A_CHUNK + j;
      // v4-mapped connections arrive at a dual-stack listener on [::].
      struct sockaddr_storage at = address(family == MAPPED ? V6 : family, loopback(1 + chunk, 0, 1), port);
      if (family == MAPPED) ((struct sockaddr_in6 *)&at)->sin6_addr = in6addr_any;
      listeners[family][j] = listen_at(family, 0, at, 4096);
    }
  for (int i = first; i < last; i++) {
    enum family family = i < ends[0] ? V4 : i < ends[1] ? V6 : MAPPED;
    int port = SERVICE_PORT + (chunk * 3 + (int)family) * LISTENERS_A_CHUNK + i % LISTENERS_A_CHUNK;
    int client = tcp_socket(family, 0);
    struct sockaddr_storage from = address(family, loopback(1 + chunk, 1, 1), FIRST_CLIENT_PORT + i - first);
    if (!plan->plain) vary_before_connect(client, family, i);
    struct pair pair = connect_through(listeners[family][i % LISTENERS_A_CHUNK], client, &from,
                                       address(family, loopback(1 + chunk, 0, 1), port));
    if (!plan->plain) {
      vary_after_connect(pair, i);
      if (i % 2) exchange(pair, i);
    }
    pairs[pair_count++] = pair;
  }
}

static void make_listeners(int count) {
  for (int i = 0; i < count; i++) {
    enum family family = i % 5 < 2 ? V4 : V6;
    int fd = tcp_socket(family, 0);
    struct sockaddr_storage at = address(family, i % 5 == 0 ? INADDR_ANY : loopback(0, 0, 1), LISTENER_PORT + i);
    if (i % 5 == 2 || i % 5 == 3) ((struct sockaddr_in6 *)&at)->sin6_addr = in6addr_any;
    if (i % 5 == 3) set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (i % 10 == 1 && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2)) die("SO_BINDTODEVICE");
    if (bind(fd, (void *)&at, sizeof at) || listen(fd, 16 + i)) die("listener %d", i);
  }
}

static void close_to_time_wait(struct pair pair) {
  close(pair.client);
  close(pair.server);
}

static void make_half_closed(const int listeners[2], int count) {
  for (int i = 0; i < count; i++) {
    struct pair pair = special_connection(listeners, i);
    // A closed one leaves FIN_WAIT2 as a mini-socket without tcp_info, a shut one stays a full socket.
    if (i % 4 == 3) close(pair.client);
    else shutdown(pair.client, SHUT_WR);
  }
}

static void write_until_full(int fd) {
  char bytes[16384] = {0};
  while (send(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0) continue;
}

static void make_stuffed(const int listeners[2], int count) {
  struct pair stuffed[count + 1];
  for (int i = 0; i < count; i++) {
    stuffed[i] = special_connection(listeners, i);
    set(stuffed[i].server, SOL_SOCKET, SO_RCVBUF, 4096);
    set(stuffed[i].client, SOL_SOCKET, SO_SNDBUF, 32768);
  }
  for (int round = 0; count && round < 5; round++) {
    for (int i = 0; i < count; i++) write_until_full(stuffed[i].client);
    usleep(60000);  // longer than a delayed acknowledgement, so that each round meets the window that is left
  }
  for (int i = 0; i < count; i++) {
    int client = stuffed[i].client, server = stuffed[i].server;
    if (i % 4 == 1) shutdown(client, SHUT_WR);  // FIN_WAIT1: the FIN waits behind a zero window
    if (i % 4 == 2) shutdown(server, SHUT_WR), shutdown(client, SHUT_WR);  // LAST_ACK and FIN_WAIT2
    if (i % 4 == 3) shutdown(client, SHUT_WR), shutdown(server, SHUT_WR);  // CLOSING and FIN_WAIT2
  }
}

// The receiver's socket filter drops one segment in twelve at random, which needs no traffic control module.
static void make_lossy(const int listeners[2], int count) {
  struct sock_filter program[] = {
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_RANDOM)),
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, UINT32_MAX / 12, 1, 0),
    BPF_STMT(BPF_RET | BPF_K, 0),
    BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
  };
  struct sock_fprog filter = {.len = sizeof program / sizeof *program, .filter = program};
  struct pair lossy[count + 1];
  for (int i = 0; i < count; i++) {
    lossy[i] = special_connection(listeners, i);
    choose_congestion_control(lossy[i].client, i);
    set(lossy[i].client, IPPROTO_TCP, TCP_NODELAY, 1);
    set(lossy[i].client, SOL_SOCKET, SO_SNDBUF, 262144);
    if (setsockopt(lossy[i].server, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter)) die("SO_ATTACH_FILTER");
  }
  char bytes[65536] = {0};
  for (int round = 0; count && round < 80; round++) {
    for (int i = 0; i < count; i++) {
      for (int burst = 0; burst < 8 && round < 30; burst++) send(lossy[i].client, bytes, 1500, MSG_DONTWAIT);
      while (recv(lossy[i].server, bytes, sizeof bytes, MSG_DONTWAIT) > 0) continue;
    }
    usleep(10000);
  }
  int none = 0;
  for (int i = 0; i < count; i++) setsockopt(lossy[i].server, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof none);
}

// A full accept queue drops further SYNs: their senders stay in SYN_SENT and retransmit.
static void make_syn_sent(int count) {
  struct sockaddr_storage at = address(V4, loopback(9, 0, 3), SPECIAL_PORT);
  listen_at(V4, 0, at, 0);
  for (int i = 0; i < count + 1; i++) {  // the queue of length 0 still takes one
    int fd = tcp_socket(V4, 0);
    set(fd, IPPROTO_TCP, TCP_SYNCNT, 100);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    connect(fd, (void *)&at, sizeof at);
  }
}

// TCP_DEFER_ACCEPT keeps the server's side a request socket in SYN_RECV until data come, which never do.
static void make_syn_received(int count) {
  for (int i = 0; i < count; i++) {
    enum family family = i % 2 ? V6 : V4;
    struct sockaddr_storage at = address(family, loopback(9, 0, 4), SPECIAL_PORT + 1);
    if (i < 2) {
      int listener = tcp_socket(family, 0);
      set(listener, IPPROTO_TCP, TCP_DEFER_ACCEPT, 3600);
      if (bind(listener, (void *)&at, sizeof at) || listen(listener, 4096)) die("deferring listener");
    }
    int fd = tcp_socket(family, 0);
    if (connect(fd, (void *)&at, sizeof at)) die("connect to a deferring listener");
  }
}

static void make_mptcp(int count) {
  if (!count) return;
  struct sockaddr_storage at = address(V4, loopback(9, 0, 5), SPECIAL_PORT);
  int listener = listen_at(V4, IPPROTO_MPTCP, at, 1024);
  for (int i = 0; i < count; i++) {
    struct pair pair = connect_through(listener, tcp_socket(V4, IPPROTO_MPTCP), NULL, at);
    exchange(pair, 0);
  }
}

// --- traffic ---

static int64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void sleep_until(int64_t deadline) {
  struct timespec time = {.tv_sec = deadline / 1000000000, .tv_nsec = deadline % 1000000000};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR) continue;
}

static void exchange_once(struct pair pair, unsigned turn) {
  char bytes[8192] = {0};
  send(pair.client, bytes, 1 + turn * 97 % sizeof bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (recv(pair.server, bytes, sizeof bytes, MSG_DONTWAIT) > 0) continue;
  send(pair.server, bytes, 1, MSG_DONTWAIT | MSG_NOSIGNAL);
  while (recv(pair.client, bytes, sizeof bytes, MSG_DONTWAIT) > 0) continue;
}

noreturn static void make_traffic(const struct plan *plan, const int listeners[2], int active, int churn) {
  const int64_t second = 1000000000;
  int64_t now = now_ns(), next_write = INT64_MAX, next_churn = INT64_MAX;
  if (active && plan->rate) next_write = now;
  if (churn) next_churn = now;
  for (unsigned turn = 0;; turn++) {
    int64_t next = next_write < next_churn ? next_write : next_churn;
    if (next == INT64_MAX) {
      pause();
      continue;
    }
    sleep_until(next);
    if (next == next_write) {
      exchange_once(pairs[turn % (unsigned)active], turn);
      next_write += second / plan->rate;
    } else {
      close_to_time_wait(special_connection(listeners, (int)(turn & 0xffff)));
      next_churn += second / churn;
    }
  }
}

noreturn void run_worker(const struct plan *plan, int namespace_index, int chunk, int chunks, int ready) {
  (void)namespace_index;
  int total = plan->v4 + plan->v6 + plan->mapped;
  int first = (int)((long)total * chunk / chunks), last = (int)((long)total * (chunk + 1) / chunks);
  make_connections(plan, chunk, first, last);

  int listeners[2] = {-1, -1};
  int specials = plan->half_closed + plan->stuffed + plan->lossy + plan->time_wait + plan->churn;
  if (chunk == 0) {
    for (int i = 0; i < 2 && specials; i++)
      listeners[i] = listen_at(i ? V6 : V4, 0, address(i ? V6 : V4, loopback(9, 0, 2), SPECIAL_PORT), 4096);
    make_listeners(plan->listeners);
    make_half_closed(listeners, plan->half_closed);
    make_stuffed(listeners, plan->stuffed);
    make_lossy(listeners, plan->lossy);
    // The queue that this needs holds a connection in any case, which a plain population is not to have unasked.
    if (plan->syn_sent || !plan->plain) make_syn_sent(plan->syn_sent);
    make_syn_received(plan->syn_received);
    make_mptcp(plan->mptcp);
    for (int i = 0; i < plan->time_wait; i++) close_to_time_wait(special_connection(listeners, i));
  }
  if (write(ready, "r", 1) != 1) die("report");
  close(ready);
  int active = plan->active < pair_count ? plan->active : pair_count;
  make_traffic(plan, listeners, chunk == 0 ? active : 0, chunk == 0 ? plan->churn : 0);
}
