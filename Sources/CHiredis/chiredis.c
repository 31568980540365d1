#include "chiredis.h"
#include "cloader.h"

#include <string.h>

static struct chiredis library;

// Debian's name carries the version. From 1.0 on the structs of the reader are others.
static const char *const names[] = {"libhiredis.so.0.14", "libhiredis.so.0.13", NULL};
static const char *const symbols[] = {CHIREDIS_FUNCTIONS(CLOADER_SYMBOL) NULL};

static struct cloader loader = CLOADER(names, symbols, library, NULL);

const struct chiredis *chiredis_load(char *error, size_t size) { return cloader_load(&loader, error, size); }

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
