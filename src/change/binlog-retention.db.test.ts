/** PROTOCOLS 1.14: what streams have raised on their sources is put back by whoever leads, however their workflow ended. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { Headroom } from '../move/headroom.ts'
import { connect } from '../mysql/connect.ts'
import { keys } from '../topology/keys.ts'
import { MemoryStore } from '../topology/memory.ts'
import type { ServerRecord, ServerSecret, StreamRecord } from '../topology/records.ts'
import { put } from '../topology/typed.ts'
import type { Leadership } from '../workflow/context.ts'
import { ServerPairs } from '../../test/kit/server-pairs.ts'
import { flavours } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import { putBackUnread, retentionOwed } from './binlog-retention.ts'
import { watchRemovals } from './removals.ts'
import type { World } from './servers.ts'

const servers = new ServerPairs()
after(() => servers[Symbol.asyncDispose]())

for (const flavour of flavours()) {
  test(`1.14 on ${flavour}: retention is put back when no stream reads a server any more, by the leader where nobody could before`, async () => {
    const { source } = await servers.of(flavour)
    await using admin = await connect(source.config)
    await using store = new MemoryStore()
    const kept = (): Promise<string | null | undefined> => admin.value('SELECT @@GLOBAL.binlog_expire_logs_seconds')
    await admin.query('CREATE DATABASE IF NOT EXISTS _shardwright')
    await admin.query('SET GLOBAL binlog_expire_logs_seconds = 3600')
    await new Headroom({ conn: admin, clock: systemClock, log: silentLog, behindMs: () => 1_900_000 }).refresh()
    assert.equal(await kept(), '7200')
    const account = { user: source.config.user, password: source.config.password ?? '' }
    const server = { socketPath: null, ...source.config, v: 1, id: 'read', flavour, provisioned: false } as unknown as ServerRecord
    const there = put(keys.server('read'), server)
    const stream = keys.stream('other', 'other/1')
    await store.commit(
      [],
      [
        there,
        put<ServerSecret>(keys.secret('read'), { v: 1, admin: account, mover: account, gate: account }),
        put(stream, { v: 1, source: { serverId: 'read' } } as unknown as StreamRecord),
        ...retentionOwed(['read', 'read', 'gone']),
      ],
    )
    const owed = async (): Promise<string[]> => [...(await store.list(keys.allRetentionOwed)).entries.keys()]
    const lines: string[] = []
    let nowMs = 1_000_000
    const clock = { ...systemClock, nowMs: () => nowMs }
    const putBack = (): Promise<void> => putBackUnread({ store, clock }, (line) => void lines.push(line))
    await putBack()
    const still = [keys.retentionOwed('read')]
    assert.deepEqual([lines, await owed(), await kept()], [[], still, '7200'], 'the stream of the workflow that is just ending, perhaps')

    // The last one ends while the server does not answer.
    await store.commit([], [{ key: stream, value: undefined }, put(keys.server('read'), { ...server, host: '127.0.0.1', port: 1 })])
    await putBack()
    assert.match(lines.join(), /retention of binlogs on read was raised is not known: .*tried again/)
    assert.deepEqual(await owed(), still)
    await store.commit([], [there])
    const end = new AbortController()
    const world = { store, clock, log: silentLog } as unknown as World
    const watching = watchRemovals(world, { signal: end.signal } as unknown as Leadership)
    await until('the leader to put it back', async () => (await kept()) === '3600', 10_000)
    end.abort()
    await watching
    // A mover that had not noticed the end.
    await new Headroom({ conn: admin, clock: systemClock, log: silentLog, behindMs: () => 1_900_000 }).refresh()
    assert.equal(await kept(), '7200')
    await putBack()
    assert.deepEqual([await owed(), await kept()], [still, '3600'])
    nowMs += 30_000
    await putBack()
    assert.deepEqual(await owed(), [], 'no record of the server stays')
  })
}
