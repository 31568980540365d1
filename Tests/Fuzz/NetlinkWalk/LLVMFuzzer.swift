/// libFuzzer's entry (https://llvm.org/docs/LibFuzzer.html). A finding is a crash.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzNetlinkWalk(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  if let failure = NetlinkWalkTarget.run(UnsafeRawBufferPointer(start: start, count: count)) {
    fatalError(failure)
  }
  return 0
}
