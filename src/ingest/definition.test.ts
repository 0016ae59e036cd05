/** What `defineTopic` and `topic check` refuse, and with which words; YAML says the same as code. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defineTopic, type ColumnDefinition } from './definition.ts'
import {
  decideVersion,
  fixVersion,
  gap,
  judgeBuckets,
  resolve,
  share,
  stillDue,
  versionAt,
  type BranchMarks,
  type ShardMarks,
} from './decide.ts'
import { json } from './json.ts'
import { column, tableOf } from './testkit/table-info.ts'
import { floorFor } from './purge.ts'
import { planTable } from './table-plan.ts'
import { parseDefinition } from './yaml-definition.ts'
import type { TableColumn, TableInfo } from '../mysql/table-info.ts'

const decode = json({ k: 'integer', n: 'integer' })
const columns: Record<string, ColumnDefinition> = { k: { merge: 'key' }, hour: { merge: 'key' }, n: { merge: 'sum' } }

function define(change: object = {}): ReturnType<typeof defineTopic> {
  const table = {
    kind: 'coalesced',
    shardKey: ['k'],
    key: ['k', 'hour'],
    bucket: { column: 'hour', everyMs: 3_600_000 },
    columns,
    map: () => null,
    ...change,
  }
  return defineTopic({ topic: 't', version: 1, decode, tables: { c: table as never } })
}

test('JSON: numbers that a double cannot hold are exact, and what stands beside them is what it is without them', () => {
  const read = json({ small: 'integer', amount: 'decimal', large: 'integer', ratio: 'number', tags: 'any', more: 'any?' })
  const value = Buffer.from(
    '{"small": 7, "amount": 12345678901234567890.10, "large": 9007199254740993, "ratio": 0.5, "tags": [1, {"n": 2.5}], "more": 3}',
  )
  assert.deepEqual(read({ partition: 0, offset: 0n, timestampMs: 0, key: null, value }), {
    small: 7,
    amount: '12345678901234567890.10',
    large: 9007199254740993n,
    ratio: 0.5,
    tags: [1, { n: 2.5 }],
    more: 3,
  })
})

test('a definition that contradicts itself is refused by name', () => {
  const wrong: [object, RegExp][] = [
    [{ key: ['k'] }, /hour has merge 'key' and is not in the key|hour must be part of the key/],
    [{ shardKey: ['z'] }, /z is in its key or shard key and not among its columns/],
    [{ columns: { ...columns, x: { merge: 'last' } } }, /lastVersion go together/],
    [{ kind: 'dimension' }, /not idempotent/],
    [{ bucket: undefined }, /needs a bucket/],
    [{ kind: 'row' }, /'row' tables are 'key' or 'value'/],
    [{ retentionMs: -1 }, /above zero/],
  ]
  for (const [change, what] of wrong) assert.throws(() => define(change), what)
})

const info = (change: Record<string, Partial<TableColumn> | string> = {}, more: Partial<TableInfo> = {}): TableInfo => {
  const base = { k: 'int', hour: 'datetime', n: 'bigint' }
  const all = Object.entries({ ...base, ...change }).map(([name, of]) =>
    typeof of === 'string'
      ? column(name, of)
      : column(name, (base as Record<string, string>)[name] ?? (of as Partial<TableColumn>).columnType ?? 'int', of),
  )
  return tableOf('c', all, ['k', 'hour'], more)
}

function problems(table: TableInfo | null, change: object = {}): string {
  const { problems: found } = planTable({ definition: define(change).tables[0]!, topicId: 't', info: table, vschema: null, sharded: false })
  return found.map(({ column: name, problem }) => `${name}: ${problem}`).join('\n')
}

test('topic check: what would differ between two branches, or be refused, is a problem', () => {
  assert.equal(problems(info()), '')
  assert.match(problems(null), /no such table/)
  assert.match(problems(info({ n: 'double' })), /n: sums of floating point differ/)
  assert.match(problems(info({ n: { nullable: true } })), /n: a sum with NULL is NULL/)
  assert.match(problems(info({ id: { columnType: 'bigint', autoIncrement: true } })), /id: AUTO_INCREMENT/)
  assert.match(problems(info({ seen: { columnType: 'timestamp', defaultText: 'current_timestamp()' } })), /seen: its default/)
  assert.match(
    problems(info({ seen: { columnType: 'datetime', nullable: true, extra: 'on update CURRENT_TIMESTAMP' } })),
    /seen: its default or ON UPDATE/,
  )
  assert.match(problems(info({ other: 'int' })), /other: it is NOT NULL, has no default/)
  assert.match(problems(info({ hour: 'bigint' })), /hour: the bucket is kept as datetime/)
  assert.match(problems(tableOf('c', info().columns, ['k'])), /no unique key of it is \(k, hour\)/)
  assert.match(problems(info({}, { engine: 'MyISAM' })), /MyISAM/)
  const text = tableOf(
    'c',
    [column('k', 'varchar(10)', { collation: 'utf8mb4_general_ci' }), column('hour', 'datetime'), column('n', 'bigint')],
    ['k', 'hour'],
  )
  assert.match(problems(text), /takes different texts for equal/)
  const unique = info()
  unique.keys.push({
    ...unique.keys[0]!,
    name: 'u',
    primary: false,
    parts: [{ column: 'n', expression: null, prefixLength: null, descending: false }],
  })
  assert.match(problems(unique), /unique key u would merge rows/)
  const rowTable = { kind: 'row', columns: { k: { merge: 'key' }, hour: { merge: 'key' }, n: { merge: 'value' } } }
  assert.match(problems(info(), rowTable), /nothing tells two rows of a duplicated event apart/)
  const sketch = { columns: { ...columns, n: { merge: 'sketch' } } }
  assert.match(problems(info(), sketch), /n: a sketch in bigint/)
})

test('YAML: the same tables, durations, every problem by its path; a change of any part changes the digest', () => {
  const yaml = `
topic: queries
version: 1
decode: { json: { db: integer, at: integer, n: integer, slow: "boolean?" } }
eventTime: at
tables:
  c:
    kind: coalesced
    shardKey: [db]
    key: [db, hour]
    bucket: { column: hour, every: 1h }
    retention: 8d
    where: { slow: true }
    columns: { db: key, hour: key, n: sum, seen: count, worst: { merge: max, field: n } }
`
  const read = parseDefinition(yaml, 'f.yaml')
  const [table] = read.tables
  assert.equal(table?.retentionMs, 8 * 86_400_000)
  const row = (value: object): readonly object[] =>
    table!.map(read.decode({ partition: 0, offset: 0n, timestampMs: 0, key: null, value: Buffer.from(JSON.stringify(value)) }), {} as never)
  assert.deepEqual(row({ db: 1, at: 5, n: 7, slow: true }), [{ db: 1, n: 7, worst: 7 }])
  assert.deepEqual(row({ db: 1, at: 5, n: 7 }), [])
  assert.notEqual(parseDefinition(yaml.replace('field: n', 'field: at'), 'f').digest, read.digest)
  assert.equal(parseDefinition(yaml, 'g').digest, read.digest)
  assert.throws(() => parseDefinition(yaml.replace('every: 1h', 'every: soon'), 'f'), /tables\.c\.bucket\.every: a duration/)
  assert.throws(() => parseDefinition(yaml.replace('n: sum', 'm: sum'), 'f'), /decode has no field m/)
})

test('4.5, 4.7: what a fence and a log start say', () => {
  assert.equal(resolve(10n, 20n, 20n), 'done')
  assert.equal(resolve(10n, 20n, 10n), 'not done')
  assert.equal(resolve(10n, 20n, 9n), 'went back')
  const range = { from: 10n, to: 20n }
  const due = [9n, 10n, 15n, 20n, undefined].map((next) => stillDue(range, next))
  assert.deepEqual(due, [false, true, true, false, false], 'a shard that was moved into the range still needs the rest of it')
  assert.deepEqual(gap(5n, 9n), { from: 5n, last: 8n })
  assert.equal(gap(9n, 9n), null)
  assert.equal(gap(5n, undefined), null)
})

test('partitions are dealt fairly, and all of them', () => {
  for (const partitions of [1, 4, 7, 32])
    for (let consumers = 1; consumers <= 9; consumers++) {
      const names = Array.from({ length: consumers }, (_, i) => `c${i}`)
      const shares = names.map((name) => share(partitions, names, name))
      assert.equal(
        shares.reduce((a, b) => a + b),
        partitions,
      )
      assert.ok(Math.max(...shares) - Math.min(...shares) <= 1)
    }
})

test('4.12: versions from offsets', () => {
  const one = fixVersion([], 1, 0n)
  const two = fixVersion(one, 2, 50n)
  assert.deepEqual([versionAt(two, 49n), versionAt(two, 50n)], [1, 2])
  assert.deepEqual(decideVersion(two, 1), { kind: 'refuse', version: 2 })
  assert.equal(decideVersion(two, 2).kind, 'as it is')
  assert.equal(decideVersion(one, 2).kind, 'fix')
})

/** Of one topic partition: `next`, marks as [bucket, first, last], floor. */
const shardAt = (next: bigint, marks: [number, bigint, bigint][], floorMs = 0): ShardMarks => ({
  floorMs,
  next: new Map([['t/0', next]]),
  marks: new Map(marks.map(([bucket, first, last]) => [bucket, new Map([['t/0', { first, last }]])])),
})
const branchAt = (start: bigint, ...shards: ShardMarks[]): BranchMarks => ({ start: new Map([['t/0', start]]), shards })
// prettier-ignore
const oldMarks = branchAt(0n, shardAt(20n, [[1, 0n, 9n], [2, 10n, 19n]]))

