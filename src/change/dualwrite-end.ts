/**
 * complete and cancel: the two ways a run ends. complete goes in the guarded order (PROTOCOLS 4, Decommission): no reads on the old servers for the
 * stated time by the servers' own figures, no unknown users, a last comparison, then the old consumers are stopped; the data goes one topic
 * retention later (`dualwrite-finish.ts`), and until then `rollback` starts the old fleet again.
 */
import { table } from '../ingest/tables.ts'
import { allTables } from '../ingest/definition.ts'
import { quoteIdentifier, quoteString } from '../sql/quote.ts'
import { openTopic } from '../topic/open.ts'
import { branchKeyspace, readSlots } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import { mainOnlyRule } from '../topology/read-rule.ts'
import type { ReadRule } from '../topology/dualwrite-records.ts'
import type { KeyspaceRecord, ShardRecord } from '../topology/records.ts'
import { readRecord } from '../topology/typed.ts'
import { controllerName } from '../workflow/context.ts'
import type { ActionContext } from '../workflow/context.ts'
import { fleetsOf } from './branch-positions.ts'
import { branchShards } from './branches.ts'
import { endStreams } from './dimension-streams.ts'
import { dualwriteErrors } from './dualwrite-errors.ts'
import { checkReplicas } from './dualwrite-replicas.ts'
import { giveUpLeftOver, oneStepAtATime, waitFor } from './dualwrite-ramp.ts'
import { readersLeft } from './dualwrite-quiet.ts'
import { lastRungs } from './dualwrite-ready.ts'
import { changeRun, commitRule } from './dualwrite-record.ts'
import { ownRetentionMs, putRetentionBack } from './dualwrite-retention.ts'
import { dataOf, specOf } from './dualwrite-spec.ts'
import type { DualWriteWorld } from './dualwrite-world.ts'
import { deleteFleet, fleetReports, fleetStands, setFleet } from './fleets.ts'
import { withServer } from './servers.ts'

export type EndArgs = { readonly dryRun: boolean; readonly yes: boolean; readonly keepData: boolean; readonly holdMs?: number | null }

export async function completeVerb(world: DualWriteWorld, context: ActionContext): Promise<void> {
  const { store, clock } = context
  const { keyspace, name } = context.workflow
  const args = context.action.args as unknown as EndArgs
  const spec = specOf(context.workflow)
  if (context.workflow.state === 'holding' || context.workflow.state === 'decommissioned')
    return context.say(`nothing to do: ${keyspace}.${name} is ${context.workflow.state} already`)
  const rule = await readRecord<ReadRule>(store, keys.reads(keyspace))
  if (context.workflow.state !== 'switched' || rule?.value.moved !== readSlots)
    throw dualwriteErrors.wrongState({
      verb: 'complete',
      keyspace,
      name,
      state: context.workflow.state,
      fix: `move all reads first: shardwright DualWrite ramp --keyspace ${keyspace} --workflow ${name} --percent 100`,
    })
  const kept = Object.entries(rule.value.overrides).filter(([, override]) => override.branch === rule.value.from)
  if (kept.length > 0)
    throw dualwriteErrors.stillUsed({
      keyspace,
      by: `tenants that read it by name: ${kept.map(([id]) => id).join(', ')}`,
      fix: `shardwright DualWrite ramp --keyspace ${keyspace} --workflow ${name} --keyspace-id … --to default`,
    })
  const shards = await branchShards(world, keyspace, 'main')
  // Attached since `create` looked.
  const [replicas] = spec.allow.includes('replicas') ? [] : await checkReplicas({ request: { keyspace: { name: keyspace } }, shards })
  if (replicas !== undefined) throw dualwriteErrors.stillUsed({ keyspace, by: replicas.what, fix: replicas.fix })
  const holdMs = args.holdMs ?? spec.holdMs ?? (await longestRetention(world, context))
  const what = `the old side of ${keyspace}: ${shards.map((shard) => `${shard.name} on ${shard.serverId}`).join(', ')}`
  if (args.dryRun) {
    return context.say(
      `would make sure that nobody has read the old servers for ${spec.quietMs} ms, by their own figures`,
      `would compare both branches a last time (${lastRungs(spec.rungs).join(', ')})`,
      `would stop the old fleet, and keep its data for ${holdMs} ms: until then \`rollback\` starts it again`,
      `would then remove ${what}, and make ${spec.toBranch} the keyspace’s own shards`,
    )
  }
  if (!args.yes) throw dualwriteErrors.needsYes({ verb: 'complete', keyspace, name, what })
  await context.step('nobody reads the old servers', async () => {
    // Its own reads are made under the gate's account: it stands still while servers are asked who reads.
    const fleets = (await fleetsOf(store, keyspace, 'main')).filter((fleet) => fleet.wanted === 'running').map((fleet) => fleet.name)
    await changeRun(context, context.workflow, () => ({ data: { heldForStep: fleets } }))
    try {
      const sinceMs = clock.nowMs()
      for (const fleet of fleets) await setFleet(context, fleet, 'held', [context.leadership.fence])
      await waitFor(context, 15_000, async () =>
        (await Promise.all(fleets.map((fleet) => fleetStands(context, fleet, sinceMs)))).every(Boolean),
      )
      await requireQuiet(world, context, shards, spec.quietMs)
    } finally {
      await oneStepAtATime(keyspace, () => giveUpLeftOver(context, context.workflow))
    }
    return null
  })
  await context.step('a last comparison', async () => {
    for (const rung of lastRungs(spec.rungs)) {
      const evidence = await world.runRung({
        workflow: context.workflow,
        holder: controllerName(context.leadership),
        rung,
        planVersion: dataOf(context.workflow).planVersion ?? 0,
        signal: context.signal,
        quick: false,
      })
      await context.say(`${rung} ${evidence.verdict}: ${evidence.because}`)
      if (evidence.verdict !== 'pass')
        throw dualwriteErrors.notReady({
          keyspace,
          name,
          reason: `the last comparison: ${rung} ${evidence.verdict}: ${evidence.because}`,
          fix: 'see what differs, roll back if the new side is wrong',
        })
    }
    return null
  })
  await context.step('stop the old fleet', async () => {
    await oneStepAtATime(keyspace, async () => {
      // The guard may have stepped back during the comparison. From here on it does not: there is no old side that keeps up.
      const requireMoved = async (): Promise<void> => {
        const now = await readRecord<ReadRule>(store, keys.reads(keyspace))
        if (now?.value.workflow !== context.workflow.uid || now.value.moved !== readSlots || now.version !== rule.version)
          throw dualwriteErrors.stillUsed({
            keyspace,
            by: 'reads that went back to it while it was looked at',
            fix: `see why in shardwright DualWrite show --keyspace ${keyspace} --workflow ${name}, move them again, then repeat`,
          })
      }
      await requireMoved()
      // In one commit with the rule as it stands: an emergency does not wait for its turn, and takes no reads back once a fleet is stopped.
      const moved = { key: keys.reads(keyspace), version: rule.version }
      for (const fleet of await fleetsOf(store, keyspace, 'main'))
        await setFleet(context, fleet.name, 'stopped', [context.leadership.fence, moved]).catch(async (error: unknown) => {
          await requireMoved()
          throw error
        })
    })
    await untilStopped(
      context,
      (await fleetsOf(store, keyspace, 'main')).map((fleet) => fleet.name),
    )
    return null
  })
  const newBranchId = (await readRecord<KeyspaceRecord>(store, keys.keyspace(branchKeyspace(keyspace, spec.toBranch))))?.value.uid
  const nowMs = clock.nowMs()
  await changeRun(context, context.workflow, () => ({
    state: 'holding',
    data: { heldSinceMs: nowMs, removeAtMs: nowMs + holdMs, oldShards: shards, ...(newBranchId === undefined ? {} : { newBranchId }) },
    journal: `complete: the old fleet is stopped; its data goes in ${holdMs} ms`,
  }))
  await context.say(`the old fleet is stopped; in ${holdMs} ms the old side is removed, and until then \`rollback\` takes it up again`)
}

