/** What would keep a stream from starting, found before it is asked to: everything at once. */
import type { SwError } from '../base/errors.ts'
import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { readSchema } from '../mysql/introspect.ts'
import { quoteQualified } from '../sql/quote.ts'
import { moveErrors } from './errors.ts'

/** Findings about a source server that only a stream's start would meet. What settings and tables need is the caller's list. */
export async function preflightSource(conn: Connection): Promise<SwError[]> {
  const prepared = await flavourOf(conn).xaRecover(conn)
  return prepared
    .slice(0, 20)
    .map((xid) => moveErrors.xaPrepared({ xid: `X'${xid.gtrid.toString('hex')}',X'${xid.bqual.toString('hex')}',${xid.formatId}` }))
}

/** Findings about a target schema: moved tables that hold rows already, triggers on them, events. */
export async function preflightTarget(conn: Connection, schema: string, name: string, tables: readonly string[]): Promise<SwError[]> {
  const findings: SwError[] = []
  const info = await readSchema(conn, schema)
  for (const table of info.tables) {
    if (!tables.includes(table.name)) continue
    if ((await conn.value(`SELECT 1 FROM ${quoteQualified(schema, table.name)} LIMIT 1`)) !== undefined)
      findings.push(moveErrors.targetNotEmpty({ table: table.name, target: name }))
    if (table.triggers.length > 0)
      findings.push(
        moveErrors.userTriggers({ target: name, table: table.name, triggers: table.triggers.map((trigger) => trigger.name).join(', ') }),
      )
  }
  return findings
}
