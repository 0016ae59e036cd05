/**
 * The ledger of the switch's torture: writers that add one to counters and insert entries, through gates and straight to the servers, and
 * what each was told, kept here, outside every database. A counter must stand between what was acknowledged and that plus what was never
 * answered: less is a lost write, more is one that was applied twice.
 */
import { createCipheriv } from 'node:crypto'
import mysql from 'mysql2/promise'
import { systemClock as clock } from '../../src/base/clock.ts'
import { client, keyspace, schemaOf } from './cluster.ts'
import type { Cluster, ServerName } from './cluster.ts'

export const countersSchema = [
  'CREATE TABLE counters (id BIGINT NOT NULL PRIMARY KEY, n BIGINT NOT NULL)',
  'CREATE TABLE entries (id BIGINT NOT NULL, op BIGINT NOT NULL, note VARCHAR(40) NOT NULL, PRIMARY KEY (id, op))',
]
export const countersVschema = {
  sharded: true,
  vindexes: { by_id: { type: 'hash' } },
  tables: {
    counters: { column_vindexes: [{ column: 'id', name: 'by_id' }] },
    entries: { column_vindexes: [{ column: 'id', name: 'by_id' }] },
  },
}

/** Vitess's `hash`, once more and not by our own code: which half an id belongs to. */
export function halfOf(id: number): 'low' | 'high' {
  const key = Buffer.alloc(8)
  key.writeBigInt64BE(BigInt(id))
  const cipher = createCipheriv('des-ede3-ecb', Buffer.alloc(24), null).setAutoPadding(false)
  return (cipher.update(key)[0] ?? 0) < 0x80 ? 'low' : 'high'
}

type Row = { low: number; high: number; readonly ops: Map<number, 'acknowledged' | 'unknown'> }
export type Content = { readonly counters: Map<number, number>; readonly entries: Map<number, Set<number>> }
export type WriterError = { readonly atMs: number; readonly writer: string; readonly text: string }
type Mode = 'autocommit' | 'prepared' | 'transaction'
type Writer = { readonly name: string; readonly ids: readonly number[]; stop(): Promise<void>; acknowledged: number; lastAtMs: number }

/** Errors by which a server or a gate says that it did nothing. */
const refusals = new Set([1290, 1836, 3118, 4151, 1045, 1317, 1213, 1205, 1040])

export class Ledger {
  readonly rows = new Map<number, Row>()
  readonly errors: WriterError[] = []
  readonly #writers: Writer[] = []
  #paused = false
  #stopped = false
  #inFlight = 0
  #nextId = 1
  #op = 0

  /** Rows of this writer's own, made on the source before anything begins. */
  ids(count: number, half: 'low' | 'high' | null = null): number[] {
    const ids: number[] = []
    while (ids.length < count) {
      const id = this.#nextId++
      if (half === null || halfOf(id) === half) ids.push(id)
    }
    for (const id of ids) this.rows.set(id, { low: 0, high: 0, ops: new Map() })
    return ids
  }

  insertStatements(): string[] {
    return [`INSERT INTO counters VALUES ${[...this.rows.keys()].map((id) => `(${id},0)`).join(',')}`]
  }

  get acknowledged(): number {
    return this.#writers.reduce((sum, writer) => sum + writer.acknowledged, 0)
  }

  /** Names of writers that were told yes since then. */
  activeSince(atMs: number): string[] {
    return this.#writers.filter((writer) => writer.lastAtMs >= atMs).map((writer) => writer.name)
  }

  throughGate(name: string, port: number, ids: readonly number[], mode: Mode): void {
    const connect = (): Promise<mysql.Connection> =>
      mysql.createConnection({ host: '127.0.0.1', port, ...client, database: keyspace, connectTimeout: 3_000 })
    this.#run({ name, ids, connect, pauseMs: 4, mode, keeps: () => true })
  }

  /** A client that goes past the gates: every 5 ms, by turns over a connection that it keeps and over a new one. */
  direct(cluster: Cluster, server: ServerName, ids: readonly number[]): void {
    const connect = (): Promise<mysql.Connection> =>
      mysql.createConnection({
        host: '127.0.0.1',
        port: cluster.server(server).port,
        ...client,
        database: schemaOf[server],
        connectTimeout: 2_000,
      })
    let turn = 0
    this.#run({ name: `direct ${server}`, ids, connect, pauseMs: 5, mode: 'autocommit', keeps: () => ++turn % 4 !== 0 })
  }

  /** Until nothing is in flight; nothing new begins. A statement that never ends fails this. */
  async pause(limitMs: number): Promise<void> {
    this.#paused = true
    const untilMs = clock.monotonicMs() + limitMs
    while (this.#inFlight > 0) {
      if (clock.monotonicMs() > untilMs) throw new Error(`${this.#inFlight} statements got no answer within ${limitMs} ms`)
      await clock.sleep(5)
    }
  }

  resume(): void {
    this.#paused = false
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#writers.map((writer) => writer.stop()))
  }