test('4.11: a bucket is comparable when both branches have the same last record of it, all shards are past it, and none began within it', () => {
  const all = (b: BranchMarks): readonly number[] => judgeBuckets(oldMarks, b, 'each record').comparable
  // prettier-ignore
  const cases: [string, BranchMarks, number[]][] = [
    ['alike, on two shards', branchAt(0n, shardAt(20n, [[1, 0n, 8n], [2, 11n, 19n]]), shardAt(20n, [[1, 1n, 9n]])), [1, 2]],
    ['another last record', branchAt(0n, shardAt(20n, [[1, 0n, 9n], [2, 10n, 18n]])), [1]],
    ['a shard that is not past it', branchAt(0n, shardAt(20n, [[1, 0n, 9n], [2, 10n, 19n]]), shardAt(15n, [])), [1]],
    ['began within bucket 1', branchAt(5n, shardAt(20n, [[1, 5n, 9n], [2, 10n, 19n]])), [2]],
    ['purged', branchAt(0n, shardAt(20n, [[1, 0n, 9n], [2, 10n, 19n]], 2)), [2]],
  ]
  for (const [name, b, comparable] of cases) {
    assert.deepEqual(all(b), comparable, name)
    assert.deepEqual(judgeBuckets(b, oldMarks, 'each record').comparable, comparable, `${name}, the other way round`)
  }
})

