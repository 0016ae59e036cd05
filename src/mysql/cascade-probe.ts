/**
 * Whether a server has the rows that a cascade changes in its binlog (PROTOCOLS 1.11), by trying it: a parent and a child in our own schema (in one that goes again where that is not: the server
 * is not ours yet, and may never be), the parent's row deleted, and what the binlog has of it. Versions and settings say it too (`Flavour.logsCascades`), of the servers that were tried when that was written; where an account may not try, they alone do, and `by` says so.
 *
 * Not for dry runs: it writes.
 */
import type { Connection } from './connection.ts'
import { isServerError } from './errors.ts'
import { flavourOf } from './flavour/flavour.ts'
import { switchForeignKeyChecks } from './foreign-key-checks.ts'
import { controlSchema } from './our-schema.ts'
import { quoteString } from '../sql/quote.ts'

export type CascadeVerdict = { readonly logs: boolean; readonly by: 'probe' | 'version'; readonly why: string | null }

const passing = `${controlSchema}_try`
const lock = `${controlSchema}:cascades`
/** Others write meanwhile. */
const eventsMax = 20_000

export async function probeCascades(connection: Connection): Promise<CascadeVerdict> {
  const byVersion = async (why: string): Promise<CascadeVerdict> => ({
    logs: await flavourOf(connection).logsCascades(connection),
    by: 'version',
    why,
  })
  if ((await connection.value(`SELECT GET_LOCK(${quoteString(lock)}, 10)`)) !== '1') return byVersion('somebody else is trying it')
  try {
    const seen = await tryIt(connection)
    return 'logs' in seen ? { logs: seen.logs, by: 'probe', why: null } : await byVersion(seen.why)
  } catch (error) {
    if (!isServerError(error)) throw error
    return await byVersion(error.serverMessage)
  } finally {
    if (connection.open) await connection.query(`DO RELEASE_LOCK(${quoteString(lock)})`)
  }
}

async function tryIt(connection: Connection): Promise<{ logs: boolean } | { why: string }> {
  const ours = await connection.value(`SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ${quoteString(controlSchema)}`)
  if (ours !== undefined) return tryIn(connection, controlSchema)
  // Not the control schema, to be dropped after: somebody may attach the server meanwhile.
  await connection.query(`CREATE DATABASE IF NOT EXISTS ${passing} DEFAULT CHARACTER SET utf8mb4`)
  try {
    return await tryIn(connection, passing)
  } finally {
    if (connection.open) await connection.query(`DROP DATABASE IF EXISTS ${passing}`)
  }
}

async function tryIn(connection: Connection, schema: string): Promise<{ logs: boolean } | { why: string }> {
  const parent = `${schema}.cascade_parent`
  const child = `${schema}.cascade_child`
  const drop = `DROP TABLE IF EXISTS ${child}, ${parent}`
  await connection.query(drop)
  const setBack = await switchForeignKeyChecks(connection, 1)
  try {
    await connection.query(`CREATE TABLE ${parent} (id INT NOT NULL PRIMARY KEY) ENGINE=InnoDB`)
    await connection.query(
      `CREATE TABLE ${child} (id INT NOT NULL PRIMARY KEY, parent INT NOT NULL, FOREIGN KEY (parent) REFERENCES ${parent} (id) ON DELETE CASCADE) ENGINE=InnoDB`,
    )
    await connection.query(`INSERT INTO ${parent} VALUES (1)`)
    await connection.query(`INSERT INTO ${child} VALUES (1, 1)`)
    const flavour = flavourOf(connection)
    const from = await flavour.binlogEnd(connection)
    await connection.query(`DELETE FROM ${parent}`)
    const to = await flavour.binlogEnd(connection)
    if (from === null || to === null || from.file !== to.file) return { why: 'its binlog could not be read at one place' }
    const events = await connection.allText(`SHOW BINLOG EVENTS IN ${quoteString(from.file)} FROM ${from.position} LIMIT ${eventsMax}`)
    // By rows: MariaDB names every table that a statement has locked, the children of a cascade too, whose rows it does not log.
    const rowsOf = (table: string): boolean => {
      const ids = events.flatMap(({ Event_type: type, Info: info }) => {
        const [, id, name] = (type === 'Table_map' ? /^table_id: (\d+) \(([^)]*)\)/.exec(info ?? '') : null) ?? []
        return id !== undefined && name === table ? [id] : []
      })
      return events.some(
        ({ Event_type: type, Info: info }) => /rows/i.test(type ?? '') && ids.some((id) => info?.startsWith(`table_id: ${id} `) === true),
      )
    }
    return rowsOf(parent) ? { logs: rowsOf(child) } : { why: 'its binlog does not show the row that was deleted' }
  } finally {
    if (connection.open) {
      await setBack()
      await connection.query(drop)
    }
  }
}
