/** Preflight (PROTOCOLS 3, step 1): everything that stands in the way, found at once, touching nothing. Unknown blocks (promise 6). */
import { isSwError, type SwError } from '../base/errors.ts'
import type { Connection } from '../mysql/connection.ts'
import { isServerError } from '../mysql/errors.ts'
import { xaPrefix } from '../mysql/our-schema.ts'
import { flavourOf, type AccountName } from '../mysql/flavour/flavour.ts'
import { fenceTriggerPrefix } from '../mysql/table-info.ts'
import { binlogProblems, binlogSkippers } from '../mysql/flavour/shared.ts'
import { quoteQualified, quoteString } from '../sql/quote.ts'
import { keys } from '../topology/keys.ts'
import type { GateRecord, RoutingRecord, ShardRecord, StreamRecord, StreamReport, VdiffReport } from '../topology/records.ts'
import { servesPrimary, servingSides } from '../topology/routing.ts'
import { listRecords } from '../topology/typed.ts'
import type { CarriedRows } from './carried.ts'
import { defaultsFindings, seeDefaults, type DefaultsSeen } from './check-defaults.ts'
import { flavourFindings } from './check-flavours.ts'
import { followedFindings } from './check-followed.ts'
import { replicaFindings } from './check-replicas.ts'
import type { SwitchContext, SwitchLimits } from './context.ts'
import type { Preflight } from './effects.ts'
import { switchErrors } from './errors.ts'
import { chooseFence, fenceText } from './fence-choice.ts'
import { accountName, clientAccounts, definersOfProcedures, describeOpen, fenceState, isClosed, settledFenceState } from './fence.ts'
import { fenceOn, type SwitchPlan } from './plan.ts'
import { connectAs, ourNames, readServerAccess, type ServerAccess } from './server-access.ts'
import { namesSchema, readObjects } from './moved-objects.ts'
import { unknownTables } from './unknown-tables.ts'
import { viewNotes } from './views.ts'
import { vdiffVerdict } from './vdiff-verdict.ts'

export type CheckContext = Pick<SwitchContext, 'store' | 'clock'>

type Findings = { blockers: SwError[]; notes: string[] }
type ServersContext = CheckContext & { readonly defaults: DefaultsSeen }

export async function preflight(
  context: CheckContext,
  plan: SwitchPlan,
  limits: SwitchLimits,
  allowDifferences: readonly string[] = [],
  carried: Pick<CarriedRows, 'preflight'> | null = null,
): Promise<Preflight> {
  const servers: ServersContext = { store: context.store, clock: context.clock, defaults: new Map() }
  const parts: Preflight[] = await Promise.all([
    routingFindings(plan),
    streamFindings(context, plan, limits),
    vdiffFindings(context, plan, allowDifferences),
    sharedServerFindings(context, plan),
    gateFindings(context, plan),
    replicaFindings(context, plan, limits),
    flavourFindings(context.store, plan),
    viewNotes(context.store, plan).then((notes) => ({ blockers: [], notes })),
    ...(carried === null ? [] : [carried.preflight()]),
    ...plan.from.serverIds.map((id) => serverFindings(servers, plan, id, 'from')),
    ...plan.to.serverIds.map((id) => serverFindings(servers, plan, id, 'to')),
  ])
  parts.push(defaultsFindings(plan, servers.defaults, limits, allowDifferences))
  return { blockers: parts.flatMap((part) => part.blockers), notes: parts.flatMap((part) => part.notes) }
}

async function routingFindings(plan: SwitchPlan): Promise<Findings> {
  const blockers: SwError[] = []
  for (const component of plan.components) {
    if (component.phase !== 'stable') blockers.push(switchErrors.nothingToSwitch({ reason: `${component.range} is ${component.phase}` }))
    else if (component.retired || component.other.length === 0)
      blockers.push(switchErrors.nothingToSwitch({ reason: `${component.range} has no other side` }))
  }
  return { blockers, notes: [] }
}

export async function streamFindings({ store, clock }: CheckContext, plan: SwitchPlan, limits: SwitchLimits): Promise<Findings> {
  const blockers: SwError[] = []
  const reports = new Map(
    (await listRecords<StreamReport>(store, keys.reportsOf(plan.workflowUid))).map((entry) => [entry.value.streamUid, entry.value]),
  )
  for (const source of plan.from.shards) {
    if (!plan.streams.some((stream) => stream.source.uid === source.uid)) {
      blockers.push(switchErrors.streamMissing({ source: source.shard, target: plan.to.shards.map((shard) => shard.shard).join(', ') }))
    }
  }
  // The way back counts from the second switch on: it runs already.
  const running = [...plan.streams, ...plan.back.filter((stream) => !plan.backMissing.includes(stream))]
  for (const stream of running)
    blockers.push(...oneStream(stream, reports.get(stream.uid), clock.nowMs(), limits, plan.streams.includes(stream)))
  return { blockers, notes: [] }
}

