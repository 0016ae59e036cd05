/** The validation ladder as a dual-write run asks for it: from the workflow's records to the ladder's world. */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import type { TopicDefinition } from '../ingest/definition.ts'
import type { Store } from '../topology/store.ts'
import type { Evidence } from '../verify/ladder/evidence.ts'
import { runRung } from '../verify/ladder/ladder.ts'
import { withLadder } from '../verify/ladder/open.ts'
import type { LadderOptions } from '../verify/ladder/world.ts'
import { dataOf, specOf } from './dualwrite-spec.ts'
import type { LadderRequest } from './dualwrite-world.ts'

/** A quick look takes seconds: the newest buckets and some of the others, few reads. */
const quickOptions: Partial<LadderOptions> = { bucketsMax: 12, readsMax: 50 }

export function ladderFor(world: {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  readonly loadDefinition: (path: string) => Promise<TopicDefinition>
  readonly options?: Partial<LadderOptions>
}): (request: LadderRequest) => Promise<Evidence> {
  return ({ workflow, holder, rung, planVersion, signal, quick, round, pauseMs }) =>
    withLadder(
      {
        store: world.store,
        clock: world.clock,
        log: world.log,
        signal,
        keyspace: workflow.keyspace,
        branch: specOf(workflow).toBranch,
        workflowUid: workflow.uid,
        holder,
        planVersion,
        definitionDigest: dataOf(workflow).definitionDigest ?? '',
        loadDefinition: world.loadDefinition,
        copies: {
          tables: (dataOf(workflow).dimensionTables ?? []).map(({ name }) => name),
          landed: dataOf(workflow).dimensions?.landedAtMs !== undefined,
        },
        throughGate: rung === 'L4' || rung === 'L5',
        options: {
          ...world.options,
          ...(quick ? { ...quickOptions, round: round ?? null } : {}),
          ...(pauseMs === undefined ? {} : { holdMs: pauseMs }),
        },
      },
      (ladder) => runRung(rung, ladder),
    )
}
