import Glibc
import Testing

@testable import IO

@Suite struct FilesTests {
  private func failure(_ path: String) -> FileError? {
    do throws(FileError) {
      _ = try openAppend(path: path)
      return nil
    } catch {
      return error
    }
  }

  @Test func aFileIsMadeWithItsModeAndAppendedTo() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("rows")
    for text in ["one", "two"] {
      let file = try openAppend(path: path)
      #expect(write(file.raw, text, 3) == 3)
      let flags = fcntl(file.raw, F_GETFL)
      #expect(flags & O_APPEND != 0 && flags & O_NONBLOCK == 0 && fcntl(file.raw, F_GETFD) & FD_CLOEXEC != 0)
    }
    var status = stat()
    #expect(stat(path, &status) == 0 && status.st_mode & 0o7777 == 0o640)
    #expect(readSmallFile(path) == "onetwo")
    let private_ = try openAppend(path: directory.file("private"), mode: 0o600)
    #expect(fstat(private_.raw, &status) == 0 && status.st_mode & 0o7777 == 0o600)
  }

  @Test func whatIsNoFileIsRefusedByName() throws {
    let directory = try TemporaryDirectory()
    let (link, fifo) = (directory.file("link"), directory.file("fifo"))
    #expect(symlink("/dev/null", link) == 0 && mkfifo(fifo, 0o600) == 0)
    #expect(failure(directory.path) == .isDirectory(path: directory.path))
    #expect(failure(link) == .isSymbolicLink(path: link))
    #expect(failure(fifo) == .nobodyReads(path: fifo))
    #expect(failure("/nowhere/file") == .system(SystemError("open", errno: ENOENT, context: "/nowhere/file")))
    #expect(failure("") == .system(SystemError("open", errno: ENOENT, context: "")))
    for error in [FileError.isDirectory(path: "/x"), .isSymbolicLink(path: "/x"), .nobodyReads(path: "/x")] {
      #expect(error.description.hasPrefix("/x is a "))
    }
    let loop = directory.file("loop")
    #expect(symlink(loop, loop) == 0)
    #expect(failure("\(loop)/x") == .system(SystemError("open", errno: ELOOP, context: "\(loop)/x")))
  }

  @Test func aPipeWithAReaderIsTaken() throws {
    let directory = try TemporaryDirectory()
    let fifo = directory.file("fifo")
    #expect(mkfifo(fifo, 0o600) == 0)
    let reader = try Descriptor(open(fifo, O_RDONLY | O_NONBLOCK | O_CLOEXEC), "open")
    let writer = try openAppend(path: fifo)
    #expect(write(writer.raw, "x", 1) == 1)
    var byte: UInt8 = 0
    #expect(read(reader.raw, &byte, 1) == 1)
  }

  @Test func aRenamedRemovedOrReplacedFileIsNoticed() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("log")
    let file = try AppendFile(path: path)
    func isReplaced() -> Bool { file.isReplaced }
    #expect(!isReplaced())
    #expect(rename(path, directory.file("log.1")) == 0)
    #expect(isReplaced())
    _ = try openAppend(path: path)
    #expect(isReplaced())
    #expect(rename(directory.file("log.1"), path) == 0)
    #expect(!isReplaced())
    #expect(unlink(path) == 0)
    #expect(isReplaced())
    #expect(symlink(directory.file("x"), path) == 0)
    #expect(isReplaced())
  }

  @Test func aReplacedFileIsReopenedAndAFailureKeepsTheOldOne() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("log")
    var file = try AppendFile(path: path)
    func isEmpty() -> Bool { file.size == 0 }
    #expect(isEmpty())
    #expect(write(file.raw, "one", 3) == 3)
    #expect(!isEmpty())
    #expect(rename(path, directory.file("log.1")) == 0)
    #expect(symlink("/dev/null", path) == 0)
    #expect(throws: FileError.isSymbolicLink(path: path)) { try file.reopen() }
    #expect(write(file.raw, "two", 3) == 3)
    #expect(unlink(path) == 0)
    try file.reopen()
    #expect(isEmpty())
    #expect(write(file.raw, "three", 5) == 5)
    #expect(readSmallFile(directory.file("log.1")) == "onetwo")
    #expect(readSmallFile(path) == "three")
  }

  @Test func smallFilesAreReadUpToTheirLimit() throws {
    let directory = try TemporaryDirectory()
    let path = directory.file("number")
    let file = try openAppend(path: path)
    #expect(write(file.raw, "-42 rest\n", 9) == 9)
    #expect(readInteger(path) == -42 && readSmallFile(path, limit: 3) == "-42")
    #expect(readInteger("/nowhere") == nil && readSmallFile(directory.path) == nil)
  }
}

@Suite struct SystemErrorTests {
  @Test func itReadsLikeStrace() {
    let error = SystemError("setns", errno: EPERM, context: "/run/netns/a")
    #expect(error.description == "setns(/run/netns/a): Operation not permitted (EPERM)")
    #expect(SystemError("socket", errno: EMFILE).description == "socket: Too many open files (EMFILE)")
    #expect(error.errnoName == "EPERM" && SystemError.name(of: 9_999) == "9999")
    #expect(error == SystemError("setns", errno: EPERM, context: "/run/netns/a"))
    #expect(
      error != SystemError("setns", errno: EPERM) && error != SystemError("open", errno: EPERM, context: "/run/netns/a")
    )
  }

  @Test func aDescriptorIsClosedByItsOwnerAndNobodyElse() throws {
    let raw = open("/dev/null", O_RDONLY | O_CLOEXEC)
    do {
      let descriptor = Descriptor(owning: raw)
      #expect(fcntl(descriptor.raw, F_GETFD) >= 0)
    }
    // The number may be another file's by now; what it was is gone.
    let released = try Descriptor(open("/dev/null", O_RDONLY | O_CLOEXEC), "open").release()
    #expect(fcntl(released, F_GETFD) >= 0 && close(released) == 0)
    var failure: SystemError?
    do throws(SystemError) { _ = try Descriptor(open("/nowhere", O_RDONLY), "open", context: "/nowhere") } catch {
      failure = error
    }
    #expect(failure == SystemError("open", errno: ENOENT, context: "/nowhere"))
  }
}
