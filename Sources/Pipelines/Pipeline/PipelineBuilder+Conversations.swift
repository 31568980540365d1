import Config
import IO
import Sinks

/// Sinks that talk to a server over a connection of their own: from settings to what is said.
extension PipelineBuilder {
  func makeValkeySink(
    _ part: PipelinePlan.SinkPlan, _ valkey: ValkeySinkSettings, _ output: SinkOutput
  ) throws(StartError) -> any Sink {
    var target = ValkeyTarget(
      key: FilledTemplate(valkey.key, output.origin), messageBytes: valkey.maxMessageBytes)
    target.publishes = valkey.command == .publish
    target.maxLength = valkey.maxLength
    target.eachRow = valkey.eachRow
    (target.user, target.password, target.database) = (valkey.username, valkey.password, valkey.database)
    let tls = try makeTLS(part)
    do throws(ClientError) {
      return try DeliverySink.valkey(
        name: part.name, to: Endpoint(valkey.address), tls: tls, target,
        ConversationPatience(connecting: valkey.connectTimeout, answering: valkey.timeout), output)
    } catch {
      throw .system("sink \(part.name): \(error)")
    }
  }

  func makeNsqSink(
    _ part: PipelinePlan.SinkPlan, _ nsq: NsqSinkSettings, _ output: SinkOutput
  ) throws(StartError) -> any Sink {
    let topic = FilledTemplate(nsq.topic, output.origin)
    let name = topic.text(at: wallClockNanoseconds())
    guard NsqSinkSettings.isTopic(name) else {
      throw .configuration("sink \(part.name): `\(name)` cannot be a topic (topic: \(nsq.topic.written))")
    }
    var target = NsqTarget(topic: topic, messageBytes: nsq.maxMessageBytes)
    (target.eachRow, target.secret) = (nsq.eachRow, nsq.secret)
    return DeliverySink.nsq(
      name: part.name, to: Endpoint(nsq.address), target,
      ConversationPatience(connecting: nsq.connectTimeout, answering: nsq.timeout), output)
  }
}
