/** What `plan` measures, on real servers with a fleet and a topic: each figure says where it is from, and nothing unknown is a number. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import type { PlanInput } from '../plan/figures.ts'
import { plan } from '../plan/plan.ts'
import { openTopic } from '../topic/open.ts'
import { keys } from '../topology/keys.ts'
import { definition, TwoBranches } from '../verify/ladder/testkit/two-branches.ts'
import { measurePlan } from './plan-measure.ts'

describe('plan, measured', { timeout: 180_000 }, () => {
  let world: TwoBranches
  before(async () => {
    world = await TwoBranches.create({ flavour: 'mariadb' })
    await world.produce(2000, 10)
    world.startFleet('main')
    await world.untilCaughtUp('main')
  })
  after(async () => {
    await world[Symbol.asyncDispose]()
  })

  const measure = (): Promise<PlanInput> =>
    measurePlan({
      store: world.store,
      clock: systemClock,
      log: silentLog,
      loadDefinition: async () => definition,
      keyspace: 'app',
      shardsWanted: 4,
      definition: undefined,
      topic: undefined,
      sampleMs: 1000,
      signal: new AbortController().signal,
    })

  test('with a fleet: sizes, rates, retentions; pin is advised where the topic holds everything and the fleet can', async () => {
    const stop = new AbortController()
    const producing = (async () => {
      while (!stop.signal.aborted) {
        await world.produce(100, 1)
        await systemClock.sleep(50)
      }
    })()
    const input = await measure().finally(() => stop.abort())
    await producing
    const { figures, facts } = input
    assert.equal(input.shardsNow, 2)
    assert.equal(figures.sourceBytes.source, 'measured')
    assert.ok((figures.sourceBytes.value as number) > 0)
    assert.equal(figures.storeRetentionSeconds.value, 3600)
    assert.equal(figures.topicRetentionSeconds.value, 'unbounded')
    assert.ok((figures.eventsPerSecond.value as number) > 0)
    assert.ok((figures.eventBytes.value as number) > 30 && (figures.eventBytes.value as number) < 200)
    assert.ok((figures.binlogBytesPerSecond.value as number) > 0)
    assert.ok((figures.targetFreeBytes.value as number) > 0)
    assert.equal(figures.fleetEventsPerSecond.value, 'unknown', 'no L6 yet')
    assert.deepEqual(facts.topicTables.value, ['hourly', 'slow'])
    assert.deepEqual(facts.neverExpires.value, [])
    assert.deepEqual(facts.otherWriters.value, [])
    assert.equal(plan(input).ways.find((one) => one.way === 'pin')?.fits, 'unknown')
  })

  test('a topic that keeps less than the rows: the broker’s figure is taken', async () => {
    await using topic = await openTopic(world.url)
    await topic.setRetentionMs(100_000_000_000n)
    try {
      assert.equal((await measure()).figures.topicRetentionSeconds.value, 100_000_000)
    } finally {
      await topic.setRetentionMs(null)
    }
  })

  test('without a fleet: no way by the topic, and no figure of it', async () => {
    await world.stopFleets()
    const fleet = await world.store.get(keys.fleet('app'))
    await world.store.commit([], [{ key: keys.fleet('app'), value: undefined }])
    try {
      const input = await measure()
      assert.equal(input.figures.storeRetentionSeconds.value, 'unknown')
      assert.deepEqual(input.facts.topicTables.value, [])
      const result = plan(input)
      assert.equal(result.advice.way, 'replicate', result.advice.because.join('; '))
      for (const one of result.ways) if (one.way !== 'replicate') assert.equal(one.fits, 'unfit')
    } finally {
      await world.store.commit([], [{ key: keys.fleet('app'), value: fleet!.value }])
    }
  })
})
