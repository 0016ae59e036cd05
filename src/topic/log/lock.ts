/**
 * Who may append: one process at a time, for the length of one group commit. The lock is the operating system's file lock,
 * taken through SQLite because Node has no call for it: gone the moment its holder is, kept while its holder is only
 * paused (so a frozen producer can never write late into what others have written meanwhile).
 */
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Clock } from '../../base/clock.ts'
import { topicErrors } from '../errors.ts'

export class AppendLock {
  readonly #dir: string
  readonly #clock: Clock
  readonly #waitMs: number
  readonly #database: DatabaseSync

  constructor(dir: string, clock: Clock, waitMs: number) {
    this.#dir = dir
    this.#clock = clock
    this.#waitMs = waitMs
    this.#database = new DatabaseSync(join(dir, 'lock'), { timeout: 0 })
  }

  /** @throws SW-TOPIC-011 when another process keeps it for longer than `waitMs` */
  async hold<T>(work: () => Promise<T>): Promise<T> {
    const started = this.#clock.monotonicMs()
    for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 1.5, 20)) {
      try {
        this.#database.exec('BEGIN EXCLUSIVE')
        break
      } catch (error) {
        if (!/locked|busy/i.test((error as Error).message))
          throw topicErrors.diskTrouble({ dir: this.#dir, reason: (error as Error).message }, error)
        const waitedMs = Math.round(this.#clock.monotonicMs() - started)
        if (waitedMs >= this.#waitMs) throw topicErrors.logBusy({ dir: this.#dir, waitedMs, lock: join(this.#dir, 'lock') }, error)
        await this.#clock.sleep(pauseMs)
      }
    }
    try {
      return await work()
    } finally {
      this.#database.exec('ROLLBACK')
    }
  }

  close(): void {
    this.#database.close()
  }
}
