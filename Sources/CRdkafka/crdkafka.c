#include "crdkafka.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

static struct crdkafka library;
static char failure[256];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
  void *handle = dlopen("librdkafka.so.1", RTLD_NOW | RTLD_LOCAL);
  if (handle == NULL) {
    snprintf(failure, sizeof failure, "%s", dlerror());
    return;
  }
#define LOAD(name)                                                                      \
  *(void **)&library.name = dlsym(handle, #name);                                       \
  if (*(void **)&library.name == NULL && failure[0] == 0)                               \
    snprintf(failure, sizeof failure, "librdkafka.so.1 is too old: it has no " #name);
  CRDKAFKA_FUNCTIONS(LOAD)
#undef LOAD
}

const struct crdkafka *crdkafka_load(char *error, size_t size) {
  pthread_once(&once, load);
  if (failure[0] == 0) return &library;
  snprintf(error, size, "%s", failure);
  return NULL;
}

rd_kafka_resp_err_t crdkafka_produce(const struct crdkafka *library, rd_kafka_t *client,
                                     const struct crdkafka_message *message) {
  rd_kafka_vu_t parts[7];
  size_t count = 0;
  parts[count].vtype = RD_KAFKA_VTYPE_TOPIC;
  parts[count++].u.cstr = message->topic;
  // No flags: the value is neither copied nor freed.
  parts[count].vtype = RD_KAFKA_VTYPE_MSGFLAGS;
  parts[count++].u.i = 0;
  parts[count].vtype = RD_KAFKA_VTYPE_VALUE;
  parts[count].u.mem.ptr = (void *)message->value;
  parts[count++].u.mem.size = message->value_size;
  parts[count].vtype = RD_KAFKA_VTYPE_OPAQUE;
  parts[count++].u.ptr = message->opaque;
  if (message->key != NULL) {
    parts[count].vtype = RD_KAFKA_VTYPE_KEY;
    parts[count].u.mem.ptr = (void *)message->key;
    parts[count++].u.mem.size = message->key_size;
  }
  if (message->headers != NULL) {
    parts[count].vtype = RD_KAFKA_VTYPE_HEADERS;
    parts[count++].u.headers = message->headers;
  }
  rd_kafka_error_t *error = library->rd_kafka_produceva(client, parts, count);
  if (error == NULL) return RD_KAFKA_RESP_ERR_NO_ERROR;
  rd_kafka_resp_err_t code = library->rd_kafka_error_code(error);
  library->rd_kafka_error_destroy(error);
  return code;
}
