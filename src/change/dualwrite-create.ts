/** create: everything that stands in the way at once, then the claim, the retention lease, the second fleet. Repeatable from any point. */
import { branchKeyspace } from '../topology/dualwrite-records.ts'
import type { FleetRecord, ReadRule } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import { initialReadRule } from '../topology/read-rule.ts'
import type { KeyspaceRecord, RoutingRecord, StreamTable } from '../topology/records.ts'
import { readRecord } from '../topology/typed.ts'
import { isSwError } from '../base/errors.ts'
import type { SwError } from '../base/errors.ts'
import { Failures } from '../workflow/context.ts'
import type { ActionContext } from '../workflow/context.ts'
import { table } from '../ingest/tables.ts'
import { allTables } from '../ingest/definition.ts'
import type { TableDefinition, TopicDefinition } from '../ingest/definition.ts'
import { quoteString } from '../sql/quote.ts'
import { fleetsOf } from './branch-positions.ts'
import { branchShards } from './branches.ts'
import { planDimensions } from './dimension-plan.ts'
import { dualwriteErrors } from './dualwrite-errors.ts'
import { changeRun, commitRule, openRunOn } from './dualwrite-record.ts'
import { raiseRetention } from './dualwrite-retention.ts'
import { specOf } from './dualwrite-spec.ts'
import type { DualWriteSpec } from './dualwrite-spec.ts'
import type { DualWriteWorld } from './dualwrite-world.ts'
import { lookFromHereOn } from './dualwrite-writers.ts'
import { createFleet, fleetName } from './fleets.ts'
import type { FleetStart } from './fleets.ts'
import { changeErrors } from './errors.ts'
import { withServer } from './servers.ts'
import { positionsNow } from './writers-watch.ts'

export type DualWritePlan = {
  readonly fleets: readonly { readonly fleet: FleetRecord; readonly definition: TopicDefinition }[]
  readonly lines: string[]
}

/** What a creation would do. @throws Failures with everything that stands in the way */
export async function planDualWrite(
  world: DualWriteWorld,
  keyspace: string,
  own: string | null,
  spec: DualWriteSpec,
  signal: AbortSignal,
): Promise<DualWritePlan> {
  const { store } = world
  const main = await readRecord<KeyspaceRecord>(store, keys.keyspace(keyspace))
  if (main === null) throw changeErrors.noKeyspace({ keyspace })
  const branch = await readRecord<KeyspaceRecord>(store, keys.keyspace(branchKeyspace(keyspace, spec.toBranch)))
  if (branch === null) throw dualwriteErrors.noBranch({ keyspace, branch: spec.toBranch })
  const errors: SwError[] = []
  const other = await openRunOn(store, keyspace)
  if (other !== null && other.uid !== own) throw dualwriteErrors.openRun({ verb: 'create', keyspace, name: other.name })
  for (const name of [keyspace, branchKeyspace(keyspace, spec.toBranch)]) {
    const routing = await readRecord<RoutingRecord>(store, keys.routing(name))
    const busy = routing?.value.components.find((component) => component.workflow !== null)
    if (busy !== undefined)
      errors.push(
        dualwriteErrors.branchInUse({ keyspace, branch: name, by: `the workflow ${busy.workflow}`, fix: 'complete or cancel it first' }),
      )
  }
  const fleets = await fleetsOf(store, keyspace, 'main')
  if (fleets.length === 0) errors.push(dualwriteErrors.noFleet({ fleet: fleetName(keyspace, 'main') }))
  const known: { fleet: FleetRecord; definition: TopicDefinition }[] = []
  for (const fleet of fleets) {
    const definition = await world.loadDefinition(fleet.definitionPath)
    if (definition.digest !== fleet.definitionDigest)
      errors.push(
        dualwriteErrors.otherDefinition({
          path: fleet.definitionPath,
          now: definition.digest,
          fleet: fleet.name,
          was: fleet.definitionDigest,
        }),
      )
    known.push({ fleet, definition })
  }
  if (own === null || (await fleetsOf(store, keyspace, spec.toBranch)).every((fleet) => fleet.madeBy !== own))
    errors.push(...(await branchIsEmpty(world, keyspace, spec.toBranch)))
  const notes: string[] = []
  if (errors.length === 0) {
    const findings = await world.preconditions({
      own,
      keyspace: main.value,
      branch: branch.value,
      definitions: known.map(({ fleet, definition }) => ({ definition, topicUrl: fleet.topicUrl })),
      spec,
      signal,
    })
    for (const finding of findings) {
      if (finding.blocks && !spec.allow.includes(finding.check))
        errors.push(
          dualwriteErrors.preconditions({
            check: finding.check,
            reason: finding.what,
            fix: `${finding.fix}; or pass it over by name: --allow ${finding.check}`,
          }),
        )
      else notes.push(`${finding.check}: ${finding.what}${finding.blocks ? ' (allowed by name)' : ''}`)
    }
  }
  if (errors.length > 0) throw new Failures(errors)
  return {
    fleets: known,
    lines: [
      `dual-write ${keyspace} → ${keyspace}@${spec.toBranch}, bootstrap ${spec.bootstrap}`,
      ...known.map(
        ({ fleet }) =>
          `a second fleet reads ${fleet.topicUrl} ${spec.bootstrap === 'wait' ? 'from its end' : 'from the oldest offset held, plus a margin'}, as ${fleet.name} does`,
      ),
      `client writes of ${spec.bootstrap === 'hybrid' ? 'tables that the topic fills' : 'these tables'} through the gate are refused until the run has ended`,
      ...notes,
    ],
  }
}

