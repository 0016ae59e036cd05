/** Names on servers by which our own things are known, whichever room made them. */

/** The schema that holds our own tables. */
export const controlSchema = '_shardwright'

export const controlSchemaDdl = `CREATE DATABASE IF NOT EXISTS ${controlSchema} DEFAULT CHARACTER SET utf8mb4`

/** The account of movers, by which their sessions are known. */
export const moverUser = 'sw_mover'

/** Schemas that triggers close (switch/fence-triggers.ts). A gate asks it too before it decides a transaction there (gate/xa.ts). */
export const armedSchemas = `${controlSchema}.control_armed_schemas`

export const armedSchemasDdl = `CREATE TABLE IF NOT EXISTS ${armedSchemas} (schema_name VARBINARY(256) NOT NULL PRIMARY KEY, armed TINYINT UNSIGNED NOT NULL) ENGINE=InnoDB`

/** By whose rows writers to reference tables are put in order (gate/copies-order.ts). Made with all others, as a transaction that reads what was before a table was made can not lock its rows. */
export const copiesTable = 'control_copies'

export const copiesTableDdl = `CREATE TABLE IF NOT EXISTS ${controlSchema}.${copiesTable} (schema_name VARBINARY(256) NOT NULL PRIMARY KEY) ENGINE=InnoDB`

/** How global ids of the gates' XA transactions begin: gates end them by themselves (gate/xa.ts). */
export const xaPrefix = 'sw1-'

/** Of such an id `sw1-<random>-<uid>`: the uid of the shard whose server knows the outcome; null: it is none of a gate. */
export function deciderOf(gtrid: string): string | null {
  return gtrid.startsWith(xaPrefix) ? gtrid.slice(gtrid.indexOf('-', xaPrefix.length) + 1) : null
}
