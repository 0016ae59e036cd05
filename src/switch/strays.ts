/**
 * A server that must be closed and is open: somebody else opened it, or it was lost while it was being closed. It is closed again and told
 * (SW-SWITCH-005): what was written there meanwhile is for a vdiff to find.
 *
 * Only for a leader that has taken the tokens and has not begun to work: beside a switch of its own this would close what that opens.
 */
import { keys } from '../topology/keys.ts'
import type { KeyspaceRecord } from '../topology/records.ts'
import { readRecord } from '../topology/typed.ts'
import type { SwitchContext } from './context.ts'
import { readRouting } from './decide.ts'
import { switchErrors } from './errors.ts'
import { closeServer, describeOpen, fenceState, isClosed } from './fence.ts'
import { readSide } from './plan.ts'

export async function closeStrays(context: SwitchContext): Promise<Error[]> {
  const { store, pool, clock, log } = context
  const strays: Error[] = []
  const routings = await store.list(keys.routings)
  for (const key of routings.entries.keys()) {
    const keyspace = key.slice(keys.routings.length)
    const { components } = (await readRouting(store, keyspace)).value
    const record = await readRecord<KeyspaceRecord>(store, keys.keyspace(keyspace))
    const fence = { allowUnfenced: record?.value.allowUnfenced ?? [] }
    const stable = components.filter((component) => component.phase === 'stable')
    const serving = await readSide(
      store,
      keyspace,
      components.flatMap((component) => component.serving.primary),
    )
    const other = await readSide(
      store,
      keyspace,
      stable.flatMap((component) => component.other),
    )
    for (const serverId of other.serverIds.filter((id) => !serving.serverIds.includes(id))) {
      try {
        const open = await pool.run(serverId, async (server) => {
          const state = await fenceState(server.connection, server.ours, fence)
          if (isClosed(state)) return null
          await closeServer(server, fence, clock)
          return describeOpen(state)
        })
        if (open !== null) strays.push(switchErrors.notClosed({ server: serverId, open }))
      } catch (error) {
        context.leadership.signal.throwIfAborted()
        log.warn({ server: serverId, error: String(error) }, 'a server that must be closed could not be looked at')
      }
    }
  }
  for (const stray of strays)
    log.error({ error: stray.message }, 'a server that must take no client writes was open; it is closed again: run a vdiff')
  return strays
}