/** A branch is filled once: what another run left there would be counted twice. */
async function branchIsEmpty(world: DualWriteWorld, keyspace: string, branch: string): Promise<SwError[]> {
  const used: string[] = []
  for (const shard of await branchShards(world, keyspace, branch)) {
    const positions = await withServer(world.store, shard.serverId, 'admin', (connection) =>
      connection.value(`SELECT COUNT(*) FROM ${table.position} WHERE shard_uid = ${quoteString(shard.uid)}`),
    )
    if (Number(positions ?? 0) > 0) used.push(shard.name)
  }
  if (used.length === 0) return []
  return [
    dualwriteErrors.branchInUse({
      keyspace,
      branch,
      by: `a fleet has written ${used.join(', ')} already`,
      fix: `shardwright keyspace branch delete ${keyspace}/${branch}, and create it anew`,
    }),
  ]
}

export async function createVerb(world: DualWriteWorld, context: ActionContext): Promise<void> {
  const { keyspace, uid } = context.workflow
  const spec = specOf(context.workflow)
  try {
    await createSteps(world, context, spec)
  } catch (error) {
    // One whose outcome the topology did not tell is run again by the engine, and finds what was made.
    if (!context.signal.aborted && !isSwError(error, 'SW-TOPOLOGY-002')) {
      const rule = await readRecord<ReadRule>(context.store, keys.reads(keyspace))
      const claimed = rule?.value.workflow === uid
      const reason = error instanceof Error ? error.message : String(error)
      await changeRun(context, context.workflow, () => ({ state: 'failed', ended: !claimed, journal: `create failed: ${reason}` }))
    }
    throw error
  }
}

async function createSteps(world: DualWriteWorld, context: ActionContext, spec: DualWriteSpec): Promise<void> {
  const { store } = context
  const { keyspace, name, uid } = context.workflow
  const oldShards = await branchShards(world, keyspace, 'main')
  await lookFromHereOn(context, context.workflow, await positionsNow({ ...world, shards: oldShards }, context.signal))
  const plan = await planDualWrite(world, keyspace, uid, spec, context.signal)
  await context.step('look at what stands in the way', async () => {
    await context.say(...plan.lines)
    return null
  })
  const definitions = plan.fleets.map(({ definition }) => definition)
  const defined = definitions.flatMap(allTables)
  const dimensionTables = spec.bootstrap === 'hybrid' ? await copiedTables(context, spec, defined) : []
  const tables = [...new Set([...defined.map((one) => one.table), ...dimensionTables.map((one) => one.name)])]
  const writable = [
    ...new Set([...defined.flatMap((one) => (one.kind === 'dimension' ? [one.table] : [])), ...dimensionTables.map((one) => one.name)]),
  ]
  await context.step('claim the reads', async () => {
    await changeRun(context, context.workflow, () => ({
      data: { tables, oldFleets: plan.fleets.map(({ fleet }) => fleet.name), ...(dimensionTables.length === 0 ? {} : { dimensionTables }) },
    }))
    for (;;) {
      const rule = await readRecord<ReadRule>(store, keys.reads(keyspace))
      if (rule?.value.workflow === uid) return null
      if (rule !== null && rule.value.workflow !== null)
        throw dualwriteErrors.openRun({ verb: 'create', keyspace, name: rule.value.workflow })
      if ((await commitRule(context, keyspace, rule?.version ?? 0, initialReadRule(spec.toBranch, uid, writable))) !== null) return null
    }
  })
  if (spec.bootstrap !== 'wait' && spec.raiseRetention)
    await context.step('raise the retention of the topics', async () => {
      await raiseRetention(context, plan.fleets, spec)
      return null
    })
  await context.step(
    'start the second fleet',
    async () => {
      const start: FleetStart = spec.bootstrap === 'wait' ? { at: 'end' } : { at: 'oldest', marginMs: spec.marginMs }
      const made: string[] = []
      for (const { fleet } of plan.fleets) {
        const suffix = fleet.name.split('+')[1]
        const fresh = await createFleet(world, {
          keyspace,
          branch: spec.toBranch,
          definitionPath: fleet.definitionPath,
          topicUrl: fleet.topicUrl,
          ...(suffix === undefined ? {} : { suffix }),
          start,
          consumers: spec.consumers ?? fleet.consumers,
          writers: spec.writers ?? fleet.writers,
          batchRecordsMax: spec.batchRecordsMax ?? fleet.batchRecordsMax,
          madeBy: uid,
        })
        if (fresh.topicId !== fleet.topicId)
          throw dualwriteErrors.topicChanged({
            topic: fleet.topicUrl,
            fleet: fleet.name,
            reason: `it was ${fleet.topicId}, and is ${fresh.topicId}`,
          })
        made.push(fresh.name)
      }
      await changeRun(context, context.workflow, () => ({ data: { newFleets: made, fleetsStartedAtMs: context.clock.nowMs() } }))
      return made
    },
    (made) => made.join(', '),
  )
  await changeRun(context, context.workflow, (now) => (now.state === 'creating' ? { state: 'provisioned', journal: 'created' } : null))
  await context.say(`${keyspace}.${name} is created; \`DualWrite show\` tells how the branch fills and when it is ready`)
}

async function copiedTables(
  context: ActionContext,
  spec: DualWriteSpec,
  defined: readonly TableDefinition[],
): Promise<readonly StreamTable[]> {
  const { store } = context
  const { keyspace, uid } = context.workflow
  const shards = await branchShards({ store }, keyspace, 'main')
  const newShards = await branchShards({ store }, keyspace, spec.toBranch)
  return (await planDimensions({ store, keyspace, shards, newShards, own: uid, defined })).tables
}
