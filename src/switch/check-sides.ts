/**
 * What stands on the side that serves and is missing on the one that is to serve: accounts, grants, routines, events, room. None of it is moved by streams, and
 * none of it stops a switch; whoever connects directly, or calls a routine, would miss it afterwards. All of it is listed, with the statement that
 * would make it.
 */
import { statfs } from 'node:fs/promises'
import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { quoteString } from '../sql/quote.ts'
import type { Store } from '../topology/store.ts'
import type { Side, SwitchPlan } from './plan.ts'
import { schemasOn } from './plan.ts'
import { connectAs, readServerAccess } from './server-access.ts'

type Standing = {
  readonly accounts: ReadonlySet<string>
  /** `account PRIVILEGE` of the whole server, and of the shards' schemas. */
  readonly globals: ReadonlySet<string>
  readonly schemaGrants: ReadonlySet<string>
  /** `account PRIVILEGE on table`, `… on table.column`, `… on PROCEDURE name`: without the schema, which the sides name differently. */
  readonly objectGrants: ReadonlySet<string>
  readonly routines: ReadonlySet<string>
  readonly events: ReadonlySet<string>
  readonly connectionsMax: number
  readonly binlogRetentionS: number
  readonly diskFreeShare: number | null
}

/** Notes, not blockers. Servers that cannot be asked are told elsewhere. */
export async function sideNotes(store: Store, plan: SwitchPlan): Promise<string[]> {
  const look = async (side: Side): Promise<Map<string, Standing>> => {
    const found = new Map<string, Standing>()
    for (const id of side.serverIds) {
      const standing = await readStanding(store, side, id).catch(() => null)
      if (standing !== null) found.set(id, standing)
    }
    return found
  }
  const [from, to] = await Promise.all([look(plan.from), look(plan.to)])
  const notes: string[] = []
  const all = (pick: (standing: Standing) => ReadonlySet<string>): string[] =>
    [...new Set([...from.values()].flatMap((s) => [...pick(s)]))].sort()
  for (const [id, there] of to) {
    const missing = (pick: (standing: Standing) => ReadonlySet<string>): string[] => all(pick).filter((one) => !pick(there).has(one))
    const accounts = missing((s) => s.accounts)
    if (accounts.length > 0)
      notes.push(
        `${id} lacks the accounts ${list(accounts)}: clients that bypass the gates cannot log in there (SHOW CREATE USER and SHOW GRANTS on the serving side)`,
      )
    const lacking = (grant: string): boolean => !accounts.some((account) => grant.startsWith(`${account} `))
    const globals = missing((s) => s.globals).filter(lacking)
    if (globals.length > 0) notes.push(`${id} lacks global grants: ${list(globals)}`)
    const grants = missing((s) => s.schemaGrants).filter(lacking)
    if (grants.length > 0) notes.push(`${id} lacks grants on the shards' schemas: ${list(grants)}`)
    const objects = missing((s) => s.objectGrants).filter(lacking)
    if (objects.length > 0) notes.push(`${id} lacks grants on tables, columns or routines of the shards' schemas: ${list(objects)}`)
    const events = plan.triggers === 'at-switch' ? [] : missing((s) => s.events)
    if (events.length > 0)
      notes.push(
        `${id} lacks the events ${list(events)} of the shards' schemas: no event may run on a side that follows, so make them there after the switch (or cancel, and create the workflow with --triggers at-switch)`,
      )
    const routines = missing((s) => s.routines)
    if (routines.length > 0)
      notes.push(`${id} lacks the routines ${list(routines)} in the shards' schemas: make them there before the switch`)
    const connections = Math.max(0, ...[...from.values()].map((s) => s.connectionsMax))
    if (there.connectionsMax < connections)
      notes.push(`${id} takes ${there.connectionsMax} connections, the serving side ${connections} (max_connections)`)
    const retention = Math.max(0, ...[...from.values()].map((s) => s.binlogRetentionS))
    if (there.binlogRetentionS > 0 && retention > 0 && there.binlogRetentionS < retention)
      notes.push(`${id} keeps binlogs for ${there.binlogRetentionS} s, the serving side for ${retention} s: undoing needs them`)
    if (there.diskFreeShare !== null && there.diskFreeShare < 0.1)
      notes.push(`${id}: ${Math.round(there.diskFreeShare * 100)} % of its disk is free`)
  }
  return notes
}