function oneStream(stream: StreamRecord, report: StreamReport | undefined, nowMs: number, limits: SwitchLimits, feeds: boolean): SwError[] {
  const source = stream.source.shard
  if (report === undefined)
    return [switchErrors.lagUnknown({ source, target: stream.targets.map((t) => t.shard).join(', '), reason: 'no mover has reported' })]
  if (report.state !== 'running') {
    const reason =
      report.error?.what ?? report.waiting?.what ?? (report.state === 'copying' ? 'the copy is not complete' : 'it does not run')
    return [switchErrors.streamFailed({ source, state: report.state, reason })]
  }
  const ageMs = nowMs - report.atMs
  if (ageMs > limits.freshMs) return [switchErrors.noMover({ source, ageMs })]
  if (!feeds) return []
  return stream.targets.flatMap((target): SwError[] => {
    const lag = report.targets.find((t) => t.shard === target.shard)?.lag ?? null
    if (lag === null) return [switchErrors.lagUnknown({ source, target: target.shard, reason: 'it was not measured' })]
    if (lag.markerAgeMs === null)
      return [switchErrors.lagUnknown({ source, target: target.shard, reason: 'no marker has come through yet' })]
    if (nowMs - lag.atMs > limits.freshMs)
      return [switchErrors.lagUnknown({ source, target: target.shard, reason: `it was measured ${nowMs - lag.atMs} ms ago` })]
    if (lag.markerAgeMs <= limits.lagMs) return []
    return [
      switchErrors.lagTooLarge({
        source,
        target: target.shard,
        transactions: lag.transactions ?? 'unknown',
        ageMs: Math.round(lag.markerAgeMs),
        limitMs: limits.lagMs,
        waits: report.waiting === null ? '' : `; it waits for ${report.waiting.what}`,
      }),
    ]
  })
}

/** A difference blocks unless its table is allowed by name. Of each table its last comparison counts. */
async function vdiffFindings({ store }: CheckContext, plan: SwitchPlan, allowDifferences: readonly string[]): Promise<Findings> {
  const reports = (await listRecords<VdiffReport>(store, keys.vdiffReportsOf(plan.workflowUid))).map((entry) => entry.value)
  const tables = plan.tables.map((table) => table.name)
  const { uncompared, differing } = vdiffVerdict(reports, tables, servingSides(plan.components))
  const notes = differing
    .filter(({ table }) => allowDifferences.includes(table))
    .map(({ table }) => `differences in ${table} are allowed by name`)
  if (reports.length === 0) notes.push('no vdiff has been made: shardwright vdiff create')
  else if (uncompared.length > 0)
    notes.push(
      `no vdiff has compared ${uncompared.join(', ')} to its end since traffic is on ${plan.from.shards.map(({ shard }) => shard).join(', ')}`,
    )
  const blocking = differing.filter(({ table }) => !allowDifferences.includes(table))
  const vdiffs = [...new Set(blocking.map(({ vdiff }) => vdiff))]
  return {
    blockers: vdiffs.map((vdiff) =>
      switchErrors.vdiffDifferent({
        vdiff,
        tables: blocking
          .filter((one) => one.vdiff === vdiff)
          .map(({ table }) => table)
          .join(', '),
      }),
    ),
    notes,
  }
}

/** A server is closed whole: nothing on it may have to go on serving. Only armed triggers act on schemas. */
async function sharedServerFindings({ store }: CheckContext, plan: SwitchPlan): Promise<Findings> {
  if (plan.fence === 'triggers') return { blockers: [], notes: [] }
  const shards = await listRecords<ShardRecord>(store, keys.allShards)
  const routings = new Map(
    (await listRecords<RoutingRecord>(store, keys.routings)).map((entry) => [entry.key.slice(keys.routings.length), entry.value]),
  )
  const blockers: SwError[] = []
  for (const [side, opposite] of [
    [plan.from, plan.to],
    [plan.to, plan.from],
  ] as const) {
    const own = new Set(side.shards.map((shard) => shard.uid))
    for (const { value: shard } of shards) {
      if (!side.serverIds.includes(shard.serverId) || own.has(shard.uid)) continue
      const routing = routings.get(shard.keyspace)
      const serves = routing === undefined || servesPrimary(routing, shard.name)
      if (serves || opposite.shards.some((other) => other.uid === shard.uid)) {
        blockers.push(switchErrors.sharedServer({ server: shard.serverId, shard: `${shard.keyspace}/${shard.name}` }))
      }
    }
  }
  return { blockers, notes: [] }
}

