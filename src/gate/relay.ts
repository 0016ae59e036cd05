/**
 * One statement to one server connection, its answer to one client, as raw frames. The last packet and everything that the
 * first rows have not been sent before is held back until it is known whether the statement was refused: what a server
 * refused leaves no trace at the client.
 */
import type { Connection, RelayEnd, RelaySink } from '../mysql/connection.ts'
import type { Capture } from '../mysql/server-channel.ts'
import { clientError } from './client-error.ts'
import type { Quota } from './guard.ts'
import { errorFrame } from './replies.ts'
import type { ChangedDefinitions } from './column-definitions.ts'
import { columnNames } from './schema-names.ts'
import type { ShardView } from './view.ts'

/** ER_QUERY_INTERRUPTED. */
const interrupted = 1317

/** Where answers go: the client's side of a session. */
export type AnswerTarget = {
  write(frames: Buffer): void
  readonly bufferedBytes: number
  /** Not null: nothing of what is written goes to the client. */
  readonly capture: Capture | null
  /** Calls back when the client has taken what was written. */
  onDrain(listener: () => void): void
}

/** One per session, used again for each statement: the hot path makes no closures. */
export class Relayer implements RelaySink {
  readonly #target: AnswerTarget
  readonly #bufferBytesMax: number
  #connection: Connection | null = null
  #resolve: ((end: RelayEnd) => void) | null = null
  #reject: ((error: Error) => void) | null = null
  #pending: Buffer | null = null
  /** Something of this answer went to the client. */
  passedOn = false
  #paused: Connection | null = null
  #mute = false
  #names: ChangedDefinitions | null = null
  /** How large an answer may be; and what to do with a connection whose answer is larger: what it says is the client's error. */
  quota: Quota | null = null
  /** Why what runs is being interrupted: said instead of the server's words. */
  stopped: Error | null = null
  onExceeded: ((what: 'rows' | 'bytes', connection: Connection) => Error) | null = null
  #bytes = 0
  /** From here on nothing of the answer is passed on: the error stands in its place. */
  #exceeded: { error: Error; sequence: number } | null = null
  #cut: Error | null = null
  /** The end frame of an answer that went wrong is kept from the client until the caller has looked at it. */
  onInfile: ((frame: Buffer, connection: Connection) => void) | null = null

  constructor(target: AnswerTarget, bufferBytesMax: number) {
    this.#target = target
    this.#bufferBytesMax = bufferBytesMax
  }

  /**
   * Resolves at the end of the answer. An OK end has been passed on; an error end has not: it is the caller's to pass on
   * (`passOn`) or to act upon. Rejects with ConnectionLost.
   */
  run(connection: Connection, framed: Buffer, mute: boolean, shard: ShardView): Promise<RelayEnd> {
    this.#connection = connection
    this.#mute = mute
    this.#names = columnNames(shard)
    this.#pending = null
    this.#bytes = 0
    this.#exceeded = null
    this.#cut = null
    this.passedOn = false
    this.#target.capture?.restart()
    return new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
      connection.relay(framed, this)
    })
  }

  bytes(given: Buffer, rowsSoFar: number): void {
    if (this.#exceeded !== null) return
    const frames = this.#names === null ? given : this.#names.rewrite(given)
    if (this.#cut !== null) {
      this.#exceeded = { error: this.#cut, sequence: (this.#pending ?? frames)[3] as number }
      this.#pending = null
      return
    }
    if (this.quota !== null && this.#isTooMuch(this.quota, frames, rowsSoFar)) return
    if (this.#pending !== null) this.#send(this.#pending)
    // Column definitions alone may still be followed by an error: a read may be sent again as long as nothing went out.
    this.#pending = frames
    if (frames.length > 8192) {
      this.#pending = null
      this.#send(frames)
    }
  }

  infile(frame: Buffer): void {
    if (this.onInfile !== null && this.#connection !== null) {
      this.passedOn = true
      this.onInfile(frame, this.#connection)
    } else {
      // Nobody to ask: an empty file.
      const empty = Buffer.from([0, 0, 0, ((frame[3] as number) + 1) & 0xff])
      this.#connection?.relayData(empty)
    }
  }

  /** What runs is being stopped. A client that does not read must not keep the server's connection: the rest is read away. */
  interrupt(why: Error): void {
    if (this.#paused === null) return
    this.#cut = why
    this.#resume()
  }

  #isTooMuch(quota: Quota, frames: Buffer, rowsSoFar: number): boolean {
    this.#bytes += frames.length
    const what = rowsSoFar > quota.rows ? 'rows' : this.#bytes > quota.bytes ? 'bytes' : null
    if (what === null || this.#connection === null || this.onExceeded === null) return false
    const first = this.#pending ?? frames
    this.#pending = null
    this.#exceeded = { error: this.onExceeded(what, this.#connection), sequence: first[3] as number }
    return true
  }

  end(end: RelayEnd): void {
    if (this.#exceeded !== null) {
      const { error, sequence } = this.#exceeded
      const { errno, sqlState, message } = clientError(error)
      const { hadRows, rows } = end
      this.#done()?.({ kind: 'error', frame: errorFrame(error, sequence), errno, sqlState, message, hadRows, rows })
      return
    }
    const pending = this.#pending
    this.#pending = null
    if (end.kind === 'ok') {
      // The caller answers in other words (an id of a sequence).
      if (this.#mute && !end.hadRows) {
      } else if (pending === null) this.#send(end.frame)
      else if (pending.buffer === end.frame.buffer && pending.byteOffset + pending.length === end.frame.byteOffset) {
        // Both lie side by side in what one read brought: one write without a copy.
        this.#send(Buffer.from(pending.buffer, pending.byteOffset, pending.length + end.frame.length))
      } else this.#send(Buffer.concat([pending, end.frame]))
    } else if (pending !== null && this.passedOn) this.#send(pending)
    this.#done()?.(end)
  }

  fail(error: Error): void {
    const reject = this.#reject
    this.#pending = null
    this.#done()
    reject?.(error)
  }

  passOn(given: RelayEnd): void {
    const end =
      this.stopped !== null && given.kind === 'error' && given.errno === interrupted
        ? { frame: errorFrame(this.stopped, given.frame[3]) }
        : given
    // What came before it was held back and dropped: to the client it is the first packet.
    if (!this.passedOn) end.frame[3] = 1
    this.#send(end.frame)
  }

  #done(): ((end: RelayEnd) => void) | null {
    const resolve = this.#resolve
    this.#resolve = null
    this.#reject = null
    this.#connection = null
    // The answer is whole: the connection must not go to somebody else asleep.
    this.#resume()
    return resolve
  }

  #resume(): void {
    const connection = this.#paused
    this.#paused = null
    connection?.resume()
  }

  #send(frames: Buffer): void {
    this.passedOn = this.#target.capture === null
    this.#target.write(frames)
    if (this.#cut !== null || this.#paused !== null || this.#target.bufferedBytes <= this.#bufferBytesMax) return
    const connection = this.#connection
    if (connection === null) return
    this.#paused = connection
    connection.pause()
    this.#target.onDrain(() => this.#resume())
  }
}

/** The end of a command of ours whose answer nobody sees. */
export class SilentSink implements RelaySink {
  readonly #done: (end: RelayEnd | Error) => void
  constructor(done: (end: RelayEnd | Error) => void) {
    this.#done = done
  }
  bytes(): void {}
  end(end: RelayEnd): void {
    this.#done(end)
  }
  fail(error: Error): void {
    this.#done(error)
  }
}
