import Records
import Sinks

/// Parquet files of batches of `protobuf_list`.
final class ParquetEncoder: ObjectEncoder {
  private var writer: ParquetWriter

  init(columns: [String]?, version: String) throws(ParquetError) {
    writer = try ParquetWriter(columns: columns, version: version)
  }

  let fileExtension = "parquet"
  var output: UnsafeRawBufferPointer { writer.output }
  var byteCount: Int { writer.bytesWritten + writer.bufferedBytes }
  func removeOutput(_ count: Int) { writer.removeOutput(count) }
  func begin() { writer.begin() }

  func append(_ batch: UnsafeRawBufferPointer) throws(ObjectError) {
    do throws(ParquetError) {
      try writer.append(batch, .protobufList)
    } catch {
      throw ObjectError(error)
    }
  }

  func finish() throws(ObjectError) {
    do throws(ParquetError) {
      try writer.finish()
    } catch {
      throw ObjectError(error)
    }
  }
}

extension ObjectError {
  fileprivate init(_ error: ParquetError) {
    if case .malformed = error {
      self.init("\(error)", isOfBatch: true)
    } else {
      self.init("\(error)", isOfBatch: false)
    }
  }
}
