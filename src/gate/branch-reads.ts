/**
 * Which branch serves a read (PROTOCOLS 4.14–4.16), what waits while none does, and what this gate acknowledges.
 *
 * Why an acknowledgement is true: a read takes the branch and its token in one turn, by the rule that stands then; a rule is acknowledged
 * only when no token is left that was taken under an older one and whose slot is closing now. So once every gate has acknowledged a closing
 * rule, no answer of the side being left is on its way, and what the tenant has read stands at or before the positions taken afterwards.
 * A gate that is paused loses its lease, is not waited for, and reads the rule anew before it begins anything (Core.fresh).
 *
 * Within a transaction a shard's snapshot may be older than the step by which its tenant came back there: such a transaction ends (1213).
 */
import type { Clock } from '../base/clock.ts'
import type { ReadRule } from '../topology/dualwrite-records.ts'
import { branchKeyspace, readSlots } from '../topology/dualwrite-records.ts'
import { keys } from '../topology/keys.ts'
import { servingBranch, servingScattered, slotOf } from '../topology/read-rule.ts'
import { gateErrors } from './errors.ts'
import type { ReadFigures } from './read-figures.ts'
import { Refusals } from './refusals.ts'
import type { ReadSampler } from './read-sampler.ts'
import type { Transaction } from './transaction.ts'
import type { KeyspaceView, View } from './view.ts'

export type RuleView = { readonly rule: ReadRule; readonly version: number }

/** A read under way: taken with its branch, ended when its answer is complete. */
export type ReadToken = {
  readonly keyspace: string
  readonly version: number
  readonly branch: string
  readonly id: Uint8Array | null
  readonly startMs: number
}

type Moved = { readonly version: number; readonly lo: number; readonly hi: number }
type Lane = {
  current: RuleView
  readonly running: Set<ReadToken>
  acknowledged: number
  readonly waiters: Set<() => void>
  bytes: number
  /** Slots that changed sides, newest last. */
  readonly moves: Moved[]
}

const movesMax = 256
const hangingMs = 1000

export type BranchReadsOptions = {
  readonly clock: Clock
  readonly waitMaxMs: number
  readonly bytesMax: number
  readonly figures: ReadFigures
  readonly sampler: ReadSampler
  acknowledge(key: string, version: number): void
}

export class BranchReads {
  readonly #options: BranchReadsOptions
  readonly #lanes = new Map<string, Lane>()
  readonly #snapshots = new WeakMap<Transaction, Map<string, number>>()

  constructor(options: BranchReadsOptions) {
    this.#options = options
  }

