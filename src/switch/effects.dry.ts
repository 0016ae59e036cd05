import type { Acknowledgement } from './acknowledge.ts'
import { preflight } from './check.ts'
import type { CheckContext } from './check.ts'
import type { CarriedRows } from './carried.ts'
import type { SwitchContext, SwitchLimits } from './context.ts'
import type { Preflight, SwitchEffects } from './effects.ts'
import { expectedStallText, stallFactors } from './expected-stall.ts'
import { fenceNames } from './fence-kinds.ts'
import { plannedIds } from './ids.ts'
import { tablesOn } from './plan.ts'
import type { SwitchPlan } from './plan.ts'
import type { GateHolds } from './report.ts'
import type { KilledSession } from './sessions.ts'

/** Looks as the real effects do and touches nothing; `lines` says what each step would do. */
export class DryEffects implements SwitchEffects {
  readonly lines: string[] = []
  readonly #context: CheckContext
  readonly #plan: SwitchPlan
  readonly #limits: SwitchLimits
  readonly #allowDifferences: readonly string[]
  readonly #carried: CarriedRows | null
  #outcome: 'switched' | 'back' = 'back'

  constructor(
    context: CheckContext & Pick<SwitchContext, 'carrier'>,
    plan: SwitchPlan,
    limits: SwitchLimits,
    allowDifferences: readonly string[] = [],
  ) {
    this.#allowDifferences = allowDifferences
    this.#context = context
    this.#plan = plan
    this.#limits = limits
    this.#carried = context.carrier?.of(plan, limits.warmMs) ?? null
  }

  preflight(): Promise<Preflight> {
    return preflight(this.#context, this.#plan, this.#limits, this.#allowDifferences, this.#carried)
  }

  async prepare(): Promise<readonly string[]> {
    const { from, to, backMissing } = this.#plan
    this.#say(`claim the servers ${[...from.serverIds, ...to.serverIds].join(', ')}`)
    for (const stream of backMissing)
      this.#say(`make the reverse stream ${stream.source.shard} → ${stream.targets.map((t) => t.shard).join(', ')}`)
    for (const id of await plannedIds(this.#context.store, this.#plan))
      this.#say(`raise ${id.sequence.schema}.${id.sequence.table} above every ${id.table}.${id.column}`)
    this.#say('drain every stream once, both ways, while nobody waits')
    return [expectedStallText(await stallFactors(this.#context, this.#plan), this.#limits)]
  }

  async hold(): Promise<void> {
    this.#say(`routing: ${this.#plan.ranges.join(', ')} stable → switching; gates hold new writes and transactions`)
  }

  async gatesAcknowledge(): Promise<Acknowledgement> {
    this.#say(`wait for the gates (at most ${this.#limits.seenMs} ms) and running transactions (at most ${this.#limits.graceMs} ms)`)
    return { gates: 0, silent: [], open: 0 }
  }

  async requireClosed(): Promise<void> {
    this.#say(`require that ${this.#plan.to.serverIds.join(', ')} take no client writes`)
  }

  async lockTables(): Promise<readonly KilledSession[]> {
    for (const id of this.#plan.from.serverIds) {
      const tables = tablesOn(this.#plan, this.#plan.from, id).length
      this.#say(`on ${id}: LOCK TABLES of ${tables} ${tables === 1 ? 'table' : 'tables'} READ`)
    }
    return []
  }

  async drain(): Promise<void> {
    this.#say(
      `marker on ${this.#plan.from.serverIds.join(', ')}; wait until ${this.#plan.to.shards.map((shard) => shard.shard).join(', ')} applied it`,
    )
  }

  async raiseIds(): Promise<readonly string[]> {
    return []
  }

  async closeServing(): Promise<readonly KilledSession[]> {
    for (const id of this.#plan.from.serverIds)
      this.#say(
        `on ${id}: close it to clients (${this.#plan.fence === null ? 'the strongest fence that fits' : fenceNames[this.#plan.fence]})`,
      )
    return []
  }

  async releaseTableLocks(): Promise<void> {
    this.#say('release the table locks')
  }

  async dropObjects(): Promise<void> {
    this.#say(`drop user triggers on ${this.#plan.from.serverIds.join(', ')}`)
  }

  async makeObjects(): Promise<readonly string[]> {
    this.#say(`make user triggers and events on ${this.#plan.to.serverIds.join(', ')}`)
    return []
  }

  async proveWayBack(): Promise<void> {
    this.#say(
      `marker on ${this.#plan.to.serverIds.join(', ')}; it comes back on ${this.#plan.from.shards.map((shard) => shard.shard).join(', ')}`,
    )
  }

  async carryRows(): Promise<readonly string[]> {
    if (this.#carried !== null)
      this.#say('where fleets fill the old shards: what they keep there (positions, floors, marks, event ids) is copied to the new ones')
    return []
  }

  async decide(outcome: 'switched' | 'back'): Promise<void> {
    this.#outcome = outcome
    this.#say(
      `routing: switching → opening, serving ${this.#serving()
        .map((shard) => shard.shard)
        .join(', ')}: the point of no return`,
    )
  }

  async finish(): Promise<readonly KilledSession[]> {
    this.#say('end the client sessions that remain on the other side')
    this.#say(`open ${[...new Set(this.#serving().map((shard) => shard.serverId))].join(', ')}`)
    this.#say('routing: opening → stable; gates release what they hold')
    return []
  }

  async dropSessions(): Promise<void> {}

  async holds(): Promise<GateHolds | null> {
    return null
  }

  async close(): Promise<void> {}

  #serving(): SwitchPlan['to']['shards'] {
    return (this.#outcome === 'switched' ? this.#plan.to : this.#plan.from).shards
  }

  #say(line: string): void {
    this.lines.push(line)
  }
}