async function gateFindings({ store }: CheckContext, plan: SwitchPlan): Promise<Findings> {
  const gates = await listRecords<GateRecord>(store, keys.gates)
  if (gates.length === 0) return { blockers: [], notes: ['no gate is running: clients that come later find the new side'] }
  const blind = gates.filter((gate) => gate.value.seen[plan.keyspace] === undefined).map((gate) => gate.value.id)
  return { blockers: [], notes: blind.length === 0 ? [] : [`gates that do not serve ${plan.keyspace} yet: ${blind.join(', ')}`] }
}

async function serverFindings(context: ServersContext, plan: SwitchPlan, serverId: string, side: 'from' | 'to'): Promise<Findings> {
  try {
    const access = await readServerAccess(context.store, serverId)
    await using connection = await connectAs(access, 'admin')
    const parts: Preflight[] = await Promise.all([
      seeDefaults(connection, serverId, context.defaults),
      accountFindings(context, connection, access, plan, serverId, side),
      contentFindings(connection, plan, serverId, side),
      followedFindings(connection, plan, serverId, side),
      side === 'to' ? binlogFindings(connection, serverId) : applierFindings(access, plan, serverId),
      side === 'from' ? transactionFindings(connection, access, plan, serverId) : { blockers: [], notes: [] },
      // A table that came after the workflow began would be left behind, closed with the side that goes.
      side === 'from'
        ? unknownTables(connection, plan, serverId).then((blockers) => ({ blockers, notes: [] }))
        : { blockers: [], notes: [] },
      side === 'from' ? fenceFindings(connection, plan, serverId) : { blockers: [], notes: [] },
    ])
    return { blockers: parts.flatMap((part) => part.blockers), notes: parts.flatMap((part) => part.notes) }
  } catch (error) {
    const blocker =
      isSwError(error) && error.code.startsWith('SW-SWITCH')
        ? error
        : switchErrors.serverUnreachable({ server: serverId, reason: (error as Error).message }, error)
    return { blockers: [blocker], notes: [] }
  }
}

async function accountFindings(
  { clock }: CheckContext,
  connection: Connection,
  access: ServerAccess,
  plan: SwitchPlan,
  serverId: string,
  side: 'from' | 'to',
): Promise<Findings> {
  const ours = ourNames(access)
  const fence = fenceOn(plan, side === 'from' ? plan.from : plan.to, serverId)
  const state = await settledFenceState(connection, ours, fence, clock)
  const blockers: SwError[] = []
  const notes: string[] = []
  const whole = plan.fence !== 'triggers'
  const accounts = await flavourOf(connection).accounts(connection)
  const skippers = binlogSkippers(serverId, accounts, new Set(Object.values(ours)))
  if (skippers !== null) notes.push(skippers)
  const fenced = new Set(clientAccounts(accounts, ours, plan.allowUnfenced).map(accountName))
  for (const account of whole ? accounts : []) {
    const name = accountName(account)
    if (account.user === ours.admin || account.user === ours.mover || account.locked || account.passesReadOnly.length === 0) continue
    const privilege = account.passesReadOnly.join(', ')
    if (fenced.has(name)) notes.push(`${serverId}: ${name} has ${privilege}; it is locked and its sessions are ended like any client's`)
    else if (plan.allowUnfenced.includes(name)) notes.push(`${serverId}: ${name} passes the fence, as allowed by name`)
    else blockers.push(switchErrors.passesFence({ server: serverId, account: name, privilege, keyspace: plan.keyspace }))
  }
  for (const { account, proxied } of whole ? await proxies(connection) : []) {
    const [who, as] = [accountName(account), accountName(proxied)]
    // One that is locked itself cannot log in.
    if (!fenced.has(who) && fenced.has(as))
      notes.push(`${serverId}: ${who} is not locked, and may log in as ${as} though that is (GRANT PROXY)`)
  }
  const protectedUsers = await withSystemUser(connection)
  const outOfReach = accounts
    .filter((account) => fenced.has(accountName(account)) && !account.locked && protectedUsers.has(accountName(account)))
    .map(accountName)
  if (whole && outOfReach.length > 0 && ![...protectedUsers].some((name) => name.startsWith(`${ours.admin}@`))) {
    blockers.push(switchErrors.cannotLock({ server: serverId, admin: ours.admin, accounts: outOfReach.join(', ') }))
  }
  const definers = await definersOfProcedures(connection)
  const passing = accounts.filter((account) => account.passesReadOnly.length > 0 && definers.has(accountName(account))).map(accountName)
  if (whole && side === 'from' && passing.length > 0) {
    notes.push(
      `${serverId}: procedures run with the rights of ${passing.join(', ')}, which pass read_only: all client sessions are ended when it is closed`,
    )
  }
  if (side === 'to' && !isClosed(state)) blockers.push(switchErrors.notClosed({ server: serverId, open: describeOpen(state) }))
  // What serves was open when its component became stable: somebody else closed it, and is who opens it.
  if (side === 'from' && state.readOnly)
    notes.push(`${serverId} serves and is read_only, which we did not set: clients cannot write there (SET GLOBAL read_only = 0)`)
  const replica = await replicaSource(connection)
  if (replica !== null) blockers.push(switchErrors.serverReplicates({ server: serverId, source: replica }))
  return { blockers, notes }
}