const quietAttempts = 3

async function requireQuiet(world: DualWriteWorld, context: ActionContext, shards: readonly ShardRecord[], quietMs: number): Promise<void> {
  const used = await readersLeft(world, context, context.workflow, {
    shards,
    attempts: quietAttempts,
    signal: context.signal,
    onWait: (servers, before) =>
      context.waiting(
        `${quietMs} ms without a read on ${servers.join(', ')}${before.length === 0 ? '' : `; before, ${before.join('; ')}`}`,
        'when that time is over',
      ),
  })
  await context.waiting(null)
  if (used.length > 0)
    throw dualwriteErrors.stillUsed({
      keyspace: context.workflow.keyspace,
      by: used.join('; '),
      fix: 'find who that is and point it at the gate, then repeat',
    })
}

/** What pin has raised is put back at the end: the hold goes by what stood before. A topic that keeps everything: the rows' own window is what there is to go back to; without one somebody has to say how long. */
async function longestRetention(world: DualWriteWorld, context: ActionContext): Promise<number> {
  let longest = 0
  for (const fleet of await fleetsOf(context.store, context.workflow.keyspace, 'main')) {
    const topic = await openTopic(fleet.topicUrl)
    try {
      const ms = ownRetentionMs(dataOf(context.workflow).retention ?? [], fleet.topicUrl, (await topic.retention()).ms)
      const windows = allTables(await world.loadDefinition(fleet.definitionPath)).flatMap((one) => one.retentionMs ?? [])
      if (ms === null && windows.length === 0)
        throw dualwriteErrors.noHold({ keyspace: fleet.keyspace, name: context.workflow.name, topic: fleet.topicUrl })
      longest = Math.max(longest, ms === null ? Math.max(...windows) : Number(ms))
    } finally {
      await topic.close()
    }
  }
  return longest
}

