/** The preconditions of a dual-write run one by one. Each gives what it found, all of it; `blocks: false` is for knowing only. */
import type { Clock } from '../base/clock.ts'
import type { Log } from '../base/log.ts'
import { allTables } from '../ingest/definition.ts'
import type { TableDefinition } from '../ingest/definition.ts'
import { readSchema } from '../mysql/introspect.ts'
import { quoteString } from '../sql/quote.ts'
import { bytesText, durationText } from '../plan/text.ts'
import { openTopic } from '../topic/open.ts'
import type { FleetRecord, FleetReport } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import type { ShardRecord } from '../topology/records.ts'
import type { Store } from '../topology/store.ts'
import { listRecords } from '../topology/typed.ts'
import { planDimensions } from './dimension-plan.ts'
import { growthOf, sizeOf, steadyBytes } from './branch-size.ts'
import { reportFreshMs } from './dualwrite-figures.ts'
import type { Finding, PreconditionRequest } from './dualwrite-world.ts'
import { foreignText, lookForWriters } from './other-writers.ts'
import { tryTwice } from './scratch-branches.ts'
import { withServer } from './servers.ts'
import { topicFacts } from './topic-facts.ts'

export type CheckInput = {
  readonly store: Store
  readonly clock: Clock
  readonly log: Log
  readonly request: PreconditionRequest
  /** Those that serve the keyspace, and those of the new branch. */
  readonly shards: readonly ShardRecord[]
  readonly newShards: readonly ShardRecord[]
  readonly fleets: readonly FleetRecord[]
  readonly lookMs: number
  readonly scratchRecords: number
  /** Bytes free on the disks of these shards; null: not visible. */
  readonly free: (shards: readonly ShardRecord[]) => Promise<number | null>
}

const blocks = (check: string, what: string, why: string, fix: string): Finding => ({ check, what, why, fix, blocks: true })
const tells = (check: string, what: string, why = '', fix = ''): Finding => ({ check, what, why, fix, blocks: false })

function tablesOf({ request }: CheckInput): TableDefinition[] {
  const byName = new Map<string, TableDefinition>()
  for (const { definition } of request.definitions) for (const table of allTables(definition)) byName.set(table.table, table)
  return [...byName.values()]
}

/** Every table expires, or is a dimension table that the bootstrap copies. */
export async function checkExpiry(input: CheckInput): Promise<Finding[]> {
  const hybrid = input.request.spec.bootstrap === 'hybrid'
  return tablesOf(input).flatMap((table) => {
    if (table.kind === 'dimension')
      return hybrid
        ? []
        : [
            blocks(
              'expiry',
              `rows of the dimension table ${table.table} never expire, and ${input.request.spec.bootstrap} copies none`,
              'what was written before the new branch began would never be in it',
              '--bootstrap hybrid copies dimension tables and keeps them in step',
            ),
          ]
    return table.retentionMs !== null
      ? []
      : [
          blocks(
            'expiry',
            `rows of ${table.table} never expire`,
            'what was written before the new branch began would never be in it',
            `give ${table.table} a retention in the definition, or make it a dimension table`,
          ),
        ]
  })
}

/** Every table of the keyspace is filled by some definition: any other would stand empty on the new branch. */
export async function checkTables(input: CheckInput): Promise<Finding[]> {
  const known = new Set(tablesOf(input).map((table) => table.table))
  const shard = input.shards[0]
  // Hybrid copies what no definition fills: `checkDimensions`.
  if (shard === undefined || input.request.spec.bootstrap === 'hybrid') return []
  const there = await withServer(input.store, shard.serverId, 'admin', (connection) => readSchema(connection, shard.schema))
  return there.tables
    .filter((table) => table.kind === 'BASE TABLE' && !known.has(table.name))
    .map((table) =>
      blocks(
        'tables',
        `no definition fills ${table.name}`,
        'it would be empty on the new branch, and reads of it would say so',
        `--bootstrap hybrid copies ${table.name} and keeps it in step; or add it to the definition, move it to another keyspace, or drop it`,
      ),
    )
}

