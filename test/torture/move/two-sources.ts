/** Whether the workload has kept its own rule that no key and no unique value stands on two sources. */
import { connect } from '../../../src/mysql/connect.ts'
import type { Connection } from '../../../src/mysql/connection.ts'
import { quoteIdentifier, quoteQualified, quoteString } from '../../../src/sql/quote.ts'
import { columnsOf, type ReadColumn, type Shards } from './comparison.ts'
import type { RandomTable } from './schema.ts'

const scratch = 'torture_two_sources'

/**
 * Keys and unique values that stand on two sources, as the server compares them: no merge can end while they do, and only the workload could have put
 * them there (its key must match in a WHERE: a FLOAT did not, and looked like a stream that is stuck). What stands on another server than the first
 * source's is copied to that one, by its values, for their comparison.
 */
export async function onTwoSources({ places }: Shards, tables: readonly RandomTable[]): Promise<string[]> {
  const found: string[] = []
  const conns = new Map<string, Connection>()
  try {
    for (const { serverId, connect: to } of places)
      if (!conns.has(serverId)) conns.set(serverId, await connect({ ...to, charset: 'binary', sessionSql: session }))
    const home = conns.get(places[0]?.serverId ?? '')
    if (home === undefined) return []
    await home.query(`DROP DATABASE IF EXISTS ${scratch}`)
    await home.query(`CREATE DATABASE ${scratch}`)
    for (const table of tables) {
      if (table.shard === null) continue
      const unique = [table.unique, table.uniqueText].flatMap((column) => (column === null ? [] : [[column]]))
      for (const columns of [table.key.map(({ name }) => name), ...unique]) {
        const equal = columns.map((column) => `a.${quoteIdentifier(column)} = b.${quoteIdentifier(column)}`).join(' AND ')
        const homes: string[] = []
        for (const [i, { serverId, schema }] of places.entries()) {
          const there = quoteQualified(schema, table.name)
          const conn = conns.get(serverId)
          const here = `${scratch}.p${i}`
          homes.push(conn === home ? there : here)
          if (conn === undefined || conn === home) continue
          const kinds = await columnsOf(conn, schema, table.name)
          await copy(
            conn,
            there,
            columns.flatMap((column) => kinds.filter(({ name }) => name === column)),
            {
              conn: home,
              like: quoteQualified(places[0]?.schema ?? '', table.name),
              into: here,
            },
          )
        }
        for (const [i, one] of homes.entries()) {
          for (const [j, other] of homes.entries()) {
            if (j <= i) continue
            const count = await home.value(`SELECT COUNT(*) FROM ${one} AS a JOIN ${other} AS b ON ${equal}`)
            if (Number(count) > 0)
              found.push(`${count} of ${table.name} (${columns.join(', ')}) stand in ${places[i]?.schema} and in ${places[j]?.schema}`)
          }
        }
      }
    }
    await home.query(`DROP DATABASE ${scratch}`)
  } finally {
    for (const conn of conns.values()) conn.destroy()
  }
  return found
}

const session = ["SET SESSION time_zone='+00:00', sql_mode='NO_ENGINE_SUBSTITUTION'"]

/** Some columns of a table, to a table of another server that has columns of the same types. */
async function copy(
  from: Connection,
  table: string,
  columns: readonly ReadColumn[],
  to: { conn: Connection; like: string; into: string },
): Promise<void> {
  const names = columns.map(({ name }) => quoteIdentifier(name)).join(',')
  await to.conn.query(`DROP TABLE IF EXISTS ${to.into}`)
  await to.conn.query(`CREATE TABLE ${to.into} AS SELECT ${names} FROM ${to.like} LIMIT 0`)
  const selected = columns.map(({ name, type }) => {
    const q = quoteIdentifier(name)
    if (type === 'float' || type === 'double') return `CAST(${q} AS DOUBLE)`
    return type === 'enum' || type === 'set' ? `CAST(${q} AS UNSIGNED)` : q
  })
  for await (const batch of await from.rows(Buffer.from(`SELECT ${selected.join(',')} FROM ${table}`))) {
    const tuples = Array.from(
      { length: batch.length },
      (_, row) => `(${columns.map(({ type }, i) => literal(type, batch.cell(row, i))).join(',')})`,
    )
    if (tuples.length > 0) await to.conn.query(`INSERT INTO ${to.into} (${names}) VALUES ${tuples.join(',')}`)
  }
}

/** Texts go as the bytes that they are, in whatever character set; to a UUID a text without one would be its 16 bytes. */
function literal(type: string, cell: Buffer | null): string {
  if (cell === null) return 'NULL'
  if (/char|text|binary|blob|^bit$/.test(type)) return `x'${cell.toString('hex')}'`
  return /^(enum|set|float|double)$/.test(type) ? cell.toString() : `_latin1${quoteString(cell.toString())}`
}
