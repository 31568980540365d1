// processes COUNT: starts COUNT processes that do nothing, says "COUNT" on standard output when all are there, and ends
// them all when standard input ends.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int count, char **values) {
  const int wanted = count == 2 ? atoi(values[1]) : 0;
  if (wanted < 1) return 64;
  pid_t *children = calloc((size_t)wanted, sizeof *children);
  if (!children) return 1;
  const pid_t parent = getpid();
  int started = 0;
  for (; started < wanted; started++) {
    const pid_t child = fork();
    if (child < 0) {
      fprintf(stderr, "processes: fork: %s after %d\n", strerror(errno), started);
      break;
    }
    if (child == 0) {
      // Whatever becomes of the parent, none stays behind.
      if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent) _exit(1);
      close(STDIN_FILENO);
      close(STDOUT_FILENO);
      for (;;) pause();
    }
    children[started] = child;
  }
  if (started == wanted) {
    printf("%d\n", started);
    fflush(stdout);
    char byte;
    ssize_t size;
    do size = read(STDIN_FILENO, &byte, 1);
    while (size > 0 || (size < 0 && errno == EINTR));
  }
  for (int i = 0; i < started; i++) kill(children[i], SIGKILL);
  for (int i = 0; i < started; i++) waitpid(children[i], NULL, 0);
  free(children);
  return started == wanted ? 0 : 1;
}
