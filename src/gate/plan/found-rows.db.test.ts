/**
 * Promise 10: no server finds a row where the plan does not ask. Each row stands on a shard of its own here, and conditions compare the shard key with what is none of its values, or
 * only nearly; on one server, under several indexes, as what it finds depends on the one that it looks in.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { flavours, sharedServer, uniqueName } from '../../../test/kit/servers.ts'
import { keyRangeContains } from '../../keyspace/key-range.ts'
import { createVindex } from '../../keyspace/vindexes/create.ts'
import type { VindexValueType } from '../../keyspace/vindex.ts'
import { parseVschema } from '../../keyspace/vschema.ts'
import { resolveVschema } from '../../keyspace/vschema-resolve.ts'
import { connect } from '../../mysql/connect.ts'
import { isServerError } from '../../mysql/errors.ts'
import { Lexer } from '../../sql/lexer.ts'
import { nullValue, type Value } from '../../sql/value.ts'
import type { ColumnInfo } from './catalog.ts'
import { Planner } from './planner.ts'
import type { Destination, RouteInputs } from './plan.ts'
import { literalOf } from './render.ts'
import { shardsOf } from './route.ts'
import { column } from './testkit.ts'

type Kind = {
  readonly type: string
  readonly vindex: string
  readonly as: VindexValueType
  readonly column: Partial<ColumnInfo> & { readonly dataType: string }
  readonly rows: readonly string[]
  readonly compared: readonly string[]
}
const nearInteger = ['1', '1.5', '0.4', '-1', '1e0', "'1'", '9007199254740993', '18446744073709551615']
const kinds: readonly Kind[] = [
  {
    type: 'BIGINT UNSIGNED',
    vindex: 'numeric',
    as: 'UINT64',
    column: { dataType: 'bigint', unsigned: true },
    rows: ['0', '1', '2', '9007199254740992', '9007199254740993', '9223372036854775808', '18446744073709551615'],
    compared: nearInteger,
  },
  {
    type: 'BIGINT',
    vindex: 'xxhash',
    as: 'INT64',
    column: { dataType: 'bigint' },
    rows: ['-1', '0', '1', '2', '9007199254740992', '9007199254740993', '9223372036854775807'],
    compared: nearInteger,
  },
  {
    type: 'VARBINARY(12)',
    vindex: 'binary',
    as: 'VARBINARY',
    column: { dataType: 'varbinary', lengthMax: 12 },
    rows: ["''", "'0'", "'1'", "'10'", "'A'", "'a'", "'a '", "x'6100'", "x'ff'", "'2020-1-1'"],
    compared: ["'a'", "_utf8mb4'a'", "x'41'", "x'ff'", '0', "'1'", "_latin1'a'"],
  },
]
/** `pairs`: with these, conditions of two values as well. */
const indexes = [
  { index: '', pairs: true },
  { index: ', KEY (k)', pairs: false },
  { index: ', PRIMARY KEY (k)', pairs: false },
  { index: ', PRIMARY KEY (k, id)', pairs: true },
]

const joined = 'SELECT t.k FROM t JOIN u ON t.k = u.k WHERE'
const ofOne = (v: string): string[] => [
  `SELECT t.k FROM t WHERE t.k = ${v}`,
  `SELECT t.k FROM t WHERE ${v} <=> t.k`,
  `SELECT t.k FROM t WHERE (t.k, t.id) = (${v}, 0)`,
  `SELECT t.k FROM t WHERE t.k >= ${v}`,
  `${joined} u.k = ${v}`,
  `${joined} u.k <= ${v}`,
  `SELECT t.k FROM w LEFT JOIN t ON t.id = w.id AND t.k = ${v}`,
]
const ofTwo = (v: string, w: string, first: string): string[] => [
  `SELECT t.k FROM t WHERE t.k IN (${v}, ${w})`,
  `SELECT t.k FROM t WHERE (t.k, t.id) IN ((${v}, 0), (${w}, 0))`,
  `SELECT t.k FROM t WHERE t.k = ${v} AND t.k = ${w}`,
  `SELECT t.k FROM t WHERE t.k BETWEEN ${v} AND ${w}`,
  `SELECT t.k FROM t WHERE t.k < ${v} AND t.k BETWEEN ${first} AND ${w}`,
  `SELECT t.k FROM t WHERE t.k > ${v} AND t.k BETWEEN ${w} AND ${first}`,
  `${joined} u.k BETWEEN ${v} AND ${w}`,
]

const vschemaOf = (vindex: string) =>
  resolveVschema(
    parseVschema(
      JSON.stringify({
        sharded: true,
        vindexes: { v: { type: vindex }, h: { type: 'hash' } },
        tables: {
          t: { column_vindexes: [{ column: 'k', name: 'v' }] },
          u: { column_vindexes: [{ column: 'k', name: 'v' }] },
          w: { column_vindexes: [{ column: 'id', name: 'h' }] },
        },
      }),
    ),
  )
