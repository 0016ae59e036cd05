/**
 * PROTOCOLS 1.10, promise 1: the primary is lost, and the replica that takes its place lacks transactions which the stream had read and of which a target shows something, though no position stored there says so:
 * a row that was left out of a chunk for them, a part of a round, rows of a prepared XA transaction. The stream does not go on there; it does once they have been brought.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { follow, forgetOwn, replicaSettings } from '../../test/kit/replication.ts'
import { flavours, testServer, type TestServer } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import { currentPosition, executedContains } from '../binlog/position.ts'
import { connect } from '../mysql/connect.ts'
import type { Connection } from '../mysql/connection.ts'
import type { StreamRecord } from '../topology/records.ts'
import type { CrashPoint, Failpoints } from './crash-points.ts'
import { fill, World, type Running } from './testkit/world.ts'

/** Holds at a point from when it is armed until it is let go, or the run dies there. */
class Holds implements Failpoints {
  readonly #armed = new Map<
    CrashPoint,
    { held: boolean; readonly gate: Promise<void>; readonly letGo: () => void; readonly die: () => void }
  >()

  arm(point: CrashPoint): void {
    const { promise: gate, resolve: letGo, reject } = Promise.withResolvers<void>()
    gate.catch(() => undefined)
    this.#armed.set(point, { held: false, gate, letGo, die: () => reject(new Error(`killed at ${point}`)) })
  }

