/**
 * A tail over one connection: registers as a replica, asks for the binlog from a position, and turns packets into the groups of `source.ts`.
 *
 * Nothing is retried here: a lost or silent connection is an error of class transient and the caller opens a new tail where it stands. A
 * connection is silent when neither event nor heartbeat came for three heartbeat periods while somebody waited (a paused consumer does not count).
 */
import type { Buffer } from 'node:buffer'
import { randomInt, randomUUID } from 'node:crypto'
import type { Clock } from '../base/clock.ts'
import { isSwError } from '../base/errors.ts'
import { connect, serverName } from '../mysql/connect.ts'
import type { Connection, ConnectOptions, PacketStream } from '../mysql/connection.ts'
import { ServerError } from '../mysql/errors.ts'
import { binlogErrors } from './errors.ts'
import { dumpCommand, prepareDump, registerReplicaCommand } from './dump.ts'
import { GroupDecoder } from './group-decoder.ts'
import { sizeInHeader } from './event-stream.ts'
import { parsePosition } from './position-text.ts'
import { roomBehind } from '../wire/frames.ts'
import type { Position, TableChooser, Tail, TailEvent } from './source.ts'

export type TailOptions = {
  readonly connect: ConnectOptions
  readonly position: Position
  readonly table: TableChooser
  readonly clock: Clock
  /** Unique among all replicas and tails of the server; a second one with the same id ends the first. Default: random. */
  readonly serverId?: number
  readonly heartbeatMs?: number
  readonly bufferBytesMax?: number
  readonly signal?: AbortSignal
}

const heartbeatMsDefault = 2_000
const bufferBytesMaxDefault = 8 << 20
const silentPeriods = 3
/** One object for all waits: a default abort reason would cost a DOMException, stack trace included, for every packet waited for. */
const waitOver = new Error('the wait is over')

/**
 * @throws badPosition, otherServer, binlogOff; what `connect` throws; ServerError from the set-up. Refusals of the dump itself (purged, no
 * privilege) come with the first `next()`.
 */
export async function openTail(options: TailOptions): Promise<Tail> {
  const start = parsePosition(options.position)
  const heartbeatMs = options.heartbeatMs ?? heartbeatMsDefault
  const server = serverName(options.connect)
  const connection = await connect({ connectTimeoutMs: Math.max(heartbeatMs * silentPeriods, 5_000), ...options.connect }, options.signal)
  try {
    // Random ids stay clear of the small ones that people give servers.
    const serverId = options.serverId ?? randomInt(0x40000000, 0xfffffff0)
    const { checksum } = await prepareDump(connection, server, start, heartbeatMs, randomUUID())
    await connection.simpleCommand(registerReplicaCommand(serverId)).catch((error: unknown) => {
      throw dumpError(error, server, options.position)
    })
    const bufferBytesMax = options.bufferBytesMax ?? bufferBytesMaxDefault
    const packets = connection.command(dumpCommand(start, serverId), { bufferBytesMax, packetSize })
    const decoder = new GroupDecoder({ start, checksum, table: options.table })
    return new ServerTail({ connection, packets, decoder, server, position: options.position, clock: options.clock, heartbeatMs })
  } catch (error) {
    connection.destroy()
    throw error
  }
}

type ServerTailParts = {
  readonly connection: Connection
  readonly packets: PacketStream
  readonly decoder: GroupDecoder
  readonly server: string
  readonly position: Position
  readonly clock: Clock
  readonly heartbeatMs: number
}

class ServerTail implements Tail {
  readonly #parts: ServerTailParts
  #failure: unknown = undefined
  #waiting: AbortController | null = null
  lastReceivedAtMs: number

  constructor(parts: ServerTailParts) {
    this.#parts = parts
    this.lastReceivedAtMs = parts.clock.monotonicMs()
  }

  get bufferedBytes(): number {
    return this.#parts.packets.bufferedBytes
  }

  tryNext(): TailEvent | undefined {
    const event = this.#step()
    return event === 'unpack' ? undefined : event
  }

