/** Promise 7: a stream that waits for locks of others on its targets says whose they are. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { connect } from '../mysql/connect.ts'
import { besideEachOther } from '../../test/kit/beside.ts'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import type { Lane } from './lane.ts'
import { LockWaits } from './lock-waits.ts'
import { fill, World } from './testkit/world.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

besideEachOther('locks of others', (flavour) => {
  test(`promise 7 on ${flavour}: a lock that somebody has on a target is told, with the session that has it, and nothing any more once it is gone`, async () => {
    await using world = await World.create({ flavour, sources: ['-'], targets: ['-'] }, servers.of(flavour))
    await fill(world, 0, 10, 100)
    const record = world.record(0)
    const running = world.start(record)
    await world.untilRunning(record.uid)
    await using other = await connect({ ...world.target.config, database: world.targetRefs[0]!.schema })
    const waiting = (): string => running.stream.report().waiting?.what ?? ''
    for (const [lock, unlock, told] of [
      [
        'SELECT * FROM item FOR UPDATE',
        'ROLLBACK',
        new RegExp(`a lock on rows of app/- .*session ${other.threadId} of root@.*within a transaction`),
      ],
      ['LOCK TABLES item READ', 'UNLOCK TABLES', /a lock on a table of app\/- .*waiting for table .*lock/i],
    ] as const) {
      await other.query('BEGIN')
      await other.query(lock)
      await world.s.query('UPDATE item SET v = v + 1')
      const beganMs = Date.now()
      await world.until('what it waits for', () => told.test(waiting()))
      const since = running.stream.report().waiting?.sinceMs ?? 0
      assert.ok(since > beganMs - 2_000 && since <= Date.now(), String(since - beganMs))
      await other.query(unlock)
      await world.drain(record.uid)
      await world.until('nothing', () => waiting() === '')
    }
    await world.assertEqual()
    await running.stop()
  })

  test(`promise 8 on ${flavour}: who has a lock is looked for without what the server's sessions are writing just now`, async () => {
    const { target } = await servers.of(flavour)
    await using meta = await connect(target.config)
    await using writer = await connect(target.config)
    await using other = await connect(target.config)
    const statement = other.query(`SELECT SLEEP(2) /* ${'x'.repeat(2 << 20)} */`)
    const lane = { conn: writer, busySinceMs: -10_000 } as unknown as Lane
    const waits = new LockWaits([{ name: 'app/-', meta, lanes: [lane], xaLane: lane }], systemClock, () => undefined)
    const before = meta.bytesReceived
    const stop = new AbortController()
    const running = waits.run(stop.signal)
    await statement
    stop.abort()
    await running
    assert.ok(meta.bytesReceived - before > 500 && meta.bytesReceived - before < 200_000, `${meta.bytesReceived - before} bytes read`)
  })
})
