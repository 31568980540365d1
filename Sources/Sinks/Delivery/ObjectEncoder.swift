/// What becomes of a batch in a file or an object that is more than batches one after another.
public struct ObjectError: Error, Equatable, Sendable, CustomStringConvertible {
  public var description: String
  /// The batch does not hold together, and nothing of it is in the object; the object itself is sound.
  public var isOfBatch: Bool

  public init(_ description: String, isOfBatch: Bool) {
    self.description = description
    self.isOfBatch = isOfBatch
  }
}

/// Makes files or objects of many batches, one after the other. It belongs to one sink.
public protocol ObjectEncoder: AnyObject {
  /// The ending of a file's name, without the dot.
  var fileExtension: String { get }
  /// Bytes that are done and not taken away. Valid until the next call.
  var output: UnsafeRawBufferPointer { get }
  /// The first bytes of `output` are written.
  func removeOutput(_ count: Int)
  /// Begins a file; what is left of one before is forgotten.
  func begin()
  func append(_ batch: UnsafeRawBufferPointer) throws(ObjectError)
  /// Puts the rest of the file into `output`.
  func finish() throws(ObjectError)
  /// Bytes that the file has so far, what is not in `output` yet included.
  var byteCount: Int { get }
}