/** Hybrid: by table how it is filled, and what stands in the way of copying it. */
export async function checkDimensions(input: CheckInput): Promise<Finding[]> {
  if (input.request.spec.bootstrap !== 'hybrid') return []
  const { store, shards, newShards } = input
  const plan = await planDimensions({
    store,
    keyspace: input.request.keyspace.name,
    shards,
    newShards,
    own: input.request.own,
    defined: tablesOf(input),
  })
  return [...plan.findings]
}

/** The topic's retention against the start offset and the plan. */
export async function checkRetention(input: CheckInput): Promise<Finding[]> {
  const { bootstrap, marginMs, raiseRetention } = input.request.spec
  const out: Finding[] = []
  for (const { definition, topicUrl } of input.request.definitions) {
    await using topic = await openTopic(topicUrl)
    const facts = await topicFacts(topic, input.clock)
    const fleet = input.fleets.find((one) => one.topicUrl === topicUrl)
    if (fleet !== undefined && fleet.topicId !== topic.id)
      out.push(
        blocks(
          'topic',
          `${topic.name} is another topic than the one that ${fleet.name} reads`,
          'it was deleted and made anew',
          'make another branch from the topic that is there',
        ),
      )
    if (fleet !== undefined && Object.keys(fleet.startOffsets).length !== topic.partitions)
      out.push(
        blocks(
          'topic',
          `${topic.name} has ${topic.partitions} partitions, and ${fleet.name} was made for ${Object.keys(fleet.startOffsets).length}`,
          'keys have moved between partitions, so that the order of one key’s records is not told any more',
          'make fleet and branch anew for the topic as it is',
        ),
      )
    const longest = Math.max(0, ...allTables(definition).map((table) => table.retentionMs ?? 0))
    const held = facts.surelyMs
    const text = held === null ? 'for ever' : durationText(held / 1000)
    if (held !== null && held <= marginMs)
      out.push(
        blocks(
          'retention',
          `${topic.name} surely holds ${text}, not more than the margin of ${durationText(marginMs / 1000)}`,
          'a fleet that stands still for as long loses records for good',
          `raise the topic's retention (retention.ms), or take a smaller margin`,
        ),
      )
    else if (bootstrap === 'pin' && held !== null && held - marginMs < longest && !raiseRetention)
      out.push(
        blocks(
          'retention',
          `${topic.name} surely holds ${text}, less than the ${durationText(longest / 1000)} for which rows live and the margin`,
          'pinning alone does not fill the window',
          '--bootstrap pin+wait; or raise the topic’s retention and wait until it has grown',
        ),
      )
    if (held !== null && bootstrap !== 'wait') {
      const left = Math.max(0, held - marginMs)
      out.push(
        tells(
          'retention',
          `${topic.name}: the fleet begins ${durationText(left / 1000)} back; the oldest record it needs leaves the topic ${durationText(marginMs / 1000)} after the start${raiseRetention ? ', unless the retention is raised, which is tried and put back' : ''}${raiseRetention && bootstrap === 'pin' && left < longest ? '; create stops if the broker refuses that (--bootstrap pin+wait waits for the rest instead)' : ''}`,
        ),
      )
    }
    if (facts.bytesLimit !== null)
      out.push(
        tells(
          'retention',
          `${topic.name} also removes by size (${bytesText(Number(facts.bytesLimit))} a partition): a burst shortens what it holds, and a raised retention.ms does not help`,
        ),
      )
  }
  return out
}

/** No other writer on the old branch: its binlogs say so. */
export async function checkWriters(input: CheckInput): Promise<Finding[]> {
  const look = await lookForWriters({
    store: input.store,
    clock: input.clock,
    shards: input.shards,
    forMs: input.lookMs,
    signal: input.request.signal,
  })
  const why = 'what the fleets do not write, the new branch does not have'
  if (look.kind === 'unknown')
    return [
      blocks(
        'writers',
        `whether anybody besides the fleet writes could not be seen: ${look.reason}`,
        why,
        'mend what the message names; binlogs must be on in ROW format',
      ),
    ]
  if (look.found.length === 0)
    return [
      tells(
        'writers',
        `binlogs of the old servers were tailed for ${durationText(look.forMs / 1000)}: only fleets wrote`,
        'a writer that was silent for that long was not seen',
      ),
    ]
  const filled = new Set(tablesOf(input).flatMap(({ table, kind }) => (kind === 'dimension' ? [] : [table])))
  return look.found.map((found) => {
    const names = found.tables.map((table) => table.slice(table.indexOf('.') + 1))
    const harmless = input.request.spec.bootstrap === 'hybrid' && names.every((name) => !filled.has(name))
    const what = foreignText(found)
    return harmless
      ? tells('writers', `${what} (dimension tables: copied and kept in step)`)
      : blocks(
          'writers',
          what,
          why,
          'stop that writer, or let it write to the topic; where it writes dimension tables only: --bootstrap hybrid; else replicate (reshard)',
        )
  })
}

