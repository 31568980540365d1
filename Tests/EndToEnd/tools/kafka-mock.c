// kafka-mock: librdkafka's mock cluster, which speaks Kafka's protocol over TCP, as a program of its own.
//
//   kafka-mock [--brokers N] [--topic NAME:PARTITIONS]...
//
// Prints one JSON line with its bootstrap servers, then obeys lines on standard input until that closes, each answered
// by a line "ok" or "error: why":
//
//   down BROKER            the broker (1 to N; 0: each of them) refuses connections and drops those it has
//   up BROKER              it is there again, at its port, with what it held
//   rtt BROKER MS          its answers are as late
//   fail API COUNT ERROR   the next COUNT requests of this kind (0 Produce, 3 Metadata, ...) get this error code; on
//                          any broker
//   topic NAME ERROR       metadata of the topic says this error code; 0: none
//
// What was produced lies in memory and goes with the process. A partition keeps its last 5 MiB and 100,000 messages
// (rdkafka_mock.c: rd_kafka_mock_partition_init), so a reader has to keep up, or partitions must be many.
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_ERRORS 1000

static void fail(const char *what, const char *why) {
  fprintf(stderr, "kafka-mock: %s: %s\n", what, why);
  exit(1);
}

static int number_of(const char *text, const char *what) {
  char *end;
  long value = strtol(text, &end, 10);
  if (end == text || *end || value < 1 || value > 10000) fail(what, text);
  return (int)value;
}

static void make_topic(rd_kafka_mock_cluster_t *cluster, char *text) {
  char *colon = strchr(text, ':');
  if (!colon) fail("--topic NAME:PARTITIONS", text);
  *colon = 0;
  rd_kafka_resp_err_t error = rd_kafka_mock_topic_create(cluster, text, number_of(colon + 1, "partitions"), 1);
  if (error) fail(text, rd_kafka_err2str(error));
}

// A command for one broker, or for each when the number is 0.
static rd_kafka_resp_err_t for_brokers(rd_kafka_mock_cluster_t *cluster, int brokers, const char *command, int broker,
                                       int value) {
  rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
  int first = broker ? broker : 1, last = broker ? broker : brokers;
  for (int id = first; id <= last && !error; id++) {
    if (!strcmp(command, "down")) error = rd_kafka_mock_broker_set_down(cluster, id);
    if (!strcmp(command, "up")) error = rd_kafka_mock_broker_set_up(cluster, id);
    if (!strcmp(command, "rtt")) error = rd_kafka_mock_broker_set_rtt(cluster, id, value);
  }
  return error;
}

static rd_kafka_resp_err_t push_errors(rd_kafka_mock_cluster_t *cluster, int api, int count, int code) {
  static rd_kafka_resp_err_t codes[MOST_ERRORS];
  if (count < 1 || count > MOST_ERRORS) return RD_KAFKA_RESP_ERR__INVALID_ARG;
  for (int i = 0; i < count; i++) codes[i] = code;
  rd_kafka_mock_push_request_errors_array(cluster, (int16_t)api, (size_t)count, codes);
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

static rd_kafka_resp_err_t obey(rd_kafka_mock_cluster_t *cluster, int brokers, const char *line) {
  char word[256];
  int first, second, third;
  if (sscanf(line, "fail %d %d %d", &first, &second, &third) == 3) return push_errors(cluster, first, second, third);
  if (sscanf(line, "topic %255s %d", word, &first) == 2) {
    rd_kafka_mock_topic_set_error(cluster, word, first);
    return RD_KAFKA_RESP_ERR_NO_ERROR;
  }
  int found = sscanf(line, "%255s %d %d", word, &first, &second);
  int wanted = !strcmp(word, "rtt") ? 3 : !strcmp(word, "down") || !strcmp(word, "up") ? 2 : 0;
  if (!wanted || found != wanted || first < 0) return RD_KAFKA_RESP_ERR__INVALID_ARG;
  return for_brokers(cluster, brokers, word, first, second);
}

int main(int count, char **values) {
  int brokers = 1;
  for (int i = 1; i < count; i += 2) {
    if (i + 1 == count) fail("usage", "kafka-mock [--brokers N] [--topic NAME:PARTITIONS]...");
    if (!strcmp(values[i], "--brokers"))
      brokers = number_of(values[i + 1], "--brokers");
    else if (strcmp(values[i], "--topic"))
      fail("unknown option", values[i]);
  }
  char why[512];
  rd_kafka_conf_t *settings = rd_kafka_conf_new();
  // It warns of bootstrap.servers that are not there: this client needs none.
  rd_kafka_conf_set(settings, "log_level", "3", why, sizeof why);
  rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, settings, why, sizeof why);
  if (!client) fail("client", why);
  rd_kafka_mock_cluster_t *cluster = rd_kafka_mock_cluster_new(client, brokers);
  if (!cluster) fail("cluster", "could not be made");
  for (int i = 1; i < count; i += 2)
    if (!strcmp(values[i], "--topic")) make_topic(cluster, values[i + 1]);

  printf("{\"bootstrap\":\"%s\"}\n", rd_kafka_mock_cluster_bootstraps(cluster));
  fflush(stdout);
  char line[512];
  while (fgets(line, sizeof line, stdin)) {
    rd_kafka_resp_err_t error = obey(cluster, brokers, line);
    printf("%s%s\n", error ? "error: " : "ok", error ? rd_kafka_err2str(error) : "");
    fflush(stdout);
  }
  // The end of the process takes apart what there is, at once; librdkafka would take a second.
  _exit(0);
}
