/**
 * The reshard workflow. Each verb may be run again from its start at any point: what it records, it records under ids that
 * follow from the workflow, and what it makes on servers it makes if absent.
 */
import { createHash } from 'node:crypto'
import { planReshard } from '../keyspace/key-range-sets.ts'
import { keyRangesIntersect, parseKeyRange, printKeyRange } from '../keyspace/key-range.ts'
import { preflightTarget } from '../move/preflight.ts'
import { createTargetTables } from '../move/schema-copy.ts'
import { createTargetViews } from '../move/views.ts'
import type { Connection } from '../mysql/connection.ts'
import { quoteIdentifier, quoteString } from '../sql/quote.ts'
import { decide, takeRouting } from '../switch/decide.ts'
import { closeServer, fenceNewTables, prepareFence } from '../switch/fence.ts'
import { noteMade, readMade } from '../switch/made.ts'
import type { Made } from '../switch/made.ts'
import { settled } from '../switch/settled.ts'
import { KeyspaceTurns } from '../switch/turns.ts'
import { noteClosed } from '../switch/unmarked.ts'
import { keys } from '../topology/keys.ts'
import type {
  CreationSecret,
  PaceRecord,
  RoutingRecord,
  ShardRecord,
  ShardRef,
  StreamRecord,
  StreamTable,
  VdiffRecord,
} from '../topology/records.ts'
import { attachWorkflow, componentsOfWorkflow } from '../topology/routing.ts'
import type { Json } from '../topology/store.ts'
import { listRecords, put, readRecord, updateRecord } from '../topology/typed.ts'
import { Failures } from '../workflow/context.ts'
import type { ActionContext } from '../workflow/context.ts'
import type { Definition } from '../workflow/engine.ts'
import { withJournal } from '../workflow/records.ts'
import { changeErrors } from './errors.ts'
import { updateVerb } from './pace.ts'
import { planReshardCreate } from './reshard-plan.ts'
import type { PlannedTarget } from './reshard-plan.ts'
import { wantedFence } from './reshard-spec.ts'
import type { ReshardData, ReshardSpec } from './reshard-spec.ts'
import { allowUnfenced, checkVerb, requireState, switchVerb } from './reshard-switch.ts'
import type { Claims } from './reshard-switch.ts'
import { cancelVerb, completeVerb } from './reshard-end.ts'
import { takeSchemaDefaults } from './schema-defaults.ts'
import { attachServer, provisionServer, withServer } from './servers.ts'
import type { ServerAddress, World } from './servers.ts'
import { shardUid } from './shard-uid.ts'

export { planReshardCreate } from './reshard-plan.ts'

export function reshardDefinition(world: World & Claims): Definition {
  const turns = world.turns ?? new KeyspaceTurns()
  const alone = (context: ActionContext, work: () => Promise<void>): Promise<void> => inTurn(turns, context, work)
  return {
    kind: 'reshard',
    verbs: {
      create: (context) => create(world, context),
      start: (context) => setWanted(context, 'running'),
      stop: (context) => setWanted(context, 'stopped'),
      update: (context) => updateVerb(context),
      vdiff: (context) => vdiff(context),
      check: (context) => checkVerb(world, context),
      switchtraffic: (context) => alone(context, () => switchVerb(world, context, 'switchtraffic')),
      reversetraffic: (context) => alone(context, () => switchVerb(world, context, 'reversetraffic')),
      complete: (context) => alone(context, () => completeVerb(world, context)),
      cancel: (context) => alone(context, () => cancelVerb(world, context)),
    },
  }
}

type PlannedCreate = {
  sources: ShardRecord[]
  targets: PlannedTarget[]
  newServers: string[]
  flavour: 'mysql' | 'mariadb'
  tables: StreamTable[]
  views: string[]
  vschemaVersion: number
}

async function create(world: World & Claims, context: ActionContext): Promise<void> {
  const { keyspace, name, uid } = context.workflow
  const spec = context.workflow.spec as unknown as ReshardSpec
  try {
    await createSteps(world, context, spec)
  } catch (error) {
    if (!context.signal.aborted) {
      await forgetPasswords(context)
      // Before the claim nothing was made, so the name is free again; after it `cancel` cleans up. The record says whether it took effect.
      const routing = await readRecord<RoutingRecord>(context.store, keys.routing(keyspace))
      const claimed = routing !== null && componentsOfWorkflow(routing.value, name).length > 0
      await context.updateWorkflow((w) =>
        withJournal(
          { ...w, state: 'failed', ended: !claimed },
          context.clock.nowMs(),
          `create failed: ${error instanceof Error ? error.message : String(error)}`,
        ),
      )
    }
    throw error
  }
  await context.updateWorkflow((w) => withJournal({ ...w, state: 'running' }, context.clock.nowMs(), 'created'))
  await context.say(`${keyspace}.${name} is created; its ${spec.autoStart ? 'streams start' : 'streams wait for `start`'}`)
  context.log.info({ workflow: name, uid }, 'reshard created')
}

