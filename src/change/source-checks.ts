/** What makes a server or a table unfit to be moved, found before anything is made: all of it at once. */
import type { SwError } from '../base/errors.ts'
import { moveErrors } from '../move/errors.ts'
import { periodKey } from '../move/period-keys.ts'
import { hiddenActions } from '../move/unfollowed.ts'
import { binlogProblems, binlogSkippers } from '../mysql/flavour/shared.ts'
import type { BinlogProblem } from '../mysql/flavour/flavour.ts'
import { binlogRetentionNeeded } from '../plan/formulas.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import type { Connection } from '../mysql/connection.ts'
import type { SchemaInfo, TableInfo } from '../mysql/table-info.ts'
import { parseTableDefinition } from '../sql/table-definition.ts'
import type { ServerSecret } from '../topology/records.ts'
import { changeErrors } from './errors.ts'
import { keysOfSessions } from './session-expressions.ts'

/** PROTOCOLS 1.14: a stream needs what it has not read yet. Without a minute's room to notice and to raise it, an outage of moments ends the move. */
export const retentionLeastS = 600
/** PROTOCOLS 5: 1.5 × (lag + outage), where the lag is small and an outage lasts an hour. */
const retentionGoodS = binlogRetentionNeeded(0, 3600)

function tooShort(retentionS: number): BinlogProblem {
  return {
    setting: 'binlog_expire_logs_seconds',
    value: String(retentionS),
    wanted: `${retentionLeastS} or more (${retentionGoodS} outlast an hour's outage)`,
    why: 'a stream that stands still for so long would find the binlog that it needs purged, and the move would have to begin again',
    fix: `SET GLOBAL binlog_expire_logs_seconds=${retentionGoodS}`,
  }
}

export async function serverFindings(connection: Connection, server: string): Promise<SwError[]> {
  const settings = await flavourOf(connection).binlogSettings(connection)
  const problems = binlogProblems(settings)
  if (settings.retentionS > 0 && settings.retentionS < retentionLeastS) problems.push(tooShort(settings.retentionS))
  return problems.map((problem) => changeErrors.serverSetting({ server, ...problem }))
}

/** What is no hindrance and should be known of a source. */
export async function serverNotes(connection: Connection, server: string, secret: ServerSecret | undefined): Promise<string[]> {
  const ours = new Set(secret === undefined ? [] : [secret.admin.user, secret.mover.user, secret.gate.user])
  const skippers = binlogSkippers(server, await flavourOf(connection).accounts(connection), ours)
  const { retentionS } = await flavourOf(connection).binlogSettings(connection)
  const short = retentionS >= retentionLeastS && retentionS < retentionGoodS
  const kept = `${server} keeps binlogs for ${retentionS} s: an hour's outage of the mover takes ${retentionGoodS}; raised by the stream when less than half of it is left`
  return [...(skippers === null ? [] : [skippers]), ...(short ? [kept] : [])]
}

/** `triggers`: of user triggers and events; at-switch: they move with it. */
export function schemaFindings(schema: SchemaInfo, logsCascades: boolean, triggers: 'refuse' | 'at-switch' = 'refuse'): SwError[] {
  const events = (triggers === 'refuse' ? schema.events : []).map((event) =>
    changeErrors.userEvent({ event: event.name, schema: schema.name }),
  )
  return [...schema.tables.flatMap((table) => tableFindings(schema.name, table, logsCascades, triggers)), ...events]
}

function tableFindings(schema: string, table: TableInfo, logsCascades: boolean, triggers: 'refuse' | 'at-switch'): SwError[] {
  const name = table.name
  const findings: SwError[] = []
  if (table.kind !== 'BASE TABLE') findings.push(changeErrors.tableKind({ table: name, kind: table.kind.toLowerCase() }))
  if (!/^innodb$/i.test(table.engine)) findings.push(changeErrors.tableEngine({ table: name, engine: table.engine }))
  // No range can be read by a hash, or by a key that no statement may name.
  if (!table.keys.some((key) => key.identifiesRows && (key.primary || (key.visible && key.type !== 'HASH'))))
    findings.push(changeErrors.noKey({ table: name }))
  const ofPeriod = table.kind === 'BASE TABLE' ? periodKey(parseTableDefinition(table.createSql)) : null
  if (ofPeriod !== null) findings.push(moveErrors.keyOfPeriod({ table: name, key: ofPeriod }))
  if (table.kind === 'BASE TABLE')
    for (const { key, reads } of keysOfSessions(table)) findings.push(changeErrors.keyOfSession({ table: name, key, reads }))
  if (table.triggers.length > 0 && triggers === 'refuse')
    findings.push(changeErrors.userTriggers({ table: name, triggers: table.triggers.map((trigger) => trigger.name).join(', ') }))
  for (const { name: key, referencedSchema, referencedTable } of table.foreignKeys)
    if (referencedSchema.toLowerCase() !== schema.toLowerCase())
      findings.push(changeErrors.foreignKeyElsewhere({ table: name, key, referenced: `${referencedSchema}.${referencedTable}` }))
  if (!logsCascades) findings.push(...cascadesOfTable(table).map((cascade) => changeErrors.hiddenCascade(cascade)))
  return findings
}

export type Cascade = { readonly table: string; readonly key: string; readonly action: string }

/** Foreign keys that change rows of their own accord: every server of both sides has to log those, since each is followed at some time (PROTOCOLS 1.11). */
export function cascadesOf(schema: Pick<SchemaInfo, 'tables'>): Cascade[] {
  return schema.tables.flatMap(cascadesOfTable)
}

function cascadesOfTable({ name: table, foreignKeys }: TableInfo): Cascade[] {
  return foreignKeys.flatMap(({ name: key, onDelete, onUpdate }) => {
    if (hiddenActions.includes(onDelete)) return [{ table, key, action: `ON DELETE ${onDelete}` }]
    return hiddenActions.includes(onUpdate) ? [{ table, key, action: `ON UPDATE ${onUpdate}` }] : []
  })
}