/** Foreign keys that leave the shard's schema, and transactions that did (seen by the look for writers). */
export async function checkForeignKeys(input: CheckInput): Promise<Finding[]> {
  const out: Finding[] = []
  for (const shard of input.shards.slice(0, 1)) {
    const schema = await withServer(input.store, shard.serverId, 'admin', (connection) => readSchema(connection, shard.schema))
    for (const table of schema.tables)
      for (const key of table.foreignKeys)
        out.push(
          blocks(
            'foreignkeys',
            `${table.name}.${key.name} refers to ${key.referencedSchema === shard.schema ? '' : `${key.referencedSchema}.`}${key.referencedTable}`,
            'rows of two tables reach the new branch by themselves: either may be there first, and a cascade is not in the topic',
            `ALTER TABLE ${table.name} DROP FOREIGN KEY ${key.name}, or replicate (reshard)`,
          ),
        )
  }
  out.push(...(await keysPointingIn(input)))
  return out
}

/** Of tables elsewhere on the servers: their rows are held by rows that go, and cascades reach them from no topic. */
async function keysPointingIn(input: CheckInput): Promise<Finding[]> {
  const found = await Promise.all(
    input.shards.map((shard) =>
      withServer(input.store, shard.serverId, 'admin', (connection) =>
        connection.allText(
          `SELECT DISTINCT CONSTRAINT_SCHEMA AS child_schema, TABLE_NAME AS child, CONSTRAINT_NAME AS name, REFERENCED_TABLE_NAME AS parent
           FROM information_schema.KEY_COLUMN_USAGE
           WHERE REFERENCED_TABLE_SCHEMA = ${quoteString(shard.schema)} AND TABLE_SCHEMA <> ${quoteString(shard.schema)}`,
        ),
      ),
    ),
  )
  return found.flat().map((row) => {
    const child = `${row['child_schema']}.${row['child']}`
    return blocks(
      'foreignkeys',
      `${child}.${row['name']} refers to ${row['parent']} from outside the keyspace`,
      'its table stays where it is: the new branch has no such rows to refuse or cascade by, and the old shards can not be removed under it',
      `ALTER TABLE ${child} DROP FOREIGN KEY ${row['name']}`,
    )
  })
}

/** Two scratch branches from the same messages are equal. */
export async function checkTwice(input: CheckInput): Promise<Finding[]> {
  const [model, on] = [input.shards[0], input.newShards[0]]
  if (model === undefined || on === undefined) return []
  const out: Finding[] = []
  for (const { definition, topicUrl } of input.request.definitions) {
    const answer = await tryTwice({
      store: input.store,
      clock: input.clock,
      log: input.log,
      keyspace: input.request.keyspace.name,
      vschemaOf: input.request.keyspace.name,
      model,
      on,
      definition,
      topicUrl,
      recordsMax: input.scratchRecords,
      signal: input.request.signal,
    })
    if (answer.kind === 'same')
      out.push(
        tells(
          'deterministic',
          `two scratch branches from the same ${answer.records} records of ${definition.topic} are equal (${answer.rows} rows)`,
        ),
      )
    else if (answer.kind === 'differ')
      out.push(
        blocks(
          'deterministic',
          `two scratch branches from the same ${answer.records} records of ${definition.topic} differ in ${answer.tables.join(', ')}`,
          'rows depend on more than the records: the clock, chance, state between records, how batches are cut, or defaults of the server',
          'make decode and map pure functions of the record, and raise the definition’s version',
        ),
      )
    else
      out.push(
        blocks(
          'deterministic',
          `whether the same records of ${definition.topic} give the same rows is not known: ${answer.reason}`,
          'a branch that differs from the other by chance can never be proven',
          'let producers write some records, or mend what the message names',
        ),
      )
  }
  return out
}