function list(names: readonly string[]): string {
  const shown = names.slice(0, 20).join(', ')
  return names.length > 20 ? `${shown} and ${names.length - 20} more` : shown
}

async function readStanding(store: Store, side: Side, serverId: string): Promise<Standing> {
  const access = await readServerAccess(store, serverId)
  await using connection = await connectAs(access, 'admin')
  const ours = new Set([access.secret.admin.user, access.secret.mover.user, access.secret.gate.user])
  const schemas = schemasOn(side, serverId)
  const inSchemas = schemas.map(quoteString).join(', ')
  const [accounts, globals, grants, objectGrants, routines, events, connectionsMax, settings] = await Promise.all([
    flavourOf(connection).accounts(connection),
    grantsOf(connection, 'SELECT GRANTEE AS g, PRIVILEGE_TYPE AS p FROM information_schema.USER_PRIVILEGES'),
    grantsOf(
      connection,
      `SELECT GRANTEE AS g, PRIVILEGE_TYPE AS p FROM information_schema.SCHEMA_PRIVILEGES WHERE REPLACE(TABLE_SCHEMA, '\\\\', '') IN (${inSchemas})`,
    ),
    objectGrantsOf(connection, inSchemas),
    connection.allText(`SELECT DISTINCT ROUTINE_NAME AS n FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA IN (${inSchemas})`),
    connection.allText(`SELECT DISTINCT EVENT_NAME AS n FROM information_schema.EVENTS WHERE EVENT_SCHEMA IN (${inSchemas})`),
    connection.value('SELECT @@GLOBAL.max_connections'),
    flavourOf(connection).binlogSettings(connection),
  ])
  const clients = accounts
    .filter((account) => !ours.has(account.user) && account.user !== '')
    .map((account) => `${account.user}@${account.host}`)
  const known = new Set(clients)
  const ofClients = (all: readonly string[]): Set<string> => new Set(all.filter((grant) => known.has(grant.slice(0, grant.indexOf(' ')))))
  const disk = access.record.dataDir === null ? null : await statfs(access.record.dataDir).catch(() => null)
  return {
    accounts: known,
    globals: ofClients(globals.filter((grant) => !grant.endsWith(' USAGE'))),
    schemaGrants: ofClients(grants),
    objectGrants: ofClients(objectGrants),
    routines: new Set(routines.map((row) => row['n'] ?? '')),
    events: new Set(events.map((row) => row['n'] ?? '')),
    connectionsMax: Number(connectionsMax),
    binlogRetentionS: settings.retentionS,
    diskFreeShare: disk === null || disk.blocks === 0 ? null : disk.bavail / disk.blocks,
  }
}

async function grantsOf(connection: Connection, sql: string): Promise<string[]> {
  const rows = await connection.allText(sql)
  return rows.map((row) => `${(row['g'] ?? '').replace(/^'(.*)'@'(.*)'$/, '$1@$2')} ${row['p']}`)
}

async function objectGrantsOf(connection: Connection, inSchemas: string): Promise<string[]> {
  const on = (what: string, privilege = 'PRIVILEGE_TYPE'): string => `CONCAT(${privilege}, ' on ', ${what})`
  const [tables, columns, routines] = await Promise.all([
    grantsOf(
      connection,
      `SELECT GRANTEE AS g, ${on('TABLE_NAME')} AS p FROM information_schema.TABLE_PRIVILEGES WHERE TABLE_SCHEMA IN (${inSchemas})`,
    ),
    grantsOf(
      connection,
      `SELECT GRANTEE AS g, ${on("TABLE_NAME, '.', COLUMN_NAME")} AS p FROM information_schema.COLUMN_PRIVILEGES WHERE TABLE_SCHEMA IN (${inSchemas})`,
    ),
    // No view of them in information_schema.
    grantsOf(
      connection,
      `SELECT CONCAT(User, '@', Host) AS g, ${on("Routine_type, ' ', Routine_name", 'UPPER(Proc_priv)')} AS p FROM mysql.procs_priv WHERE Db IN (${inSchemas})`,
    ),
  ])
  return [...tables, ...columns, ...routines]
}
