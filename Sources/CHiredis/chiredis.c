#include "chiredis.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static struct chiredis library;
static char failure[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void *open_library(void) {
  // Debian's name carries the version. From 1.0 on the structs of the reader are others.
  static const char *const names[] = {"libhiredis.so.0.14", "libhiredis.so.0.13"};
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
    snprintf(failure, sizeof failure, "libhiredis is too old: it has no " #name);
  CHIREDIS_FUNCTIONS(LOAD)
#undef LOAD
}

const struct chiredis *chiredis_load(char *error, size_t size) {
  pthread_once(&once, load);
  if (failure[0] == 0) return &library;
  snprintf(error, size, "%s", failure);
  return NULL;
}

static void *keep(const redisReadTask *task, const char *text, size_t length) {
  struct chiredis_reply *reply = task->privdata;
  reply->type = task->type;
  if (length >= sizeof reply->text) length = sizeof reply->text - 1;
  memcpy(reply->text, text, length);
  reply->text[length] = 0;
  return reply;
}

static void *create_string(const redisReadTask *task, char *text, size_t length) { return keep(task, text, length); }

static void *create_integer(const redisReadTask *task, long long value) {
  (void)value;
  return keep(task, "", 0);
}

static void *create_nil(const redisReadTask *task) { return keep(task, "", 0); }

// NULL is an error of the reader.
static void *create_array(const redisReadTask *task, int count) {
  (void)task;
  (void)count;
  return NULL;
}

static void free_object(void *object) { (void)object; }

redisReader *chiredis_reader(const struct chiredis *library, struct chiredis_reply *reply) {
  static redisReplyObjectFunctions functions = {create_string, create_array, create_integer, create_nil, free_object};
  redisReader *reader = library->redisReaderCreateWithFunctions(&functions);
  if (reader != NULL) reader->privdata = reply;
  return reader;
}
