import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { isSwError } from '../base/errors.ts'
import { systemClock } from '../base/clock.ts'
import { silentLog } from '../base/log.ts'
import { loadDefinition } from '../ingest/load-definition.ts'
import { IngestWorld } from '../ingest/testkit/ingest-world.ts'
import type { QueryEvent } from '../ingest/testkit/query-stats.ts'
import { branchKeyspace, type PartitionEpoch } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import type { ServerRecord, ServerSecret } from '../topology/records.ts'
import { put, recordsOf } from '../topology/typed.ts'
import type { WorkflowRecord } from '../workflow/records.ts'
import { sharedServer } from '../../test/kit/servers.ts'
import { until } from '../../test/kit/until.ts'
import { updateDefinition } from './fleet-definition.ts'
import type { FleetWorld } from './fleets.ts'

const events = (count: number, from: number): QueryEvent[] =>
  Array.from({ length: count }, (_, i) => ({
    db: (from + i) % 7,
    fp: `f${i % 5}`,
    at: 1_800_000_000_000 + from + i,
    n: 1 + (i % 3),
    ms: i,
    text: 't',
  }))

test('fleet update: records before it are decoded by the old version, those after it by the new; what would change the past is refused', async () => {
  const server = await sharedServer('mariadb')
  await using world = await IngestWorld.create(server, 2)
  await world.branch('main', ['-80', '80-'])
  const { host, port, user, password } = server.config
  const account = { user, password }
  const place = { host, port, socketPath: null, provisioned: false, dataDir: null }
  await world.store.commit(
    [],
    [
      put<ServerRecord>(keys.server('server'), { v: 1, id: 'server', flavour: 'mariadb', version: '', ...place }),
      put<ServerSecret>(keys.secret('server'), { v: 1, admin: account, mover: account, gate: account }),
    ],
  )
  const kit = JSON.stringify(join(import.meta.dirname, '../ingest/testkit/query-stats.ts'))
  const file = (name: string, spec: string): string => {
    const path = join(world.dir, name)
    writeFileSync(path, `import { queryStats } from ${kit}\nexport default queryStats(${spec})\n`)
    return path
  }
  const one = file('one.ts', '')
  await world.fleet('main', { definitionPath: one }, await loadDefinition(one))
  world.consumer('main', { loads: (record) => loadDefinition(record.definitionPath) })
  await world.send(events(200, 0))
  await world.caughtUp('main')
  const name = branchKeyspace(world.keyspace, 'main')
  const fleets = { store: world.store, clock: systemClock, log: silentLog, loadDefinition } as unknown as FleetWorld
  const update = (path: string) => updateDefinition(fleets, name, path, AbortSignal.timeout(30_000))
  const refused = (path: string, code: string, text: RegExp) =>
    assert.rejects(update(path), (error) => isSwError(error) && error.code === code && text.test(error.message))
  await refused(file('same.ts', "{ poison: 'dead-letter' }"), 'SW-DUALWRITE-025', /other things under version 1/)
  await refused(file('bare.ts', '{ version: 2, factor: 100 }'), 'SW-DUALWRITE-025', /`previous` has no version 1/)
  await refused(
    file('other.ts', "{ version: 2, previous: [queryStats({ poison: 'dead-letter' })] }"),
    'SW-DUALWRITE-025',
    /version 1 in its `previous` is not the one/,
  )
  const two = file('two.ts', '{ version: 2, factor: 100, previous: [queryStats()] }')
  const run = { v: 1, uid: 'u', keyspace: world.keyspace, name: 'grow', kind: 'dualwrite', state: 'filling', ended: false, journal: [] }
  const key = keys.workflow(world.keyspace, 'grow')
  await world.store.commit([], [put(key, { ...run, spec: {}, data: {}, createdAtMs: 0 } as unknown as WorkflowRecord)])
  await refused(two, 'SW-DUALWRITE-016', /grow is open/)
  await world.store.commit([], [{ key, value: undefined }])
  assert.equal((await update(two)).definitionVersion, 2)
  // From which offset on it decodes is fixed by whoever takes a partition next, and not by the update itself.
  await until('every partition has its first offset of the new version', async () => {
    const epochs = recordsOf<PartitionEpoch>(await world.store.list(keys.partitionEpochsOf(name)))
    return epochs.length > 0 && epochs.every(({ value }) => value.versions?.at(-1)?.version === 2)
  })
  await world.send(events(200, 200))
  await world.caughtUp('main')
  let total = 0
  for (const shard of ['-80', '80-'])
    total += Number((await world.rows('main', shard, 'SELECT COALESCE(SUM(queries),0) AS n FROM {}.query_hour'))[0]?.['n'])
  const sum = (sent: typeof world.sent): number => sent.reduce((all, { n }) => all + n, 0)
  assert.equal(total, sum(world.sent.slice(0, 200)) + 100 * sum(world.sent.slice(200)))
})
