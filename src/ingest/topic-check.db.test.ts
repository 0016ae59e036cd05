import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openTopic } from '../topic/open.ts'
import { sharedServer } from '../../test/kit/servers.ts'
import { IngestWorld } from './testkit/ingest-world.ts'
import { queryStats } from './testkit/query-stats.ts'
import { checkTopic } from './topic-check.ts'

test('topic check: tables, merges with the error of sketches, and order columns held against the id that the topic really has', async () => {
  const server = await sharedServer('mariadb')
  await using world = await IngestWorld.create(server, 1)
  await world.branch('main', ['-80', '80-'])
  const addresses = async () => ({ flavour: server.flavour, connect: server.config })
  const check = (topicUrl: string | undefined) =>
    checkTopic(
      world.store,
      queryStats(),
      { keyspace: world.keyspace, branch: 'main', topicUrl },
      openTopic,
      AbortSignal.timeout(30_000),
      addresses,
    )
  const fits = await check(world.url)
  assert.deepEqual([fits.problems, fits.shards], [[], ['-80', '80-']])
  assert.ok(fits.tables[0]?.merges.includes('latency sketch (relative error 0.01)'), JSON.stringify(fits.tables[0]))
  assert.equal(fits.notes.filter((note) => /could not be opened/.test(note)).length, 0)
  // Wide enough for an order by the topic's name, and too narrow for its id.
  await world.admin.query(`ALTER TABLE ${world.schema('main', '80-')}.pattern MODIFY seen VARBINARY(50) NOT NULL DEFAULT ''`)
  for (const url of [world.url, undefined]) {
    const { problems, notes } = await check(url)
    const narrow = problems.find(({ column }) => column === 'seen')
    assert.equal(narrow?.shard, '80-')
    assert.match(narrow.problem, /takes up to 59 bytes/)
    assert.equal(
      notes.some((note) => /topic queries could not be opened/.test(note)),
      url === undefined,
    )
  }
})
