import Glibc
import Testing

@testable import Sinks

@Suite struct WriteProgressTests {
  @Test func partialWritesAddUp() {
    var progress = WriteProgress(total: 10)
    #expect(progress.advance(by: 4) == .more)
    #expect(progress.advance(by: 0) == .more)
    #expect(progress.advance(by: 5) == .more)
    #expect(progress.advance(by: 1) == .complete)
    #expect(progress.written == 10)
  }

  @Test(arguments: [EINTR, EAGAIN])
  func interruptionsAreRepeated(errno: Int32) {
    var progress = WriteProgress(total: 10)
    #expect(progress.advance(by: -errno) == .more)
  }

  @Test(arguments: [ENOSPC, EDQUOT, EFBIG, EIO])
  func aRefusalBeforeTheFirstByteMayDropTheSegmentALaterOneMayNot(errno: Int32) {
    var progress = WriteProgress(total: 10)
    #expect(progress.advance(by: -errno) == .refused(errno: errno))
    #expect(progress.advance(by: 3) == .more)
    #expect(progress.advance(by: -errno) == .cut(errno: errno))
    #expect(progress.advance(by: 7) == .complete)
  }

  @Test(arguments: [EPIPE, EBADF])
  func aGoneReaderIsForGood(errno: Int32) {
    var progress = WriteProgress(total: 10)
    #expect(progress.advance(by: 3) == .more)
    #expect(progress.advance(by: -errno) == .broken(errno: errno))
  }

  @Test func reasonsAreNamedByErrno() {
    #expect(DropReason(writeError: ENOSPC) == .noSpace)
    #expect(DropReason(writeError: EDQUOT) == .noSpace)
    #expect(DropReason(writeError: EPIPE) == .closed)
    #expect(DropReason(writeError: EIO) == .failed)
  }
}