  /** Holds what stands on the serving side against what was told; from then on that is the truth. */
  judge(content: Content): string[] {
    const wrong: string[] = []
    for (const [id, row] of this.rows) {
      const n = content.counters.get(id)
      if (n === undefined) wrong.push(`counter ${id} is gone`)
      else if (n < row.low) wrong.push(`counter ${id} is ${n}, ${row.low} were acknowledged: ${row.low - n} lost`)
      else if (n > row.high) wrong.push(`counter ${id} is ${n}, at most ${row.high} were sent: ${n - row.high} applied twice`)
      const entries = content.entries.get(id) ?? new Set<number>()
      for (const [op, state] of row.ops)
        if (state === 'acknowledged' && !entries.has(op)) wrong.push(`entry ${op} of ${id} was acknowledged and is not there`)
      for (const op of entries) if (!row.ops.has(op)) wrong.push(`entry ${op} of ${id} was refused or never sent, and is there`)
      row.low = row.high = n ?? row.low
      row.ops.clear()
      for (const op of entries) row.ops.set(op, 'acknowledged')
    }
    return wrong
  }

  #run(options: {
    name: string
    ids: readonly number[]
    connect: () => Promise<mysql.Connection>
    pauseMs: number
    mode: Mode
    keeps: () => boolean
  }): void {
    const writer: Writer = { name: options.name, ids: options.ids, stop: async () => running, acknowledged: 0, lastAtMs: 0 }
    this.#writers.push(writer)
    let connection: mysql.Connection | null = null
    const work = async (): Promise<void> => {
      for (let turn = 0; !this.#stopped; turn++) {
        if (this.#paused) {
          await clock.sleep(5)
          continue
        }
        const id = options.ids[turn % options.ids.length] ?? 0
        const row = this.rows.get(id)
        if (row === undefined) throw new Error(`no row ${id}`)
        this.#inFlight++
        const op = ++this.#op
        let sent = false
        try {
          if (connection === null) {
            connection = await options.connect()
            connection.on('error', () => undefined)
          }
          sent = true
          // From here on it may take effect, whatever we hear.
          row.high++
          if (options.mode === 'transaction') row.ops.set(op, 'unknown')
          await write(connection, options.mode, id, op)
          row.low++
          if (options.mode === 'transaction') row.ops.set(op, 'acknowledged')
          writer.acknowledged++
          writer.lastAtMs = clock.monotonicMs()
          if (!options.keeps()) {
            connection.destroy()
            connection = null
          }
        } catch (error) {
          const { errno = 0, message } = error as { errno?: number; message: string }
          const refused = refusals.has(errno) && !/unknown/.test(message)
          if (sent && refused) {
            row.high--
            row.ops.delete(op)
          }
          if (!options.name.startsWith('direct'))
            this.errors.push({ atMs: clock.monotonicMs(), writer: options.name, text: `${errno} ${message}` })
          // What is left of a transaction ends with its connection.
          connection?.destroy()
          connection = null
          await clock.sleep(10)
        } finally {
          this.#inFlight--
        }
        await clock.sleep(options.pauseMs)
      }
      connection?.destroy()
    }
    const running = work()
  }
}

async function write(connection: mysql.Connection, mode: Mode, id: number, op: number): Promise<void> {
  if (mode === 'autocommit') {
    await connection.query(`UPDATE counters SET n = n + 1 WHERE id = ${id}`)
    return
  }
  if (mode === 'prepared') {
    await connection.execute('UPDATE counters SET n = n + 1 WHERE id = ?', [id])
    return
  }
  await connection.query('BEGIN')
  await connection.query(`UPDATE counters SET n = n + 1 WHERE id = ${id}`)
  await connection.query(`INSERT INTO entries VALUES (${id}, ${op}, 'by hand')`)
  await connection.query('COMMIT')
}

export async function contentOf(cluster: Cluster, servers: readonly ServerName[]): Promise<Content> {
  const counters = new Map<number, number>()
  const entries = new Map<number, Set<number>>()
  for (const server of servers) {
    await cluster.onServer(server, async (connection) => {
      const [rows] = await connection.query<mysql.RowDataPacket[]>('SELECT id, n FROM counters')
      for (const { id, n } of rows) {
        if (server !== 'whole' && halfOf(Number(id)) !== server) throw new Error(`counter ${id} stands on ${server}`)
        counters.set(Number(id), Number(n))
      }
      const [more] = await connection.query<mysql.RowDataPacket[]>('SELECT id, op FROM entries')
      for (const { id, op } of more) {
        const ops = entries.get(Number(id)) ?? new Set()
        entries.set(Number(id), ops.add(Number(op)))
      }
    })
  }
  return { counters, entries }
}

export function sameContent(a: Content, b: Content): string | null {
  for (const [id, n] of a.counters) if (b.counters.get(id) !== n) return `counter ${id}: ${n} and ${b.counters.get(id)}`
  if (a.counters.size !== b.counters.size) return `${a.counters.size} and ${b.counters.size} counters`
  for (const [id, ops] of a.entries) {
    const others = b.entries.get(id) ?? new Set()
    for (const op of ops) if (!others.has(op)) return `entry ${op} of ${id} stands on one side`
    if (others.size !== ops.size) return `entries of ${id}: ${ops.size} and ${others.size}`
  }
  return a.entries.size === b.entries.size ? null : 'entries of an id stand on one side'
}
