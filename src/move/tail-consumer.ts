/**
 * Reads the tail of one source and hands each target the changes of its rows, group by group.
 *
 * Why nothing is lost or applied too early: changes are kept aside until their group's end and given to all targets in the same step that moves
 * `latest`; a group of the opposite direction (1.8), a torn one or one that failed to decode gives nothing or throws. A target that stands
 * further than another (after a restart) is given only groups that it does not have yet (binlog/within.ts).
 */
import { assert, unreachable } from '../base/assert.ts'
import { controlSightings } from '../binlog/control-schema.ts'
import type { BeginEvent, Coordinates, GroupEnd, RowsEvent, Tail, TailEvent } from '../binlog/source.ts'
import { positionWithin } from '../binlog/within.ts'
import type { RowBatch } from '../mysql/connection.ts'
import { moveErrors } from './errors.ts'
import { Doing } from './doing.ts'
import { isEcho } from './echo.ts'
import { CompiledTables, type Compiled } from './compiled-tables.ts'
import { whyUnmergeable } from './merged-table.ts'
import { changeBytes, largeRowBytes, noImages, type Change, type RowLiteral, type Stamp } from './pending.ts'
import { nowhere, sameShardKeys } from './router.ts'
import type { RowEncoder } from './row-encoder.ts'
import type { TablePlan } from './table-plan.ts'
import { compareCoordinates, moveSchema, type Coordinate } from './tables.ts'
import type { TailConsumerOptions } from './tail-consumer-options.ts'
import { tailRoom } from './tail-room.ts'
import type { HeldRowsJudge } from './target-applier.ts'
import { XaGroup } from './xa-group.ts'
import type { AddressedChange } from './xa.ts'

export class TailConsumer {
  readonly #options: TailConsumerOptions
  /** What it is at (`Mover.standing`). */
  readonly doing: Doing
  #latest: Stamp
  readonly #tables: CompiledTables
  /** For what becomes text at once: of rows that are not large, and keys. */
  #scratch = Buffer.allocUnsafe(64 << 10)
  #group: AddressedChange[] = []
  #groupBytes = 0
  #groupRows = 0
  #skipGroup = false
  #marker: number | null = null
  #controlMarker: number | null = null
  #begin: BeginEvent | null = null
  /** Per target, of the group in hand: whether it has it already; null: its place tells. */
  #had: (boolean | null)[] = []
  readonly #xa: XaGroup
  /** Parts of this group have been applied already. */
  #inParts = false
  /** Something of the group in hand has been stored or touched, or is about to be. */
  #givenOut = false
  #restart = false
  readonly #markerTimes = new Map<number, number>()

  constructor(options: TailConsumerOptions, start: Stamp) {
    this.#options = options
    this.#latest = start
    this.doing = new Doing(options.clock)
    this.#xa = new XaGroup(options)
    this.#tables = new CompiledTables(options.planOf, (plan) => this.#where(plan))
  }

  /** Where the first group of this run begins on the source. */
  began: Coordinates | null = null
  /** And when it was committed, by the source's clock. */
  beganAtMs: number | null = null
  #committedAtMs: number | null = null

  get latest(): Stamp {
    return this.#latest
  }

  /** Position of all of which something may show on a target, or be remembered as touched (`seen.ts`). */
  get read(): string {
    return this.#givenOut && this.#begin !== null ? positionWithin(this.#latest.position, this.#begin.gtid) : this.#latest.position
  }

  /** Our clock when a marker was sent: the measure of lag when it comes back. */
  noteMarkerSent(number: number, atMs: number): void {
    this.#markerTimes.set(number, atMs)
    if (this.#markerTimes.size > 10_000) this.#markerTimes.clear()
  }

  async run(tail: Tail, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const waits = this.#takeNext(tail, signal)
      if (waits === undefined) continue
      await waits
      this.doing.begin('reads')
    }
  }

  /** Not async, no more than what it calls: what waits keeps all that it has had in hand, and while rows of megabytes are written their event, which has them twice, is not to be kept. */
  #takeNext(tail: Tail, signal: AbortSignal): Promise<void> | undefined {
    const here = tail.tryNext()
    if (here !== undefined) return this.#take(here, signal)
    this.doing.begin('waits for the source')
    return tail.next().then((event) => this.#take(event, signal))
  }

