/**
 * What SHOW WARNINGS says over shards, or as a prepared statement: of the session's last statement, from the connection that it ran on, and only as long as that is the
 * session's. A PREPARE is a statement of its own to a shared connection, which may go to anybody before the execution: what is asked for is taken before it.
 */
import type { Backend } from './backend.ts'
import type { Passthrough } from './passthrough.ts'
import type { Runner } from './runner.ts'
import { nothingSaid, saidOn, type Said } from './scatter-warnings.ts'

/** Keeps it in `connections.said` until the next statement. */
export async function takeDiagnostics(runner: Runner): Promise<Said> {
  const { connections } = runner
  if (connections.leaving) await connections.left()
  if (connections.said !== null) return connections.said
  const backend = ranLast(runner)
  const said = backend === null || !backend.connection.open ? nothingSaid : await saidOn(backend.connection, null)
  connections.said = said
  return said
}

/** In a transaction its branches are the session's. */
function ranLast({ connections, transaction, ranOn }: Runner): Backend | null {
  // A pinned connection is at hand in any case.
  if (transaction === null) return connections.atHand ?? (ranOn !== null && connections.isPinned(ranOn) ? ranOn : null)
  for (const { backend } of transaction.branches.values()) if (backend === ranOn) return backend
  return null
}

/** Whose end, or beginning, leaves the connection that would have to be asked. */
const ofTransactions = new Set<Passthrough['kind']>(['begin', 'commit', 'rollback'])

/**
 * On MariaDB a statement that uses no table leaves what the one before was warned of, or refused by, unless it is warned or refused itself; on MySQL nothing is left. (*Tried*: COMMIT, ROLLBACK, BEGIN,
 * SAVEPOINT, SET, USE, DO, SELECT without a table.) Here such a statement may run on another connection, or give the one back that knows.
 *
 * @param onOwn the session's connection is its own and is sent all of this: it knows
 */
export function leavesDiagnostics(passthrough: Passthrough, onOwn: boolean): boolean {
  if (ofTransactions.has(passthrough.kind)) return true
  if (passthrough.kind === 'set') return !onOwn && passthrough.usesNoTable
  if (passthrough.kind === 'local') return !onOwn
  return passthrough.kind === 'relay' && passthrough.needsPrevious === null && passthrough.usesNoTable
}

/** Runs a statement that leaves them. What can't be asked is not left: that is no reason to refuse it. */
export async function leavingDiagnostics(runner: Runner, run: () => Promise<unknown>): Promise<void> {
  const { connections, figures } = runner
  const said = await takeDiagnostics(runner).catch(() => null)
  runner.warnings = 0
  await run()
  const ownSaid = figures.failed || runner.warnings > 0 || (connections.said?.count ?? 0) > 0
  if (said !== null && !ownSaid) connections.said = said
}

/** SHOW WARNINGS with LIMIT. */
export function limitedTo<T>(rows: readonly T[], text: string): readonly T[] {
  const match = /\bLIMIT\s+(\d+)(?:\s*(,|\bOFFSET)\s*(\d+))?/i.exec(text)
  if (match === null) return rows
  const [first, second] = [Number(match[1]), Number(match[3] ?? 0)]
  const [offset, count] = match[2] === ',' ? [first, second] : [second, first]
  return rows.slice(offset, offset + count)
}