async function createSteps(world: World & Claims, context: ActionContext, spec: ReshardSpec): Promise<void> {
  const { store, leadership, clock } = context
  const { keyspace, name, uid } = context.workflow
  const plan = (await context.step('plan', async () => {
    const secret = await readRecord<CreationSecret>(store, keys.creationSecret(uid))
    const { lines, sources, targets, newServers, flavour, tables, views, vschemaVersion } = await planReshardCreate(
      world,
      keyspace,
      name,
      spec,
      uid.slice(0, 8),
      secret?.value.passwords,
      'made',
    )
    await context.say(...lines)
    return { sources, targets, newServers, flavour, tables, views, vschemaVersion } as unknown as Json
  })) as unknown as PlannedCreate
  const sources = plan.sources.map((shard) => shard.name)
  const targets = plan.targets.map((target) => target.shard)
  await context.step('claim the shards', async () => {
    const decision = { store, leadership, clock }
    const routing = await takeRouting(decision, keyspace)
    // Before anything is made: what an end has to remove even if this creation dies half way.
    const oldServers = [...new Set(plan.sources.map((shard) => shard.serverId))]
    const attachedServers = spec.targetServers === undefined ? [] : [...new Set(plan.targets.map((target) => target.serverId))]
    const data: ReshardData = { newServers: plan.newServers, attachedServers, oldServers, tables: plan.tables.map((table) => table.name) }
    await context.updateWorkflow((workflow) => ({ ...workflow, data }))
    if (routing.value.components.some((component) => component.workflow === name)) return null
    await decide(
      decision,
      keyspace,
      routing,
      (record) => attachWorkflow(record, { workflow: name, sources, targets, token: leadership.token }),
      claimedRanges(sources, targets),
    )
    return null
  })
  // From the claim on the vschema stands still; before it, it may have changed after it was read for the plan.
  if ((await store.get(keys.vschema(keyspace)))?.version !== plan.vschemaVersion) throw changeErrors.vschemaChanged({ keyspace, name })
  const first = plan.sources[0]
  if (first === undefined) throw changeErrors.noShard({ keyspace, shard: '', serving: '' })
  if (spec.allowUnfenced.length > 0) await allowUnfenced(context, spec.allowUnfenced)
  await context.step(
    'servers',
    async () => {
      const schemasOf = (serverId: string): string[] =>
        plan.targets.filter((target) => target.serverId === serverId).map((target) => target.schema)
      // All of them end before a failure is told: none is still being made when `cancel` removes them.
      await settled(
        plan.newServers.map((id) =>
          provisionServer(world, { id, flavour: plan.flavour, schemas: schemasOf(id), closed: true, like: first.serverId }),
        ),
      )
      const secret = await readRecord<CreationSecret>(store, keys.creationSecret(uid))
      for (const address of spec.targetServers ?? []) {
        const password = secret?.value.passwords[`${address.host}:${address.port}`] ?? ''
        await attachTarget(world, context, { ...address, password }, schemasOf)
      }
      return null
    },
    () => (plan.newServers.length === 0 ? `${spec.targetServers?.length ?? 0} attached` : `${plan.newServers.length} made`),
  )
  await forgetPasswords(context)
  const attached = [...new Set(plan.targets.map((target) => target.serverId))].filter((id) => !plan.newServers.includes(id))
  await context.step(
    'tables',
    async () => {
      await withServer(store, first.serverId, 'admin', async (source) => {
        for (const target of plan.targets) {
          await withServer(store, target.serverId, 'admin', async (connection) => {
            const sides = {
              source: { conn: source, schema: first.schema },
              target: { conn: connection, schema: target.schema, uid: shardUid(uid, target.shard), name: target.shard },
            }
            const findings = await preflightTarget(
              connection,
              target.schema,
              target.shard,
              plan.tables.map((table) => table.name),
            )
            if (findings.length > 0) throw new Failures(findings)
            if (!plan.newServers.includes(target.serverId)) await noteWhatIsMade(connection, uid, target.schema, plan)
            const ours = (made: Made): boolean => made.kind === 'schema' && made.schema === target.schema
            if (plan.newServers.includes(target.serverId) || (await readMade(connection, uid)).some(ours))
              await takeSchemaDefaults(sides.source, sides.target)
            await createTargetTables({
              ...sides,
              workflowUid: uid,
              tables: plan.tables.map((table) => table.name),
              deferSecondaryKeys: spec.deferSecondaryKeys,
            })
            const failed = await createTargetViews(sides)
            if (failed.length > 0) throw changeErrors.viewRefused({ shard: target.shard, ...failed[0] })
          })
        }
      })
      for (const id of attached) await world.pool.run(id, (claimed) => fenceNewTables(claimed, clock))
      return null
    },
    () => `${plan.tables.length} on each of ${plan.targets.length} targets`,
  )
  await context.step('record shards and streams', async () => {
    const shardRecords = plan.targets.map((target): ShardRecord => ({
      v: 1,
      keyspace,
      name: target.shard,
      uid: shardUid(uid, target.shard),
      serverId: target.serverId,
      schema: target.schema,
      madeBy: uid,
      provisioned: plan.newServers.includes(target.serverId),
    }))
    const streams = streamsOf(context, spec, plan, shardRecords)
    await context.updateWorkflow(
      (workflow) => workflow,
      [
        ...shardRecords.map((shard) => put(keys.shard(keyspace, shard.name), shard)),
        ...streams.map((stream) => put(keys.stream(uid, stream.uid), stream)),
        put<PaceRecord>(keys.pace(uid), { v: 1, workflowUid: uid, limits: spec.limits ?? {} }),
      ],
    )
    return null
  })
}