  async next(): Promise<TailEvent> {
    for (;;) {
      const event = this.#step()
      if (event === 'unpack') await this.#keep(() => this.#parts.decoder.unpack())
      else if (event !== undefined) return event
      else await this.#receive()
    }
  }

  async close(): Promise<void> {
    this.#fail(binlogErrors.tailClosed())
    this.#waiting?.abort(waitOver)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** What can be had without waiting. */
  #step(): TailEvent | undefined | 'unpack' {
    if (this.#failure !== undefined) throw this.#failure
    const { decoder, packets } = this.#parts
    try {
      for (;;) {
        const event = decoder.poll()
        if (event !== undefined) return event
        const packet = packets.tryNext()
        if (packet === undefined) return undefined
        this.#feed(packet)
      }
    } catch (error) {
      this.#fail(error)
      throw error
    }
  }

  #feed(packet: Buffer): void {
    this.lastReceivedAtMs = this.#parts.clock.monotonicMs()
    // Byte 0 says OK; errors and the end were taken out by the packet stream.
    this.#parts.decoder.feed(packet.subarray(1), roomBehind(packet))
  }

  async #receive(): Promise<void> {
    await this.#keep(async () => {
      const { packets, server, position } = this.#parts
      const waiting = new AbortController()
      this.#waiting = waiting
      try {
        const packet = await Promise.race([packets.next(), this.#silence(waiting.signal)])
        if (packet === 'closed') throw this.#failure ?? binlogErrors.tailClosed()
        if (packet === null) throw binlogErrors.connectionLost({ server, reason: 'the server ended the dump' })
        this.#feed(packet)
      } catch (error) {
        throw dumpError(error, server, position)
      } finally {
        waiting.abort(waitOver)
        this.#waiting = null
      }
    })
  }

  /**
   * Rejects when nothing at all came from the socket for three heartbeat periods. Reads are what counts, not packets: a row of a gigabyte over a
   * slow line takes minutes, and would otherwise be taken for silence on every attempt.
   */
  async #silence(signal: AbortSignal): Promise<'closed'> {
    const { packets, clock, heartbeatMs, server } = this.#parts
    const silentMs = heartbeatMs * silentPeriods
    for (;;) {
      const seen = packets.activity
      try {
        await clock.sleep(silentMs, signal)
      } catch {
        return 'closed'
      }
      if (packets.activity === seen) throw binlogErrors.connectionSilent({ server, silentMs, heartbeatMs })
      this.lastReceivedAtMs = clock.monotonicMs()
    }
  }

  async #keep(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#fail(error)
      throw this.#failure
    }
  }

  /** The first failure stays: every later `next` gives the same. */
  #fail(error: unknown): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    this.#parts.decoder.close()
    this.#parts.connection.destroy()
  }
}

/** An event tells its size, and comes behind a byte that says OK. */
function packetSize(beginning: Buffer): number | null {
  const size = sizeInHeader(beginning.subarray(1))
  return size === null ? null : 1 + size
}

const purged = /purged|could not find|not in the master|missing.*transactions|more GTIDs than|first log file|state requested by slave/i
/** ER_MASTER_FATAL_ERROR_READING_BINLOG */
const fatalReadingBinlog = 1236

function dumpError(error: unknown, server: string, position: Position): unknown {
  if (error instanceof ServerError) {
    const reason = error.message
    if (error.errno === fatalReadingBinlog && purged.test(reason)) return binlogErrors.positionPurged({ server, position, reason }, error)
    if (transientErrnos.has(error.errno)) return binlogErrors.connectionLost({ server, reason }, error)
    return binlogErrors.dumpRefused({ server, reason, errno: error.errno }, error)
  }
  if (isSwError(error) && error.code.startsWith('SW-BINLOG')) return error
  return binlogErrors.connectionLost({ server, reason: error instanceof Error ? error.message : String(error) }, error)
}

/** Server shutdown, killed connection, killed query, interrupted by another reader of our id, read and write errors of the network. */
const transientErrnos = new Set([1053, 1077, 1078, 1079, 1317, 1927, 3169, 1158, 1159, 1160, 1161])
