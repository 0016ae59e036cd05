/** Promise 7: what a stream does every minute keeps its idle sessions, and ends nothing that is well. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemClock, type Clock } from '../base/clock.ts'
import { flavours } from '../../test/kit/servers.ts'
import { fill, itemTable, World } from './testkit/world.ts'

/** A clock whose minutes are short. */
function hurried(): { clock: Clock; minutes: () => number } {
  let minutes = 0
  const clock: Clock = {
    ...systemClock,
    sleep: async (ms, signal) => {
      await systemClock.sleep(ms === 60_000 ? 100 : ms, signal)
      if (ms === 60_000) minutes++
    },
  }
  return { clock, minutes: () => minutes }
}

for (const flavour of flavours()) {
  test(`promise 7 on ${flavour}: a stream goes on in one run, minute after minute, while tables are copied one after another and when all have been`, async () => {
    const second = { ...itemTable, name: 'item2', ddl: itemTable.ddl.replace('TABLE item', 'TABLE item2') }
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-80', '80-'], tables: [itemTable, second] })
    await fill(world, 0, 3_000, 6_000)
    await world.s.query('INSERT INTO item2 SELECT * FROM item WHERE id < 10')
    const { clock, minutes } = hurried()
    const record = world.record(0)
    // One reader has ended long before the other.
    const pace = { copyBytesPerSecondMax: 100_000 }
    const running = world.start(record, { clock, pace: () => pace })
    await world.until('the copy', () => world.state(record.uid) === 'copying' || world.failIfFailed(record.uid))
    const began = minutes()
    await world.until('minutes of copying', () => minutes() > began + 2 || world.failIfFailed(record.uid))
    assert.equal(world.state(record.uid), 'copying')
    await world.untilRunning(record.uid)
    const then = minutes()
    await world.until('minutes of following', () => minutes() > then + 2)
    assert.equal(world.state(record.uid), 'running')
    assert.deepEqual(world.restarts, [])
    await world.drain(record.uid)
    await world.assertEqual()
    await running.stop()
  })
}
