// Where a run of tests keeps what it makes: in memory where there is plenty of it, so that no test waits for a disk (durable servers flush every
// commit), else in the temporary directory.   SHARDWRIGHT_TEST_DISK=1 keeps to the disk.
import { existsSync, mkdirSync, readdirSync, readFileSync, statfsSync } from 'node:fs'
import { freemem, userInfo } from 'node:os'
import { join } from 'node:path'

const memory = '/dev/shm'
const all = join(memory, `shardwright-${userInfo().uid}`)
const gib = 1024 ** 3
/** Of statfs, for tmpfs. */
const tmpfs = 0x01021994

/** A directory of this process's own, or null for the temporary directory. */
export function testPlace() {
  if (process.env.SHARDWRIGHT_TEST_DISK !== undefined || !roomy()) return null
  const dir = join(all, String(process.pid))
  mkdirSync(dir, { recursive: true, mode: 0o700 })
  return dir
}

/** Those of runs that were killed. */
export function leftPlaces() {
  return existsSync(all)
    ? readdirSync(all)
        .filter((pid) => !runsTests(pid))
        .map((pid) => join(all, pid))
    : []
}

function runsTests(pid) {
  try {
    return Number(pid) !== process.pid && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('scripts/test.mjs')
  } catch {
    return false
  }
}

function roomy() {
  if (!existsSync(memory)) return false
  const { type, bavail, bsize } = statfsSync(memory)
  return type === tmpfs && bavail * bsize > 5 * gib && freemem() > 8 * gib
}
