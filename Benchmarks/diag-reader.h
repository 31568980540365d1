// What floor.c and naive.c share: sockets of sock_diag in other namespaces, a recv loop that discards, and measuring.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdnoreturn.h>

// The kernel makes no datagram of a dump larger than this.
enum { DATAGRAM_LIMIT = 32768, MAX_NAMESPACES = 4096, MAX_ITERATIONS = 1000 };

struct arguments {
  int iterations;
  bool counting;        // one more poll, before the measured ones, that counts sockets
  uint8_t extensions;   // idiag_ext
  uint32_t states;      // idiag_states
  const char *capture;  // a file to write; NULL: none
  const char **paths;   // of the namespaces
  int namespaces;
  int home;  // the namespace of this process
};

struct tally {
  uint64_t sockets, bytes, datagrams;
};

// Looks at the sockets of one datagram.
typedef void (*datagram_visitor)(struct tally *tally, const char *bytes, size_t length);

// Reads every namespace once. `visitor` is NULL where the datagrams are discarded.
typedef void (*poll_function)(const struct arguments *arguments, datagram_visitor visitor, struct tally *tally);

noreturn void die(const char *what);   // with errno's text
noreturn void fail(const char *what);  // without

// --iterations N, --extensions MASK, --states MASK, --count 0|1, --capture FILE, then paths of namespaces.
struct arguments read_arguments(int count, char **values);

// A socket of sock_diag in the namespace; the caller stays where it is.
int open_in_namespace(const char *path, int home);

// Sends the request of a dump and receives all of the answer.
void read_dump(int diag, const void *request, size_t size, datagram_visitor visitor, struct tally *tally);

// Adds the sockets of a datagram to the tally, by its message headers.
void count_sockets(struct tally *tally, const char *bytes, size_t length);

// Polls once with `visitor` if sockets are to be counted, then `iterations` times without; prints one JSON line. CPU is
// user + system of this process, and both CPU and wall time are the median of one poll of all namespaces.
void measure(const struct arguments *arguments, datagram_visitor visitor, poll_function poll);
