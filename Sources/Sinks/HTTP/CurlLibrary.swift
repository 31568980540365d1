internal import CCurl

/// Why there can be no client of HTTP. Local causes only: what a peer does is found out when rows are sent.
public struct HTTPSetupError: Error, Equatable, Sendable, CustomStringConvertible {
  public let description: String

  public init(_ description: String) { self.description = description }
}

/// libcurl, loaded with the first sink that needs it and for the life of the process; libcurl-multi(3).
struct CurlLibrary {
  let functions: UnsafePointer<ccurl>

  init() throws(HTTPSetupError) {
    let message = UnsafeMutablePointer<CChar>.allocate(capacity: 256)
    defer { message.deallocate() }
    message.initialize(repeating: 0, count: 256)
    guard let functions = ccurl_load(message, 256) else {
      throw HTTPSetupError("cannot load libcurl (Debian package libcurl4): \(String(cString: message))")
    }
    self.functions = functions
  }

  func text(_ code: CURLcode) -> String {
    functions.pointee.curl_easy_strerror(code).map { String(cString: $0) } ?? "error \(code.rawValue)"
  }

  func text(_ code: CURLMcode) -> String {
    functions.pointee.curl_multi_strerror(code).map { String(cString: $0) } ?? "error \(code.rawValue)"
  }
}
