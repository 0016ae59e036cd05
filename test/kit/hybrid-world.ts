/** Around a `DualWriteTestWorld` of the hybrid shape: movers and consumers as processes that can be killed, clients that write what no fleet writes. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { join } from 'node:path'
import mysql from 'mysql2/promise'
import { systemClock } from '../../src/base/clock.ts'
import type { DualWriteTestWorld, Shape } from './dualwrite-world.ts'
import { tenants } from './dualwrite-world.ts'
import { hybridTables, patternsOfTenant } from './hybrid-definition.ts'

export const hybridShape: Shape = {
  definitionFile: join(import.meta.dirname, 'hybrid-definition.ts'),
  tables: hybridTables,
  durability: 'full',
}

export type Entry = AsyncDisposable & {
  readonly kill: () => Promise<void>
  readonly again: () => Promise<void>
  /** Stands still and keeps all it has, until `wake`. */
  readonly freeze: () => void
  readonly wake: () => void
}

/** A process entry of `main/` on the world's topology, which can be killed and started again. */
export async function startEntry(world: DualWriteTestWorld, entry: 'mover' | 'consume', args: readonly string[]): Promise<Entry> {
  const file = join(import.meta.dirname, '../../src/main', `${entry}.ts`)
  let child: ChildProcess | null = null
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const running = child
    child = null
    if (running === null || running.exitCode !== null || running.signalCode !== null) return
    const gone = new Promise<void>((resolve) => void running.once('exit', () => resolve()))
    running.kill(signal)
    await gone
  }
  const again = async (): Promise<void> => {
    const made = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', file, '--data-dir', world.dir, ...args], {
      stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
    })
    child = made
    await new Promise<void>((resolve, reject) => {
      made.once('message', () => resolve())
      made.once('exit', (code) => reject(new Error(`${entry} ended with ${code}`)))
    })
  }
  await again()
  return {
    kill: () => end('SIGKILL'),
    again,
    freeze: () => void child?.kill('SIGSTOP'),
    wake: () => void child?.kill('SIGCONT'),
    [Symbol.asyncDispose]: () => end('SIGTERM'),
  }
}

export type Written = {
  /** Of `setting`, by tenant: what the last acknowledged write made of its counter. */
  readonly counters: ReadonlyMap<number, number>
  readonly writes: number
  readonly errors: readonly string[]
  readonly backwards: readonly string[]
}

/**
 * A client that writes through the gate: counters in `setting` (updates, deletes, inserts), notes beside dimension rows; and one that reads tenants' counters:
 * a read must show at least what any read or write of that tenant had shown that had ended before it began, less what the streams' lag explains: a write that was
 * acknowledged on the old side may be missing for a tenant that reads the new one, what was *read* may not.
 */
export function writeSettings(world: DualWriteTestWorld): AsyncDisposable & { readonly stop: () => Promise<Written> } {
  const end = new AbortController()
  const counters = new Map<number, number>()
  const seen = new Map<number, number>()
  const out = { writes: 0, errors: [] as string[], backwards: [] as string[] }
  const guarded = async (work: (connection: mysql.Connection, n: number) => Promise<void>): Promise<void> => {
    const connection = await world.connect()
    connection.on('error', () => undefined)
    for (let n = 1; !end.signal.aborted; n++) {
      await work(connection, n).catch((error: unknown) => out.errors.push(error instanceof Error ? error.message : String(error)))
      await systemClock.sleep(8)
    }
    connection.destroy()
  }
  const writer = guarded(async (connection, n) => {
    const tenant = n % tenants
    if (n % 7 === 0) {
      await connection.query('DELETE FROM setting WHERE tenant = ? AND name = ?', [tenant, 'passing'])
      await connection.query('INSERT INTO setting VALUES (?, ?, ?)', [tenant, 'passing', n])
    }
    await connection.query('INSERT INTO setting VALUES (?, ?, ?) ON DUPLICATE KEY UPDATE value = ?', [tenant, 'counter', n, n])
    counters.set(tenant, n)
    await connection.query('UPDATE pattern SET note = ? WHERE tenant = ? AND id = ?', [`n${n}`, tenant, n % patternsOfTenant])
    out.writes++
  })
  const reader = guarded(async (connection, n) => {
    const tenant = (n * 3) % tenants
    const floor = seen.get(tenant) ?? 0
    const [rows] = await connection.query<mysql.RowDataPacket[]>('SELECT value FROM setting WHERE tenant = ? AND name = ?', [
      tenant,
      'counter',
    ])
    const value = Number(rows[0]?.['value'] ?? 0)
    if (value < floor) out.backwards.push(`tenant ${tenant} showed ${value} after ${floor}`)
    seen.set(tenant, Math.max(value, seen.get(tenant) ?? 0))
  })
  const stop = async (): Promise<Written> => {
    end.abort()
    await Promise.all([writer, reader])
    return { counters, ...out }
  }
  return { stop, [Symbol.asyncDispose]: () => stop().then(() => undefined) }
}

/** Rows of a table over all shards of a branch, each as text; each on one shard only. */
export async function rowsOf(world: DualWriteTestWorld, branch: 'main' | 'wide', table: string): Promise<string[]> {
  const server = branch === 'main' ? world.oldServer : world.newServer
  const admin = await mysql.createConnection(server.config)
  try {
    const shards = (await world.client.call('listBranches', { keyspace: 'insights' })).find((one) => one.branch === branch)?.shards ?? []
    const rows: string[] = []
    for (const { schema } of shards) {
      const [found] = await admin.query<mysql.RowDataPacket[]>(`SELECT * FROM ${schema}.${table}`)
      rows.push(...found.map((row) => JSON.stringify(row)))
    }
    assert.equal(new Set(rows).size, rows.length)
    return rows.toSorted()
  } finally {
    await admin.end()
  }
}