  die(): void {
    for (const { die } of this.#armed.values()) die()
  }

  holds(point: CrashPoint): boolean {
    return this.#armed.get(point)?.held === true
  }

  letGo(point: CrashPoint): void {
    this.#armed.get(point)?.letGo()
    this.#armed.delete(point)
  }

  hit(point: CrashPoint): Promise<void> | undefined {
    const armed = this.#armed.get(point)
    if (armed === undefined) return undefined
    armed.held = true
    return armed.gate
  }
}

type Lost = {
  readonly world: World
  readonly record: StreamRecord
  readonly holds: Holds
  readonly running: Running
  /** From here on the replica receives nothing. */
  readonly cutOff: () => Promise<void>
}

/** `lose`: until the target shows something of what the replica has not received. */
async function loses(flavour: 'mariadb' | 'mysql', armed: readonly CrashPoint[], lose: (lost: Lost) => Promise<void>): Promise<void> {
  const options = { flavour, extra: replicaSettings(flavour) }
  const [primary, replica, targetServer] = await Promise.all([testServer(options), testServer(options), testServer({ flavour })])
  await using _primary = primary
  await using _replica = replica
  await using _target = targetServer
  const r = await connect(replica.config)
  await using p = await connect(primary.config)
  await forgetOwn(r)
  await follow(r, p, primary.port)
  await using world = await World.create({ flavour, sources: ['-'], targets: ['-'] }, { source: primary, target: targetServer })
  await fill(world, 0, 20, 20)
  const record = world.record(0)
  const holds = new Holds()
  for (const point of armed) holds.arm(point)
  const running = world.start(record, { failpoints: holds })
  const hasAll = async (): Promise<void> => {
    const position = await currentPosition(p)
    await until('the replica to have it all', () => executedContains(r, position))
  }
  const cutOff = async (): Promise<void> => {
    await hasAll()
    await r.query('STOP REPLICA')
  }
  await lose({ world, record, holds, running, cutOff })
  holds.die()
  await running.done
  const lost = world.s
  await takesOver(world, replica, r)
  const there = await world.t.value(`SELECT position FROM _shardwright.move_stream WHERE stream_uid = '${record.uid}'`)
  assert.ok(await executedContains(r, there as Parameters<typeof executedContains>[1]), 'the position alone does not say it')
  world.reports.clear()
  world.start({ ...record, generation: record.generation + 1 })
  await world.until('an end', () => world.state(record.uid) === 'failed' || world.state(record.uid) === 'running')
  const { error } = world.reports.get(record.uid) ?? assert.fail('no report')
  assert.equal(error?.code, 'SW-MOVE-041', JSON.stringify(error))
  assert.match(
    error?.what ?? '',
    flavour === 'mysql' ? /may show something: [0-9a-f]{8}-[0-9a-f-]{27}:\d+/ : /may show something: \d+-\d+-\d+ to \d+-\d+-\d+/,
  )
  assert.match(error?.fix ?? '', /set-primary/)
  lost.destroy()
  // What it lacks is brought from the old server.
  await r.query('START REPLICA')
  await hasAll()
  await r.query('STOP REPLICA')
  world.reports.clear()
  const again = world.start({ ...record, generation: record.generation + 2 })
  await world.untilRunning(record.uid)
  await world.drain(record.uid)
  assert.equal(await world.assertEqual(), 20)
  await again.stop()
}

async function takesOver(world: World, replica: TestServer, r: Connection): Promise<void> {
  await r.query('SET GLOBAL read_only = 0')
  ;(world as { source: TestServer }).source = replica
  world.s = r
  await r.useDatabase(world.sourceRefs[0]!.schema)
}

const standing = ({ stream }: Running): { changes: number; chunks: number } => {
  const { targets } = stream.standing() as { targets: { changes: number; chunks: number }[] }
  return targets[0] ?? { changes: 0, chunks: 0 }
}

for (const flavour of flavours()) {
  test(`1.10, promise 1 on ${flavour}: a row was left out of a chunk for a transaction that is lost: the stream does not go on without it`, async () => {
    await loses(flavour, ['copy.afterRead', 'round.beforePosition'], async ({ world, record, holds, running, cutOff }) => {
      await world.until('a chunk', () => holds.holds('copy.afterRead'))
      await world.s.query('UPDATE item SET v = v + 1 WHERE id = 1')
      await world.until('its round', () => holds.holds('round.beforePosition'))
      await cutOff()
      await world.s.query(`UPDATE item SET name = 'lost' WHERE id = 2`)
      await world.until('it to be read', () => standing(running).changes > 0)
      holds.letGo('copy.afterRead')
      await world.until('the chunk to wait', () => standing(running).chunks > 0)
      holds.letGo('round.beforePosition')
      // Of its own round.
      holds.arm('round.beforePosition')
      const landed = `SELECT COUNT(*) FROM _shardwright.move_chunk WHERE stream_uid = '${record.uid}'`
      await until('the chunk to land', async () => (await world.t.value(landed)) !== '0')
      assert.equal(await world.t.value(`SELECT COUNT(*) FROM ${world.targetRefs[0]!.schema}.item WHERE id = 2`), '0', 'it was left out')
    })
  })

  test(`1.10, promise 1 on ${flavour}: a part of a round is of a transaction that is lost: the stream does not go on without it`, async () => {
    await loses(flavour, ['round.afterSomeLanes'], async ({ world, record, holds, cutOff }) => {
      await world.untilRunning(record.uid)
      await world.drain(record.uid)
      await cutOff()
      await world.s.query('UPDATE item SET v = v + 1000')
      await world.until('a lane of its round', () => holds.holds('round.afterSomeLanes'))
      const written = `SELECT COUNT(*) FROM ${world.targetRefs[0]!.schema}.item WHERE v >= 1000`
      await until('a part of it to be written', async () => (await world.t.value(written)) !== '0')
    })
  })

  test(`1.10, 1.9 on ${flavour}: rows of an XA transaction are kept whose PREPARE is lost: the stream does not go on without it`, async () => {
    await loses(flavour, ['xa.kept'], async ({ world, record, holds, cutOff }) => {
      await world.untilRunning(record.uid)
      await world.drain(record.uid)
      await cutOff()
      for (const sql of [`XA START 'lost'`, 'UPDATE item SET v = v + 1000 WHERE id = 1', `XA END 'lost'`, `XA PREPARE 'lost'`])
        await world.s.query(sql)
      await world.until('its rows to be kept', () => holds.holds('xa.kept'))
      await world.s.query(`XA ROLLBACK 'lost'`)
    })
  })
}
