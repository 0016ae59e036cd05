/**
 * SHARDWRIGHT_FENCES_ALL=1: every kind and every death on both databases; without it those that say something of their own.
 *
 * Whole switches and reverses under the fences that are not the usual one, while clients that bypass every gate write to both sides and a controller
 * dies before and after the decision; and on one server that holds both sides and somebody else's schema, which goes on being written.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import type { SwitchContext } from './context.ts'
import { defaultSwitchLimits } from './context.ts'
import { ControllerDied, noSwitchFailpoint } from './crash-points.ts'
import type { SwitchCrashPoint, SwitchFailpoint } from './crash-points.ts'
import type { FenceKind } from './fence-kinds.ts'
import { recoverAll } from './recover.ts'
import { switchReportText } from './report.ts'
import type { SwitchReport } from './report.ts'
import { watchKeyspace } from './strays.ts'
import { switchTraffic } from './switch-traffic.ts'
import { Ledger } from './testkit/ledger.ts'
import { flavourAvailable } from './testkit/servers.ts'
import { until } from '../../test/kit/until.ts'
import { connectApp, fresh, old, tableOf, World } from './testkit/world.ts'

const limits = { ...defaultSwitchLimits, freshMs: 60_000, warmMs: 10_000, graceMs: 100, limitMs: 6_000, holdsReportMs: 1 }
const request = { keyspace: 'app', workflow: 'w', shards: null, dryRun: false, limits, undo: '' }

const everything = process.env['SHARDWRIGHT_FENCES_ALL'] !== undefined

class Run {
  readonly world: World
  #ids = 1_000
  /** Of single writes, above those of every ledger. */
  #single = 500_000_000
  #kind: FenceKind | null = null

  constructor(world: World) {
    this.world = world
  }

  async serving(): Promise<readonly string[]> {
    return (await this.world.routing()).components[0]?.serving.primary ?? []
  }

  /** The old side serves, and switches go by this fence. */
  async under(kind: FenceKind): Promise<void> {
    if ((await this.serving()).length > 1) await this.switched(await this.world.leader())
    if (this.#kind !== kind) await this.world.refence(kind)
    this.#kind = kind
  }

  ledger(): Ledger {
    return new Ledger(this.world, (this.#ids += 100_000))
  }

  id(): number {
    return (this.#single += 2)
  }

  async switched(context: SwitchContext): Promise<SwitchReport> {
    const report = await switchTraffic(context, { ...request, to: otherOf(await this.serving()) })
    assert.equal(report.outcome, 'switched', switchReportText(report))
    return report
  }

  /** Nothing acknowledged is lost, nothing refused is there, one side takes writes. */
  async check(ledger: Ledger): Promise<void> {
    await ledger.stop()
    const side = await this.serving()
    const ids = new Set(await this.world.ids(side))
    assert.deepEqual([...ledger.acked].filter((id) => !ids.has(id)), [], 'acknowledged and lost') // prettier-ignore
    assert.deepEqual([...ledger.refused].filter((id) => ids.has(id)), [], 'refused and there') // prettier-ignore
    assert(ledger.acked.size > 0)
    await this.write(side)
    await assert.rejects(this.write(otherOf(side)), (error) => isServerError(error), 'the other side takes writes')
  }

  async write(side: readonly string[], id = this.id()): Promise<void> {
    const table = tableOf(id, side)
    await using client = await connectApp(this.world.server(this.world.serverOf(side.length === 1 ? '-' : '-80')))
    await client.query(`INSERT INTO ${table} VALUES (${id}, 'one', 0)`)
  }
}

function otherOf(side: readonly string[]): readonly string[] {
  return side.length === 1 ? fresh : old
}

async function thereAndBack(run: Run, failpoint: SwitchFailpoint = noSwitchFailpoint): Promise<void> {
  for (let turn = 0; turn < 2; turn++) {
    await using ledger = run.ledger()
    await run.switched(await run.world.leader({ failpoint }))
    await run.check(ledger)
  }
}

async function dies(run: Run, point: SwitchCrashPoint, goes: boolean): Promise<void> {
  const from = await run.serving()
  await using ledger = run.ledger()
  const stale = await run.world.leader({
    failpoint: async (here) => {
      if (here === point) throw new ControllerDied(point)
    },
  })
  await assert.rejects(switchTraffic(stale, { ...request, to: otherOf(from) }), ControllerDied)
  await recoverAll(await run.world.leader(), limits)
  assert.deepEqual(await run.serving(), goes ? otherOf(from) : from)
  await run.check(ledger)
}

for (const flavour of ['mariadb', 'mysql'] as const) {
  describe(`switches under every fence on ${flavour}`, { skip: !flavourAvailable(flavour) }, () => {
    let run: Run
    before(async () => {
      run = new Run(await World.start(flavour))
    })
    after(() => run.world.stop())

    const all: readonly FenceKind[] = flavour === 'mysql' ? ['kill', 'persist', 'triggers'] : ['kill', 'triggers']
    const kinds = everything || flavour === 'mariadb' ? all : all.filter((kind) => kind !== 'kill')
    for (const kind of kinds) {
      test(`promises 1, 2, 5: there and back by ${kind}, under writes on both sides`, async () => {
        await run.under(kind)
        await thereAndBack(run)
      })
      for (const point of everything || kind === 'triggers' ? (['closed', 'decided'] as const) : []) {
        test(`promises 1, 2, 9: by ${kind}: the controller dies at ${point}, the next one ends it`, async () => {
          await run.under(kind)
          await dies(run, point, point === 'decided')
        })
      }
    }

    test('promises 1, 2: TRUNCATE passes armed triggers: between the fence and the decision it waits, and is interrupted or comes too late', async () => {
      await run.under('triggers')
      await run.write(old)
      let truncated: Promise<unknown> | null = null
      await using client = await connectApp(run.world.server('f'))
      await using admin = await run.world.admin('f')
      await admin.query("GRANT DROP ON *.* TO app@'%'")
      await client.changeUser({ user: 'app', password: 'app' })
      const context = await run.world.leader({
        failpoint: async (here) => {
          if (here !== 'wayBackProven') return
          truncated = client.query('TRUNCATE TABLE app__.t').catch((error: unknown) => error)
          const waits = async (): Promise<boolean> =>
            (await admin.allText('SHOW FULL PROCESSLIST')).some(
              (row) => (row['Info'] ?? '').startsWith('TRUNCATE') && /metadata lock/.test(row['State'] ?? ''),
            )
          await until('TRUNCATE to wait for the table locks', waits, 3_000)
        },
      })
      await run.switched(context)
      const told = await truncated
      assert(isServerError(told), `it is told that it did not run: ${String(told)}`)
      assert((await run.world.ids(old)).length > 0)
      await run.switched(await run.world.leader())
    })

    test('promise 2: the session whose table locks hold DDL off is lost before the decision: given up', async () => {
      await run.under('triggers')
      const context = await run.world.leader({
        failpoint: async (here) => {
          if (here !== 'wayBackProven') return
          await using admin = await run.world.admin('f')
          await admin.query(`KILL ${await admin.value(`SELECT IS_USED_LOCK('${context.pool.lockNames.lock}')`)}`)
        },
      })
      const report = await switchTraffic(context, { ...request, to: fresh })
      assert.equal(report.outcome, 'given up', switchReportText(report))
      assert.equal(report.error?.code, 'SW-SWITCH-007')
      await run.write(old)
    })

    test('promises 1, 6: TRUNCATE on the side that is to serve: no switch goes there, however often it is asked for', async () => {
      await run.under('triggers')
      {
        await using client = await connectApp(run.world.server('n'))
        await using admin = await run.world.admin('n')
        await admin.query("GRANT DROP ON *.* TO app@'%'")
        await client.changeUser({ user: 'app', password: 'app' })
        await client.query('TRUNCATE TABLE app__80.t')
      }
      for (let attempt = 0; attempt < 2; attempt++)
        await assert.rejects(async () => switchTraffic(await run.world.leader(), { ...request, to: fresh }), {
          code: 'SW-SWITCH-050',
          message: /TRUNCATE TABLE app__80\.t/,
        })
      await run.write(old)
    })
  })
}

/** Somebody else's schema on the same server: one connection that writes all the time, one with a transaction open. */
class Neighbour implements AsyncDisposable {
  writes = 0
  readonly errors: unknown[] = []
  readonly #writer: Connection
  readonly #idle: Connection
  #running = true
  readonly #done: Promise<void>

  private constructor(writer: Connection, idle: Connection) {
    this.#writer = writer
    this.#idle = idle
    this.#done = this.#loop()
  }

  static async start(world: World): Promise<Neighbour> {
    await using admin = await world.admin('f')
    await admin.query('CREATE DATABASE IF NOT EXISTS other')
    await admin.query('CREATE TABLE IF NOT EXISTS other.t (id INT PRIMARY KEY AUTO_INCREMENT, n INT NOT NULL)')
    const [writer, idle] = await Promise.all([connectApp(world.server('f')), connectApp(world.server('f'))])
    for (const one of [writer, idle]) await one.useDatabase('other')
    await idle.query('BEGIN')
    await idle.query('INSERT INTO t (n) VALUES (-1)')
    return new Neighbour(writer, idle)
  }

  /** Its open transaction too was nobody's business. */
  async stop(): Promise<void> {
    this.#running = false
    await this.#done
    await this.#idle.query('COMMIT')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#running = false
    await this.#done
    this.#writer.destroy()
    this.#idle.destroy()
  }

  async #loop(): Promise<void> {
    while (this.#running) {
      try {
        await this.#writer.query(`INSERT INTO t (n) VALUES (${this.writes})`)
        this.writes++
      } catch (error) {
        this.errors.push(error)
        return
      }
      await delay(1)
    }
  }
}

for (const flavour of ['mariadb', 'mysql'] as const) {
  const skip = !flavourAvailable(flavour) || (flavour === 'mysql' && !everything)
  describe(`one server for both sides and somebody else, on ${flavour}`, { skip }, () => {
    let run: Run
    before(async () => {
      run = new Run(await World.start(flavour, 'real', 0))
    })
    after(() => run.world.stop())

    test('promises 1, 2: armed triggers close one side of it: the other is written there and back, and a neighbour’s schema all the time', async () => {
      await using neighbour = await Neighbour.start(run.world)
      await thereAndBack(run, async (point) => {
        // While the tables are locked, and while the fence stands: a neighbour waits for nothing.
        if (!['tablesLocked', 'closed', 'wayBackProven'].includes(point)) return
        const { writes } = neighbour
        await until(`a neighbour's writes at ${point}`, () => neighbour.writes > writes + 2 || neighbour.errors.length > 0, 3_000)
      })
      await neighbour.stop()
      assert.deepEqual(neighbour.errors, [])
    })

    for (const point of ['closed', 'decided'] as const)
      test(`promises 1, 2, 9: the controller dies at ${point}: what stands is ended by the next one`, async () => {
        await using neighbour = await Neighbour.start(run.world)
        await dies(run, point, point === 'decided')
        await neighbour.stop()
        assert.deepEqual(neighbour.errors, [])
      })

    test('promise 2: TRUNCATE on the side that is closed for good: an ALARM names it, the workflow is stopped, and no switch goes back over it', async () => {
      const side = otherOf(await run.serving())
      const table = tableOf(2, side)
      await using admin = await run.world.admin('f')
      await admin.query("GRANT DROP ON *.* TO app@'%'")
      await using client = await connectApp(run.world.server('f'))
      await client.query(`TRUNCATE TABLE ${table}`)
      const context = await run.world.leader()
      const untilMs = performance.now() + 10_000
      let found: readonly string[] = []
      while (found.length === 0 && performance.now() < untilMs) {
        found = (await watchKeyspace(context, 'app')).flatMap((stray) => stray.found)
        await delay(50)
      }
      assert.match(found.join('\n'), new RegExp(`TRUNCATE TABLE ${table.replace('.', '\\.')}`))
      const report = await switchTraffic(context, { ...request, to: side })
      assert.equal(report.outcome, 'refused', switchReportText(report))
    })
  })
}