/** Who may take another account's name at login, which a lock of that account does not hinder. */
async function proxies(connection: Connection): Promise<{ account: AccountName; proxied: AccountName }[]> {
  return flavourOf(connection)
    .proxies(connection)
    .catch((error: unknown) => {
      // An admin account that may not read the server's own tables.
      if (isServerError(error, 1142)) return []
      throw error
    })
}

/** MySQL: accounts that only those of their kind may lock or end. MariaDB knows no such privilege. */
async function withSystemUser(connection: Connection): Promise<ReadonlySet<string>> {
  const rows = await connection.allText(
    "SELECT GRANTEE AS grantee FROM information_schema.user_privileges WHERE PRIVILEGE_TYPE = 'SYSTEM_USER'",
  )
  return new Set(rows.map((row) => (row['grantee'] ?? '').replace(/^'(.*)'@'(.*)'$/, '$1@$2')))
}

async function replicaSource(connection: Connection): Promise<string | null> {
  // Of several the first is enough to refuse.
  const [row] = await flavourOf(connection).replications(connection)
  return row === undefined ? null : `${row['Source_Host'] ?? row['Master_Host'] ?? 'another server'}`
}

/** Which fence will stand there: the strongest that our account may lay. */
async function fenceFindings(connection: Connection, plan: SwitchPlan, serverId: string): Promise<Findings> {
  try {
    return { blockers: [], notes: [fenceText(serverId, await chooseFence(connection, serverId, plan.fence))] }
  } catch (error) {
    if (!isSwError(error, 'SW-SWITCH-036')) throw error
    return { blockers: [error], notes: [] }
  }
}

/** Triggers of moved tables, and enabled events, which run whatever is locked. */
async function contentFindings(connection: Connection, plan: SwitchPlan, serverId: string, side: 'from' | 'to'): Promise<Findings> {
  const shards = (side === 'from' ? plan.from : plan.to).shards.filter((shard) => shard.serverId === serverId)
  const schemas = shards.map((shard) => quoteString(shard.schema)).join(', ')
  const tables = plan.tables.map((table) => quoteString(table.name)).join(', ') || "''"
  const [scheduler, events, triggers] = await Promise.all([
    connection.value('SELECT @@GLOBAL.event_scheduler'),
    connection.allText(
      "SELECT EVENT_SCHEMA AS s, EVENT_NAME AS n FROM information_schema.EVENTS WHERE STATUS = 'ENABLED' AND EVENT_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')",
    ),
    connection.allText(
      `SELECT EVENT_OBJECT_SCHEMA AS s, EVENT_OBJECT_TABLE AS t, GROUP_CONCAT(TRIGGER_NAME) AS n FROM information_schema.TRIGGERS
       WHERE EVENT_OBJECT_SCHEMA IN (${schemas}) AND EVENT_OBJECT_TABLE IN (${tables})
         AND LEFT(TRIGGER_NAME, ${fenceTriggerPrefix.length}) <> '${fenceTriggerPrefix}' GROUP BY 1, 2`,
    ),
  ])
  if (side === 'from' && plan.triggers === 'at-switch') return movedFindings(connection, plan, serverId)
  const blockers: SwError[] = []
  if (scheduler === 'ON')
    for (const event of events.filter((one) => plan.fence !== 'triggers' || shards.some((shard) => shard.schema === one['s'])))
      blockers.push(switchErrors.eventsPass({ server: serverId, event: `${event['s']}.${event['n']}` }))
  for (const row of triggers)
    blockers.push(switchErrors.triggersPresent({ server: serverId, table: `${row['s']}.${row['t']}`, triggers: row['n'] }))
  return { blockers, notes: [] }
}

