#include "crdkafka.h"
#include "cloader.h"

static struct crdkafka library;

static const char *const names[] = {"librdkafka.so.1", NULL};
static const char *const symbols[] = {CRDKAFKA_FUNCTIONS(CLOADER_SYMBOL) NULL};

static struct cloader loader = CLOADER(names, symbols, library, NULL);

const struct crdkafka *crdkafka_load(char *error, size_t size) { return cloader_load(&loader, error, size); }

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
