import Config
import Glibc
import IO
import Testing

@testable import Pipelines
@testable import xtcpd

@Suite struct StartTests {
  @Test func theLineCountsWhatWasStarted() {
    var status = sampleStatus()
    #expect(StartLine.text(of: status) == "started: 1 pipeline (1 io_uring), 3 threads")
    status.pipelines += [samplePipeline("b"), samplePipeline("c")]
    status.pipelines[0].mode = .syscall
    #expect(StartLine.text(of: status) == "started: 3 pipelines (2 io_uring, 1 syscall), 3 threads")
    #expect(StartLine.metadata(of: status)["config"] == "/etc/xtcpd/xtcpd.yaml")
  }

  @Test func whatCannotBeBoundIsToldWithItsRemedy() {
    let inUse = ListenerErrors.metrics(SystemError("bind", errno: EADDRINUSE, context: "127.0.0.1:9088"), port: 9088)
    #expect("\(inUse)".contains("global.metrics.listen: bind(127.0.0.1:9088)"))
    #expect("\(inUse)".contains("choose another port, or none"))
    var settings = GlobalSettings().control
    settings.group = "ops"
    let chown = ListenerErrors.control(.system(SystemError("chown", errno: EPERM, context: "/c")), settings)
    #expect("\(chown)".contains("global.control.group") && "\(chown)".contains("group ops"))
    if case .missingRight = chown {} else { Issue.record("exit code 77") }
  }
}
