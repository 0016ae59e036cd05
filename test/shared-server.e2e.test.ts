/**
 * Two keyspaces on one server, one of which is resharded on it (PROTOCOLS 3, "The fence is the server's"): refused, with the way out named; by armed
 * triggers it goes there and back under writes through two gates and past them, while the other keyspace is written without a stall.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import mysql from 'mysql2/promise'
import { systemClock as clock } from '../src/base/clock.ts'
import type { SwitchReport } from '../src/switch/report.ts'
import { client, Cluster } from './kit/cluster.ts'
import { countersSchema, countersVschema, Ledger } from './kit/counters.ts'
import { until } from './kit/until.ts'
import { ReshardUnderTest } from './kit/workflow.ts'
import { askUntilHeld, judge } from './torture/switch-cases.ts'
import { seeded } from './torture/seeded.ts'

/** Writes the other keyspace through a gate, one row after the other. */
class Other implements AsyncDisposable {
  written = 0
  readonly errors: unknown[] = []
  #running = true
  readonly #done: Promise<void>

  constructor(port: number) {
    this.#done = this.#work(port)
  }

  async stop(): Promise<void> {
    this.#running = false
    await this.#done
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  async #work(port: number): Promise<void> {
    const connection = await mysql.createConnection({ host: '127.0.0.1', port, ...client, database: 'ledger_other' })
    while (this.#running) {
      await connection.query('INSERT INTO notes (text) VALUES (?)', [String(this.written)]).then(
        () => this.written++,
        (error: unknown) => this.errors.push(error),
      )
      await clock.sleep(3)
    }
    await connection.end()
  }
}

describe('two keyspaces on one server', () => {
  let cluster: Cluster
  const ledger = new Ledger()
  const ids = [ledger.ids(6), ledger.ids(6), ledger.ids(6)]
  const directIds = { whole: ledger.ids(3), low: ledger.ids(3, 'low'), high: ledger.ids(3, 'high') }
  before(async () => {
    const schema = [...countersSchema, ...ledger.insertStatements()]
    cluster = await Cluster.start({ schema, vschema: countersVschema, oneServer: true, fence: 'triggers' })
    const root = await mysql.createConnection({ ...cluster.server('whole').config })
    await root.query('CREATE DATABASE ledger_other')
    await root.query('CREATE TABLE ledger_other.notes (id INT PRIMARY KEY AUTO_INCREMENT, text VARCHAR(20) NOT NULL)')
    await root.end()
    const server = { host: '127.0.0.1', port: cluster.portOf('whole'), user: 'root', password: 'existing-root', schema: 'ledger_other' }
    await cluster.api('control1', 60_000).call('createKeyspace', {}, { name: 'ledger_other', server })
  })
  after(async () => {
    cluster.letGo()
    await ledger.stop()
    await cluster[Symbol.asyncDispose]()
  })

  test('by any other fence it is refused before anything is made, and the way out is named', async () => {
    const { spec } = cluster.reshard()
    const reshard = new ReshardUnderTest(cluster.api('control1', 60_000), 'whole', { ...spec, fence: 'strongest' }, 'ledger')
    const ended = await reshard.outcome(await reshard.askCreate())
    assert.equal(ended.state, 'failed')
    const shared = ended.errors.filter((error) => error.code === 'SW-CHANGE-008')
    assert.ok(shared.some((error) => error.what.includes('ledger_other/')), JSON.stringify(ended.errors)) // prettier-ignore
    assert.ok(shared.every((error) => error.fix.includes('--fence triggers')))
  })

  test('promises 1, 2: by armed triggers there and back: no error, nothing lost or doubled, one writable side; the other keyspace is not held', async () => {
    try {
      await cluster.create()
      const modes = ['autocommit', 'prepared', 'transaction'] as const
      for (const [i, mode] of modes.entries())
        ledger.throughGate(`${i === 1 ? 'gate2' : 'gate1'} ${mode}`, cluster.process(i === 1 ? 'gate2' : 'gate1').port, ids[i] ?? [], mode)
      for (const name of ['whole', 'low', 'high'] as const) ledger.direct(cluster, name, directIds[name])
      await using other = new Other(cluster.process('gate2').port)
      const patience = { cluster, ledger, random: seeded(1), say: () => undefined, patienceMs: 60_000 }
      const reshard = cluster.reshard()
      for (const verb of ['switchtraffic', 'reversetraffic'] as const) {
        const action = await askUntilHeld(patience, { step: 'wayBackProven' }, await cluster.leader(), verb)
        // The fence stands, writes of the one are held at the gates: those of the other pass.
        const { written } = other
        await until('the other keyspace to be written meanwhile', () => other.written > written + 5, 5_000)
        cluster.letGo()
        const { outcome } = (await reshard.follow(action)).result as SwitchReport
        assert.equal(outcome, 'switched')
        await reshard.untilFollowing()
        assert.deepEqual(await judge(patience), [])
      }
      await other.stop()
      assert.deepEqual(other.errors, [])
      assert.deepEqual(ledger.errors, [])
      await reshard.act('cancel')
      const left = await cluster.onServer('whole', async (connection) => {
        const [rows] = await connection.query("SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_NAME LIKE '%sw_fence%'")
        return rows
      })
      assert.deepEqual(left, [], 'cancel takes the fence away')
    } catch (error) {
      throw cluster.describe(error)
    }
  })
})
