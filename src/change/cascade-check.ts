/**
 * Whether servers log what cascades change (PROTOCOLS 1.11): tried where a plan is about to be made, and told by what it is known. By both: streams and switches go by the version
 * alone, and would stop at what was let in against it.
 */
import { probeCascades } from '../mysql/cascade-probe.ts'
import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'

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
  if (tried.by === 'probe' && tried.logs && !logs)
    return {
      logs,
      notes: [`${server} logs what cascades change, as was tried there, but streams do not follow them on a server of its version`],
    }
  const how = tried.by === 'probe' ? 'as was tried there' : `by its version alone: it could not be tried (${tried.why})`
  return { logs: tried.logs, notes: [`${server} ${tried.logs ? 'logs' : 'does not log'} what cascades change, ${how}`] }
}
