import Glibc
import Testing

@testable import Sinks

@Suite struct WriteProgressTests {
  @Test func partialWritesAddUp() {
    var progress = WriteProgress(total: 10)
    var step = WriteProgress.Step.more
    step = progress.advance(by: 4)
    #expect(step == .more)
    step = progress.advance(by: 0)
    #expect(step == .more)
    step = progress.advance(by: 5)
    #expect(step == .more)
    step = progress.advance(by: 1)
    #expect(step == .complete)
    #expect(progress.written == 10)
  }

  @Test(arguments: [EINTR, EAGAIN])
  func interruptionsAreRepeated(errno: Int32) {
    var progress = WriteProgress(total: 10)
    var step = WriteProgress.Step.more
    step = progress.advance(by: -errno)
    #expect(step == .more)
  }

  @Test(arguments: [ENOSPC, EDQUOT, EFBIG, EIO])
  func aRefusalBeforeTheFirstByteMayDropTheSegmentALaterOneMayNot(errno: Int32) {
    var progress = WriteProgress(total: 10)
    var step = WriteProgress.Step.more
    step = progress.advance(by: -errno)
    #expect(step == .refused(errno: errno))
    step = progress.advance(by: 3)
    #expect(step == .more)
    step = progress.advance(by: -errno)
    #expect(step == .cut(errno: errno))
    step = progress.advance(by: 7)
    #expect(step == .complete)
  }

  @Test(arguments: [EPIPE, EBADF])
  func aGoneReaderIsForGood(errno: Int32) {
    var progress = WriteProgress(total: 10)
    var step = WriteProgress.Step.more
    step = progress.advance(by: 3)
    #expect(step == .more)
    step = progress.advance(by: -errno)
    #expect(step == .broken(errno: errno))
  }

  @Test func reasonsAreNamedByErrno() {
    #expect(DropReason(writeError: ENOSPC) == .noSpace)
    #expect(DropReason(writeError: EDQUOT) == .noSpace)
    #expect(DropReason(writeError: EPIPE) == .closed)
    #expect(DropReason(writeError: EIO) == .failed)
  }
}
