import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Clock } from '../base/clock.ts'
import { localErrors } from './errors.ts'

/**
 * One process at a time works on a directory. The lock is the operating system's file lock, taken through SQLite because
 * Node has no call for it: it is gone the moment its holder is, however that ended, so there is no stale lock to judge.
 */
export async function withDirectoryLock<T>(dir: string, clock: Clock, waitMs: number, work: () => Promise<T>): Promise<T> {
  mkdirSync(dir, { recursive: true })
  const started = clock.monotonicMs()
  const database = new DatabaseSync(join(dir, '.lock'), { timeout: 0 })
  try {
    for (;;) {
      try {
        database.exec('BEGIN EXCLUSIVE')
        break
      } catch (error) {
        if (!/locked|busy/i.test((error as Error).message)) throw error
        const waitedMs = Math.round(clock.monotonicMs() - started)
        if (waitedMs > waitMs) throw localErrors.busy({ dir, waitedMs })
        await clock.sleep(15)
      }
    }
    return await work()
  } finally {
    database.close()
  }
}
