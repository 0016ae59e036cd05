/**
 * Proves: every column type with every value that has hurt somebody arrives as the bytes that it is on the source, by the copy and by the tail, within a flavour
 * and from each to the other. The servers tell the bytes, by expressions of their own: not those that the copy reads by.
 */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { movableTypes } from './torture/move/types.ts'
import { flavours, sharedServer } from './kit/servers.ts'
import type { Connection, FlavourName } from '../src/mysql/connection.ts'
import { connect } from '../src/mysql/connect.ts'
import { World } from '../src/move/testkit/world.ts'

/** What the server shows of a column: exact, whatever the client's character set, and short. */
function shown({ name, type }: { name: string; type: string }, typed: boolean): string {
  // As a double every bit of a FLOAT shows. As it is sent: MySQL's CAST to text prints fewer digits of the smallest (*tried*, 9.7).
  if (/^(FLOAT|DOUBLE)/.test(type)) return `${name} + 0e0`
  return `CONCAT_WS(' ', ${parts({ name, type }, typed).join(', ')})`
}

function parts({ name, type }: { name: string; type: string }, typed: boolean): string[] {
  const exact = (expression: string): string =>
    `IF(LENGTH(${expression}) > 100, CONCAT(LENGTH(${expression}), ' bytes ', SHA2(${expression}, 256)), HEX(${expression}))`
  // The number tells '' from the value that is no member.
  if (/^(ENUM|SET)/.test(type)) return [exact(`CAST(${name} AS BINARY)`), exact(`CAST(CAST(${name} AS UNSIGNED) AS BINARY)`)]
  if (/^(POINT|POLYGON|GEOMETRY)/.test(type)) return [exact(`ST_AsBinary(${name})`), `ST_SRID(${name})`]
  if (type.startsWith('JSON')) return [exact(`CAST(${name} AS CHAR CHARACTER SET utf8mb4)`), ...(typed ? typesOf(name) : [])]
  return [exact(`CAST(${name} AS BINARY)`)]
}

/** Of MySQL's documents: bytes that they take when made anew, and the type of each value. */
function typesOf(name: string): string[] {
  const all = `JSON_MERGE_PRESERVE(JSON_ARRAY(${name}), COALESCE(JSON_EXTRACT(${name}, '$**.*'), JSON_ARRAY()), COALESCE(JSON_EXTRACT(${name}, '$**[*]'), JSON_ARRAY()))`
  const types = `SELECT SHA2(JSON_ARRAYAGG(JSON_ARRAY(i, JSON_TYPE(v))), 256) FROM JSON_TABLE(${all}, '$[*]' COLUMNS (i FOR ORDINALITY, v JSON PATH '$')) t`
  return [`JSON_STORAGE_SIZE(JSON_ARRAY(${name}))`, `(${types})`]
}

const made = [
  { name: 'g_virtual', ddl: 'g_virtual BIGINT AS (id * 3) VIRTUAL' },
  { name: 'g_stored', ddl: 'g_stored BIGINT AS (id + 1) STORED' },
  { name: 'hidden', ddl: 'hidden INT NULL DEFAULT 7 INVISIBLE' },
  { name: 'by_default', ddl: "by_default VARCHAR(50) CHARACTER SET latin1 DEFAULT (CONCAT('made ', 'by it'))" },
]

const pairings: { from: FlavourName; to: FlavourName }[] = flavours().flatMap((from) => flavours().map((to) => ({ from, to })))

for (const { from, to } of pairings) {
  test(`1.1, 1.12 from ${from} to ${to}: every type and every nasty value arrives byte for byte by copy and by tail`, async () => {
    const types = movableTypes(from, to).map((known, i) => ({ ...known, name: `c${i}` }))
    const columns = types.map(({ name, type }) => `${name} ${type}${/\bNULL$/.test(type) ? '' : ' NULL'}`)
    const collation = from === to ? '' : ' COLLATE utf8mb4_general_ci'
    const ddl = `CREATE TABLE every (id INT NOT NULL PRIMARY KEY, owner INT NOT NULL, ${[...columns, ...made.map((column) => column.ddl)].join(', ')}) DEFAULT CHARSET=utf8mb4${collation}`
    const options = { flavour: from, sources: ['-'], targets: ['-80', '80-'], tables: [{ name: 'every', shardKey: 'owner', ddl }] }
    await using world = await World.create(options, { source: await sharedServer(from), target: await sharedServer(to) })
    const rowCount = Math.max(...types.map(({ values }) => values.length)) + 1
    await using writer = await connect({ ...world.source.config, database: world.sourceRefs[0]!.schema })
    await writer.query("SET NAMES utf8mb4, SESSION sql_mode='', SESSION time_zone='+00:00'")
    /** One value more than there are is NULL; each column goes round its own. */
    const valueOf = (values: readonly string[], row: number): string => values[row % (values.length + 1)] ?? 'NULL'
    const insert = async (first: number): Promise<void> => {
      const names = ['id', 'owner', ...types.map(({ name }) => name)].join(', ')
      for (let row = 0; row < rowCount; row++) {
        const values = types.map(({ values }) => valueOf(values, row)).join(', ')
        await writer.query(`INSERT IGNORE INTO every (${names}) VALUES (${first + row}, ${(first + row) % 10}, ${values})`)
      }
    }
    /** The value of one row becomes that of the next: each in the image before, and in the one after. */
    const turn = async (first: number): Promise<void> => {
      for (let row = 0; row < rowCount; row += 2) {
        const values = types.map(({ name, values }) => `${name} = ${valueOf(values, row + 1)}`).join(', ')
        await writer.query(`UPDATE IGNORE every SET owner = owner + 1, hidden = hidden + 1, ${values} WHERE id = ${first + row}`)
      }
    }
    await insert(0)
    const record = world.record(0)
    const running = world.start(record)
    await world.untilRunning(record.uid)
    const compared = [
      { name: 'id', type: 'INT' },
      { name: 'owner', type: 'INT' },
      ...types,
      ...made.map(({ name }) => ({ name, type: '' })),
    ]
    assert.equal(await compare(world, compared), rowCount, 'as copied')
    await insert(1000)
    await turn(0)
    await writer.query('DELETE FROM every WHERE id % 7 = 3')
    await world.drain(record.uid)
    assert.ok((await compare(world, compared)) > rowCount, 'as the tail brought it')
    await running.stop()
  })
}

/** Rows of the source, each alike on the targets; nothing else there. */
async function compare(world: World, columns: readonly { name: string; type: string }[]): Promise<number> {
  const typed = [world.s, world.t].every(({ flavour }) => flavour === 'mysql')
  const read = async (conn: Connection, schema: string): Promise<Map<string, Record<string, string | null>>> => {
    await conn.query("SET SESSION sql_mode='', SESSION time_zone='+00:00'")
    const cells = columns.map((column) => `${shown(column, typed)} AS ${column.name}`)
    const rows = await conn.allText(`SELECT id AS k, ${cells.join(', ')} FROM ${schema}.every`)
    return new Map(rows.map((row) => [row.k ?? '', row]))
  }
  const source = await read(world.s, world.sourceRefs[0]!.schema)
  const there = new Map<string, Record<string, string | null>>()
  for (const { schema } of world.targetRefs) for (const [key, row] of await read(world.t, schema)) there.set(key, row)
  assert.deepEqual([...there.keys()].sort(), [...source.keys()].sort())
  for (const [key, row] of source) {
    for (const { name, type } of columns)
      assert.equal(there.get(key)?.[name], row[name], `row ${key}, ${name} ${type.slice(0, 60)}: the servers show other bytes`)
  }
  return source.size
}
