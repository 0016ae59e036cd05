/** Whether servers log what cascades change (PROTOCOLS 1.11): tried where a plan is about to be made, and told by what it is known. */
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
): Promise<{ logs: boolean; notes: string[] }> {
  if (cascades === 0 || asked === 'shown') {
    const logs = await flavourOf(connection).logsCascades(connection)
    const note = `${server} ${logs ? 'logs' : 'does not log'} what cascades change, by its version alone: it is tried when the workflow is created`
    return { logs, notes: cascades === 0 ? [] : [note] }
  }
  const { logs, by, why } = await probeCascades(connection)
  const how = by === 'probe' ? 'as was tried there' : `by its version alone: it could not be tried (${why})`
  return { logs, notes: [`${server} ${logs ? 'logs' : 'does not log'} what cascades change, ${how}`] }
}
