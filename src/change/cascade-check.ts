/**
 * Whether servers log what cascades change (PROTOCOLS 1.11): tried where a plan is about to be made, and told by what it is known. By both: streams and switches go by the version
 * alone, and would stop at what was let in against it.
 */
import { probeCascades } from '../mysql/cascade-probe.ts'
import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { quoteString } from '../sql/quote.ts'

/** Only looked at (a plan that is shown writes nothing), or about to be done. */
export type Asked = 'shown' | 'made'

/** `cascades`: how many foreign keys ask for it; of none nothing is tried. */
export async function cascadesLogged(
  connection: Connection,
  server: string,
  cascades: number,
  asked: Asked,
  probe: typeof probeCascades = probeCascades,
): Promise<{ logs: boolean; notes: string[] }> {
  const logs = await flavourOf(connection).logsCascades(connection)
  if (cascades === 0 || asked === 'shown') {
    const note = `${server} ${logs ? 'logs' : 'does not log'} what cascades change, by its version alone: it is tried when the workflow is created`
    return { logs, notes: cascades === 0 ? [] : [note] }
  }
  const tried = await probe(connection)
  const notes = flavourOf(connection).resetHidesCascades(connection) ? [await ofReset(connection, server)] : []
  if (tried.by === 'probe' && tried.logs && !logs)
    return {
      logs,
      notes: [`${server} logs what cascades change, as was tried there, but streams do not follow them on a server of its version`],
    }
  const how = tried.by === 'probe' ? 'as was tried there' : `by its version alone: it could not be tried (${tried.why})`
  return {
    logs: tried.logs,
    notes: [`${server} ${tried.logs ? 'logs' : 'does not log'} what cascades change, ${how}`, ...(tried.logs ? notes : [])],
  }
}

const resets = ['statement/com/Reset Connection', 'statement/com/Change user'].map(quoteString).join(', ')

/** What no plan can look for: clients are free to reset their connections at any time (`move/hidden-cascades.ts`). */
async function ofReset(connection: Connection, server: string): Promise<string> {
  const count = await connection.value(
    `SELECT SUM(COUNT_STAR) FROM performance_schema.events_statements_summary_global_by_event_name WHERE EVENT_NAME IN (${resets})`,
  )
  const seen = Number(count ?? 0) > 0 ? ` (${count} since it started)` : ''
  return `connections that are reset${seen}, as pools and proxies do, log none of it on ${server}: a row that one deletes, or whose key it changes, where a foreign key cascades stops the stream (SW-MOVE-045). The gate does not write by such connections`
}