test('4.11: last records that differ though all shards of both branches are past them are proof: nothing else would ever find such a bucket', () => {
  // prettier-ignore
  const cases: [string, BranchMarks, [number, bigint | null, bigint | null][], number[]][] = [
    ['the last record of bucket 2 is missing', branchAt(0n, shardAt(20n, [[1, 0n, 9n], [2, 10n, 18n]])), [[2, 19n, 18n]], []],
    ['every record of bucket 2 is missing', branchAt(0n, shardAt(20n, [[1, 0n, 9n]])), [[2, 19n, null]], []],
    ['one shard is not past it yet', branchAt(0n, shardAt(20n, [[1, 0n, 9n], [2, 10n, 18n]]), shardAt(19n, [])), [], [2]],
    ['the old side is not past what the new one has', branchAt(0n, shardAt(30n, [[1, 0n, 9n], [2, 10n, 25n]])), [], [2]],
    ['one that the old branch lacks', branchAt(0n, shardAt(20n, [[1, 0n, 9n], [2, 10n, 19n], [3, 15n, 15n]])), [[3, null, 15n]], []],
    ['a bucket that ended before the new branch began', branchAt(10n, shardAt(20n, [[2, 10n, 19n]])), [], [1]],
    ['began within the bucket, and its last record is missing all the same', branchAt(5n, shardAt(20n, [[1, 5n, 8n], [2, 10n, 19n]])), [[1, 9n, 8n]], []],
    ['below a floor', branchAt(0n, shardAt(20n, [[2, 10n, 19n]], 2)), [], []],
  ]
  for (const [name, b, lacking, notComparable] of cases) {
    const found = judgeBuckets(oldMarks, b, 'each record')
    assert.deepEqual(
      found.lacking,
      lacking.map(([bucketMs, last, other]) => ({ bucketMs, partition: 't/0', a: last, b: other })),
      name,
    )
    assert.deepEqual(found.notComparable, notComparable, name)
    // By event ids another partition may own the event on one branch: nothing is proven.
    const raced = judgeBuckets(oldMarks, b, 'by event id')
    assert.deepEqual([raced.lacking, raced.comparable], [[], found.comparable], name)
    assert.equal(raced.notComparable.length, notComparable.length + lacking.length, name)
  }
})

test('4.10: the floor is a boundary of buckets', () => {
  const [table] = define({ retentionMs: 10 * 3_600_000 }).tables
  assert.equal(floorFor(table!, 25.5 * 3_600_000), 15 * 3_600_000)
})
