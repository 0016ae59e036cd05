/** What makes a server or a table unfit to be moved, found before anything is made: all of it at once. */
import type { SwError } from '../base/errors.ts'
import { binlogProblems, binlogSkippers } from '../mysql/flavour/shared.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import type { Connection } from '../mysql/connection.ts'
import type { SchemaInfo, TableInfo } from '../mysql/table-info.ts'
import type { ServerSecret } from '../topology/records.ts'
import { changeErrors } from './errors.ts'

export async function serverFindings(connection: Connection, server: string): Promise<SwError[]> {
  const settings = await flavourOf(connection).binlogSettings(connection)
  return binlogProblems(settings).map((problem) => changeErrors.serverSetting({ server, ...problem }))
}

/** What is no hindrance and should be known of a source. */
export async function serverNotes(connection: Connection, server: string, secret: ServerSecret | undefined): Promise<string[]> {
  const ours = new Set(secret === undefined ? [] : [secret.admin.user, secret.mover.user, secret.gate.user])
  const skippers = binlogSkippers(server, await flavourOf(connection).accounts(connection), ours)
  return skippers === null ? [] : [skippers]
}

/** `triggers`: of user triggers and events; at-switch: they move with it. */
export function schemaFindings(schema: SchemaInfo, logsCascades: boolean, triggers: 'refuse' | 'at-switch' = 'refuse'): SwError[] {
  const events = (triggers === 'refuse' ? schema.events : []).map((event) =>
    changeErrors.userEvent({ event: event.name, schema: schema.name }),
  )
  return [...schema.tables.flatMap((table) => tableFindings(table, logsCascades, triggers)), ...events]
}

const hiddenActions = ['CASCADE', 'SET NULL', 'SET DEFAULT']

function tableFindings(table: TableInfo, logsCascades: boolean, triggers: 'refuse' | 'at-switch'): SwError[] {
  const name = table.name
  const findings: SwError[] = []
  if (table.kind !== 'BASE TABLE') findings.push(changeErrors.tableKind({ table: name, kind: table.kind.toLowerCase() }))
  if (!/^innodb$/i.test(table.engine)) findings.push(changeErrors.tableEngine({ table: name, engine: table.engine }))
  if (!table.keys.some((key) => key.identifiesRows)) findings.push(changeErrors.noKey({ table: name }))
  if (table.triggers.length > 0 && triggers === 'refuse')
    findings.push(changeErrors.userTriggers({ table: name, triggers: table.triggers.map((trigger) => trigger.name).join(', ') }))
  for (const key of logsCascades ? [] : table.foreignKeys) {
    const hidden = hiddenActions.includes(key.onDelete)
      ? `ON DELETE ${key.onDelete}`
      : hiddenActions.includes(key.onUpdate)
        ? `ON UPDATE ${key.onUpdate}`
        : null
    if (hidden !== null) findings.push(changeErrors.hiddenCascade({ table: name, key: key.name, action: hidden }))
  }
  return findings
}