  /** Whether the branch that was left refuses a statement too. */
  readonly refusals = new Refusals(() => this.#options.clock.monotonicMs())

  get figures(): ReadFigures {
    return this.#options.figures
  }

  get sampler(): ReadSampler {
    return this.#options.sampler
  }

  onView(view: View): void {
    for (const keyspace of view.keyspaces.values()) {
      if (keyspace.reads === null) continue
      const lane = this.#lanes.get(keyspace.name)
      if (lane === undefined) {
        const made: Lane = { current: keyspace.reads, running: new Set(), acknowledged: 0, waiters: new Set(), bytes: 0, moves: [] }
        this.#lanes.set(keyspace.name, made)
        this.#acknowledge(keyspace.name, made)
        continue
      }
      if (lane.current.version === keyspace.reads.version) continue
      this.#note(lane, keyspace.reads)
      lane.current = keyspace.reads
      this.#acknowledge(keyspace.name, lane)
      for (const wake of lane.waiters) wake()
    }
  }

  /** Figures since the call before. A read that is still on its way counts by how long it has been: one that hangs is seen while it hangs. */
  takeFigures(): ReturnType<ReadFigures['take']> {
    const nowMs = this.#options.clock.monotonicMs()
    for (const lane of this.#lanes.values()) {
      for (const token of lane.running) {
        const ms = nowMs - token.startMs
        if (ms > hangingMs) this.#options.figures.record(branchKeyspace(token.keyspace, token.branch), ms, false)
      }
    }
    return this.#options.figures.take()
  }

  /** Everything may have changed unseen: the lease had ended. */
  forgetMoves(): void {
    for (const lane of this.#lanes.values()) lane.moves.push({ version: lane.current.version, lo: 0, hi: readSlots })
  }

  /** The branch for a read of this tenant (null: of several or none). `wait`: no branch serves it now. */
  choose(keyspace: KeyspaceView, reads: RuleView, id: Uint8Array | null): { branch: string; token: ReadToken } | 'wait' {
    const now = serving(reads.rule, id)
    if (now.kind === 'closing') return 'wait'
    const token: ReadToken = {
      keyspace: keyspace.name,
      version: reads.version,
      branch: now.branch,
      id,
      startMs: this.#options.clock.monotonicMs(),
    }
    this.#lanes.get(keyspace.name)?.running.add(token)
    return { branch: now.branch, token }
  }

  /** Asked once more right before the statement is sent: time may have passed since the choice. */
  serves(token: ReadToken): boolean {
    const current = this.#lanes.get(token.keyspace)?.current
    if (current === undefined || current.version === token.version) return true
    const now = serving(current.rule, token.id)
    return now.kind === 'serves' && now.branch === token.branch
  }

  end(token: ReadToken): void {
    const lane = this.#lanes.get(token.keyspace)
    if (lane?.running.delete(token) === true && lane.acknowledged !== lane.current.version) this.#acknowledge(token.keyspace, lane)
  }

  /** Resolves when the rule is another one than `version`. Errors: SW-GATE-210 when that takes too long or too many wait, the signal's reason. */
  async wait(keyspace: string, version: number, bytes: number, signal: AbortSignal): Promise<void> {
    const lane = this.#lanes.get(keyspace)
    if (lane === undefined || lane.current.version !== version) return
    const { clock, waitMaxMs, bytesMax } = this.#options
    if (lane.bytes + bytes > bytesMax) throw gateErrors.readsClosing({ keyspace, waitedMs: 0 })
    lane.bytes += bytes
    const sinceMs = clock.monotonicMs()
    try {
      const expiry = new AbortController()
      const any = AbortSignal.any([expiry.signal, signal])
      await new Promise<void>((resolve, reject) => {
        const wake = (): void => {
          lane.waiters.delete(wake)
          resolve()
        }
        lane.waiters.add(wake)
        clock.sleep(waitMaxMs, any).then(
          () => {
            lane.waiters.delete(wake)
            reject(gateErrors.readsClosing({ keyspace, waitedMs: Math.round(clock.monotonicMs() - sinceMs) }))
          },
          (error: unknown) => {
            lane.waiters.delete(wake)
            if (signal.aborted) reject(error as Error)
          },
        )
      }).finally(() => expiry.abort())
    } finally {
      lane.bytes -= bytes
    }
  }

  /** False: the transaction's snapshot on that shard is older than the last step that moved this tenant. */
  snapshotHolds(transaction: Transaction, token: ReadToken, shardUid: string): boolean {
    let opened = this.#snapshots.get(transaction)
    if (opened === undefined) this.#snapshots.set(transaction, (opened = new Map()))
    const since = opened.get(shardUid)
    if (since === undefined || !transaction.branches.has(shardUid)) {
      opened.set(shardUid, token.version)
      return true
    }
    if (since === token.version) return true
    const slot = token.id === null ? readSlots - 1 : slotOf(token.id)
    return !(this.#lanes.get(token.keyspace)?.moves ?? []).some((m) => m.version > since && slot >= m.lo && slot < m.hi)
  }

  #note(lane: Lane, next: RuleView): void {
    const { rule } = next
    const tenants = Object.values(rule.overrides).some((o) => o.closing === true)
    const step = rule.closing ?? lane.current.rule.closing
    const moved: Moved =
      tenants || step === null
        ? { version: next.version, lo: 0, hi: readSlots }
        : { version: next.version, lo: Math.min(step.lo, rule.moved), hi: Math.max(step.hi, rule.moved) }
    lane.moves.push(moved)
    // What is forgotten of is taken as everything.
    if (lane.moves.length > movesMax) lane.moves.splice(0, 2, { version: (lane.moves[1] as Moved).version, lo: 0, hi: readSlots })
  }

  #acknowledge(keyspace: string, lane: Lane): void {
    const { rule, version } = lane.current
    for (const token of lane.running) {
      if (token.version === version) continue
      if (serving(rule, token.id).kind === 'closing') return
    }
    lane.acknowledged = version
    this.#options.acknowledge(keys.reads(keyspace), version)
  }
}

function serving(rule: ReadRule, id: Uint8Array | null): ReturnType<typeof servingBranch> {
  return id === null ? servingScattered(rule) : servingBranch(rule, id)
}
