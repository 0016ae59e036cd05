/** A schema that we make has the charset and collation of the one in whose place it is to serve: tables that are made there without one get them, and `@@collation_database` is that. */
import type { Connection } from '../mysql/connection.ts'
import { isServerError, errno } from '../mysql/errors.ts'
import { quoteIdentifier, quoteString } from '../sql/quote.ts'

type Place = { readonly conn: Connection; readonly schema: string }

/** Repeatable. A collation that only the other flavour knows leaves it as it is. */
export async function takeSchemaDefaults(source: Place, target: Place): Promise<void> {
  const wanted = await collationOf(source)
  if (wanted === undefined || wanted === (await collationOf(target))) return
  try {
    // It implies the charset.
    await target.conn.query(`ALTER DATABASE ${quoteIdentifier(target.schema)} COLLATE ${wanted}`)
  } catch (error) {
    if (!isServerError(error, errno.unknownCollation)) throw error
  }
}

async function collationOf({ conn, schema }: Place): Promise<string | undefined> {
  const sql = `SELECT DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ${quoteString(schema)}`
  return (await conn.value(sql)) ?? undefined
}
