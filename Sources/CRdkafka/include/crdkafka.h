// librdkafka, loaded on first use: whoever has no kafka sink needs neither its package nor its memory.
#ifndef CRDKAFKA_H
#define CRDKAFKA_H

#include <librdkafka/rdkafka.h>
#include <stddef.h>

// Every function that is called, once.
#define CRDKAFKA_FUNCTIONS(X)              \
  X(rd_kafka_version_str)                  \
  X(rd_kafka_err2str)                      \
  X(rd_kafka_conf_new)                     \
  X(rd_kafka_conf_destroy)                 \
  X(rd_kafka_conf_set)                     \
  X(rd_kafka_conf_set_opaque)              \
  X(rd_kafka_conf_set_dr_msg_cb)           \
  X(rd_kafka_conf_set_error_cb)            \
  X(rd_kafka_conf_set_log_cb)              \
  X(rd_kafka_conf_interceptor_add_on_new)  \
  X(rd_kafka_interceptor_add_on_thread_start) \
  X(rd_kafka_interceptor_add_on_thread_exit)  \
  X(rd_kafka_new)                          \
  X(rd_kafka_destroy)                      \
  X(rd_kafka_poll)                         \
  X(rd_kafka_flush)                        \
  X(rd_kafka_purge)                        \
  X(rd_kafka_fatal_error)                  \
  X(rd_kafka_controllerid)                 \
  X(rd_kafka_queue_get_main)               \
  X(rd_kafka_queue_cb_event_enable)        \
  X(rd_kafka_queue_destroy)                \
  X(rd_kafka_produceva)                    \
  X(rd_kafka_error_code)                   \
  X(rd_kafka_error_destroy)                \
  X(rd_kafka_headers_new)                  \
  X(rd_kafka_headers_copy)                 \
  X(rd_kafka_headers_destroy)              \
  X(rd_kafka_header_add)

struct crdkafka {
#define CRDKAFKA_MEMBER(name) __typeof__(name) *_Nonnull name;
  CRDKAFKA_FUNCTIONS(CRDKAFKA_MEMBER)
#undef CRDKAFKA_MEMBER
};

/// The library, loaded by the first caller and for the life of the process. NULL: it cannot be loaded, and `error` says why.
/// Safe to call from any thread.
const struct crdkafka *_Nullable crdkafka_load(char *_Nonnull error, size_t size);

/// What goes into one message.
struct crdkafka_message {
  const char *_Nonnull topic;
  /// Not copied: it stays until the message's delivery report.
  const void *_Nullable value;
  size_t value_size;
  /// Copied; NULL: the message has none.
  const void *_Nullable key;
  size_t key_size;
  /// Taken over if the message is accepted.
  rd_kafka_headers_t *_Nullable headers;
  /// Comes back as `_private` of the delivery report.
  void *_Nullable opaque;
};

/// rd_kafka_produceva(3) to any partition. A delivery report follows if, and only if, it returns RD_KAFKA_RESP_ERR_NO_ERROR.
rd_kafka_resp_err_t crdkafka_produce(const struct crdkafka *_Nonnull library, rd_kafka_t *_Nonnull client,
                                     const struct crdkafka_message *_Nonnull message);

#endif
