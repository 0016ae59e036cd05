import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fs, { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { removeLocked, withDirectoryLock, withExistingDirectory } from './directory-lock.ts'

test('one at a time; a holder killed -9 leaves nothing behind', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'sw-lock-'))
  try {
    let inside = 0
    let most = 0
    await Promise.all(
      Array.from({ length: 5 }, () =>
        withDirectoryLock(dir, systemClock, 5_000, async () => {
          most = Math.max(most, ++inside)
          await systemClock.sleep(5)
          inside--
        }),
      ),
    )
    assert.equal(most, 1)

    const code = `const { withDirectoryLock } = await import(${JSON.stringify(join(import.meta.dirname, 'directory-lock.ts'))})
      const { systemClock } = await import(${JSON.stringify(join(import.meta.dirname, '..', 'base', 'clock.ts'))})
      await withDirectoryLock(${JSON.stringify(dir)}, systemClock, 1000, () => { console.log('held'); return new Promise((r) => setTimeout(r, 1e6)) })`
    const holder = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'ignore'] })
    await once(holder.stdout, 'data')
    await assert.rejects(
      withDirectoryLock(dir, systemClock, 50, () => Promise.resolve()),
      { code: 'SW-LOCAL-009' },
    )
    holder.kill('SIGKILL')
    await once(holder, 'exit')
    assert.equal(await withDirectoryLock(dir, systemClock, 1_000, () => Promise.resolve('free')), 'free')
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})

test('who waits while the directory is removed gets the new one, and still one at a time', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'sw-lock-'))
  try {
    let inside = 0
    let most = 0
    const waits = async (): Promise<void> => {
      most = Math.max(most, ++inside)
      writeFileSync(join(dir, 'made'), '')
      await systemClock.sleep(30)
      inside--
    }
    let waiting: Promise<void>[] = []
    await withDirectoryLock(dir, systemClock, 5_000, async () => {
      mkdirSync(join(dir, 'data'))
      writeFileSync(join(dir, 'data', 'rows'), 'all of them')
      waiting = [1, 2, 3].map(() => withDirectoryLock(dir, systemClock, 5_000, waits))
      await systemClock.sleep(30)
      await removeLocked(dir, 'record')
    })
    await Promise.all(waiting)
    assert.equal(most, 1)
    assert.deepEqual([existsSync(join(dir, 'data')), existsSync(join(dir, 'made'))], [false, true])
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
})

test('who makes a directory makes it again when it is removed before its lock is there', async () => {
  const dir = join(mkdtempSync(join(tmpdir(), 'sw-lock-')), 'made')
  const made = fs.mkdirSync
  let removals = 2
  try {
    fs.mkdirSync = ((...args: Parameters<typeof made>) => {
      const first = made(...args)
      // What another process does in between.
      if (removals-- > 0) fs.rmdirSync(dir)
      return first
    }) as typeof made
    syncBuiltinESMExports()
    assert.equal(await withDirectoryLock(dir, systemClock, 5_000, () => Promise.resolve(existsSync(dir))), true)
    assert.equal(removals, -1)
  } finally {
    fs.mkdirSync = made
    syncBuiltinESMExports()
    rmSync(join(dir, '..'), { recursive: true, force: true })
  }
})

test('who waits for a directory only to tend what is in it does not make it anew', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'sw-lock-'))
  const tend = (): Promise<string | null> => withExistingDirectory(dir, systemClock, 5_000, () => Promise.resolve('tended'))
  assert.equal(await tend(), 'tended')
  let waiting: Promise<string | null>[] = []
  await withDirectoryLock(dir, systemClock, 5_000, async () => {
    waiting = [tend(), tend()]
    await systemClock.sleep(30)
    await removeLocked(dir, 'record')
  })
  assert.deepEqual([...(await Promise.all(waiting)), await tend()], [null, null, null])
  assert.equal(existsSync(dir), false)
})
