/**
 * Step 10, for every way into the phase `opening` (switched, given up, recovered): the record has decided, this carries it out. Only here
 * is a server ever opened, and only one that the record says serves.
 *
 * All of it can be repeated. A server that is down on the side that does not serve delays nothing (after its restart its accounts are
 * locked still); one on the serving side is waited for.
 */
import { isSwError } from '../base/errors.ts'
import type { Log } from '../base/log.ts'
import { toStable } from '../topology/routing.ts'
import type { ClaimPool } from './claim.ts'
import type { SwitchFailpoint } from './crash-points.ts'
import { decide } from './decide.ts'
import type { DecideContext, RoutingVersion } from './decide.ts'
import { closeServer, killClients, openServer } from './fence.ts'
import type { ClosedOptions } from './fence.ts'
import type { Side } from './plan.ts'
import { settled } from './settled.ts'
import type { KilledSession } from './sessions.ts'

export type StepTenContext = DecideContext & { pool: ClaimPool; log: Log; fence: ClosedOptions; failpoint: SwitchFailpoint; readGraceMs: number }

export type StepTen = {
  readonly keyspace: string
  readonly ranges: readonly string[]
  readonly routing: RoutingVersion
  readonly serving: Side
  readonly other: Side
  /** `laid`: we have just laid the other side's fence. `unknown`: after a crash; it is laid again where the server is up. */
  readonly otherFence: 'laid' | 'unknown'
}

export async function stepTen(context: StepTenContext, work: StepTen): Promise<{ routing: RoutingVersion; killed: KilledSession[] }> {
  const { pool, clock, leadership, fence, failpoint, log } = context
  const othersOnly = work.other.serverIds.filter((id) => !work.serving.serverIds.includes(id))
  const killed = (
    await settled(
      othersOnly.map(async (id) => {
        try {
          return await pool.run(id, async (server) => {
            const first = work.otherFence === 'unknown' ? await closeServer(server, fence, clock) : []
            return [...first, ...(await killClients(server, fence, context.readGraceMs, clock))]
          })
        } catch (error) {
          if (isSwError(error, 'SW-SWITCH-001')) throw error
          leadership.signal.throwIfAborted()
          log.warn({ server: id, error: String(error) }, 'a server of the side that does not serve cannot be reached; going on')
          return []
        }
      }),
    )
  ).flat()
  await failpoint('killed')
  await settled(work.serving.serverIds.map((id) => untilDone(context, id, () => pool.run(id, (server) => openServer(server, failpoint)))))
  await failpoint('opened')
  const routing = await decide(context, work.keyspace, work.routing, (record) => toStable(record, { ranges: work.ranges, token: leadership.token }), work.ranges)
  return { routing, killed }
}

/** Decided is decided: the serving side is opened however long its server takes to come back, by us or by the next leader. */
async function untilDone(context: StepTenContext, serverId: string, work: () => Promise<void>): Promise<void> {
  for (let pauseMs = 50; ; pauseMs = Math.min(pauseMs * 2, 1_000)) {
    try {
      return await work()
    } catch (error) {
      context.leadership.signal.throwIfAborted()
      const again = isSwError(error) && (error.class === 'transient' || error.class === 'unknown')
      if (!again) throw error
      context.log.warn({ server: serverId, error: String(error) }, 'a server that is to serve cannot be opened yet')
    }
    await context.clock.sleep(pauseMs, context.leadership.signal)
  }
}
