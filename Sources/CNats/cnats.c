#include "cnats.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

static struct cnats library;
static char failure[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void *open_library(void) {
  // Debian's name carries the version.
  static const char *const names[] = {"libnats.so.3.4", "libnats.so.3.6", "libnats.so.3.7", "libnats.so"};
  for (size_t index = 0; index < sizeof names / sizeof *names; index++) {
    void *handle = dlopen(names[index], RTLD_NOW | RTLD_LOCAL);
    if (handle != NULL) return handle;
    if (failure[0] == 0) snprintf(failure, sizeof failure, "%s", dlerror());
  }
  return NULL;
}

static void load(void) {
  void *handle = open_library();
  if (handle == NULL) return;
  failure[0] = 0;
#define LOAD(name)                                                                   \
  *(void **)&library.name = dlsym(handle, #name);                                    \
  if (*(void **)&library.name == NULL && failure[0] == 0)                            \
    snprintf(failure, sizeof failure, "libnats is too old: it has no " #name);
  CNATS_FUNCTIONS(LOAD)
#undef LOAD
}

const struct cnats *cnats_load(char *error, size_t size) {
  pthread_once(&once, load);
  if (failure[0] == 0) return &library;
  snprintf(error, size, "%s", failure);
  return NULL;
}

natsStatus cnats_publish_acknowledged(const struct cnats *library, jsCtx *context, natsMsg *message, const char *name,
                                      int64_t wait, int *error) {
  jsPubOptions options = {.MaxWait = wait, .MsgId = name};
  jsErrCode code = 0;
  natsStatus status = library->js_PublishMsg(NULL, context, message, &options, &code);
  *error = (int)code;
  return status;
}
