/** PROTOCOLS 1.7, 1.13: the lock by which streams come to a target one by one. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { connect } from '../mysql/connect.ts'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import type { Waiting } from './applier-options.ts'
import { ensureMoveTables } from './tables.ts'
import { withTargetLock } from './target-lock.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

for (const flavour of flavours())
  test(`1.13 on ${flavour}: who left the lock of a target behind is named, and ended when idle; not a stream that runs, which executes in another session`, async () => {
    const { target } = await servers.of(flavour)
    await using left = await connect(target.config)
    await using conn = await connect(target.config)
    await ensureMoveTables(conn)
    const said: (Waiting | null)[] = []
    const options = { targetUid: 'left', clock: systemClock, onWaiting: (waiting: Waiting | null) => void said.push(waiting) }
    const held = new AbortController()
    let letGo = (): void => undefined
    const first = withTargetLock({ ...options, conn: left, signal: held.signal }, () => new Promise<void>((resolve) => (letGo = resolve)))
    await conn.query(
      `INSERT INTO _shardwright.move_applier (stream_uid, target_uid, lane, workflow_uid, direction, epoch, state, n, session)
      VALUES ('runs', 'left', 1000, 'left', 'forward', 1, 'running', 0, ${left.threadId})`,
    )
    const limit = new AbortController()
    const second = withTargetLock({ ...options, conn, signal: limit.signal, idleSecondsMax: 0 }, () => Promise.resolve())
    const ended = assert.rejects(second)
    for (let look = 0; look < 400 && said.length < 3; look++) await systemClock.sleep(20)
    limit.abort()
    await ended
    assert.ok(left.open, 'a stream that runs')
    assert.match(said.at(-1)?.ends ?? '', new RegExp(`KILL ${left.threadId} `))

    await conn.query("DELETE FROM _shardwright.move_applier WHERE stream_uid = 'runs'")
    let isHad = false
    const third = withTargetLock({ ...options, conn, signal: AbortSignal.timeout(20_000), idleSecondsMax: 0 }, () => {
      isHad = true
      return Promise.resolve()
    })
    await third
    assert.ok(isHad)
    assert.equal(said.at(-1), null, 'what is done behind it is no wait for the other')
    letGo()
    await first
  })
