import Foundation

@testable import Records

/// Decodes `file` and encodes its rows as `format`.
func decode(
  _ file: Data, _ kind: RecordFileKind, to format: RecordFormat, rowsPerBatch: Int = 10_000
) throws -> Data {
  var encoder = try RecordEncoder(
    format: format, columns: nil, attributes: .all, host: HostIdentity(), pipeline: PipelineIdentity())
  return try decode(file, kind, through: &encoder, rowsPerBatch: rowsPerBatch)
}

/// The same with an encoder that is already there.
func decode(
  _ file: Data, _ kind: RecordFileKind, through encoder: inout RecordEncoder, rowsPerBatch: Int = 10_000
) throws -> Data {
  var decoder = RecordFileDecoder(kind: kind, rowsPerBatch: rowsPerBatch)
  var output = Data()
  // A buffer of exactly the file's size, so that a sanitizer sees every read behind it.
  let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, file.count), alignment: 1)
  defer { copy.deallocate() }
  let bytes = UnsafeMutableRawBufferPointer(rebasing: copy[..<file.count])
  bytes.copyBytes(from: file)
  try decoder.decode(UnsafeRawBufferPointer(bytes), through: &encoder) { batch in
    output.append(contentsOf: batch)
    return true
  }
  return output
}
