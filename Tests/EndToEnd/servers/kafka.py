"""Kafka: librdkafka's mock cluster over TCP, read by a consumer of another release of the library."""
import dataclasses
import json
import os
import signal
import subprocess
import threading
import time

import confluent_kafka

import bed

PRODUCE, FETCH, METADATA, INIT_PRODUCER_ID = 0, 1, 3, 22
NOT_LEADER, REQUEST_TIMED_OUT, MESSAGE_TOO_LARGE, TOPIC_AUTHORIZATION_FAILED = 6, 7, 10, 29


@dataclasses.dataclass
class Message:
    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes
    headers: dict


class Kafka:
    """A cluster that holds `topics` ({name: partitions}); others are made, with four partitions, when they are named.

    The mock holds what it has in memory: killed, it would come back empty and at other ports. So there is no kill();
    `down()` and `up()` do to a broker what the tests need, and no message is lost. It has neither TLS nor SASL: a
    certificate that must be refused stands before it in a relay.

    A partition of the mock keeps 5 MiB, therefore a consumer reads all the time, and `read_all()` fails if it missed
    an offset. 200 MB that had waited for the brokers came through 16 partitions; fewer leave it less time."""

    def __init__(self, topics=None, brokers=1):
        self.topics = dict(topics or {"xtcp": 32})
        self.brokers = brokers

    def __enter__(self):
        arguments = [str(bed.TOOLS / "kafka-mock"), "--brokers", str(self.brokers)]
        for name, partitions in self.topics.items():
            arguments += ["--topic", f"{name}:{partitions}"]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        assert line, f"kafka-mock ended with {self.process.wait()}"
        self.bootstrap = json.loads(line)["bootstrap"]
        try:
            self.reader = Reader(self.bootstrap, self.topics)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        try:
            self.reader.close()
        finally:
            self.stop()

    def stop(self):
        """Ends the cluster; what it held is gone."""
        self.process.stdin.close()
        try:
            assert self.process.wait(10) == 0
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            self.process.stdout.close()

    @property
    def addresses(self):
        return self.bootstrap.split(",")

    @property
    def url(self):
        """Of one broker, as a user would configure it."""
        return self.addresses[0]

    @property
    def port(self):
        return int(self.url.rpartition(":")[2])

    def command(self, *words):
        """See tools/kafka-mock.c."""
        self.process.stdin.write(" ".join(map(str, words)) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().strip()
        assert answer == "ok", f"kafka-mock: {words}: {answer or 'it has ended'}"

    def down(self, broker=0):
        """One broker (1 ...), or each: connections break, new ones are refused, data stays."""
        self.command("down", broker)

    def up(self, broker=0):
        self.command("up", broker)

    def set_rtt(self, milliseconds, broker=0):
        self.command("rtt", broker, milliseconds)

    def fail_next(self, api, error, count=1):
        """The next `count` requests of that kind get that error code."""
        self.command("fail", api, count, error)

    def fail_topic(self, topic, error):
        """Metadata says this error of the topic, until it is 0."""
        self.command("topic", topic, error)

    def restart(self, down=0.0):
        """All brokers down for so many seconds."""
        self.down()
        time.sleep(down)
        self.up()

    def freeze(self):
        """SIGSTOP: connections stay, nothing is read or answered."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def watch(self, topic):
        """Reads a topic too that was made by naming it."""
        self.reader.watch(topic)

    def read_all(self, timeout=30):
        """Every Message so far, in order within a partition. The brokers have to be up."""
        return self.reader.read_all(timeout)


class Reader:
    """Consumes every partition from its beginning, in a thread."""

    def __init__(self, bootstrap, topics):
        settings = {"bootstrap.servers": bootstrap, "group.id": f"bed-{os.getpid()}", "enable.auto.commit": False,
                    "auto.offset.reset": "earliest", "reconnect.backoff.max.ms": 500, "log_level": 0,
                    "fetch.wait.max.ms": 20, "fetch.message.max.bytes": 5 << 20,
                    "queued.min.messages": 1_000_000, "queued.max.messages.kbytes": 1 << 20,
                    "allow.auto.create.topics": False}
        self.consumer = confluent_kafka.Consumer(settings)
        # Asked for the ends of partitions: the client takes no call while another thread of it consumes.
        self.inquirer = confluent_kafka.Consumer(settings)
        self.lock = threading.Lock()
        self.messages = []
        self.position = {}
        self.missed = []
        self.wanted = []
        self.ended = False
        for topic in topics:
            self.watch(topic)
        self.thread = threading.Thread(target=self._consume)
        self.thread.start()

    def watch(self, topic):
        described = self.inquirer.list_topics(topic, timeout=10).topics[topic]
        assert described.error is None, f"{topic}: {described.error}"
        with self.lock:
            for partition in described.partitions:
                self.position.setdefault((topic, partition), 0)
                self.wanted.append(confluent_kafka.TopicPartition(topic, partition, 0))

    def _consume(self):
        while not self.ended:
            with self.lock:
                wanted, self.wanted = self.wanted, []
            if wanted:
                self.consumer.incremental_assign(wanted)
            for message in self.consumer.consume(1000, timeout=0.1):
                if message.error() is None:
                    self._take(message)

    def _take(self, message):
        where = message.topic(), message.partition()
        with self.lock:
            if message.offset() != self.position[where]:
                self.missed.append((*where, self.position[where], message.offset()))
            self.position[where] = message.offset() + 1
            self.messages.append(Message(*where, message.offset(), message.key(), message.value(),
                                         dict(message.headers() or [])))

    def read_all(self, timeout):
        def caught_up():
            for topic, partition in list(self.position):
                _, high = self.inquirer.get_watermark_offsets(confluent_kafka.TopicPartition(topic, partition), 10)
                if self.position[topic, partition] < high:
                    return False
            return True
        bed.eventually(caught_up, timeout, f"all messages of {sorted({topic for topic, _ in self.position})}")
        with self.lock:
            assert not self.missed, f"the mock dropped messages before they were read: {self.missed[:5]}"
            return list(self.messages)

    def close(self):
        self.ended = True
        self.thread.join()
        self.consumer.close()
        self.inquirer.close()
