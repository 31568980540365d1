// What the two halves of the population generator share: population.c makes namespaces and processes,
// population-sockets.c fills one namespace with sockets.
#pragma once
#include <stdbool.h>
#include <stdnoreturn.h>

// Counts are per namespace.
struct plan {
  const char *prefix;
  int namespaces;
  int v4, v6, mapped;          // established connections by address family (two sockets each)
  int listeners;               // any / loopback / v6only / bound to a device, in turn
  int time_wait;               // connections closed at the start; the kernel keeps each for 60 s
  int churn;                   // connections opened and closed per second, which keeps TIME_WAIT populated
  int half_closed;             // FIN_WAIT2 + CLOSE_WAIT
  int stuffed;                 // peers that do not read: zero windows, FIN_WAIT1, LAST_ACK, CLOSING
  int lossy;                   // a receiver that drops at random while data flows: retransmits, SACK, reordering
  int syn_sent, syn_received;  // handshakes that stay unfinished
  int mptcp;                   // connections whose subflows carry the ULP "mptcp"
  int active, rate;            // the first `active` connections exchange data, `rate` writes per second for all of them
  int plain;                   // 1: every connection alike (benchmarks); 0: mixed congestion control, TOS, marks, ...
};

noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));   // with errno's text
noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));  // without
void bring_up_loopback(void);

// Fills its share of the current namespace, writes one byte to `ready`, then makes traffic until it is killed.
noreturn void run_worker(const struct plan *plan, int namespace_index, int chunk, int chunks, int ready);
