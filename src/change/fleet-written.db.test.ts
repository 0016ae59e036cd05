import assert from 'node:assert/strict'
import { test } from 'node:test'
import { IngestWorld } from '../ingest/testkit/ingest-world.ts'
import { queryStats } from '../ingest/testkit/query-stats.ts'
import { sharedServer } from '../../test/kit/servers.ts'
import { readFleet } from './fleets.ts'
import { deadLetters, fleetCounts } from './fleet-written.ts'

test('dead letters are read with coordinates, reason, key and value, and counted from the shards when no consumer is left to tell', async () => {
  const server = await sharedServer('mariadb')
  await using world = await IngestWorld.create(server, 1)
  await world.branch('main', ['-80', '80-'])
  const definition = queryStats({ poison: 'dead-letter' })
  await world.fleet('main', {}, definition)
  const fleet = await readFleet(world, world.keyspace)
  assert.equal(await fleetCounts(world, fleet), null, 'a server that is not known is no count of 0')
  await world.addServer()
  await world.producer.send([
    { key: Buffer.from('k'), value: Buffer.from('not json, grün'), timestampMs: 1_700_000_000_000 },
    { key: null, value: Buffer.from([0x7b, 0xff, 0x00]), timestampMs: 1_700_000_000_000 },
  ])
  const consumer = world.consumer('main', { definition })
  await world.caughtUp('main')
  await consumer.stop()
  const letters = await deadLetters(world, fleet, 10)
  assert.deepEqual(
    letters.map(({ reason, ...rest }) => ({ ...rest, reason: reason.length > 0 })),
    [
      { partition: 0, offset: '0', atMs: 1_700_000_000_000, key: 'k', value: 'not json, grün', valueBytes: 15, reason: true },
      { partition: 0, offset: '1', atMs: 1_700_000_000_000, key: null, value: '0x7bff00', valueBytes: 3, reason: true },
    ],
  )
  assert.equal((await deadLetters(world, fleet, 1)).length, 1)
  assert.deepEqual(await fleetCounts(world, fleet), { dead: 2, late: 0 })
})
