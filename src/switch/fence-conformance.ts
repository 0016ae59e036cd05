/**
 * What every kind of fence must hold, on every flavour. A client that bypasses all gates writes every 5 ms over kept and over new connections
 * while the server is closed, stays closed, is killed and started again, and is opened. Beside it: transactions that were open before,
 * an account with every privilege, and an event with an administrator's rights.
 */
import assert from 'node:assert/strict'
import { setTimeout as delay } from 'node:timers/promises'
import type { Connection } from '../mysql/connection.ts'

export type FenceSubject = {
  /** Must exist: id INT PRIMARY KEY, who VARCHAR. */
  readonly table: string
  readonly schema: string
  close(): Promise<void>
  open(): Promise<void>
  /** Empty: it is closed. */
  openings(): Promise<string>
  /** An ordinary client of its own. */
  client(): Promise<Connection>
  /** An account with every privilege that is not ours; null where such an account must not exist. */
  privileged: (() => Promise<Connection>) | null
  /** Ours, which passes every fence. There is an account boss@'%' with every privilege, locked, that owns the event. */
  admin(): Promise<Connection>
  mover(): Promise<Connection>
  /** kill -9 and start again on the same data. */
  killAndRestart(): Promise<void>
  readonly events: boolean
}

class Bypass {
  readonly acked: { id: number; atMs: number }[] = []
  #running = true
  #next: number
  readonly #done: Promise<unknown>
  readonly #subject: FenceSubject

  constructor(subject: FenceSubject, firstId: number) {
    this.#subject = subject
    this.#next = firstId
    this.#done = Promise.all([this.#loop('kept'), this.#loop('new')])
  }

  async stop(): Promise<void> {
    this.#running = false
    await this.#done
  }

  async until(count: number): Promise<void> {
    const from = this.acked.length
    const limit = performance.now() + 8_000
    while (this.acked.length < from + count) {
      assert(performance.now() < limit, 'the client that writes was never answered')
      await delay(2)
    }
  }

  async #loop(how: 'kept' | 'new'): Promise<void> {
    let connection: Connection | null = null
    while (this.#running) {
      const id = this.#next++
      try {
        connection ??= await this.#subject.client()
        await connection.query(`INSERT INTO ${this.#subject.table} (id, who) VALUES (${id}, '${how}')`)
        this.acked.push({ id, atMs: performance.now() })
      } catch {
        connection?.destroy()
        connection = null
      }
      if (how === 'new') {
        connection?.destroy()
        connection = null
      }
      await delay(5)
    }
    connection?.destroy()
  }
}

async function idsOf(subject: FenceSubject): Promise<Set<number>> {
  await using admin = await subject.admin()
  return new Set((await admin.allText(`SELECT id FROM ${subject.table}`)).map((row) => Number(row['id'])))
}

/** Runs everything against one server, which is left open. Ids from `firstId` on are used. */
export async function checkFence(subject: FenceSubject, firstId: number): Promise<void> {
  const bypass = new Bypass(subject, firstId + 1_000)
  const opened: Connection[] = []
  const keep = async (opening: Promise<Connection>): Promise<Connection> => {
    const connection = await opening
    opened.push(connection)
    return connection
  }
  try {
    await bypass.until(4)
    const wrote = await keep(subject.client())
    await wrote.query('BEGIN')
    await wrote.query(`INSERT INTO ${subject.table} (id, who) VALUES (${firstId}, 'open before')`)
    const snapshot = await keep(subject.client())
    await snapshot.query('SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ')
    await snapshot.query('START TRANSACTION WITH CONSISTENT SNAPSHOT')
    await snapshot.query(`SELECT COUNT(*) FROM ${subject.table}`)
    const privileged = subject.privileged === null ? undefined : await keep(subject.privileged())
    const idle = await keep(subject.client())
    if (subject.events) {
      await using admin = await subject.admin()
      await admin.query('SET GLOBAL event_scheduler = ON')
      await admin.query(
        `CREATE DEFINER = 'boss'@'%' EVENT ${subject.schema}.ticks ON SCHEDULE EVERY 1 SECOND DO INSERT INTO ${subject.table} (id, who) SELECT ${firstId + 500} + COUNT(*), 'event' FROM ${subject.table} WHERE who = 'event'`,
      )
    }
    assert.notEqual(await subject.openings(), '')

    await subject.close()
    const closedAtMs = performance.now()
    const standing = await idsOf(subject)
    assert.equal(await subject.openings(), '')

    // What was acknowledged before stands; nobody who was there before writes any more.
    for (const { id, atMs } of bypass.acked) if (atMs < closedAtMs) assert(standing.has(id), `the acknowledged row ${id} is gone`)
    await assert.rejects(async () => {
      await wrote.query(`UPDATE ${subject.table} SET who = 'late' WHERE id = ${firstId}`)
      await wrote.query('COMMIT')
    }, 'a transaction that had written before')
    await assert.rejects(async () => {
      await snapshot.query(`INSERT INTO ${subject.table} (id, who) VALUES (${firstId + 1}, 'snapshot')`)
      await snapshot.query('COMMIT')
    }, 'a transaction with an older snapshot')
    await assert.rejects(idle.query(`INSERT INTO ${subject.table} (id, who) VALUES (${firstId + 2}, 'idle')`), 'a session that was idle')
    if (privileged !== undefined) {
      await assert.rejects(
        privileged.query(`INSERT INTO ${subject.table} (id, who) VALUES (${firstId + 3}, 'privileged')`),
        'every privilege',
      )
    }
    if (subject.privileged !== null) {
      await assert.rejects(async () => {
        await using late = await subject.privileged?.()
        await late?.query(`INSERT INTO ${subject.table} (id, who) VALUES (${firstId + 4}, 'privileged, later')`)
      }, 'every privilege, logging in later')
    }
    for (const connection of opened) connection.destroy()
    // Longer than the event's second, and many writes of the bypass.
    await delay(subject.events ? 1_300 : 60)
    assert.deepEqual(await idsOf(subject), standing, 'no row came while it stood closed')

    await subject.killAndRestart()
    assert.equal(await subject.openings(), '', 'closed after a restart, with nobody doing anything')
    await delay(60)
    assert.deepEqual(await idsOf(subject), standing, 'nor after a restart')
    assert.deepEqual(
      bypass.acked.filter(({ atMs }) => atMs > closedAtMs),
      [],
      'nothing was acknowledged since it was closed',
    )
    await using mover = await subject.mover()
    await mover.query(`INSERT INTO ${subject.table} (id, who) VALUES (${firstId + 5}, 'our applier')`)

    await subject.open()
    await bypass.until(4)
    await using admin = await subject.admin()
    if (subject.events) {
      const state = await admin.value(`SELECT STATUS FROM information_schema.EVENTS WHERE EVENT_NAME = 'ticks'`)
      assert.equal(state, 'ENABLED', 'the event that the fence disabled is enabled again')
    }
  } finally {
    for (const connection of opened) connection.destroy()
    await bypass.stop()
    await using admin = await subject.admin()
    await admin.query(`DROP EVENT IF EXISTS ${subject.schema}.ticks`)
  }
}
