/**
 * What SHOW WARNINGS says over shards, or as a prepared statement: of the session's last statement, from the connection that it ran on, and only as long as that is the
 * session's. A PREPARE is a statement of its own to a shared connection, which may go to anybody before the execution: what is asked for is taken before it.
 */
import type { Backend } from './backend.ts'
import type { Runner } from './runner.ts'
import { warningsOf, type Warning } from './scatter-warnings.ts'

/** Keeps it in `connections.said` until the next statement. */
export async function takeDiagnostics(runner: Runner): Promise<readonly (readonly (string | null)[])[]> {
  const { connections } = runner
  if (connections.leaving) await connections.left()
  if (connections.said !== null) return connections.said
  const backend = ranLast(runner)
  const said: Warning[] = backend === null || !backend.connection.open ? [] : await warningsOf(backend.connection)
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

/** SHOW WARNINGS with LIMIT. */
export function limitedTo<T>(rows: readonly T[], text: string): readonly T[] {
  const match = /\bLIMIT\s+(\d+)(?:\s*(,|\bOFFSET)\s*(\d+))?/i.exec(text)
  if (match === null) return rows
  const [first, second] = [Number(match[1]), Number(match[3] ?? 0)]
  const [offset, count] = match[2] === ',' ? [first, second] : [second, first]
  return rows.slice(offset, offset + count)
}
