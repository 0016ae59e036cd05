/** For the tests of this room: a small sharded keyspace, and plans written as text. */
import { keyRangesIntersect, parseKeyRange } from '../../keyspace/key-range.ts'
import { parseVschema } from '../../keyspace/vschema.ts'
import { resolveVschema } from '../../keyspace/vschema-resolve.ts'
import { Lexer } from '../../sql/lexer.ts'
import { nullValue, textValue, type Value } from '../../sql/value.ts'
import type { Catalog, ColumnInfo, KeyspaceInfo, TableColumns } from './catalog.ts'
import { Planner } from './planner.ts'
import type { Plan, Routed, RouteInputs, SessionRef } from './plan.ts'
import { idsNeeded, routePlan } from './route.ts'

const vschema = resolveVschema(
  parseVschema(
    JSON.stringify({
      sharded: true,
      vindexes: {
        hash: { type: 'hash' },
        loose: { type: 'unicode_loose_xxhash' },
        bytes: { type: 'xxhash' },
        ordered: { type: 'numeric' },
        places: { type: 'multicol', params: { column_count: '2', column_bytes: '1,7', column_vindex: 'binary,hash' } },
      },
      tables: {
        users: { column_vindexes: [{ column: 'id', name: 'hash' }] },
        log: { column_vindexes: [{ column: 'user_id', name: 'hash' }], auto_increment: { column: 'log_id', sequence: 'app_seq.log_seq' } },
        orders: { column_vindexes: [{ column: 'user_id', name: 'hash' }], auto_increment: { column: 'id', sequence: 'orders_seq' } },
        tenants: { column_vindexes: [{ column: 'name', name: 'loose' }] },
        files: { column_vindexes: [{ column: 'path', name: 'bytes' }] },
        counted: { column_vindexes: [{ column: 'k', name: 'hash' }] },
        ranked: { column_vindexes: [{ column: 'k', name: 'ordered' }] },
        placed: { column_vindexes: [{ columns: ['region', 'id'], name: 'places' }] },
        countries: { type: 'reference' },
      },
    }),
  ),
)

export function column(name: string, dataType: string, more: Partial<ColumnInfo> = {}): ColumnInfo {
  const isText = ['char', 'varchar', 'text', 'enum', 'set'].includes(dataType)
  return {
    name,
    dataType,
    unsigned: false,
    collation: isText ? 'utf8mb4_general_ci' : null,
    lengthMax: isText ? 40 : null,
    nullable: true,
    invisible: false,
    generated: false,
    autoIncrement: false,
    hasDefault: false,
    padSpace: isText ? true : null,
    ...more,
  }
}

const tables: Record<string, TableColumns> = {
  users: {
    columns: [
      column('id', 'bigint', { nullable: false }),
      column('name', 'varchar'),
      column('age', 'int'),
      column('bio', 'text', { lengthMax: 65535 }),
      column('score', 'float'),
    ],
    uniqueKeys: [['id']],
  },
  log: {
    columns: [
      column('log_id', 'bigint', { nullable: false }),
      column('user_id', 'int', { nullable: false, unsigned: true }),
      column('name', 'varchar'),
      column('weight', 'decimal'),
      column('at', 'datetime'),
    ],
    uniqueKeys: [['log_id']],
  },
  orders: {
    columns: [
      column('id', 'bigint', { nullable: false }),
      column('user_id', 'bigint', { nullable: false }),
      column('total', 'decimal'),
      column('state', 'enum'),
    ],
    uniqueKeys: [['user_id', 'id']],
  },
  tenants: {
    columns: [
      column('name', 'varchar', { nullable: false }),
      column('plan', 'varchar', { collation: 'utf8mb4_0900_ai_ci', padSpace: false }),
    ],
    uniqueKeys: [['name']],
  },
  files: { columns: [column('path', 'varbinary', { lengthMax: 100, nullable: false }), column('size', 'bigint')], uniqueKeys: [['path']] },
  counted: { columns: [column('id', 'int', { autoIncrement: true, nullable: false }), column('k', 'int')], uniqueKeys: [['id']] },
  ranked: { columns: [column('k', 'bigint', { unsigned: true, nullable: false }), column('n', 'int')], uniqueKeys: [['k']] },
  placed: {
    columns: [column('region', 'varbinary', { lengthMax: 1, nullable: false }), column('id', 'bigint', { nullable: false })],
    uniqueKeys: [['region', 'id']],
  },
  countries: { columns: [column('code', 'char', { nullable: false, lengthMax: 2 }), column('title', 'varchar')], uniqueKeys: [['code']] },
}

const app: KeyspaceInfo = {
  name: 'app',
  vschema,
  schemaNamesEqual: false,
  columns: (name) => (name === 'fresh' ? undefined : (tables[name] ?? null)),
  functions: {
    all: new Set(['reads', 'plain', 'product', 'newid']),
    reading: new Set(['reads']),
    varying: new Set(['newid']),
    aggregates: new Set(['product']),
  },
}
const plain: KeyspaceInfo = {
  name: 'plain',
  vschema: resolveVschema(parseVschema('{}')),
  schemaNamesEqual: true,
  columns: () => undefined,
  functions: undefined,
}

export const catalog: Catalog & { generation: number } = {
  generation: 0,
  keyspace: (name) => (name === 'app' ? app : name === 'plain' ? plain : undefined),
}

export const shards = ['-40', '40-80', '80-c0', 'c0-']
const lexer = new Lexer()
export const planner = new Planner(catalog)

export function planOf(sql: string, keyspace: string | null = 'app'): Plan {
  return planner.plan(lexer.lex(Buffer.from(sql)), { keyspace })
}

export function inputsOf(sql: string, parameters: readonly Value[] = [], sequenceIds: readonly bigint[] = []): RouteInputs<string> {
  return {
    lexed: lexer.lex(Buffer.from(sql)),
    parameters,
    text: 'utf8mb4',
    shards,
    shardOf: (id) => shards[(id[0] ?? 0) >> 6] as string,
    shardsIn: (range) => shards.filter((name) => keyRangesIntersect(parseKeyRange(name), range)),
    schemaOf: (shard) => 'app_' + shard.replace('-', '_'),
    anyShard: () => 'any',
    session: (ref: SessionRef) =>
      ref.kind === 'last-insert-id' ? { type: 'integer', value: 77n } : ref.kind === 'user-variable' ? nullValue : textValue(ref.kind),
    sequenceIds,
  }
}

export function route(sql: string, parameters: readonly Value[] = [], keyspace: string | null = 'app'): Routed<string> {
  const plan = planOf(sql, keyspace)
  if (plan.kind !== 'routed') throw new Error(`a plan of kind ${plan.kind}`)
  const needed = idsNeeded(plan, inputsOf(sql, parameters))
  return routePlan(
    plan,
    inputsOf(
      sql,
      parameters,
      Array.from({ length: needed }, (_, i) => 1000n + BigInt(i)),
    ),
  )
}

/** `shards: text`, one line for each text. */
export function show(sql: string, parameters: readonly Value[] = [], keyspace: string | null = 'app'): string[] {
  const byText = new Map<string, string[]>()
  for (const send of route(sql, parameters, keyspace).sends) {
    const text = send.text.toString() + (send.parameters === null ? '' : send.parameters.length > 0 ? ` /${send.parameters.join(',')}` : '')
    byText.set(text, [...(byText.get(text) ?? []), send.shard])
  }
  return [...byText].map(([text, at]) => `${at.length === shards.length ? 'all' : at.join(' ')}: ${text}`)
}