/** Passwords of somebody else's accounts are kept for no longer than they are needed. */
async function forgetPasswords({ store, workflow, leadership }: ActionContext): Promise<void> {
  await store.commit([leadership.fence], [{ key: keys.creationSecret(workflow.uid), value: undefined }])
}

/** On somebody else's server: written down there before it is made, so that `cancel` removes that and nothing else (promise 12). */
async function noteWhatIsMade(connection: Connection, uid: string, schema: string, plan: PlannedCreate): Promise<void> {
  const there = new Set(
    (await connection.allText(`SELECT TABLE_NAME AS name FROM information_schema.TABLES WHERE TABLE_SCHEMA = ${quoteString(schema)}`)).map(
      (row) => row['name'] ?? '',
    ),
  )
  const noted = new Set((await readMade(connection, uid)).filter((one) => one.schema === schema).map((one) => one.name))
  const made = plan.tables
    .filter(({ name }) => !noted.has(name))
    .map(({ name }): Made => ({ kind: there.has(name) ? 'rows' : 'table', schema, name }))
  const views = plan.views.filter((name) => !noted.has(name) && !there.has(name)).map((name): Made => ({ kind: 'view', schema, name }))
  await noteMade(connection, uid, [...made, ...views])
}

/** A server that somebody else runs becomes a target: closed before it holds a row of ours, as every target is from its creation on. */
async function attachTarget(
  world: World & Claims,
  context: ActionContext,
  address: ServerAddress,
  schemasOf: (serverId: string) => string[],
): Promise<void> {
  const { id } = await attachServer(world, { ...address, schema: undefined })
  const { allowUnfenced, fence } = context.workflow.spec as unknown as ReshardSpec
  const schemas = schemasOf(id)
  await world.pool.run(id, async (claimed) => {
    for (const schema of schemas) {
      const there = await claimed.connection.value(`SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = ${quoteString(schema)}`)
      if (there !== undefined) continue
      await noteMade(claimed.connection, context.workflow.uid, [{ kind: 'schema', schema, name: '' }])
      await claimed.connection.query(`CREATE DATABASE ${quoteIdentifier(schema)}`)
    }
    await prepareFence(claimed, schemas, context.clock, wantedFence(fence))
    await closeServer(claimed, { allowUnfenced, schemas }, context.clock)
    await noteClosed(claimed.connection, schemas)
  })
}

/** One stream a source, feeding every target whose range meets its own; the first one moves the reference tables. */
function streamsOf(context: ActionContext, spec: ReshardSpec, plan: PlannedCreate, targets: readonly ShardRecord[]): StreamRecord[] {
  const { keyspace, name, uid } = context.workflow
  const references = plan.tables.some((table) => table.reference)
  const ref = (shard: ShardRecord): ShardRef => ({ shard: shard.name, uid: shard.uid, serverId: shard.serverId, schema: shard.schema })
  return plan.sources.map((source, index) => ({
    v: 1,
    uid: `${uid}-${index}`,
    workflowUid: uid,
    workflow: name,
    keyspace,
    direction: 'forward',
    wanted: spec.autoStart ? 'running' : 'stopped',
    generation: 1,
    source: ref(source),
    targets: targets
      .filter((target) => (index === 0 && references) || keyRangesIntersect(parseKeyRange(target.name), parseKeyRange(source.name)))
      .map(ref),
    tables: plan.tables,
    movesReference: index === 0,
    copy: 'full',
    options: {
      onDdl: spec.onDdl,
      deferSecondaryKeys: spec.deferSecondaryKeys,
      stopAfterCopy: spec.stopAfterCopy,
      copyBytesPerSecondMax: null,
      failpoints: { ...spec.failpoints },
    },
  }))
}

