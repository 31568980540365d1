// <features.h> and <sys/types.h> come first, and before _GNU_SOURCE: otherwise `fd_set` differs from the one in
// Glibc's module.
#include <features.h>
#include <sys/types.h>
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <sys/eventfd.h>
#include <liburing.h>
