import Glibc
import IO

/// Writes to standard output at once, for those who read along.
func printOutput(_ text: String, terminator: String = "\n") {
  var text = text + terminator
  text.withUTF8 { try? Streams.writeAll(UnsafeRawBufferPointer($0), to: STDOUT_FILENO) }
}
