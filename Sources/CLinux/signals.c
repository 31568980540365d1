#include <signal.h>
#include <stddef.h>
#include <string.h>

// Runs before main, after the dynamic loader; glibc hands the arguments of main to it.
//
// A SIGHUP that comes between the start of the process and the moment its SignalReader stands would end it. Blocked, it waits
// and is read then. The disposition is set as well: nohup(1) leaves SIGHUP ignored, and a signal that is ignored is thrown away
// even while it is blocked.
__attribute__((constructor)) static void hold_signals(int count, char **values) {
  if (count < 2 || values == NULL || values[1] == NULL || strcmp(values[1], "run") != 0) return;
  const int held[] = {SIGHUP, SIGUSR1};
  sigset_t set;
  sigemptyset(&set);
  for (size_t i = 0; i < sizeof held / sizeof *held; i++) sigaddset(&set, held[i]);
  sigprocmask(SIG_BLOCK, &set, NULL);
  for (size_t i = 0; i < sizeof held / sizeof *held; i++) signal(held[i], SIG_DFL);
}
