import Config
import IO
import Logging
import Pipelines

/// The control socket and the HTTP server. They are bound before the pipelines start, so that what is wrong with them is told
/// first, and can be bound elsewhere while the daemon runs. Belongs to the main thread.
final class Listeners {
  private let loop: MainLoop
  private let log: Logger
  private let service: ControlService
  private let answer: (String) -> HTTPServer.Answer?

  // Nil: nothing has been committed yet.
  private var controlSettings: ControlSettings?
  private var metricsSettings: MetricsSettings?
  private var control: ControlServer?
  private var http: HTTPServer?

  init(
    loop: MainLoop, log: Logger, service: ControlService, answer: @escaping (String) -> HTTPServer.Answer?
  ) {
    self.loop = loop
    self.log = log
    self.service = service
    self.answer = answer
  }

  /// Where /metrics is; nil: nowhere.
  var metricsAddress: String? { http?.address }

  /// Binds what the settings ask for and does not stand yet, beside what stands. Nothing changes for anybody before `commit`.
  func prepare(_ global: GlobalSettings) throws(StartError) -> PreparedListeners {
    let prepared = PreparedListeners(for: self, global)
    if global.control != controlSettings, let path = global.control.socket {
      guard let group = SystemGroup.number(of: global.control.group) else {
        throw .configuration("global.control.group: there is no group \"\(global.control.group)\" on this host")
      }
      do throws(ListenError) {
        prepared.group = group
        prepared.control = try UnixListener(
          path: path, group: group, mode: global.control.mode, replacing: control?.socketFile)
      } catch {
        throw ListenerErrors.control(error, global.control)
      }
    }
    if global.metrics != metricsSettings, let place = global.metrics.listen {
      do throws(SystemError) {
        prepared.metrics = try TCPListener(host: place.host, port: place.port)
      } catch {
        prepared.discard()
        throw ListenerErrors.metrics(error, port: place.port)
      }
    }
    return prepared
  }

  /// Removes the control socket, and accepts nobody any more.
  func close() {
    control?.close()
    http?.close()
  }

  fileprivate func commit(_ prepared: PreparedListeners) {
    commitControl(prepared)
    guard prepared.settings.metrics != metricsSettings else { return }
    http?.close()
    http = nil
    if let listener = prepared.metrics.take(), let place = prepared.settings.metrics.listen {
      let server = HTTPServer(listener, host: place.host, loop: loop, log: log, answer)
      log.info("metrics at http://\(server.address)/metrics")
      http = server
    }
    metricsSettings = prepared.settings.metrics
  }

  private func commitControl(_ prepared: PreparedListeners) {
    guard prepared.settings.control != controlSettings else { return }
    let old = control
    if let listener = prepared.control.take() {
      do throws(SystemError) {
        control = try ControlServer(listener, group: prepared.group, service: service, loop: loop, log: log)
      } catch {
        // It was bound beside its path, in the same directory: only somebody who meddles there meanwhile brings this about. What
        // listened goes on; the next reload tries again.
        log.error("the control socket is not at its path: \(error); remove what is there and reload")
        return
      }
    } else {
      control = nil
    }
    old?.close()
    controlSettings = prepared.settings.control
  }
}

/// Sockets that are bound and wait for their turn: either `commit` or `discard` is to be called.
final class PreparedListeners {
  fileprivate let settings: GlobalSettings
  fileprivate var control: UnixListener?
  fileprivate var group: UInt32 = 0
  fileprivate var metrics: TCPListener?
  private let listeners: Listeners

  fileprivate init(for listeners: Listeners, _ settings: GlobalSettings) {
    self.listeners = listeners
    self.settings = settings
  }

  deinit { discard() }

  /// Goes over to what was prepared; closes what it replaces.
  func commit() { listeners.commit(self) }

  /// Lets go of what was prepared.
  func discard() {
    control.take()?.discard()
    metrics = nil
  }
}