export async function untilStopped(context: ActionContext, names: readonly string[]): Promise<void> {
  const left = async (): Promise<string[]> =>
    (
      await Promise.all(
        names.map(async (name) =>
          (await fleetReports(context, name)).filter((report) => report.state !== 'stopped').map((report) => report.consumer),
        ),
      )
    ).flat()
  const stopped = await waitFor(context, 30_000, async () => {
    const running = await left()
    if (running.length > 0) await context.waiting(`consumers to end: ${running.join(', ')}`, 'when they have')
    return running.length === 0
  })
  await context.waiting(null)
  if (!stopped) throw dualwriteErrors.fleetRunning({ fleet: names.join(', '), consumers: (await left()).join(', ') })
}

/** Before any read has moved, or after all have come back: the second fleet and what it wrote go, and the keyspace is as it was. */
export async function cancelVerb(world: DualWriteWorld, context: ActionContext): Promise<void> {
  const { store } = context
  const { keyspace, name, uid } = context.workflow
  const args = context.action.args as unknown as EndArgs
  const { toBranch } = specOf(context.workflow)
  if (context.workflow.state === 'cancelled') return context.say(`nothing to do: ${keyspace}.${name} is cancelled already`)
  if (context.workflow.state === 'holding' || context.workflow.state === 'decommissioned')
    throw dualwriteErrors.wrongState({
      verb: 'cancel',
      keyspace,
      name,
      state: context.workflow.state,
      fix: 'roll back first; what was removed can not be had back',
    })
  const rule = await readRecord<ReadRule>(store, keys.reads(keyspace))
  const mine = rule !== null && rule.value.workflow === uid ? rule : null
  if (mine !== null && (mine.value.moved > 0 || Object.keys(mine.value.overrides).length > 0))
    throw dualwriteErrors.wrongState({
      verb: 'cancel',
      keyspace,
      name,
      state: `serving reads from ${toBranch}`,
      fix: `roll back first: shardwright DualWrite rollback --keyspace ${keyspace} --workflow ${name}`,
    })
  const fleets = (await fleetsOf(store, keyspace, toBranch)).filter((fleet) => fleet.madeBy === uid)
  const shards = await branchShards(world, keyspace, toBranch).catch(() => [])
  if (args.dryRun) {
    return context.say(
      `would stop and forget ${fleets.map((fleet) => fleet.name).join(', ') || 'no fleet'}`,
      ...(dataOf(context.workflow).dimensionTables === undefined ? [] : ['would end the streams of dimension tables']),
      args.keepData
        ? 'would keep the rows of the branch'
        : `would empty the tables of ${keyspace}@${toBranch} (${shards.length} shards); the branch itself stays`,
      'would let clients write again',
    )
  }
  if (!args.yes) throw dualwriteErrors.needsYes({ verb: 'cancel', keyspace, name, what: `what was written to ${keyspace}@${toBranch}` })
  await changeRun(context, context.workflow, (now) =>
    now.state === 'cancelling' ? null : { state: 'cancelling', journal: 'cancel begins' },
  )
  await oneStepAtATime(keyspace, () => giveUpLeftOver(context, context.workflow))
  for (const fleet of fleets) await setFleet(context, fleet.name, 'stopped', [context.leadership.fence])
  await untilStopped(
    context,
    fleets.map((fleet) => fleet.name),
  )
  await endStreams(context, context.workflow, [...shards, ...(await branchShards(world, keyspace, 'main'))])
  if (!args.keepData) {
    const tables = await writtenTables(world, context)
    for (const shard of shards) await emptyShard(world, shard, tables)
    await context.say(`the tables of ${shards.length} shards are empty again`)
  }
  for (const fleet of fleets) await deleteFleet(context, fleet.name, args.keepData ? 'kept' : 'emptied')
  if (mine !== null) {
    for (;;) {
      const now = await readRecord<ReadRule>(store, keys.reads(keyspace))
      if (now === null || now.value.workflow !== uid || (await commitRule(context, keyspace, now.version, mainOnlyRule())) !== null) break
    }
  }
  await putRetentionBack(context, (line) => context.say(line))
  await changeRun(context, context.workflow, () => ({ state: 'cancelled', ended: true, journal: 'cancel done' }))
  await context.say(`${keyspace}.${name} is cancelled`)
}

async function writtenTables(world: DualWriteWorld, context: ActionContext): Promise<string[]> {
  const noted = dataOf(context.workflow).tables
  if (noted !== undefined) return [...noted]
  const fleets = await fleetsOf(context.store, context.workflow.keyspace, 'main')
  const all = await Promise.all(
    fleets.map(async (fleet) => allTables(await world.loadDefinition(fleet.definitionPath)).map((one) => one.table)),
  )
  return [...new Set(all.flat())]
}

/** Positions last: a crash in between leaves a branch that a new run refuses, not one that it fills twice. */
async function emptyShard(world: DualWriteWorld, shard: ShardRecord, tables: readonly string[]): Promise<void> {
  await withServer(world.store, shard.serverId, 'admin', async (connection) => {
    await connection.query('SET foreign_key_checks = 0')
    for (const one of tables) await connection.query(`TRUNCATE TABLE ${quoteIdentifier(shard.schema)}.${quoteIdentifier(one)}`)
    for (const ours of [table.mark, table.dead, table.event, table.floor, table.position])
      await connection.query(`DELETE FROM ${ours} WHERE shard_uid = ${quoteString(shard.uid)}`)
  })
}
