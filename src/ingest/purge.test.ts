import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Connection } from '../mysql/connection.ts'
import type { TableDefinition } from './definition.ts'
import { raisesFloors } from './purge-round.ts'
import { floorByPartitions } from './purge.ts'

const dayMs = 86_400_000
const daily = {
  table: 'hourly',
  bucket: { column: 'bucket', everyMs: 3_600_000, as: 'datetime' },
  retentionMs: 8 * dayMs,
} as TableDefinition
const place = { shard: '-', schema: 'app' }

/** As a server tells its partitions. */
function withPartitions(...bounds: readonly (number | null)[]): Connection {
  const rows = bounds.map((bound, i) => ({
    name: `p${i}`,
    method: 'RANGE COLUMNS',
    expression: '`bucket`',
    bound: bound === null ? 'MAXVALUE' : `'${new Date(bound).toISOString().slice(0, 19).replace('T', ' ')}'`,
  }))
  return { allText: async () => rows, query: async () => undefined } as unknown as Connection
}

test('4.10: a table that expires by partitions has its floor at their bounds: below it nothing is left, and nothing is written that another branch has', async () => {
  const day = (n: number): number => Date.UTC(2026, 0, n)
  const floor = (connection: Connection, ms: number): Promise<number | null> => floorByPartitions(connection, place, daily, ms)
  const three = withPartitions(day(2), day(3), day(4), null)
  assert.equal(await floor(three, day(3) + 5 * 3_600_000), day(3))
  assert.equal(await floor(three, day(3)), day(3))
  assert.equal(await floor(three, day(2) - 1), null, 'the first has not wholly expired')
  assert.equal(await floor(three, day(20)), day(4), 'what no partition is there for yet')
  assert.equal(await floor(withPartitions(), day(3) + 7), day(3) + 7, 'rows go one by one')
})

test('4.10: floors go by the keyspace’s own fleet; while that is stopped, as for the whole hold of a run that is complete, by the branch that serves', () => {
  const fleet = (branch: string, wanted: 'running' | 'held' | 'stopped', topicId = 't') => ({ branch, wanted, topicId })
  const wide = fleet('wide', 'running')
  const leads = (...of: ReturnType<typeof fleet>[]): boolean => raisesFloors(wide, [wide, ...of])
  assert.equal(leads(fleet('main', 'running')), false)
  assert.equal(leads(fleet('main', 'held')), false, 'a rung of the ladder holds it for a moment')
  assert.equal(leads(fleet('main', 'stopped')), true, 'nobody would raise them')
  assert.equal(leads(fleet('main', 'running', 'another topic')), true)
  assert.equal(leads(), true)
  const main = fleet('main', 'running')
  assert.equal(raisesFloors(main, [main, wide]), true, 'taken up again')
})
