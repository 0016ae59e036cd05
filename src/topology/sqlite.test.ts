import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { describe, test } from 'node:test'
import { storeConformance } from './conformance.ts'
import { SqliteStore } from './sqlite.ts'

async function folder<T>(body: (path: string) => Promise<T>): Promise<T> {
  const dir = mkdtempSync(join(tmpdir(), 'sw-topology-'))
  try {
    return await body(join(dir, 'topology.db'))
  } finally {
    rmSync(dir, { recursive: true })
  }
}

storeConformance('sqlite', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'sw-topology-'))
  const a = new SqliteStore(join(dir, 'topology.db'))
  const b = new SqliteStore(join(dir, 'topology.db'))
  const close = async (): Promise<void> => {
    await a[Symbol.asyncDispose]()
    await b[Symbol.asyncDispose]()
    rmSync(dir, { recursive: true })
  }
  return { a, b, close }
})

function child(path: string, body: string): { exit: Promise<number | null>; kill: () => void; line: () => Promise<string> } {
  const code = `import { SqliteStore } from ${JSON.stringify(new URL('./sqlite.ts', import.meta.url).href)}; const store = new SqliteStore(${JSON.stringify(path)}); ${body}`
  const process_ = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exit = new Promise<number | null>((resolve) => process_.on('exit', resolve))
  return {
    exit,
    kill: () => process_.kill('SIGKILL'),
    line: () => new Promise((resolve) => process_.stdout.once('data', (data) => resolve(String(data).trim()))),
  }
}

describe('topology store: several processes on one file', () => {
  test('processes that count one record up by compare-and-set lose no step, and a watch sees the end', () =>
    folder(async (path) => {
      const store = new SqliteStore(path)
      const body = `for (let n = 0; n < 40; ) {
          const now = await store.get('n')
          if ((await store.commit([{ key: 'n', version: now?.version ?? 0 }], [{ key: 'n', value: (now?.value ?? 0) + 1 }])).ok) n++
        } await store[Symbol.asyncDispose]()`
      const children = [child(path, body), child(path, body), child(path, body)]
      const stop = new AbortController()
      const limit = setTimeout(() => stop.abort(), 20_000)
      let last = 0
      for await (const snapshot of store.watch('n', stop.signal)) {
        last = Number(snapshot.entries.get('n')?.value ?? 0)
        if (last === 120) break
      }
      clearTimeout(limit)
      assert.equal(last, 120)
      assert.deepEqual(await Promise.all(children.map((c) => c.exit)), [0, 0, 0])
      await store[Symbol.asyncDispose]()
    }))

  test('what a process committed before kill -9 stands; its lease ends by itself', () =>
    folder(async (path) => {
      const store = new SqliteStore(path)
      const one = child(
        path,
        `const lease = await store.grantLease(300)
         await store.commit([], [{ key: 'alive', value: 1, leaseId: lease.id }, { key: 'kept', value: 1 }]); console.log('ready'); setInterval(() => lease.renew(), 50)`,
      )
      assert.equal(await one.line(), 'ready')
      assert.equal((await store.get('alive'))?.value, 1)
      one.kill()
      await one.exit
      const stop = AbortSignal.timeout(5_000)
      for await (const snapshot of store.watch('', stop)) if (!snapshot.entries.has('alive')) break
      assert(!stop.aborted, 'the lease of a killed process never ended')
      assert.equal((await store.get('kept'))?.value, 1)
      await store[Symbol.asyncDispose]()
    }))
})

describe('topology store: sqlite itself', () => {
  test('a write lock held by somebody else does not stop our event loop; past the limit nothing was done', () =>
    folder(async (path) => {
      const store = new SqliteStore(path, { busyMs: 300 })
      const other = new DatabaseSync(path)
      other.exec('BEGIN IMMEDIATE')
      let longestMs = 0
      let last = performance.now()
      const beat = setInterval(() => {
        longestMs = Math.max(longestMs, performance.now() - last)
        last = performance.now()
      }, 1)
      await assert.rejects(store.commit([], [{ key: 'x', value: 1 }]), { code: 'SW-TOPOLOGY-004', class: 'transient' })
      clearInterval(beat)
      assert(longestMs < 150, `the event loop stood for ${longestMs} ms`)
      other.exec('ROLLBACK')
      other.close()
      assert.equal(await store.get('x'), null)
      await store[Symbol.asyncDispose]()
    }))

  test('compaction: a handle that slept past it still learns of the deletion', () =>
    folder(async (path) => {
      const quick = new SqliteStore(path, { tombstonesMax: 3 })
      // This handle looks only when it is told to: it stands for a process that was paused.
      const slow = new SqliteStore(path, { pollMs: 3_600_000 })
      await quick.commit(
        [],
        [
          { key: 'gone', value: 1 },
          { key: 'stays', value: 1 },
        ],
      )
      const stop = new AbortController()
      const limit = setTimeout(() => stop.abort(), 5_000)
      const watch = slow.watch('', stop.signal)[Symbol.asyncIterator]()
      await watch.next()
      await quick.commit([], [{ key: 'gone', value: undefined }])
      for (let i = 0; i < 10; i++) await quick.commit([], [{ key: 'other', value: i }])
      const raw = new DatabaseSync(path)
      assert.deepEqual(raw.prepare("SELECT count(*) AS n FROM entries WHERE key = 'gone'").get()?.['n'], 0, 'the tombstone was dropped')
      raw.close()
      await slow.commit([], [{ key: 'kick', value: 1 }])
      for (let seen = await watch.next(); !seen.done; seen = await watch.next()) {
        if (seen.value.entries.has('kick')) {
          assert(!seen.value.entries.has('gone'))
          break
        }
      }
      assert(!stop.signal.aborted)
      clearTimeout(limit)
      stop.abort()
      await quick[Symbol.asyncDispose]()
      await slow[Symbol.asyncDispose]()
    }))

  test('commits are synced, and the file is readable by its owner only: it holds passwords', () =>
    folder(async (path) => {
      const store = new SqliteStore(path)
      await store.commit([], [{ key: 'x', value: 1 }])
      assert.equal(statSync(path).mode & 0o077, 0)
      await store[Symbol.asyncDispose]()
      assert.throws(() => new SqliteStore('/nonexistent/topology.db'), { code: 'SW-TOPOLOGY-005' })
    }))

  test('a clock set back does not keep a dead lease alive', () =>
    folder(async (path) => {
      let offsetMs = 3_600_000
      const clock = {
        nowMs: () => Date.now() + offsetMs,
        monotonicMs: () => performance.now(),
        sleep: (ms: number) => new Promise<void>((r) => setTimeout(r, ms)),
      }
      const store = new SqliteStore(path, { clock })
      const lease = await store.grantLease(100)
      await store.commit([], [{ key: 'x', value: 1, leaseId: lease.id }])
      offsetMs = 0
      const stop = AbortSignal.timeout(5_000)
      for await (const snapshot of store.watch('x', stop)) if (snapshot.entries.size === 0) break
      assert(!stop.aborted)
      await store[Symbol.asyncDispose]()
    }))
})