  #take(event: TailEvent, signal: AbortSignal): Promise<void> | undefined {
    switch (event.kind) {
      case 'begin':
        this.#begin = event
        this.#noteCommitted(event.committedAtMs)
        this.began ??= event.at
        this.#had = this.#options.stoodAt.map(({ within }) => within?.(event.gtid) ?? null)
        this.#skipGroup = false
        return undefined
      case 'xaStart':
        this.#xa.begin(event.xid)
        return undefined
      case 'rows':
        if (!this.#rows(event) || this.#groupBytes <= this.#options.partBytesMax()) return undefined
        this.#givenOut = true
        return this.#xa.xid === null ? this.#applyParts(signal) : this.#xa.keep(this.#xa.xid, this.#coordinateAfter(), this.#taken())
      case 'query':
        this.doing.begin('a statement')
        this.#givenOut = true
        return this.#options.onQuery(event).then((then) => {
          if (then === 'restart') this.#restart = true
        })
      case 'commit':
      case 'xaPrepare':
      case 'xaCommit':
      case 'xaRollback':
        return this.#end(event, signal)
      case 'abandon':
        if (this.#inParts) throw moveErrors.abandonedPart({ source: this.#options.sourceName, at: this.#at() })
        this.#givenOut = false
        return this.#xa.torn(this.#coordinateAfter()).then(() => this.#reset())
      case 'heartbeat':
        return undefined
      default:
        return unreachable(event)
    }
  }

  /** Waits until every target has applied all that was read, and stored where it stands. */
  async drain(signal: AbortSignal, givenUp: HeldRowsJudge | null = null): Promise<void> {
    await Promise.all(
      this.#options.targets.map(async (target) => {
        await target.drain(signal, givenUp)
        await target.storePositionNow()
      }),
    )
  }

  /** A session may have set its own time (MariaDB logs that one): none before what came earlier or behind the source's clock counts. */
  #noteCommitted(atMs: number): void {
    if (atMs <= this.#options.sourceNowMs()) this.#committedAtMs = Math.max(this.#committedAtMs ?? atMs, atMs)
    this.beganAtMs ??= this.#committedAtMs
  }

  /** Coordinates of the group in hand, for messages. */
  #at(): string {
    const begin = this.#begin
    return begin === null ? 'start' : `${begin.gtid} at ${begin.at.file}:${begin.at.offset}`
  }

  /** Keys of both images, once they are committed: of what is rolled back or torn the tail brings nothing, and a chunk without them would lose rows (decision 018). */
  #touch(committed: readonly AddressedChange[]): void {
    const { copying, touched, onTouched } = this.#options
    if (copying.size === 0) return
    for (const { change } of committed) if (copying.has(change.table)) touched.add(change.table, change.key)
    onTouched()
  }

  #where(plan: TablePlan): { table: string; source: string; at: string } {
    return { table: plan.name, source: this.#options.sourceName, at: this.#at() }
  }

  #reset(): void {
    this.#group = []
    this.#groupBytes = 0
    this.#groupRows = 0
    this.#marker = null
    this.#controlMarker = null
    this.#inParts = false
    this.#givenOut = false
    this.#options.announced.abandonGroup()
    this.#xa.end()
  }

  #coordinateAfter(): Coordinate {
    return this.#marker === null ? { marker: this.#latest.marker, groups: this.#latest.groups + 1 } : { marker: this.#marker, groups: 0 }
  }

  /** Whether a target has the group in hand from an earlier run. */
  #has(target: number, at: Coordinate): boolean {
    const stood = this.#options.stoodAt[target]
    return this.#had[target] ?? (stood !== undefined && compareCoordinates(at, stood.place) <= 0)
  }

  async #end(event: Exclude<GroupEnd, { kind: 'abandon' }>, signal: AbortSignal): Promise<void> {
    const { targets } = this.#options
    const at = this.#coordinateAfter()
    this.#givenOut = true
    if (this.#options.announced.any) await this.#options.announced.endGroup(at, this.read)
    let group = this.#group
    if (event.kind === 'xaPrepare') {
      if (!this.#skipGroup) await this.#xa.keep(event.xid, at, group)
      group = []
      // They count where they are given out: at its commit, if it comes to that.
      this.#groupRows = 0
    } else if (event.kind === 'xaCommit') {
      group = await this.#xaCommitted(event.xid, at, signal)
    } else if (event.kind === 'commit' && this.#xa.xid !== null && this.#xa.inParts) {
      // In one phase, with parts of it kept already.
      await this.#xa.keep(this.#xa.xid, at, group)
      group = await this.#xaCommitted(this.#xa.xid, at, signal)
    } else if (event.kind === 'xaRollback') {
      await this.#options.xa.rollback(event.xid, at)
      group = []
    }
    const sentAtMs = this.#marker === null ? undefined : this.#markerTimes.get(this.#marker)
    if (this.#marker !== null) {
      this.#markerTimes.delete(this.#marker)
      this.#options.touched.met(this.#marker)
    }
    const stamp: Stamp = {
      ordinal: this.#latest.ordinal + 1,
      end: event.end,
      position: event.position,
      marker: at.marker,
      groups: at.groups,
      controlMarker: this.#controlMarker === null ? this.#latest.controlMarker : Math.max(this.#latest.controlMarker, this.#controlMarker),
      markerAtMs: sentAtMs ?? this.#latest.markerAtMs,
      committedAtMs: this.#committedAtMs,
      rowChanges: this.#latest.rowChanges + this.#groupRows,
    }
    const has = (target: number): boolean => this.#has(target, at)
    this.#options.redone.note({ at, changes: group, inParts: this.#inParts, rowChanges: this.#groupRows, has })
    this.#touch(group)
    for (const { target, change } of group) if (!has(target)) targets[target]?.pending.add(change)
    this.#latest = stamp
    if (this.#inParts) for (const target of targets) target.endParts()
    this.#reset()
    this.#options.onStamp(stamp)
    for (const target of targets) target.wake()
    if (this.#restart) {
      await this.drain(signal)
      throw moveErrors.restart({ stream: this.#options.markerStream, reason: 'the definition of a table changed' })
    }
    await tailRoom(targets, this.#options.heldBytesMax, signal, this.doing)
  }

  async #xaCommitted(xid: string, at: Coordinate, signal: AbortSignal): Promise<AddressedChange[]> {
    this.doing.begin('the commit of an XA transaction')
    const kept = await this.#xa.committed(
      xid,
      { at, text: this.#at(), markersBefore: this.#latest.marker > 0, had: (target) => this.#has(target, at) },
      signal,
    )
    this.#groupRows = this.#xa.rowChanges
    if (kept !== 'parts') return kept
    this.#inParts = true
    return []
  }

  /** The changes of the group read so far, which are no more ours to give. */
  #taken(): AddressedChange[] {
    const group = this.#group
    this.#group = []
    this.#groupBytes = 0
    return group
  }

  /** False when the rows are of no interest. */
  #rows(event: RowsEvent): boolean {
    if (this.#skipGroup) return false
    if (event.table.schema === moveSchema) {
      this.#control(event)
      return false
    }
    const compiled = this.#tables.of(event.table)
    this.#options.hiddenCascades.refuse(event, compiled, () => ({ source: this.#options.sourceName, at: this.#at() }))
    if (compiled === 'skip') return false
    this.#groupRows += event.length
    const { encoder, plan, keyColumns, shardColumns } = compiled
    const { before, after } = event
    const { router, severalSources, targets } = this.#options
    const afterTargets = after === null ? null : router.route(encoder, after)
    const unmoved = before !== null && after !== null && sameShardKeys(encoder, before, after)
    const beforeTargets = before === null ? null : unmoved ? afterTargets : router.route(encoder, before)
    for (let row = 0; row < event.length; row++) {
      let oldKey: string | null = null
      let newKey: string | null = null
      let newRow: RowLiteral | null = null
      if (before !== null) oldKey = this.#literals(encoder, before, row, keyColumns)
      if (after !== null) {
        const bytesMax = encoder.bytesMax(after, row)
        const large = bytesMax > largeRowBytes
        const out = large ? Buffer.allocUnsafeSlow(bytesMax) : this.#roomFor(bytesMax)
        const end = encoder.encode(after, row, out, 0)
        newRow = large ? out.subarray(0, end - 1) : out.toString('latin1', 0, end - 1)
        newKey = out.toString('latin1', 1, encoder.keyEnd)
        if (newKey === oldKey) newKey = oldKey
      }
      const unfit =
        plan.merged === null || before === null ? null : whyUnmergeable(plan.merged, encoder, before, after, row, oldKey, newKey)
      if (unfit !== null) throw moveErrors.notMergeable({ ...this.#where(plan), key: oldKey ?? '', reason: unfit })
      if (plan.reference) {
        for (let target = 0; target < targets.length; target++) {
          if (oldKey !== null && oldKey !== newKey) this.#push(target, { table: plan, key: oldKey, row: null, images: noImages })
          if (newKey !== null) this.#push(target, { table: plan, key: newKey, row: newRow, images: noImages })
        }
        continue
      }
      const from = beforeTargets === null ? nowhere : (beforeTargets[row] as number)
      const to = afterTargets === null ? nowhere : (afterTargets[row] as number)
      if (before !== null && from === nowhere) this.#unroutable(compiled, before, row, oldKey ?? '')
      if (after !== null && to === nowhere) this.#unroutable(compiled, after, row, newKey ?? '')
      const same = from === to && oldKey === newKey
      if (oldKey !== null && !same) {
        const images = severalSources[from] === true && before !== null ? [this.#literals(encoder, before, row, shardColumns)] : null
        this.#push(from, { table: plan, key: oldKey, row: null, images })
      }
      if (newKey !== null && after !== null) {
        let images: string[] | null = null
        if (severalSources[to] === true) {
          images = [this.#literals(encoder, after, row, shardColumns)]
          if (same && before !== null) {
            const old = this.#literals(encoder, before, row, shardColumns)
            if (old !== images[0]) images.push(old)
          }
        }
        this.#push(to, { table: plan, key: newKey, row: newRow, images })
      }
    }
    return true
  }

  #push(target: number, change: Change): void {
    this.#group.push({ target, change })
    this.#groupBytes += changeBytes(change)
  }

  /** Of some columns, separated by commas. */
  #literals(encoder: RowEncoder, batch: RowBatch, row: number, columns: readonly number[]): string {
    const out = this.#roomFor(encoder.bytesMaxOf(batch, row, columns))
    const end = encoder.encodeSome(batch, row, columns, out, 0)
    return out.toString('latin1', 0, end)
  }

  #roomFor(bytes: number): Buffer {
    if (this.#scratch.length < bytes) this.#scratch = Buffer.allocUnsafeSlow(bytes * 2)
    return this.#scratch
  }

  #unroutable({ plan, encoder, shardColumns }: Compiled, batch: RowBatch, row: number, key: string): never {
    throw moveErrors.unroutable({ ...this.#where(plan), key, shardKey: this.#literals(encoder, batch, row, shardColumns) })
  }

  #control(event: RowsEvent): void {
    if (event.table.name === 'move_applier') {
      if (!isEcho(event, this.#options)) return
      // The guard is the first statement of every applier transaction, so nothing of it has been taken yet.
      assert(this.#group.length === 0 && !this.#inParts, 'an applier row comes first in its transaction')
      this.#skipGroup = true
      return
    }
    for (const sighting of controlSightings(event)) {
      switch (sighting.kind) {
        case 'marker':
          if (sighting.stream === this.#options.markerStream) this.#marker = sighting.number
          break
        case 'controlMarker':
          this.#controlMarker = sighting.number
          break
        case 'ddlAnnounced':
          this.#options.announced.announced({ verb: sighting.verb, schema: sighting.schema, name: sighting.name })
          break
        default:
          unreachable(sighting)
      }
    }
  }

  /** PROTOCOLS 1.5: a transaction larger than the budget goes in parts, in order, under the intent of its end. */
  async #applyParts(signal: AbortSignal): Promise<void> {
    const { targets } = this.#options
    const end = this.#coordinateAfter()
    if (!this.#inParts) {
      this.doing.begin('waits until all that it read is applied or held back, before a transaction in parts')
      await Promise.all(targets.map((target) => target.beginParts(signal)))
      this.#inParts = true
    }
    this.doing.begin('a part of a transaction')
    const group = this.#taken()
    this.#touch(group)
    await Promise.all(
      targets.map(async (target, number) => {
        if (this.#has(number, end)) return
        const changes = group.filter((entry) => entry.target === number).map((entry) => entry.change)
        if (changes.length > 0) await target.applyPart(changes, end, signal)
      }),
    )
  }
}
