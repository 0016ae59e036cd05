/** Asks the servers of a move for their room (`room.ts` judges it). A server that cannot be reached is told by the step that needs it. */
import { isSwError, type SwError } from '../base/errors.ts'
import type { Connection } from '../mysql/connection.ts'
import { flavourOf } from '../mysql/flavour/flavour.ts'
import { binlogWritten, readServerRoom } from '../mysql/server-room.ts'
import { keys } from '../topology/keys.ts'
import type { ServerRecord } from '../topology/records.ts'
import { readRecord } from '../topology/typed.ts'
import type { Passwords } from './attached-findings.ts'
import type { ReshardSpec } from './reshard-spec.ts'
import { binlogRefused, roomFindings, type BinlogUse, type RoomOf, type RoomSide } from './room.ts'
import { connectServer, connectToAttach, type World } from './servers.ts'

/** Of binlog being written: longer would only be waited for. What would be refused by it may have been one large transaction, and is looked at for longer. */
const sampleMs = 500
const secondSampleMs = 3_000

/** @param sample how much is written a second, over so long */
export async function steadyRate(sample: (ms: number) => Promise<number>, refused: (rate: number) => boolean): Promise<number> {
  const rate = await sample(sampleMs)
  return refused(rate) ? Math.min(rate, await sample(secondSampleMs)) : rate
}

export async function lookAtRoom(
  world: World,
  move: {
    readonly sources: RoomSide
    readonly targets: RoomSide
    readonly newServers: readonly string[]
    readonly dataBytes: number
    readonly targetServers: ReshardSpec['targetServers']
    readonly passwords: Passwords
  },
): Promise<{ errors: SwError[]; notes: string[] }> {
  const { sources, targets, newServers, dataBytes } = move
  const ids = [...new Set([...sources, ...targets].map(({ serverId }) => serverId))].filter((id) => !newServers.includes(id))
  const connectTo = (id: string): Promise<Connection> => {
    const address = move.targetServers?.find(({ host, port }) => `${host}:${port}` === id)
    if (address === undefined) return connectServer(world.store, id, 'admin')
    return connectToAttach(world, id, { ...address, password: move.passwords[id] ?? '' })
  }
  const rooms = await Promise.all(
    ids.map(async (serverId): Promise<RoomOf> => {
      const connection = await connectTo(serverId).catch((error: unknown) => {
        if (!isSwError(error)) throw error
        return null
      })
      if (connection === null) return { serverId, room: null, binlog: null }
      try {
        const record = (await readRecord<ServerRecord>(world.store, keys.server(serverId)))?.value
        const host = record?.host ?? serverId.slice(0, serverId.lastIndexOf(':'))
        const room = await readServerRoom(connection, { host, dataDir: record?.dataDir ?? null })
        if (!sources.some((source) => source.serverId === serverId)) return { serverId, room, binlog: null }
        const { retentionS } = await flavourOf(connection).binlogSettings(connection)
        let bytesNow = 0
        const sample = async (ms: number): Promise<number> => {
          const { files } = await binlogWritten(connection, null)
          bytesNow = [...files.values()].reduce((sum, size) => sum + size, 0)
          const beganMs = world.clock.monotonicMs()
          await world.clock.sleep(ms)
          const { bytes } = await binlogWritten(connection, files)
          return (bytes * 1000) / Math.max(1, world.clock.monotonicMs() - beganMs)
        }
        const use = (bytesPerSecond: number): BinlogUse => ({ bytesPerSecond, bytesNow, retentionS })
        const rate = await steadyRate(sample, (fast) => binlogRefused(serverId, room, use(fast)).length > 0)
        return { serverId, room, binlog: use(rate) }
      } finally {
        await connection.close()
      }
    }),
  )
  const made = { servers: newServers, place: newServers.length === 0 ? null : await world.provisioner.place() }
  return roomFindings({ sources, targets, rooms, made, dataBytes })
}