/**
 * The components that the claim replaces and those that it makes: `decide` tells by them whether a commit that lost to another change
 * took effect. With none it would take any later version of the record for its own.
 */
export function claimedRanges(sources: readonly string[], targets: readonly string[]): string[] {
  const made = planReshard(sources.map(parseKeyRange), targets.map(parseKeyRange))
  return [...new Set([...sources, ...made.map((component) => printKeyRange(component.range))])]
}

/** In its keyspace's turn, saying so while it waits for it. */
export function inTurn(turns: KeyspaceTurns, context: ActionContext, work: () => Promise<void>): Promise<void> {
  const { keyspace } = context.workflow
  return turns.run(
    keyspace,
    () => {
      context.signal.throwIfAborted()
      return work()
    },
    (waits) => context.waiting(waits ? `another workflow's switch or end in ${keyspace}` : null, 'when that is done'),
  )
}

/** start raises the generation, so that a stream that failed is taken up anew. */
async function setWanted(context: ActionContext, wanted: 'running' | 'stopped'): Promise<void> {
  requireState(context, ['running'])
  const { store, leadership } = context
  const { uid, name } = context.workflow
  const { shards = [], dryRun = false } = context.action.args as { shards?: string[]; dryRun?: boolean }
  const all = await listRecords<StreamRecord>(store, keys.streamsOf(uid))
  const chosen = all.filter(
    ({ value }) => shards.length === 0 || [value.source, ...value.targets].some((one) => shards.includes(one.shard)),
  )
  const named = chosen.map(({ value }) => `${value.source.shard} → ${value.targets.map((target) => target.shard).join(',')}`).join('; ')
  if (dryRun) return context.say(`${name}: would be ${wanted}: ${named === '' ? 'nothing' : named}`)
  for (const stream of chosen) {
    await updateRecord<StreamRecord>(
      store,
      stream.key,
      (current) =>
        current === null ? null : { ...current, wanted, generation: wanted === 'running' ? current.generation + 1 : current.generation },
      [leadership.fence],
    )
  }
  await context.journal(wanted === 'running' ? 'started' : 'stopped')
  await context.say(`${name}: streams are to be ${wanted}: ${named === '' ? 'none' : named}`)
}

async function vdiff(context: ActionContext): Promise<void> {
  requireState(context, ['running'])
  const { store } = context
  const { uid } = context.workflow
  const args = context.action.args as { tables?: string[]; shards?: string[]; repair?: boolean; continuous?: boolean; stop?: boolean }
  const open = (await listRecords<VdiffRecord>(store, keys.vdiffsOf(uid))).filter(({ value }) => value.wanted === 'running')
  // One continuous comparison at a time: the newer takes the place of the older.
  const ended = open.filter(({ value }) => args.stop === true || (args.continuous === true && value.continuous === true))
  const stopping = ended.map(({ key, value }) => put(key, { ...value, wanted: 'stopped' as const }))
  if (args.stop === true) {
    await context.step('stop what runs', async () => {
      await store.commit([context.leadership.fence], stopping)
      return null
    })
    return
  }
  const vdiffUid = (await context.step('ask for it', async () => {
    const record: VdiffRecord = {
      v: 1,
      // Follows from the request: asking again after a crash asks for the same one.
      uid: createHash('sha256').update(`${uid} ${context.action.id}`).digest('hex').slice(0, 32),
      workflowUid: uid,
      wanted: 'running',
      tables: args.tables ?? null,
      requestedAtMs: context.action.requestedAtMs,
      repair: args.repair ?? false,
      ...(args.continuous === true ? { continuous: true } : {}),
      ...(args.shards === undefined ? {} : { shards: args.shards }),
    }
    const others = stopping.filter(({ key }) => key !== keys.vdiff(uid, record.uid))
    await store.commit([context.leadership.fence], [...others, put(keys.vdiff(uid, record.uid), record)])
    return record.uid
  })) as string
  await context.journal('vdiff asked for')
  await context.result({ vdiff: vdiffUid })
}