const lexer = new Lexer()
const functions = { all: new Set<string>(), reading: new Set<string>(), varying: new Set<string>(), aggregates: new Set<string>() }
const elsewhere = 'elsewhere'

for (const flavour of flavours())
  describe(flavour, () => {
    for (const kind of kinds)
      test(`promise 10: what a server finds by a key of ${kind.type} is asked for where it is`, async () => {
        const server = await sharedServer(flavour)
        await using connection = await connect(server.config)
        const schema = uniqueName('found')
        await connection.query(`CREATE DATABASE ${schema}`)
        await connection.query(`USE ${schema}`)
        await connection.query('SET NAMES utf8mb4')
        const vindex = createVindex(kind.vindex, 'v')
        const { dataType, ...more } = kind.column
        const columns = { columns: [column('k', dataType, { nullable: false, ...more }), column('id', 'int')], uniqueKeys: [] }
        const keyspace = { name: 'app', vschema: vschemaOf(kind.vindex), schemaNamesEqual: false, columns: () => columns, functions }
        const planner = new Planner({ generation: 0, keyspace: () => keyspace })
        const find = async (sql: string): Promise<Buffer[]> => {
          const result = await connection.query(sql)
          return result.kind === 'rows' ? result.rows.flatMap(([k]) => (k == null ? [] : [k])) : []
        }
        const idOf = (k: Buffer): Uint8Array => vindex.map([{ type: kind.as, bytes: k }]) as Uint8Array
        const nameOf = (id: Uint8Array): string => Buffer.from(id).toString('hex')
        let narrowed = 0
        for (const { index, pairs } of indexes) {
          for (const table of ['t', 'u', 'w']) {
            await connection.query(`DROP TABLE IF EXISTS ${table}`)
            await connection.query(`CREATE TABLE ${table} (k ${kind.type} NOT NULL, id INT NOT NULL${index})`)
            await connection.query(`INSERT INTO ${table} VALUES ${kind.rows.map((k) => `(${k}, 0)`).join(', ')}`)
          }
          const ids = new Map((await find('SELECT k FROM t')).map((k) => [nameOf(idOf(k)), idOf(k)]))
          const shards = [...ids.keys(), elsewhere]
          const inputs = (sql: string, parameters: readonly Value[]): RouteInputs<string> => ({
            lexed: lexer.lex(Buffer.from(sql)),
            parameters,
            text: 'utf8mb4',
            shards,
            shardOf: (id) => (ids.has(nameOf(id)) ? nameOf(id) : elsewhere),
            shardsIn: (range) => shards.filter((name) => name === elsewhere || keyRangeContains(range, ids.get(name) as Uint8Array)),
            schemaOf: () => schema,
            anyShard: () => elsewhere,
            session: () => nullValue,
            sequenceIds: [],
          })
          /** Where rows of `t` are looked for. */
          const askedAt = (sql: string, parameters: readonly Value[] = []): Set<string> => {
            const plan = planner.plan(lexer.lex(Buffer.from(sql)), { keyspace: 'app' })
            assert.ok(plan.kind === 'routed')
            const steps = plan.scatter.kind === 'gather' ? plan.scatter.gather.steps : []
            const step = steps.find(({ table }) => table === 't')
            return new Set(shardsOf((step?.destination ?? plan.destinations[0]) as Destination, inputs(sql, parameters)))
          }
          const { compared } = kind
          const statements = [
            ...compared.flatMap(ofOne),
            ...(pairs ? compared.flatMap((v) => compared.flatMap((w) => ofTwo(v, w, compared[0] as string))) : []),
          ]
          const missed: string[] = []
          for (const sql of statements) {
            const found = await find(sql).catch((error: unknown) => {
              if (isServerError(error)) return []
              throw error
            })
            const asked = askedAt(sql)
            if (asked.size < shards.length) narrowed++
            const lost = found.filter((k) => !asked.has(nameOf(idOf(k))))
            if (lost.length > 0) missed.push(`${sql}: ${lost.join(', ')}`)
          }
          assert.deepEqual(missed, [], index)
          if (kind.as !== 'VARBINARY') continue
          const date: Value = { type: 'text', bytes: Buffer.from('2020-01-01 00:00:00'), time: 'TIMESTAMP' }
          const ofDate = await find(`SELECT k FROM t WHERE k = ${literalOf(date).toString()}`)
          assert.deepEqual(ofDate.map(String), ['2020-1-1'], 'as times')
          assert.ok(askedAt('SELECT k FROM t WHERE k = ?', [date]).has(nameOf(idOf(ofDate[0] as Buffer))), 'a date that is bound')
        }
        assert.ok(narrowed > 100, `only ${narrowed} were routed`)
        await connection.query(`DROP DATABASE ${schema}`)
      })
  })
