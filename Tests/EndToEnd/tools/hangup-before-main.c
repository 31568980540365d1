// Preloaded: raises SIGHUP after the constructors of the program and right before its main.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>

typedef int main_function(int, char **, char **);
typedef int start_function(main_function *, int, char **, main_function *, void (*)(void), void (*)(void), void *);

static main_function *program;

static int hang_up(int count, char **values, char **environment) {
  raise(SIGHUP);
  return program(count, values, environment);
}

int __libc_start_main(main_function *main, int count, char **values, main_function *start, void (*end)(void),
                      void (*loader_end)(void), void *stack) {
  start_function *real = (start_function *)dlsym(RTLD_NEXT, "__libc_start_main");
  program = main;
  return real(hang_up, count, values, start, end, loader_end, stack);
}
