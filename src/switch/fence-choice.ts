/** Which fence a server allows: the strongest that fits, and why no stronger one does. Tried where trying changes nothing. */
import { unreachable } from '../base/assert.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { quoteString } from '../sql/quote.ts'
import { switchErrors } from './errors.ts'
import { fenceNames } from './fence-kinds.ts'
import type { FenceKind } from './fence-kinds.ts'

const askedFor = 'asked for by --fence'

export type FenceChoice = { readonly kind: FenceKind; /** Of each stronger one, why not. */ readonly why: readonly string[] }

export function fenceText(serverId: string, { kind, why }: FenceChoice): string {
  const asked = why[0] === askedFor
  return `a switch closes ${serverId} by ${fenceNames[kind]}${asked ? `, as ${askedFor}` : why.length === 0 ? '' : `; not by ${why.join('; ')}`}`
}

/** SW-SWITCH-036 when none fits, or not the one that is wanted. */
export async function chooseFence(connection: Connection, serverId: string, wanted: FenceKind | null = null): Promise<FenceChoice> {
  if (wanted !== null) {
    const reason = await whyNot(connection, wanted)
    if (reason === null) return { kind: wanted, why: [askedFor] }
    throw switchErrors.noFence({ server: serverId, reasons: `--fence ${wanted}: ${reason}` })
  }
  const why: string[] = []
  const [locks, readOnly] = [await mayLock(connection), await maySetReadOnly(connection)]
  if (locks && readOnly) return { kind: 'locks', why }
  why.push(`${fenceNames.locks}: ${locks ? 'read_only may not be set' : 'CREATE USER is missing'}`)
  if (locks) return { kind: 'kill', why }
  why.push('account locks and KILL: CREATE USER is missing')
  if (readOnly) {
    const problem = await whyNotPersisted(connection)
    if (problem === null) return { kind: 'persist', why }
    why.push(`SET PERSIST read_only: ${problem}`)
  }
  if ((await privileges(connection)).has('TRIGGER')) return { kind: 'triggers', why }
  why.push('armed triggers: TRIGGER is missing')
  throw switchErrors.noFence({ server: serverId, reasons: why.join('; ') })
}

async function whyNot(connection: Connection, kind: FenceKind): Promise<string | null> {
  switch (kind) {
    case 'locks':
      if (!(await maySetReadOnly(connection))) return 'read_only may not be set'
      return (await mayLock(connection)) ? null : 'CREATE USER is missing'
    case 'kill':
      return (await mayLock(connection)) ? null : 'CREATE USER is missing'
    case 'persist':
      return (await maySetReadOnly(connection)) ? whyNotPersisted(connection) : 'read_only may not be set'
    case 'triggers':
      return (await privileges(connection)).has('TRIGGER') ? null : 'TRIGGER is missing'
    default:
      return unreachable(kind)
  }
}

async function privileges(connection: Connection): Promise<ReadonlySet<string>> {
  const me = ((await connection.value('SELECT CURRENT_USER()')) ?? '').replace(/^(.*)@(.*)$/, "'$1'@'$2'")
  const rows = await connection.allText(
    `SELECT PRIVILEGE_TYPE AS p FROM information_schema.USER_PRIVILEGES WHERE GRANTEE = ${quoteString(me)}`,
  )
  return new Set(rows.map((row) => (row['p'] ?? '').toUpperCase()))
}

async function mayLock(connection: Connection): Promise<boolean> {
  return (await privileges(connection)).has('CREATE USER')
}

async function maySetReadOnly(connection: Connection): Promise<boolean> {
  try {
    // To what it is.
    const now = await connection.value('SELECT @@GLOBAL.read_only')
    await connection.query(`SET GLOBAL read_only = ${now === '0' || now === 'OFF' ? 0 : 1}`)
    return true
  } catch (error) {
    if (isServerError(error, 1227, 1238)) return false
    throw error
  }
}

/**
 * A persisted setting is loaded only by a server that reads option files: under --no-defaults it is not (*tried*), though the server says
 * nothing of it. A server that has any setting from a file reads them.
 */
async function whyNotPersisted(connection: Connection): Promise<string | null> {
  if (connection.flavour !== 'mysql') return 'MariaDB has none'
  if ((await connection.value('SELECT @@GLOBAL.persisted_globals_load')) !== '1') return 'persisted_globals_load is OFF'
  const rows = await connection
    .allText("SELECT COUNT(*) AS n FROM performance_schema.variables_info WHERE VARIABLE_PATH <> '' AND VARIABLE_SOURCE <> 'COMMAND_LINE'")
    .catch(() => [])
  return Number(rows[0]?.['n'] ?? 0) > 0 ? null : 'nothing shows that the server loads option files'
}
