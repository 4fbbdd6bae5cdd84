import Glibc
import PipitKernels
import Synchronization

/// Work that can be done in independent pieces, in any order and by any thread.
package protocol TiledWork: AnyObject {
  /// Does piece `tile`; `worker` (below the pool's thread count) tells which scratch memory to use.
  func run(tile: Int, worker: Int)
}

/// A fixed set of threads that split one piece of work at a time.
///
/// Nothing is allocated after `init`: work is an object that exists already, and pieces are handed
/// out by one counter. Threads between two pieces of work spin briefly, then sleep, so that an idle
/// engine costs no power.
package final class ThreadPool: @unchecked Sendable {
  package let threadCount: Int

  // SAFETY (@unchecked Sendable): `work` and `tileCount` are written by `run` while all workers wait
  // and published by the increment of `generation`; `mutex`, `wake` and `done` are set up in `init`
  // and only used through pthread calls.
  private var work: (any TiledWork)?
  private var tileCount = 0
  private var threads: [pthread_t] = []
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let wake = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
  private let done = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  private let generation = Atomic<Int>(0)
  private let nextTile = Atomic<Int>(0)
  private let busyWorkers = Atomic<Int>(0)
  private let sleepers = Atomic<Int>(0)
  private let callerSleeps = Atomic<Bool>(false)
  private let stopping = Atomic<Bool>(false)

  /// About 30 to 60 microseconds of looking before sleeping.
  private static let spinLimit = 1000

  /// A pool of `threadCount` threads, the caller's among them.
  package init(threadCount: Int) {
    precondition(threadCount > 0 && threadCount <= 256)
    self.threadCount = threadCount
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(wake, nil)
    pthread_cond_init(done, nil)
    for worker in 1..<max(threadCount, 1) { start(worker) }
  }

  deinit {
    stopping.store(true, ordering: .sequentiallyConsistent)
    generation.add(1, ordering: .sequentiallyConsistent)
    pthread_mutex_lock(mutex)
    pthread_cond_broadcast(wake)
    pthread_mutex_unlock(mutex)
    for thread in threads { pthread_join(thread, nil) }
    pthread_cond_destroy(wake)
    pthread_cond_destroy(done)
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
    wake.deallocate()
    done.deallocate()
  }

  /// Does all pieces of `work`, and returns when every one is done. One caller at a time.
  package func run(_ work: any TiledWork, tileCount: Int) {
    guard threadCount > 1, tileCount > 1 else {
      for tile in 0..<tileCount { work.run(tile: tile, worker: 0) }
      return
    }
    self.work = work
    self.tileCount = tileCount
    nextTile.store(0, ordering: .relaxed)
    busyWorkers.store(threadCount - 1, ordering: .relaxed)
    generation.add(1, ordering: .sequentiallyConsistent)
    if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
      pthread_mutex_lock(mutex)
      pthread_cond_broadcast(wake)
      pthread_mutex_unlock(mutex)
    }
    takeTiles(worker: 0)
    waitForWorkers()
    self.work = nil
  }

  private func takeTiles(worker: Int) {
    guard let work else { return }
    while true {
      let tile = nextTile.add(1, ordering: .relaxed).oldValue
      guard tile < tileCount else { return }
      work.run(tile: tile, worker: worker)
    }
  }

  private func waitForWorkers() {
    for _ in 0..<ThreadPool.spinLimit {
      if busyWorkers.load(ordering: .acquiring) == 0 { return }
      spinPause()
    }
    pthread_mutex_lock(mutex)
    callerSleeps.store(true, ordering: .sequentiallyConsistent)
    while busyWorkers.load(ordering: .sequentiallyConsistent) != 0 {
      pthread_cond_wait(done, mutex)
    }
    callerSleeps.store(false, ordering: .relaxed)
    pthread_mutex_unlock(mutex)
  }

  // MARK: Workers

  /// What a new thread is told. The pool is not retained: `deinit` joins its threads.
  private final class Start {
    unowned(unsafe) let pool: ThreadPool
    let worker: Int

    init(pool: ThreadPool, worker: Int) {
      self.pool = pool
      self.worker = worker
    }
  }

  private func start(_ worker: Int) {
    var thread = pthread_t()
    let argument = Unmanaged.passRetained(Start(pool: self, worker: worker))
    let code = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        let start = Unmanaged<Start>.fromOpaque(argument).takeRetainedValue()
        start.pool.workerLoop(start.worker)
        return nil
      }, argument.toOpaque())
    precondition(code == 0, "cannot start a thread: \(String(cString: strerror(code)))")
    threads.append(thread)
  }

  private func workerLoop(_ worker: Int) {
    var seen = 0
    while true {
      waitForWork(after: seen)
      seen += 1
      if stopping.load(ordering: .acquiring) { return }
      takeTiles(worker: worker)
      let left = busyWorkers.subtract(1, ordering: .sequentiallyConsistent).newValue
      if left == 0, callerSleeps.load(ordering: .sequentiallyConsistent) {
        pthread_mutex_lock(mutex)
        pthread_cond_signal(done)
        pthread_mutex_unlock(mutex)
      }
    }
  }

  private func waitForWork(after seen: Int) {
    for _ in 0..<ThreadPool.spinLimit {
      if generation.load(ordering: .acquiring) != seen { return }
      spinPause()
    }
    pthread_mutex_lock(mutex)
    sleepers.add(1, ordering: .sequentiallyConsistent)
    while generation.load(ordering: .sequentiallyConsistent) == seen {
      pthread_cond_wait(wake, mutex)
    }
    sleepers.subtract(1, ordering: .sequentiallyConsistent)
    pthread_mutex_unlock(mutex)
  }
}

extension ThreadPool {
  /// The number of processors that are online, at least 1.
  package static var processorCount: Int {
    max(1, min(256, sysconf(Int32(_SC_NPROCESSORS_ONLN))))
  }
}
