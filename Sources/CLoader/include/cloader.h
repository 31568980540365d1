// Libraries that are loaded on first use: whoever does not use what they are for needs neither their package nor their
// memory.
#ifndef CLOADER_H
#define CLOADER_H

#include <pthread.h>
#include <stddef.h>

/// A library of which some functions are called, through a struct of pointers to them.
struct cloader {
  /// File names to try, in order, and NULL.
  const char *const *names;
  /// Of the functions, in the order of the struct, and NULL.
  const char *const *symbols;
  /// The struct.
  void **functions;
  /// What is to be done once; NULL: nothing. 0, or -1 with `failure`.
  int (*begin)(char *failure, size_t size);
  pthread_mutex_t lock;
  int is_over;
  char failure[256];
};

/// For lists of functions: an entry of `symbols`.
#define CLOADER_SYMBOL(name) #name,

/// Makes a loader; `functions_struct` has nothing but pointers to functions.
#define CLOADER(library_names, library_symbols, functions_struct, begin_function)                    \
  {.names = library_names, .symbols = library_symbols, .functions = (void **)&(functions_struct),    \
   .begin = begin_function, .lock = PTHREAD_MUTEX_INITIALIZER}

/// Loads the library, for the first caller and the life of the process. Returns the struct, or NULL if it cannot be loaded, and
/// `error` says why, each time. Safe to call from any thread.
const void *cloader_load(struct cloader *loader, char *error, size_t size);

#endif
