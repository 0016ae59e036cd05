/** Consumers on real servers: what every event becomes, on every shard, once. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FaultProxy } from '../../test/kit/fault-proxy.ts'
import { flavours, sharedServer } from '../../test/kit/servers.ts'
import { keys } from '../topology/keys.ts'
import type { PurgeRecord } from '../topology/dualwrite-records.ts'
import type { ShardRecord } from '../topology/records.ts'
import { readRecord, updateRecord } from '../topology/typed.ts'
import { defineTopic } from './definition.ts'
import { json } from './json.ts'
import { IngestWorld } from './testkit/ingest-world.ts'
import { hourMs, type QueryEvent } from './testkit/query-stats.ts'

const base = Date.UTC(2026, 0, 5)

function events(count: number, from = 0): QueryEvent[] {
  return Array.from({ length: count }, (_, i) => {
    const k = from + i
    return {
      db: k % 13,
      fp: `q${k % 7}`,
      at: base + (k % 5) * hourMs + ((k * 7919) % 1000),
      n: 1 + (k % 3),
      ms: (k * 31) % 997,
      text: `select ${k % 11}`,
      slow: k % 10 === 0,
    }
  })
}

for (const flavour of flavours()) {
  test(`${flavour}: every record takes effect once, rows merge as declared, on the shard that the key says; a second consumer takes its share`, async () => {
    const server = await sharedServer(flavour)
    await using world = await IngestWorld.create(server)
    await world.branch('main', ['-40', '40-80', '80-c0', 'c0-'])
    await world.fleet('main')
    await world.send(events(3000))
    world.consumer('main')
    await world.caughtUp('main')
    await world.assertExact('main')
    world.consumer('main')
    await world.until('a fair share', async () => {
      const reports = await world.reports('main')
      return reports.length === 2 && reports.every(({ partitions }) => partitions.length === 2)
    })
    await world.send(events(2000, 3000))
    await world.caughtUp('main')
    await world.assertExact('main')
    for (const { start, taken, next } of (await world.positions('main')).values()) assert.equal(start + taken, next, 'L0: ranges chain')
  })
}

test('another server becomes a shard’s primary: consumers go on there, and ask the given-up one no more', async () => {
  const server = await sharedServer('mariadb')
  await using world = await IngestWorld.create(server)
  await using givenUp = await FaultProxy.start(server.config)
  await world.branch('main', ['-80', '80-'])
  const { name } = await world.fleet('main')
  let asked = 0
  world.consumer('main', {
    addresses: (serverId) => {
      if (serverId === 'other') return server.config
      asked++
      return givenUp
    },
  })
  await world.send(events(500))
  await world.caughtUp('main')
  for (const shard of ['-80', '80-'])
    await updateRecord<ShardRecord>(world.store, keys.shard(name, shard), (now) => (now === null ? null : { ...now, serverId: 'other' }))
  // The server that was the primary is closed, and then gone.
  await givenUp[Symbol.asyncDispose]()
  await world.send(events(500, 500))
  await world.caughtUp('main', 20_000)
  await world.assertExact('main')
  const before = asked
  await world.send(events(100, 1000))
  await world.caughtUp('main', 20_000)
  assert.equal(asked, before)
})

test('4.10: an empty partition and one that lost its producer keep no rows for ever; while they count it is told which', async () => {
  const server = await sharedServer('mariadb')
  await using world = await IngestWorld.create(server, 3)
  await world.branch('main', ['-80', '80-'])
  await world.fleet('main')
  const dayMs = 24 * hourMs
  const send = (partition: number, of: readonly QueryEvent[]): Promise<unknown> =>
    world.producer.send(of.map((event) => ({ partition, key: null, value: Buffer.from(JSON.stringify(event)) })))
  await send(0, events(100))
  await send(1, events(100))
  const later = (days: number): Promise<unknown> =>
    send(
      0,
      events(100).map((event) => ({ ...event, at: event.at + days * dayMs })),
    )
  await later(20)
  const floor = async (): Promise<number | undefined> =>
    (await readRecord<PurgeRecord>(world.store, keys.purge(world.keyspace)))?.value.floors['query_hour']
  const heldBy = async () => (await world.reports('main')).map(({ expiry }) => expiry?.heldBy)
  const waiting = world.consumer('main', { config: { purgeMs: 50 } })
  await world.until('it to be told what holds the floor', async () => (await heldBy()).includes(2))
  await world.caughtUp('main')
  assert.equal(await floor(), undefined)
  await waiting.stop()
  world.consumer('main', { config: { purgeMs: 50, restMs: 300 } })
  await later(30)
  const newest = base + 30 * dayMs + 4 * hourMs
  await world.until('the floor to rise by the partition that lives', async () => {
    // It lives: an event now and then.
    await later(30)
    return ((await floor()) ?? 0) >= newest - 8 * dayMs - hourMs
  })
  await world.until('what expired to be gone', async () => {
    const rows = await Promise.all(['-80', '80-'].map((shard) => world.rows('main', shard, 'SELECT MIN(hour) AS hour FROM {}.query_hour')))
    return rows.flat().every(({ hour }) => hour !== null && Date.parse(`${hour!.replace(' ', 'T')}Z`) > base + 20 * dayMs + 5 * hourMs)
  })
})

test('4.10: while the old fleet of a run is stopped the branch that serves all reads expires its rows; the old one, taken up again, by the same floor', async () => {
  const server = await sharedServer('mariadb')
  await using world = await IngestWorld.create(server, 1)
  await world.branch('main', ['-80', '80-'])
  await world.branch('wide', ['-40', '40-80', '80-'])
  const branches = ['main', 'wide'] as const
  for (const branch of branches) {
    await world.fleet(branch)
    world.consumer(branch, { config: { purgeMs: 50 } })
  }
  const dayMs = 24 * hourMs
  const later = (days: number, from: number): Promise<unknown> =>
    world.send(events(100, from).map((event) => ({ ...event, at: event.at + days * dayMs })))
  const floor = async (): Promise<number> =>
    (await readRecord<PurgeRecord>(world.store, keys.purge(world.keyspace)))?.value.floors['query_hour'] ?? 0
  const oldest = async (branch: (typeof branches)[number]): Promise<number> => {
    const found = await Promise.all(
      (await world.shards(branch)).map(({ name }) => world.rows(branch, name, 'SELECT MIN(hour) AS hour FROM {}.query_hour')),
    )
    return Math.min(...found.flat().map(({ hour }) => (hour == null ? Infinity : Date.parse(`${hour.replace(' ', 'T')}Z`))))
  }
  await later(0, 0)
  await later(20, 100)
  await world.until('the old fleet to raise the floor', async () => (await floor()) > base + 11 * dayMs)
  await world.change('main', { wanted: 'stopped' })
  await world.until('the old fleet to end', async () => (await world.reports('main')).every(({ state }) => state === 'stopped'))
  // Longer than rows are kept.
  await later(40, 200)
  await world.caughtUp('wide')
  await world.until('the new branch to expire its rows', async () => (await oldest('wide')) > base + 31 * dayMs)
  await world.until('it to tell by what it expires', async () => ((await world.reports('wide'))[0]?.expiry?.ms ?? 0) >= base + 40 * dayMs)
  assert.ok((await oldest('main')) < base + 21 * dayMs, 'the old side stands as it was left')
  const raised = await floor()
  // A rollback.
  await world.change('main', { wanted: 'running', generation: 2 })
  await world.caughtUp('main')
  await world.until('the old branch to purge alike', async () => (await oldest('main')) === (await oldest('wide')))
  assert.equal(await floor(), raised)
})

test('dead letters: a record of which one shard refuses its rows, and another has them, stops its partition; it goes on whole when the server takes them', async () => {
  const server = await sharedServer('mariadb')
  await using world = await IngestWorld.create(server, 1)
  const definition = defineTopic({
    topic: 'transfers',
    version: 1,
    poison: 'dead-letter',
    decode: json({ from: 'integer', to: 'integer', n: 'integer' }),
    eventTime: () => base,
    tables: {
      moved: {
        kind: 'coalesced',
        shardKey: ['account'],
        key: ['account', 'hour'],
        bucket: { column: 'hour', everyMs: hourMs },
        columns: { account: { merge: 'key' }, hour: { merge: 'key' }, n: { merge: 'sum' } },
        map: (event) => [event.from, event.to].map((account) => ({ account, n: event.n })),
      },
    },
  })
  const table = `CREATE TABLE moved (account BIGINT NOT NULL, hour DATETIME NOT NULL, n BIGINT NOT NULL, PRIMARY KEY (account, hour))`
  const vschema = {
    sharded: true,
    vindexes: { hash: { type: 'hash' } },
    tables: { moved: { column_vindexes: [{ column: 'account', name: 'hash' }] } },
  }
  await world.branch('main', ['-80', '80-'], [table], vschema)
  await world.fleet('main', {}, definition)
  // By the hash, 1 stands on the first shard and 4 on the second.
  const at = world.schema('main', '80-')
  await world.admin.query(`ALTER TABLE ${at}.moved ADD CONSTRAINT small CHECK (n < 1000)`)
  const transfers = [{ from: 1, to: 4, n: 5 }, { from: 4, to: 4, n: 4000 }, { from: 1, to: 4, n: 2000 }, { from: 1, to: 4, n: 7 }] // prettier-ignore
  await world.producer.send(transfers.map((event) => ({ key: null, value: Buffer.from(JSON.stringify(event)) })))
  world.consumer('main', { definition })
  await world.until('the stop', async () =>
    (await world.reports('main')).some(({ partitions }) => partitions[0]?.error?.code === 'SW-INGEST-023'),
  )
  const sums = async (): Promise<unknown[]> =>
    (await Promise.all(['-80', '80-'].map((shard) => world.rows('main', shard, 'SELECT account, n FROM {}.moved')))).map((rows) =>
      rows.map(({ account, n }) => `${account}: ${n}`).join(),
    )
  assert.equal((await sums())[1], '4: 5')
  const { dead, next } = (await world.positions('main')).get(`${world.keyspace}/80- 0`)!
  assert.deepEqual([dead, next], [1n, 2n], 'the one that concerned this shard alone is dead whole')
  await world.admin.query(`ALTER TABLE ${at}.moved DROP CONSTRAINT small`)
  const { generation } = await world.fleetRecord('main')
  await world.change('main', { generation: generation + 1 })
  await world.until('all to be written', async () => [...(await world.positions('main')).values()].every(({ next: now }) => now === 4n))
  assert.deepEqual(await sums(), ['1: 2012', '4: 2012'])
})
