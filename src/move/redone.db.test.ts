/**
 * Issue 4, 6: after a kill the tail does one round again at most, and says so. A round in one lane is one transaction with its position, and nothing of it is done again; one in several lanes stores first where it goes to.
 */
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import type { CrashPoint } from './crash-points.ts'
import { holdAt, killAt } from './testkit/kill-at.ts'
import { fill, workload, World } from './testkit/world.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

/** In which the targets have rounds of several transactions. */
const config = { oneLaneChangesMax: 0 }

for (const flavour of flavours()) {
  test(`issue 4, 6, promise 3 on ${flavour}: killed in the midst of a round, a stream does that round again, and nothing of before or behind it`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-'] }, servers.of(flavour))
    await fill(world, 0, 500, 500)
    const record = world.record(0)
    let running = world.start(record, { config })
    await world.untilRunning(record.uid)
    await running.stop()
    world.reports.delete(record.uid)

    // One round is held, until all that comes meanwhile is the next; behind that one more has come when it dies.
    const held = holdAt('round.beforePosition')
    const killed = killAt('round.afterSomeLanes', 1)
    const failpoints = {
      hit(point: CrashPoint) {
        const dies = killed.hit(point)
        dies?.catch(() => undefined)
        return dies === undefined ? held.hit(point) : late(8).then(() => dies)
      },
    }
    const late = async (transactions: number): Promise<void> => {
      for (let n = 0; n < transactions; n++) await world.s.query(`UPDATE item SET v = v + 1 WHERE id = ${400 + n}`)
    }
    running = world.start(record, { config, failpoints })
    await world.untilRunning(record.uid)
    await world.s.query('UPDATE item SET v = v + 1 WHERE id = 1')
    await held.held
    for (let n = 0; n < 30; n++) await world.s.query(`UPDATE item SET v = v + 1 WHERE id IN (${n}, ${n + 100})`)
    const waits = (): number => (running.stream.standing() as { targets: { changes: number }[] }).targets[0]?.changes ?? 0
    await world.until('all of it to be read', () => waits() === 60)
    held.letGo()
    await running.done
    assert.equal(world.state(record.uid), 'failed')
    world.reports.delete(record.uid)

    running = world.start(record, { config })
    await world.untilRunning(record.uid)
    await world.drain(record.uid)
    const { resumed } = running.stream.report()
    assert.deepEqual([resumed?.transactionsRedone, resumed?.changesRedone], [30, 60], JSON.stringify(resumed))
    // Its markers are transactions of the tail too.
    assert.ok((resumed?.round?.transactions ?? 0) >= 30 && resumed?.round?.changes === 60, JSON.stringify(resumed))
    await world.assertEqual()
    await running.stop()
    assert.equal(running.stream.report().resumed?.transactionsRedone, 30, 'said when it has stopped, too')
    world.reports.delete(record.uid)

    running = world.start(record, { config })
    await world.untilRunning(record.uid)
    await world.drain(record.uid)
    assert.deepEqual(running.stream.report().resumed, { rowsRedone: 0, transactionsRedone: 0, changesRedone: 0, round: null })
    await running.stop()
  })

  test(`issue 4, 6, promise 3 on ${flavour}: killed anywhere in rounds under load, a stream does one round again at most`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'] }, servers.of(flavour))
    await fill(world, 0, 800, 2_000)
    const record = world.record(0)
    const load = workload(world, 0, 7, { ids: 2_000, uniques: 100 })
    let toldInAll = 0
    const kills: readonly { point: CrashPoint; skip: number; parts?: number }[] = [
      { point: 'round.afterIntent', skip: 5 },
      { point: 'round.afterDeletes', skip: 12 },
      { point: 'round.afterSomeLanes', skip: 21 },
      { point: 'round.beforePosition', skip: 16 },
      { point: 'round.afterPosition', skip: 9 },
      { point: 'part.afterSome', skip: 6, parts: 500 },
      { point: 'round.afterSomeLanes', skip: 40 },
      { point: 'round.afterIntent', skip: Infinity },
    ]
    for (const { point, skip, parts } of kills) {
      const failpoints = killAt(point, skip)
      const running = world.start(record, { failpoints, config: parts === undefined ? config : { ...config, partBytesMax: parts } })
      if (skip === Infinity) {
        await world.untilRunning(record.uid)
        await world.drain(record.uid)
      } else await running.done
      const { resumed, state } = running.stream.report()
      assert.equal(state, skip === Infinity ? 'running' : 'failed', point)
      const { transactionsRedone: again = 0, changesRedone: changes = 0, round = null } = resumed ?? {}
      assert.ok(again <= (round?.transactions ?? 0), `${JSON.stringify(resumed)} before ${point}`)
      assert.ok(changes <= (round === null ? 0 : (round.changes ?? Infinity)), `${JSON.stringify(resumed)} before ${point}`)
      toldInAll += again
      await running.stop()
      world.reports.delete(record.uid)
    }
    await load.stop()
    assert.ok(toldInAll > 0, 'something was done again')
    const last = world.start(record)
    await world.untilRunning(record.uid)
    await world.drain(record.uid)
    await world.assertEqual()
    await last.stop()
  })
}