/** Moved with the switch: the same on every shard of the side that serves, and none names its schema. */
async function movedFindings(connection: Connection, plan: SwitchPlan, serverId: string): Promise<Findings> {
  const blockers: SwError[] = []
  const [first] = plan.from.shards
  const texts = new Map<string, string>()
  for (const { schema, shard } of plan.from.shards.filter((one) => one.serverId === serverId)) {
    const { triggers, events } = await readObjects(connection, schema)
    const all = [...triggers, ...events]
    texts.set(shard, JSON.stringify(all.map((object) => [object.name, object.createSql])))
    for (const object of all.filter((one) => namesSchema(one, schema)))
      blockers.push(switchErrors.objectNamesSchema({ server: serverId, object: object.name, schema }))
  }
  if (new Set(texts.values()).size > 1 || plan.from.serverIds.length > 1) {
    const own = first === undefined ? undefined : texts.get(first.shard)
    for (const [shard, text] of texts)
      if (own !== undefined && text !== own) blockers.push(switchErrors.objectsDiffer({ shard, first: first?.shard }))
  }
  return { blockers, notes: [] }
}

async function binlogFindings(connection: Connection, serverId: string): Promise<Findings> {
  const settings = await flavourOf(connection).binlogSettings(connection)
  // One that replicates at all is told of as such.
  const problems = binlogProblems(settings).filter(({ setting }) => setting !== settings.hidesReplicated)
  return {
    blockers: problems.map(({ setting, value, wanted, why }) =>
      switchErrors.cannotFeedReverse({ server: serverId, reason: `${setting} is ${value}, not ${wanted}: ${why}` }),
    ),
    notes: [],
  }
}

/** Tried, as that account, on every table it will write: grants are many ways to say no. */
async function applierFindings(access: ServerAccess, plan: SwitchPlan, serverId: string): Promise<Findings> {
  const blockers: SwError[] = []
  await using connection = await connectAs(access, 'mover')
  const tables = plan.from.shards
    .filter((shard) => shard.serverId === serverId)
    .flatMap((shard) => plan.tables.map((table) => ({ schema: shard.schema, table: table.name })))
  const results = await connection.pipelineSettled(
    tables.map(({ schema, table }) => `DELETE FROM ${quoteQualified(schema, table)} WHERE 1 = 0`),
  )
  results.forEach((result, i) => {
    const on = tables[i]
    if (result.status === 'fulfilled' || on === undefined) return
    const reason = isServerError(result.reason) ? result.reason.serverMessage : String(result.reason)
    blockers.push(
      switchErrors.applierCannotWrite({ server: serverId, account: access.secret.mover.user, table: on.table, schema: on.schema, reason }),
    )
  })
  return { blockers, notes: [] }
}

async function transactionFindings(connection: Connection, access: ServerAccess, plan: SwitchPlan, serverId: string): Promise<Findings> {
  const [prepared, state] = await Promise.all([
    // Those of gates are being committed at this moment, or ended by another gate: the switch looks again under its locks.
    flavourOf(connection)
      .xaRecover(connection)
      .then((all) => all.filter(({ gtrid }) => !gtrid.toString('latin1').startsWith(xaPrefix))),
    fenceState(connection, ourNames(access), { allowUnfenced: plan.allowUnfenced }),
  ])
  const blockers =
    prepared.length === 0
      ? []
      : [switchErrors.preparedXa({ server: serverId, xids: prepared.map((xa) => xa.gtrid.toString('latin1')).join(', ') })]
  const now = Number(await connection.value('SELECT UNIX_TIMESTAMP()'))
  const notes = state.sessions.flatMap((session) => {
    const ageS = session.transaction === null ? 0 : now - session.transaction.startedAtS
    return ageS < 5
      ? []
      : [
          `${serverId}: a transaction of ${session.user}@${session.host} has been open for ${Math.round(ageS)} s; it is ended ${session.command === 'Sleep' ? 'at once, as it is idle' : 'after the grace'}${session.query === null ? '' : `: ${session.query.slice(0, 120)}`}`,
        ]
  })
  return { blockers, notes }
}
