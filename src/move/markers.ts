/**
 * Mover markers: rows that we commit on the source and meet again in its tail. A marker whose commit has returned proves that every ordinary
 * transaction before it in the binlog is visible to reads that begin now (PROTOCOLS 1.4); one that came through the tail and was applied
 * proves how far a target is.
 *
 * One writer a stream on a connection of its own. Calls that come while a marker is being committed share the next one: a marker serves
 * everyone who asked before it was sent.
 */
import { assert } from '../base/assert.ts'
import type { Clock } from '../base/clock.ts'
import { readServerState, sameServerRun, writeMarker, type ServerState } from '../binlog/control-schema.ts'
import type { Connection } from '../mysql/connection.ts'
import { moveErrors } from './errors.ts'
import type { TouchedKeys } from './touched.ts'

export type Marker = {
  readonly number: number
  /** A generation of touched keys begun before it was sent: good for a chunk that has it as its low marker. */
  readonly generation: number
}

export interface Markers {
  /** A marker whose commit began after this call, committed. */
  write(): Promise<Marker>
  /** The last marker committed (or a fresh one): low marker of a read that is sent after this returns. The chunk owns a use of its generation. */
  low(): Promise<Marker>
}

/** The name of a stream's markers: found again by the workflow when its rows are removed. */
export function markerStream(workflowUid: string, streamUid: string): string {
  return `${workflowUid}/${streamUid}`
}

export type MarkerWriterOptions = {
  conn: Connection
  stream: string
  sourceName: string
  clock: Clock
  touched: TouchedKeys<object>
  /** Told before the marker can be met in the tail, with the number that it will have (we are its only writer). */
  onSending: (expectedNumber: number, atMs: number) => void
  /** Rows of the source read for the copy until now, each time they were. */
  rowsRead: () => number
}

export class MarkerWriter implements Markers {
  readonly #options: MarkerWriterOptions
  #last: Marker | null = null
  #next: Promise<Marker> | null = null
  #running: Promise<unknown> = Promise.resolve()
  #number = 0
  #server: ServerState | null = null
  /** As last written. */
  #rowsRead = 0
  lastSentAtMs = 0
  readonly #commitsMs: number[] = []

  constructor(options: MarkerWriterOptions) {
    this.#options = options
  }

  /** Commits the first marker; returns its number. What the server is like now must stay so while this writer lives. */
  async prepare(): Promise<number> {
    this.#server = await readServerState(this.#options.conn)
    return (await this.write()).number
  }

  /** How long a commit takes on the source: the middle one of the last five; null before the first. */
  get commitMs(): number | null {
    return this.#commitsMs.toSorted((a, b) => a - b)[this.#commitsMs.length >> 1] ?? null
  }

  write(): Promise<Marker> {
    if (this.#next === null) {
      const next = this.#running.then(() => {
        this.#next = null
        return this.#send()
      })
      this.#next = next
      this.#running = next.catch(() => undefined)
    }
    return this.#next
  }

  async low(): Promise<Marker> {
    let marker = this.#last
    if (marker === null) {
      await this.write()
      // Not what `write` gave: a newer one may have taken its place, and its generation with it.
      marker = this.#last
      assert(marker !== null, 'a marker was written')
    }
    this.#options.touched.retain(marker.generation)
    return marker
  }

  async #send(): Promise<Marker> {
    const { conn, touched, clock, sourceName, stream } = this.#options
    const generation = touched.begin(this.#number + 1)
    this.lastSentAtMs = clock.monotonicMs()
    this.#options.onSending(this.#number + 1, clock.nowMs())
    const rowsRead = this.#options.rowsRead()
    const { number, server } = await writeMarker(conn, stream, 'mark', rowsRead === this.#rowsRead ? null : rowsRead)
    this.#rowsRead = rowsRead
    if (this.#commitsMs.push(clock.monotonicMs() - this.lastSentAtMs) > 5) this.#commitsMs.shift()
    if (!server.ordersCommits) throw moveErrors.orderCommits({ source: sourceName })
    if (this.#server !== null && !sameServerRun(this.#server, server)) throw moveErrors.sourceChanged({ source: sourceName })
    this.#number = number
    const previous = this.#last
    this.#last = { number, generation }
    if (previous !== null) touched.release(previous.generation)
    return this.#last
  }
}