/** The new branch's full window against its disks. */
export async function checkSize(input: CheckInput): Promise<Finding[]> {
  const tables = tablesOf(input)
  const branchId = input.fleets[0]?.branchId
  if (branchId === undefined) return []
  const size = await sizeOf(
    input.store,
    input.shards,
    tables.map((table) => table.table),
  )
  const growth = await growthOf(input.store, input.shards, branchId, tables)
  let steady = 0
  const parts: string[] = []
  for (const [name, bytes] of size.byTable) {
    const own = growth.find((one) => one.table === name)
    const full = own === undefined ? bytes : (steadyBytes(bytes, own) ?? bytes)
    steady += full
    if (own !== undefined && own.perDay !== null && Math.abs(own.perDay) > 0.001)
      parts.push(`${name} grows by ${(own.perDay * 100).toFixed(1)} % a day`)
    if (own !== undefined && own.perDay === null) parts.push(`growth of ${name} is not known yet`)
  }
  const what = `the new branch will hold ${bytesText(steady)} when its window is full (the old one holds ${bytesText(size.bytes)} now${parts.length === 0 ? '' : `; ${parts.join(', ')}`})`
  const free = await input.free(input.newShards)
  if (free === null)
    return [
      blocks(
        'disk',
        `${what}; what its disks have free cannot be seen from here`,
        'attached servers tell no disk sizes',
        'look, and pass this over by name',
      ),
    ]
  // What is there is mostly empty pages while less than a hundredth of the window is.
  const young = growth.some((one) => one.heldMs < one.retentionMs / 100)
  // A fifth for the binlogs and undo of the new servers.
  if (steady * 1.2 > free)
    return [
      blocks(
        'disk',
        `${what}; its disks have ${bytesText(free)} free${young ? '; so little of the window is there yet that this is an upper bound' : ''}`,
        'it would run full before the old side may go',
        'bigger disks, more shards, or a shorter retention',
      ),
    ]
  return [tells('disk', `${what}; its disks have ${bytesText(free)} free`)]
}

/** What the second fleet and the second set of shards cost, side by side, by what the first ones cost now: for knowing. */
export async function checkCost(input: CheckInput): Promise<Finding[]> {
  const consumers = input.fleets.reduce((sum, fleet) => sum + fleet.consumers, 0)
  const longest = Math.max(0, ...tablesOf(input).map((table) => table.retentionMs ?? 0)) / 1000
  const reports = (await Promise.all(input.fleets.map((fleet) => listRecords<FleetReport>(input.store, keys.fleetReportsOf(fleet.name)))))
    .flat()
    .map((record) => record.value)
    .filter((report) => input.clock.nowMs() - report.atMs < reportFreshMs)
  return [
    tells(
      'cost',
      `until reads have moved and the old side is gone: ${consumers} more consumers and ${input.newShards.length} more shards, for ${durationText(longest)} and the hold; a second fetch of the topic; production's shards feel nothing; ${costNow(reports)}`,
      'rolling back is possible for as long as the old fleet runs',
    ),
  ]
}

/** Pure: what the fleet costs its own processes and its shards, a record and a second; unknown before it has worked for a while. */
export function costNow(reports: readonly FleetReport[]): string {
  const told = reports.filter(({ records, cpuMs, openMs }) => records >= 1000 && typeof cpuMs === 'number' && openMs !== undefined)
  const sum = (of: (report: FleetReport) => number): number => told.reduce((total, report) => total + of(report), 0)
  const records = sum((report) => report.records)
  if (records === 0) return 'what a record costs consumers and shards is unknown: the fleet has not worked for long enough'
  const [cpuUs, openUs] = [(sum((report) => report.cpuMs ?? 0) * 1000) / records, (sum((report) => report.openMs ?? 0) * 1000) / records]
  const perSecond = sum((report) => report.recordsPerSecond)
  const now = (us: number): string => ((us * perSecond) / 1e6).toFixed(2)
  return `a record costs the consumers ${Math.round(cpuUs)} µs of CPU and has a transaction open on the shards for ${Math.round(openUs)} µs: ${now(cpuUs)} cores and ${now(openUs)} open transactions at the ${Math.round(perSecond)} records/s of now, and as much again for the second fleet`
}
