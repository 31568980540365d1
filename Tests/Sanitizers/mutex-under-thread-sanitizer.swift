// What thread-sanitizer.suppressions is about: a counter in a Mutex, which two threads count up, and nothing else.
//
//     swiftc -sanitize=thread Tests/Sanitizers/mutex-under-thread-sanitizer.swift -o /tmp/mutex && /tmp/mutex
//
// prints 200000, so that the lock works, and a report of a data race (Swift 6.3, Linux): Mutex locks by atomics of
// libswiftSynchronization.so, which is not instrumented, so that the sanitizer does not see them.
import Foundation
import Synchronization

final class Counter: Sendable {
  let value = Mutex(0)
}

let counter = Counter()
let threads = (0..<2).map { _ in
  Thread { for _ in 0..<100_000 { counter.value.withLock { $0 += 1 } } }
}
for thread in threads { thread.start() }
while threads.contains(where: { !$0.isFinished }) { usleep(1000) }
print(counter.value.withLock { $0 })
