import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { IngestWorld } from '../ingest/testkit/ingest-world.ts'
import { keys } from '../topology/keys.ts'
import { sharedServer } from '../../test/kit/servers.ts'

test('consume --branch runs one consumer of the fleet against the topology, and lets its partitions go at Ctrl-C', async () => {
  const server = await sharedServer('mariadb')
  await using world = await IngestWorld.create(server, 2)
  await world.branch('wide', ['-80', '80-'])
  const file = join(world.dir, 'definition.ts')
  const kit = join(import.meta.dirname, '../ingest/testkit/query-stats.ts')
  writeFileSync(file, `import { queryStats } from ${JSON.stringify(kit)}\nexport default queryStats()\n`)
  await world.fleet('wide', { definitionPath: file })
  await world.addServer()
  await world.send(
    Array.from({ length: 200 }, (_, i) => ({
      db: i % 7,
      fp: `f${i % 5}`,
      at: 1_800_000_000_000 + i,
      n: 1,
      ms: i,
      text: 't',
      slow: i % 9 === 0,
    })),
  )
  const run = (...args: string[]) =>
    spawn(process.execPath, ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'cli.ts'), 'consume', ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
  const child = run('--branch', `${world.keyspace}/wide`, '--data-dir', world.dir)
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes: Buffer) => (said += bytes.toString()))
  const exited = once(child, 'exit')
  try {
    await world.caughtUp('wide')
    await world.assertExact('wide')
    child.kill('SIGINT')
    assert.deepEqual(await exited, [0, null], said)
  } finally {
    child.kill('SIGKILL')
  }
  assert.match(said, /consuming for .*@wide[^]*let its partitions go/)
  assert.equal((await world.store.list(keys.partitionLeasesOf(`${world.keyspace}@wide`))).entries.size, 0)
  const unknown = run('--fleet', 'nobody', '--data-dir', world.dir)
  let error = ''
  unknown.stderr.on('data', (bytes: Buffer) => (error += bytes.toString()))
  assert.deepEqual(await once(unknown, 'close'), [1, null])
  assert.match(error, /SW-DUALWRITE-007/)
})
