import { existsSync, mkdirSync, readdirSync, rmdirSync, rmSync, statSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Clock } from '../base/clock.ts'
import { localErrors } from './errors.ts'

const lockName = '.lock'
const pauseMs = 15
const attemptsMax = 10

/**
 * One process at a time works on a directory. The lock is the operating system's file lock, taken through SQLite because
 * Node has no call for it: it is gone the moment its holder is, however that ended, so there is no stale lock to judge.
 * Whoever waited while the directory was removed has a file that is no more, and begins again.
 */
export async function withDirectoryLock<T>(dir: string, clock: Clock, waitMs: number, work: () => Promise<T>): Promise<T> {
  return (await locked(dir, clock, waitMs, work, 'made')) as T
}

/** The same for who has nothing to do where there is no such directory, also when it is gone by the time of its turn: null then. */
export function withExistingDirectory<T>(dir: string, clock: Clock, waitMs: number, work: () => Promise<T>): Promise<T | null> {
  return locked(dir, clock, waitMs, work, 'left')
}

async function locked<T>(dir: string, clock: Clock, waitMs: number, work: () => Promise<T>, missing: 'made' | 'left'): Promise<T | null> {
  const started = clock.monotonicMs()
  let database = open(dir, missing)
  try {
    for (;;) {
      if (database === null) return null
      if (database.take()) {
        // Left by a removal that this one has met in its last step.
        if (missing === 'left' && readdirSync(dir).every((name) => name === lockName)) {
          removeEmpty(dir)
          return null
        }
        return await work()
      }
      const waitedMs = Math.round(clock.monotonicMs() - started)
      if (waitedMs > waitMs) throw localErrors.busy({ dir, waitedMs })
      await clock.sleep(pauseMs)
      if (!database.stands()) {
        const gone = database
        database = null
        gone.close()
        database = open(dir, missing)
      }
    }
  } finally {
    database?.close()
  }
}

type Lock = { take(): boolean; stands(): boolean; close(): void }

/** Whoever removes the directory may come between any two steps of this: begun again then, as often as that may be by chance. */
function open(dir: string, missing: 'made' | 'left'): Lock | null {
  for (let attempt = 1; ; attempt++) {
    if (missing === 'made') mkdirSync(dir, { recursive: true })
    try {
      return lockOn(join(dir, lockName))
    } catch (error) {
      if (missing === 'left' && !existsSync(dir)) return null
      if (attempt === attemptsMax) throw error
    }
  }
}

function lockOn(file: string): Lock {
  const database = new DatabaseSync(file, { timeout: 0 })
  const opened = whichFile(file)
  const stands = (): boolean => opened !== null && whichFile(file) === opened
  return {
    stands,
    take() {
      try {
        database.exec('BEGIN EXCLUSIVE')
      } catch (error) {
        // SQLite may notice by itself that its file is gone.
        if (stands() && !/locked|busy/i.test((error as Error).message)) throw error
        return false
      }
      // As long as it is held nobody else removes the file.
      return stands()
    },
    close: () => database.close(),
  }
}

function whichFile(file: string): string | null {
  const found = statSync(file, { bigint: true, throwIfNoEntry: false })
  return found === undefined ? null : `${found.dev}/${found.ino}/${found.birthtimeNs}`
}

/** By the holder of its lock: all that is in it, `last` at the end, and the directory. One that somebody makes anew at that moment stays. */
export async function removeLocked(dir: string, last: string): Promise<void> {
  const names = readdirSync(dir).filter((name) => name !== lockName && name !== last)
  for (const name of [...names, last]) await rm(join(dir, name), { recursive: true, force: true, maxRetries: 3 })
  removeEmpty(dir)
}

/** At once, so that nobody of this process comes between; who does of another one has made it anew. */
function removeEmpty(dir: string): void {
  rmSync(join(dir, lockName), { force: true })
  try {
    rmdirSync(dir)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOTEMPTY' && code !== 'ENOENT') throw error
  }
}
