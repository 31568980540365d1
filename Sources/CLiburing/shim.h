// <features.h> and <sys/types.h> come first: otherwise `fd_set` clashes with Glibc's module in debug builds.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1
#endif
#include <features.h>
#include <sys/types.h>
#include <sys/eventfd.h>
#include <liburing.h>
