/**
 * The last word: every row of the sources, read directly, stands on the target that its shard key says, once, with the same bytes in every column,
 * and nothing else does. Shares nothing with the engine but the connection: columns are selected by their own rules, places come from
 * the table's pool of shard keys.
 */
import { createHash } from 'node:crypto'
import { connect } from '../../../src/mysql/connect.ts'
import type { Connection, ConnectOptions, FlavourName } from '../../../src/mysql/connection.ts'
import { quoteIdentifier, quoteQualified, quoteString } from '../../../src/sql/quote.ts'
import type { RandomTable } from './schema.ts'

type ReadRow = { readonly cells: readonly string[]; readonly shard: string | null }

export type Shards = {
  readonly places: readonly { readonly serverId: string; readonly connect: ConnectOptions; readonly schema: string }[]
  readonly names: readonly string[]
  readonly flavour: FlavourName
}

export async function compareDirectly(
  sources: Shards,
  targets: Shards,
  tables: readonly RandomTable[],
): Promise<{ rows: number; wrong: string[] }> {
  const sessionSql = ["SET SESSION time_zone='+00:00', sql_mode=''"]
  const conns: Connection[] = []
  const connectTo = async ({ places }: Shards): Promise<{ conn: Connection; schema: string }[]> => {
    const found: { conn: Connection; schema: string }[] = []
    for (const { connect: options, schema } of places) {
      const conn = await connect({ ...options, charset: 'binary', sessionSql })
      conns.push(conn)
      found.push({ conn, schema })
    }
    return found
  }
  const across = sources.flavour !== targets.flavour
  const wrong: string[] = []
  let rows = 0
  try {
    const [from, to] = [await connectTo(sources), await connectTo(targets)]
    const first = from[0]
    if (first === undefined) throw new Error('no sources')
    for (const table of tables) {
      const columns = await columnsOf(first.conn, first.schema, table.name)
      const names = columns.map(({ name }) => name)
      const homes = new Map(table.shard?.values.map(({ stored, target }) => [stored, target]))
      const expected = to.map((): ReadRow[] => [])
      for (const { conn, schema } of from.slice(0, table.shard === null ? 1 : undefined)) {
        for await (const row of readRows(conn, schema, table, columns, across)) {
          rows++
          if (row.shard === null) for (const list of expected) list.push(row)
          else {
            const home = homes.get(row.shard)
            if (home === undefined) wrong.push(`${table.name}: a row of shard key x'${row.shard}' that nobody wrote`)
            else expected[home]?.push(row)
          }
        }
      }
      for (const [i, { conn, schema }] of to.entries()) {
        const there = await columnsOf(conn, schema, table.name)
        if (there.map(({ name }) => name).join() !== names.join())
          wrong.push(`${table.name} on ${targets.names[i]}: other columns: ${there.map(({ name }) => name).join()}`)
        const found: ReadRow[] = []
        for await (const row of readRows(conn, schema, table, columns, across)) found.push(row)
        wrong.push(...differences(`${table.name} on ${targets.names[i]}`, names, expected[i] ?? [], found))
      }
    }
  } finally {
    for (const conn of conns) conn.destroy()
  }
  return { rows, wrong }
}

export type ReadColumn = { readonly name: string; readonly type: string }

export async function columnsOf(conn: Connection, schema: string, table: string): Promise<ReadColumn[]> {
  const rows = await conn.allText(
    `SELECT COLUMN_NAME c, DATA_TYPE d FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ${quoteString(schema)} AND TABLE_NAME = ${quoteString(table)} ORDER BY ORDINAL_POSITION`,
  )
  return rows.map((row) => ({ name: row.c ?? '', type: (row.d ?? '').toLowerCase() }))
}

async function* readRows(
  conn: Connection,
  schema: string,
  table: RandomTable,
  columns: readonly ReadColumn[],
  across: boolean,
): AsyncGenerator<ReadRow> {
  const list = columns.flatMap(({ name, type }) => {
    const q = quoteIdentifier(name)
    if (type === 'float' || type === 'double') return [`CAST(${q} AS DOUBLE)`]
    if (type === 'enum' || type === 'set') return [`CONCAT(CAST(${q} AS UNSIGNED), ':', HEX(${q}))`]
    return [q]
  })
  const shardAt = table.shard === null ? -1 : columns.findIndex(({ name }) => name === table.shard?.name)
  const sql = Buffer.from(`SELECT ${list.join(',')} FROM ${quoteQualified(schema, table.name)}`)
  for await (const batch of await conn.rows(sql)) {
    for (let row = 0; row < batch.length; row++) {
      const cells = columns.map(({ type }, i) => {
        const cell = batch.cell(row, i)
        if (cell === null) return 'NULL'
        // Numbers with exponents are printed differently by the two: the value counts, with the sign of zero.
        if (across && (type === 'float' || type === 'double')) return doubleBits(cell.toString())
        return cell.length > 200 ? `${cell.length}:${createHash('sha256').update(cell).digest('hex')}` : `x${cell.toString('hex')}`
      })
      yield { cells, shard: shardAt < 0 ? null : (batch.cell(row, shardAt)?.toString('hex') ?? 'null') }
    }
  }
}

function doubleBits(text: string): string {
  const bytes = Buffer.alloc(8)
  // MariaDB has no negative zero.
  bytes.writeDoubleBE(Number(text) + 0)
  return bytes.toString('hex')
}

function differences(where: string, names: readonly string[], expected: readonly ReadRow[], found: readonly ReadRow[]): string[] {
  const counts = new Map<string, { row: ReadRow; count: number }>()
  const add = (row: ReadRow, change: number): void => {
    const text = row.cells.join('|')
    const known = counts.get(text) ?? { row, count: 0 }
    known.count += change
    counts.set(text, known)
  }
  for (const row of expected) add(row, 1)
  for (const row of found) add(row, -1)
  const missing = [...counts.values()].filter(({ count }) => count > 0).map(({ row }) => row)
  const extra = [...counts.values()].filter(({ count }) => count < 0).map(({ row }) => row)
  if (missing.length === 0 && extra.length === 0) return []
  const out = [`${where}: ${missing.length} rows missing or different, ${extra.length} that should not be there, of ${expected.length}`]
  for (const row of missing.slice(0, 3)) {
    // The row there that is most like it, and what differs.
    const like = extra
      .map((other) => ({ other, same: other.cells.filter((cell, i) => cell === row.cells[i]).length }))
      .sort((a, b) => b.same - a.same)[0]
    if (like === undefined || like.same === 0) out.push(`  missing: ${shown(names, row)}`)
    else
      out.push(
        `  ${names
          .flatMap((name, i) =>
            row.cells[i] === like.other.cells[i]
              ? []
              : [`${name}: ${row.cells[i]?.slice(0, 200)} became ${like.other.cells[i]?.slice(0, 200)}`],
          )
          .join('; ')}`,
      )
  }
  if (missing.length === 0) for (const row of extra.slice(0, 3)) out.push(`  extra: ${shown(names, row)}`)
  return out
}

function shown(names: readonly string[], row: ReadRow): string {
  return names.map((name, i) => `${name}=${row.cells[i]?.slice(0, 60)}`).join(' ')
}
