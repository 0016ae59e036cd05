import { ServerError } from '../mysql/errors.ts'
import { branchKeyspace } from '../topology/dualwrite-records.ts'
import type { ReadToken } from './branch-reads.ts'
import type { Execution, SessionContext } from './execution.ts'
import { onServer } from './on-server.ts'
import type { RoutedPlan } from './plan/plan.ts'
import { renderForPrepare } from './prepare-text.ts'
import { prepareRaw } from './prepared.ts'

/**
 * Something that the statement names is not there: the client's mistake where the branch that is left refuses it with the same number, the new branch's where it does
 * not. That branch is asked to PREPARE it, which neither reads rows nor changes any; what it said holds for some seconds.
 *
 * @param key of the statement's tokens, taken while they were its own
 */
export async function whoseFault(
  context: SessionContext,
  plan: RoutedPlan,
  token: ReadToken,
  e: Execution,
  key: string,
  number: number,
): Promise<'client' | 'failed'> {
  const { core, runner } = context
  const from = core.keyspace(plan.keyspace).reads?.rule.from
  if (from === undefined || token.branch === from) return 'client'
  const alike = await core.reads.refusals.alike(`${plan.keyspace} ${number} ${key}`, async () => {
    try {
      await onServer(core, runner, branchKeyspace(plan.keyspace, from), e.signal, async (backend, shard) => {
        const text = plan.whole === null ? e.sql : renderForPrepare(context, context.lex(e.sql), plan, plan.whole, shard)
        backend.pool.forget(backend, (await prepareRaw(backend.connection, text, 0)).id)
      })
      return false
    } catch (refusal) {
      return refusal instanceof ServerError && refusal.errno === number
    }
  })
  return alike ? 'client' : 'failed'
}
