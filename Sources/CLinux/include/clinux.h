// What Glibc's Swift module lacks. Each function is a thin call; no state.
#ifndef CLINUX_H
#define CLINUX_H

/// setns(2) into a network namespace. Returns 0, or -1 with errno set.
int clinux_setns_net(int fd);

#endif
