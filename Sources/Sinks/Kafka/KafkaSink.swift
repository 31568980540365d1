/// Sinks that produce to Kafka.
public enum KafkaSink {
  /// - Parameter registry: where the producer is found, or made.
  /// - Throws: librdkafka is not installed or refuses the settings, such as a certificate that cannot be read. A cluster that
  ///   cannot be reached is no error.
  public static func make(
    name: String, _ settings: KafkaSettings, _ target: KafkaTarget, _ output: SinkOutput, _ registry: ClientRegistry
  ) throws(ClientError) -> DeliverySink {
    DeliverySink(name: name, output, outlet: try KafkaOutlet(sink: name, settings, target, output, registry))
  }
}
