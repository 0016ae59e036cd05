/**
 * What stands on the side that serves and is missing on the one that is to serve: accounts, grants, routines, events, room. None of it is moved by streams, and
 * none of it stops a switch; whoever connects directly, or calls a routine, would miss it afterwards. What can be asked is listed, what cannot is named as unknown.
 */
import { statfs } from 'node:fs/promises'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { quoteString } from '../sql/quote.ts'
import type { Store } from '../topology/store.ts'
import type { Side, SwitchPlan } from './plan.ts'
import { schemasOn } from './plan.ts'
import { connectAs, readServerAccess } from './server-access.ts'

/** Null: not known, and said in `unknown`. */
type Names = ReadonlySet<string> | null
type Standing = {
  readonly accounts: Names
  /** `account PRIVILEGE` of the whole server, and of the shards' schemas. */
  readonly globals: Names
  readonly schemaGrants: Names
  /** `account PRIVILEGE on table`, `… on table.column`, `… on PROCEDURE name`: without the schema, which the sides name differently. */
  readonly tableGrants: Names
  readonly columnGrants: Names
  readonly routineGrants: Names
  readonly routines: Names
  readonly events: Names
  readonly connectionsMax: number | null
  readonly binlogRetentionS: number | null
  readonly diskFreeShare: number | null
  /** What the server would not tell, and why. */
  readonly unknown: readonly string[]
}

/** Notes, not blockers. Servers that cannot be reached are told elsewhere. */
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
  for (const [id, { unknown }] of [...from, ...to]) {
    if (unknown.length > 0) notes.push(`what of this is on ${id} is unknown, and not compared: ${unknown.join('; ')}`)
  }
  const all = (pick: (standing: Standing) => Names): string[] =>
    [...new Set([...from.values()].flatMap((s) => [...(pick(s) ?? [])]))].sort()
  for (const [id, there] of to) {
    const missing = (pick: (standing: Standing) => Names): string[] => {
      const has = pick(there)
      return has === null ? [] : all(pick).filter((one) => !has.has(one))
    }
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
    const ofObjects = [(s: Standing) => s.tableGrants, (s: Standing) => s.columnGrants, (s: Standing) => s.routineGrants]
    const objects = ofObjects.flatMap(missing).filter(lacking).sort()
    if (objects.length > 0) notes.push(`${id} lacks grants on tables, columns or routines of the shards' schemas: ${list(objects)}`)
    const events = plan.triggers === 'at-switch' ? [] : missing((s) => s.events)
    if (events.length > 0)
      notes.push(
        `${id} lacks the events ${list(events)} of the shards' schemas: no event may run on a side that follows, so make them there after the switch (or cancel, and create the workflow with --triggers at-switch)`,
      )
    const routines = missing((s) => s.routines)
    if (routines.length > 0)
      notes.push(`${id} lacks the routines ${list(routines)} in the shards' schemas: make them there before the switch`)
    const connections = Math.max(0, ...[...from.values()].map((s) => s.connectionsMax ?? 0))
    if (there.connectionsMax !== null && there.connectionsMax < connections)
      notes.push(`${id} takes ${there.connectionsMax} connections, the serving side ${connections} (max_connections)`)
    const retention = Math.max(0, ...[...from.values()].map((s) => s.binlogRetentionS ?? 0))
    const keptS = there.binlogRetentionS ?? 0
    if (keptS > 0 && retention > 0 && keptS < retention)
      notes.push(`${id} keeps binlogs for ${keptS} s, the serving side for ${retention} s: undoing needs them`)
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
  const unknown: string[] = []
  const ask = async <T>(what: string, answer: Promise<T>): Promise<T | null> => {
    try {
      return await answer
    } catch (error) {
      if (!isServerError(error)) throw error
      unknown.push(`${what} (${error.serverMessage})`)
      return null
    }
  }
  const names = async (sql: string): Promise<Set<string>> => new Set((await connection.allText(sql)).map((row) => row['n'] ?? ''))
  const [accounts, globals, grants, tableGrants, columnGrants, routineGrants, routines, events, connectionsMax, settings] =
    await Promise.all([
      ask('accounts and their grants', flavourOf(connection).accounts(connection)),
      ask('global grants', grantsOf(connection, 'SELECT GRANTEE AS g, PRIVILEGE_TYPE AS p FROM information_schema.USER_PRIVILEGES')),
      ask(
        'grants on schemas',
        grantsOf(
          connection,
          `SELECT GRANTEE AS g, PRIVILEGE_TYPE AS p FROM information_schema.SCHEMA_PRIVILEGES WHERE REPLACE(TABLE_SCHEMA, '\\\\', '') IN (${inSchemas})`,
        ),
      ),
      ask('grants on tables', grantsOf(connection, grantsOn('TABLE', 'TABLE_NAME', inSchemas))),
      ask('grants on columns', grantsOf(connection, grantsOn('COLUMN', "TABLE_NAME, '.', COLUMN_NAME", inSchemas))),
      ask(
        'grants on routines',
        // No view of them in information_schema.
        grantsOf(
          connection,
          `SELECT CONCAT(User, '@', Host) AS g, CONCAT(UPPER(Proc_priv), ' on ', Routine_type, ' ', Routine_name) AS p FROM mysql.procs_priv WHERE Db IN (${inSchemas})`,
        ),
      ),
      ask('routines', names(`SELECT DISTINCT ROUTINE_NAME AS n FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA IN (${inSchemas})`)),
      ask('events', names(`SELECT DISTINCT EVENT_NAME AS n FROM information_schema.EVENTS WHERE EVENT_SCHEMA IN (${inSchemas})`)),
      ask('max_connections', connection.value('SELECT @@GLOBAL.max_connections')),
      ask('its binlog’s settings', flavourOf(connection).binlogSettings(connection)),
    ])
  const clients = accounts
    ?.filter((account) => !ours.has(account.user) && account.user !== '')
    .map((account) => `${account.user}@${account.host}`)
  const known = clients === undefined ? null : new Set(clients)
  const ofClients = (all: readonly string[] | null): Names =>
    all === null || known === null ? null : new Set(all.filter((grant) => known.has(grant.slice(0, grant.indexOf(' ')))))
  const disk = access.record.dataDir === null ? null : await statfs(access.record.dataDir).catch(() => null)
  return {
    accounts: known,
    globals: ofClients(globals?.filter((grant) => !grant.endsWith(' USAGE')) ?? null),
    schemaGrants: ofClients(grants),
    tableGrants: ofClients(tableGrants),
    columnGrants: ofClients(columnGrants),
    routineGrants: ofClients(routineGrants),
    routines,
    events,
    connectionsMax: connectionsMax === null ? null : Number(connectionsMax),
    binlogRetentionS: settings?.retentionS ?? null,
    diskFreeShare: disk === null || disk.blocks === 0 ? null : disk.bavail / disk.blocks,
    unknown,
  }
}

async function grantsOf(connection: Connection, sql: string): Promise<string[]> {
  const rows = await connection.allText(sql)
  return rows.map((row) => `${(row['g'] ?? '').replace(/^'(.*)'@'(.*)'$/, '$1@$2')} ${row['p']}`)
}

function grantsOn(of: 'TABLE' | 'COLUMN', name: string, inSchemas: string): string {
  return `SELECT GRANTEE AS g, CONCAT(PRIVILEGE_TYPE, ' on ', ${name}) AS p FROM information_schema.${of}_PRIVILEGES WHERE TABLE_SCHEMA IN (${inSchemas})`
}
