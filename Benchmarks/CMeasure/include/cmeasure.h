// What tests and benchmarks measure that no Swift API tells: allocations and instructions of this process.
#pragma once
#include <stdint.h>

/// Calls of malloc, calloc, realloc and the aligned variants so far, by all threads. Linking this library replaces them.
uint64_t measure_allocations(void);
/// Whether allocations are counted: not under a sanitizer, which brings an allocator of its own.
int measure_counts_allocations(void);
/// Opens a counter of this thread's instructions in user space (perf_event_open(2)); -1 where that is not permitted.
int measure_open_instructions(void);
